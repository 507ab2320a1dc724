"""Holds what may come of a sentence: a draft, a question with its answers, or a refusal that names what is missing."""

from __future__ import annotations

from msgspec import Struct

from segment_copilot.language import Definition


class Part(Struct, frozen=True, omit_defaults=True):
    """A part of the sentence and what became of it: the conditions it made, an assumption, or nothing.

    *start* and *end* count characters of the sentence as it was given; *pointers* point into the definition.
    """

    text: str
    start: int
    end: int
    pointers: tuple[str, ...] = ()
    assumed: str = ""
    unmapped: bool = False


class Unplaced(Struct, frozen=True):
    """Words that could not be placed, why, and the names of the catalog that are nearest and would fit."""

    text: str
    reason: str
    names: tuple[str, ...] = ()


class Drafted(Struct, frozen=True):
    """A definition that is clearly meant. *probability* is of this reading among all; *assumptions* are sentences.

    *named* when a person gave the name, which then stays whatever is changed.
    """

    definition: Definition
    name: str
    probability: float
    reading: tuple[Part, ...] = ()
    assumptions: tuple[str, ...] = ()
    named: bool = False


class Choice(Struct, frozen=True):
    """One answer to a question: *label* tells it from the others, in words; *draft* is what it would make."""

    label: str
    draft: Drafted


class Asked(Struct, frozen=True):
    """A question whose answers are readings of the sentence."""

    question: str
    options: tuple[Choice, ...]


class Refused(Struct, frozen=True):
    """Nothing was drafted: *unplaced* says of which words, and *reason* in a sentence.

    *without* is what the rest of the sentence would make, where little was not placed; it is offered, and never drafted unasked.
    """

    reason: str
    unplaced: tuple[Unplaced, ...] = ()
    too_long: bool = False
    without: tuple[Choice, ...] = ()


Outcome = Drafted | Asked | Refused
