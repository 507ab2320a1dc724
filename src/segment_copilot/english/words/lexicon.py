"""Tells what words mean here: concepts that share a meaning, words that carry none, and words too vague to draft from."""

from __future__ import annotations

from functools import cache
from typing import Final

from segment_copilot.english.words.files import lines, table
from segment_copilot.english.words.stems import stem


def stems(words: str) -> frozenset[str]:
    """The stems of space-separated words."""
    return frozenset(stem(word) for word in words.split())


_WORDS: Final = table("grammar")

CONCEPTS: Final = {stem(word): line.split()[0] for line in lines("meanings.txt") for word in line.split()}

COMPOSED: Final = {frozenset(name.split()): meaning for name, meaning in _WORDS["composed"].items()}
"""An event type whose name holds these concepts also means this one."""

VISITS: Final = tuple(frozenset(name.split()) for name in _WORDS["visits"])
"""Concepts of event types that are a visit as such, best first."""

ACTIONS: Final = frozenset(_WORDS["actions"].split())
"""Concepts that say what was done; two different ones do not mean the same event."""

REVERSALS: Final = frozenset(_WORDS["reversals"].split())
"""Concepts that turn a meaning around: never assumed, never ignored."""

LIGHT, GENERIC, NOISE, PEOPLE = (stems(_WORDS[kind]) for kind in ("light", "generic", "noise", "people"))
"""Stems of verbs that say little, of nouns that may stand for anything, of what carries nothing by itself, and of who may be the subject."""

AGENTS: Final = {stem(who): done for who, done in _WORDS["agents"].items()}
"""Subjects that say what the user did."""

VAGUE: Final = frozenset(_WORDS["vague"].split())
"""Words that need a threshold."""


def agent(token_stem: str, lower: str) -> str | None:
    """Return what a noun says that its bearer did: "buyers", "openers", "starters"; None for other words."""
    if token_stem in AGENTS:
        return AGENTS[token_stem]
    root = concept(stem(lower.removesuffix("s").removesuffix("er")))
    return root if lower.endswith("ers") and root in ACTIONS else None


@cache
def concept(word: str) -> str:
    """The concept of a stem; the stem itself when it has none."""
    return CONCEPTS.get(word, word)


@cache
def weight(key: str) -> float:
    """Return how much a concept or stem says about which event type is meant."""
    if key in NOISE:
        return 0.0
    if key in LIGHT or key in {"complete", "create", "receive", "user", "event"}:
        return 0.2
    if key == "product":
        return 0.6
    if key in {"page", "site"} or key in GENERIC:
        return 0.4
    return 0.7 if key in ACTIONS and key not in {"purchase", "refund", "search"} else 1.0
