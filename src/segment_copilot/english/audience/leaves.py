"""What a clause becomes: a condition with its words and assumptions, or a reason why not."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from segment_copilot.english.linking.linker import Link
from segment_copilot.english.plan import Option
from segment_copilot.english.words.lexer import Token

NONE_INCLUDED = "people who never did it are included, because they did it 0 times"
"""Said of counts that 0 satisfies."""


class Leaf(Struct, frozen=True):
    """One condition. *condition* is as the language writes it; *verbs* are what a following clause may share."""

    condition: dict[str, Any]
    text: str
    notes: tuple[str, ...] = ()
    link: Link | None = None
    verbs: tuple[Token, ...] = ()
    negated: bool = False
    windowed: bool = False
    first: bool = False  # "first-time buyers": a time span says when the first time was


class Group(Struct, frozen=True):
    """Several nodes joined by one logic."""

    logic: Literal["AND", "OR"]
    nodes: tuple[Node, ...]


Node = Leaf | Group


class Problem(Struct, frozen=True):
    """Why a clause cannot be drafted. *kind* `vague` and `ambiguous` are asked about, the others refused."""

    kind: Literal["unknown", "vague", "ambiguous", "unsupported", "missing"]
    phrase: str
    detail: str
    suggestions: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()  # answers that settle it, each in place of the phrase
    template: str = ""  # of an answer that is only a number or a length of time


def leaves(node: Node) -> tuple[Leaf, ...]:
    """All conditions below, in order."""
    if isinstance(node, Leaf):
        return (node,)
    return tuple(leaf for child in node.nodes for leaf in leaves(child))


def joined(logic: Literal["AND", "OR"], nodes: tuple[Node, ...]) -> Node:
    """The nodes under one logic, nested groups of the same logic flattened."""
    flat: list[Node] = []
    for node in nodes:
        flat += node.nodes if isinstance(node, Group) and node.logic == logic else (node,)
    return flat[0] if len(flat) == 1 else Group(logic, tuple(flat))
