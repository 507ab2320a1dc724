"""One change that a sentence asks for."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from segment_copilot.english.words.lexer import Token

Mode = Literal[
    "bare", "set", "up", "down", "times", "only", "add", "or", "include", "restore", "exclude", "without", "remove", "swap", "negate", "rename",
    "undo", "logic",
]  # fmt: skip


class Step(Struct, frozen=True):
    """One change. *words* is what the verb is about; *old* what it takes the place of; *factor* of "double".

    *also* when it comes on top ("too", "also"), *instead* when it takes something's place, *told* when a verb said so, *marked* when words in front
    or the wording say that a draft is corrected.
    """

    mode: Mode
    words: tuple[Token, ...]
    old: tuple[Token, ...] = ()
    verb: str = ""
    also: bool = False
    instead: bool = False
    told: bool = False
    marked: bool = False
    joined: bool = False  # "and" or "but" stands before it
    factor: float = 1
