"""Word forms: what makes two words the same word, and words that are two."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Final

from segment_copilot.english.words.files import table


def listed(words: str) -> tuple[str, ...]:
    """Space-separated words, one by one."""
    return tuple(words.split())


_FORMS: Final = table("forms")

NUMBER_WORDS: Final[Mapping[str, int]] = _FORMS["numbers"]

CONTRACTIONS: Final[Mapping[str, str]] = _FORMS["contractions"]

_IRREGULAR: Final[Mapping[str, str]] = {
    form: plain for plain, forms in _FORMS["irregular"].items() for form in forms.split()
}

_DOUBLED = re.compile(r"([bdfgmnprt])\1$")
_SHORT = 3


@cache
def stem(word: str) -> str:
    """The key of an English word form: "placed", "placing", "places" and "place" share one; irregular forms are listed."""
    lower = _IRREGULAR.get(word, word if word.isascii() else _without_accents(word))
    if len(lower) <= _SHORT or not lower.isalpha():
        return lower
    return _without_e(_IRREGULAR.get(_cut(lower), _cut(lower)))


def _without_accents(word: str) -> str:
    """As people type it who have no such key: "málaga" and "malaga" are one."""
    return "".join(part for part in unicodedata.normalize("NFD", word) if not unicodedata.combining(part))


def _without_e(word: str) -> str:
    return word[:-1] if len(word) > _SHORT and word.endswith("e") and not word.endswith("ee") else word


def _cut(word: str) -> str:
    if word in _IRREGULAR.values():
        return word
    if word.endswith(("ies", "ied")) and len(word) > _SHORT + 1:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return _cut_participle(word[:-1]) if word.endswith("ings") else word[:-1]
    return _cut_participle(word)


def _cut_participle(word: str) -> str:
    for ending in ("ing", "ed"):
        root = word.removesuffix(ending)
        if root != word and len(root) >= _SHORT and re.search(r"[aeiouy]", root):
            return _DOUBLED.sub(r"\1", root)
    return word


COMPOUNDS: Final[Mapping[tuple[str, ...], str]] = {
    tuple(stem(part) for part in said.split()): one for one, several in _FORMS["compounds"].items() for said in several
}


def irregular_past(word: str) -> bool:
    """Tell whether it is the past of an irregular verb: "bought", "came"."""
    return word in _PAST


def is_past(word: str) -> bool:
    """Tell whether it is a verb in the past: "ordered", "bought"."""
    return irregular_past(word) or (word.endswith("ed") and _cut_participle(word) != word)


_PAST: Final = frozenset(_FORMS["past"].split())


def irregular() -> frozenset[str]:
    """Every form that is listed with its stem."""
    return frozenset({*_IRREGULAR, *_IRREGULAR.values()})
