"""Finds what a description says that a name in another language does not: other names of an event type, property or value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from segment_copilot.english.words.known import known_stems
from segment_copilot.english.words.lexer import Token, read
from segment_copilot.english.words.lexicon import NOISE, PEOPLE, concept
from segment_copilot.english.words.stems import listed, stem
from segment_copilot.language.catalog import EventType, Property, Scalar

_PHRASES: Final = re.compile(r"[:;,.]")
_GLOSS: Final = re.compile(r"([^\s,:;()]+) \(([^()]+)\)")
_LISTED: Final = re.compile(r",\s*|\s+or\s+|\s+and\s+")
_HEAD_ENDS: Final = frozenset(
    listed("that which of in who is was were with where like by for whether and or at on the a an as when")
)
_BEFORE_HEAD: Final = frozenset(listed("the a an whether current how what whose its their this"))
_ABOUT_TIME: Final = frozenset(stem(word) for word in listed("day date time when moment instant whether"))
_TELLS_NOTHING: Final = frozenset(
    stem(word) for word in listed("every each least most first last one more less other again never always only per")
)  # fmt: skip


def other_names(event_type: EventType) -> tuple[tuple[str, ...], ...]:
    """Return what the description calls an event type, as concepts, a tuple for each phrase."""
    phrases = (
        _told(read(phrase), NOISE | PEOPLE | _TELLS_NOTHING) for phrase in _PHRASES.split(event_type.description)
    )
    return tuple(dict.fromkeys(phrase for phrase in phrases if phrase))


def head(item: Property) -> tuple[str, ...]:
    """Return what the description calls a property, as concepts; empty when it says nothing but its values."""
    tokens = [token for token in read(_PHRASES.split(item.description)[0]) if token.kind == "word"]
    samples = {str(sample).casefold() for sample in item.samples}
    if any(token.lower in samples for token in tokens):
        return ()
    if item.declared == "datetime" or any(token.lower == "whether" for token in tokens[:1]):
        return _told(tokens, NOISE | PEOPLE | _TELLS_NOTHING | _ABOUT_TIME)
    while tokens and tokens[0].lower in _BEFORE_HEAD:
        tokens = tokens[1:]
    end = next((at for at, token in enumerate(tokens) if token.lower in _HEAD_ENDS), len(tokens))
    return _told(tokens[:end], PEOPLE)


def glossed(item: Property) -> Mapping[tuple[str, ...], Scalar]:
    """Values by what the description says they mean: "boxeo (boxing)"."""
    samples = {str(sample).casefold(): sample for sample in item.samples if isinstance(sample, str)}
    found: dict[tuple[str, ...], Scalar] = {}
    for value, meaning in _GLOSS.findall(item.description):
        sample = samples.get(value.casefold())
        key = tuple(token.stem for token in read(meaning) if token.kind != "sign")
        if sample is not None and key:
            found.setdefault(key, sample)
    if "string" not in item.types and item.declared != "string":
        return found
    listed_values = [part.strip() for part in _LISTED.split(item.description.partition(":")[2] or item.description)]
    if len(listed_values) > 1 and any(part.casefold() in samples for part in listed_values):
        for part in listed_values:  # what may be there and was not seen yet
            key = tuple(token.stem for token in read(part.replace("_", " ")) if token.kind != "sign")
            if key and " " not in part and part.casefold() not in samples:
                found.setdefault(key, part)
    return found


@cache
def english(words: tuple[str, ...]) -> bool:
    """Tell whether a name is made of words that the grammar knows."""
    return all(word in known_stems() or concept(word) != word for word in words)


def _told(tokens: Iterable[Token], without: frozenset[str]) -> tuple[str, ...]:
    words = [token.stem for token in tokens if token.kind == "word"]
    kept = [concept(word) for word in words if word not in without]
    return tuple(dict.fromkeys(kept))
