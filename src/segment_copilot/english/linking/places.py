"""Countries by their names and adjectives, as a field of the catalog spells them."""

from __future__ import annotations

from collections.abc import Sequence

from segment_copilot.english.linking.fields import Field
from segment_copilot.english.words.countries import ALIASES, CODES_THAT_ARE_WORDS, NAMES
from segment_copilot.english.words.lexer import Token
from segment_copilot.language.catalog import Scalar


def country_code(words: Sequence[Token]) -> str | None:
    """The ISO code of the country that the words name, as a name or an adjective."""
    text = " ".join(word.text for word in words).replace(" .", ".")
    if text.lower() in CODES_THAT_ARE_WORDS and text != text.upper():
        return None
    return ALIASES.get(text.lower()) or ALIASES.get(text.lower().rstrip("s") if text.lower().endswith("ns") else "")


def country_of(words: Sequence[Token], field: Field) -> Scalar | None:
    """The country that the words name, as the field spells it."""
    code = country_code(words)
    if code is None:
        return None
    samples = [sample for sample in field.known.samples if isinstance(sample, str)]
    for sample in samples:
        if ALIASES.get(sample.lower()) == code:
            return sample
    if field.known.is_whole:
        return None
    return code if all(len(sample) <= len("US") for sample in samples) else NAMES[code]
