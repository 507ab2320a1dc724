"""Tells which language a message is in, by its commonest words, and one sentence in it that says that only English is understood."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from segment_copilot.english.words.files import table

ENGLISH_ONLY: Final = "I only understand English for now; please ask in English."

_SENTENCES: Final[Mapping[str, str]] = table("languages")["sentences"]
_WORDS: Final = {language: frozenset(said.split()) for language, said in table("languages")["words"].items()}
_ENGLISH: Final = _WORDS["en"]
_STOP_WORDS: Final = {language: known for language, known in _WORDS.items() if language != "en"}
_OTHER_SCRIPT: Final = re.compile(r"[\u0370-\u1cff\u2e80-\uffdc]")
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_TURNED: Final = re.compile(r"[¿¡]")
_TELLING: Final = 4
"""Letters of a word that is a word of the language and no abbreviation or article of another."""


def said_in_english_only(text: str, vocabulary: frozenset[str] = frozenset()) -> tuple[str, ...] | None:
    """The sentences for a message in another language; None for one in English. Words of the *vocabulary* are names and tell nothing."""
    language = foreign_language(text, vocabulary)
    if language is None:
        return None
    own = _SENTENCES.get(language)
    return (f"{own} ({ENGLISH_ONLY})",) if own else (ENGLISH_ONLY,)


def foreign_language(text: str, vocabulary: frozenset[str] = frozenset()) -> str | None:
    """The language if it is not English, "" where it is not known which."""
    if len(_OTHER_SCRIPT.findall(text)) > len(re.findall(r"[A-Za-z]", text)):
        return ""
    names = vocabulary - _ENGLISH  # a description's "of" and "that" are English all the same
    words = [word.lower() for word in _WORD.findall(text) if word.lower() not in names]
    english = sum(word in _ENGLISH for word in words)
    scores = {language: sum(word in known for word in words) for language, known in _STOP_WORDS.items()}
    best = max(scores, key=lambda language: scores[language])
    score = scores[best]
    if _TURNED.search(text) and scores["es"] >= english:
        return "es"
    alone = not english and any(
        word in _STOP_WORDS[best] and word not in _ENGLISH and len(word) >= _TELLING for word in words
    )
    foreign = sum(word in _STOP_WORDS[best] and word not in _ENGLISH for word in words)
    # one foreign word may be a name; without any English word it is enough if it is a telling one
    return best if foreign > max(1, english) or (alone and score == foreign and len(words) > 1) else None
