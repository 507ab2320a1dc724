"""The words that the grammar itself knows, for telling a typing error from a name."""

from __future__ import annotations

from functools import cache

from segment_copilot.english.times.dates import MONTHS, WEEKDAYS
from segment_copilot.english.times.phrases import COMPARISONS
from segment_copilot.english.words import lexicon
from segment_copilot.english.words.countries import ALIASES
from segment_copilot.english.words.files import words
from segment_copilot.english.words.stems import NUMBER_WORDS, irregular, stem


@cache
def known() -> frozenset[str]:
    """Words as they are written."""
    names = {part for name in ALIASES for part in name.split() if part.isalpha()}
    compared = {part for name in COMPARISONS for part in name.split() if part.isalpha()}
    return frozenset(
        {
            *compared,
            *words("meanings"),
            *words("typed"),
            *names,
            *lexicon.VAGUE,
            *NUMBER_WORDS,
            *MONTHS,
            *WEEKDAYS,
            *irregular(),
        }
    )


@cache
def known_stems() -> frozenset[str]:
    """The stems of words that the grammar knows in every form."""
    groups = (lexicon.NOISE, lexicon.LIGHT, lexicon.GENERIC, lexicon.PEOPLE, frozenset(lexicon.CONCEPTS))
    return frozenset(stem(word) for word in known()).union(*groups)
