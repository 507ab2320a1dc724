"""From what was understood to a proposal: definition, name, description, assumptions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from segment_copilot.conditions import decode
from segment_copilot.copilot.models.offline.audience import Audience
from segment_copilot.copilot.models.offline.leaves import Leaf, Node, leaves
from segment_copilot.errors import InvalidDefinition

_NAME_LENGTH = 60
_MAX_NAME = 80
_SENTENCE = 300
_DESCRIPTION = 500
_MAX_ASSUMPTIONS = 10


class Proposal(Struct, frozen=True):
    """The arguments of `propose_segment`."""

    name: str
    description: str
    definition: dict[str, Any]
    assumptions: tuple[str, ...]

    def arguments(self) -> dict[str, Any]:
        """As the tool takes them."""
        return {
            "name": self.name,
            "description": self.description,
            "definition": self.definition,
            "assumptions": list(self.assumptions),
            "unmapped": [],
        }


class Inexpressible(Struct, frozen=True):
    """Understood, but more than this version of the language can say."""

    detail: str


def propose(audience: Audience, *, named: str, text: str) -> Proposal | Inexpressible:
    """A proposal for an audience without problems. *text* is the request without its command."""
    definition = definition_of(audience)
    notes = _notes(audience)
    failed = _mistakes(definition)
    if failed:
        definition, more = _rolling(definition)
        notes = (*notes, *more)
        if not more or _mistakes(definition):
            return Inexpressible(failed)
    name = named or audience.label or _name(audience)
    return Proposal(
        name[:_MAX_NAME].strip(),
        _description(text),
        definition,
        tuple(note[:_SENTENCE] for note in notes[:_MAX_ASSUMPTIONS]),
    )


def definition_of(audience: Audience) -> dict[str, Any]:
    """The definition; an audience of nothing but exclusions becomes everyone who is none of them."""
    if audience.include is None:
        return (
            {"logic": "AND", "conditions": [_complement(leaf) for leaf in leaves(audience.exclude)]}
            if audience.exclude
            else {}
        )
    definition = _envelope(audience.include)
    if audience.exclude is not None:
        excluded = _envelope(audience.exclude)
        definition["exclude"] = {
            "logic": "OR" if len(excluded["conditions"]) == 1 else excluded["logic"],
            "conditions": excluded["conditions"],
        }
    return definition


def _envelope(node: Node) -> dict[str, Any]:
    if isinstance(node, Leaf):
        return {"logic": "AND", "conditions": [node.condition]}
    return {"logic": node.logic, "conditions": [_condition(child) for child in node.nodes]}


def _condition(node: Node) -> dict[str, Any]:
    if isinstance(node, Leaf):
        return node.condition
    return {"type": "group", "logic": node.logic, "conditions": [_condition(child) for child in node.nodes]}


def _complement(leaf: Leaf) -> dict[str, Any]:
    condition = leaf.condition
    if condition["type"] == "segment_membership":
        return {**condition, "operator": "not_in" if condition["operator"] == "in" else "in"}
    return {**condition, "negate": True}


def _notes(audience: Audience) -> tuple[str, ...]:
    nodes = [node for node in (audience.include, audience.exclude) if node is not None]
    notes = [*audience.notes, *(note for node in nodes for leaf in leaves(node) for note in leaf.notes)]
    return tuple(dict.fromkeys(_sentence(note) for note in notes))


def _sentence(note: str) -> str:
    return note if note.endswith(".") else f"{note[:1].upper()}{note[1:]}."


def _mistakes(definition: dict[str, Any]) -> str:
    """Why the language refuses the definition; empty when it does not."""
    try:
        decode(definition)
    except InvalidDefinition as error:
        return "; ".join(dict.fromkeys(finding.detail for finding in error.findings)) or error.detail
    return ""


_PERIODS = {"this_week": "7d", "this_month": "1mo", "this_quarter": "3mo", "this_year": "1y", "today": "24h"}


def _rolling(value: Any) -> tuple[Any, tuple[str, ...]]:
    """Calendar periods that end now as rolling windows, with a sentence that says so."""
    if isinstance(value, list):
        read = [_rolling(item) for item in value]
        return [item for item, _ in read], tuple(note for _, notes in read for note in notes)
    if not isinstance(value, dict):
        return value, ()
    if set(value) == {"period"} and value["period"] in _PERIODS:
        length = _PERIODS[value["period"]]
        said = value["period"].replace("_", " ")
        return {"last": length}, (
            f"'{said}' is read as the last {length}, because calendar periods cannot be drafted yet.",
        )
    read = {key: _rolling(item) for key, item in value.items()}
    return {key: item for key, (item, _) in read.items()}, tuple(note for _, notes in read.values() for note in notes)


def _name(audience: Audience) -> str:
    """A short name from the user's own words, whole clauses only."""
    texts = [_short(leaf.text) for node in (audience.include,) if node is not None for leaf in leaves(node)]
    if audience.exclude is not None:
        texts += [f"not {_short(leaf.text)}" for leaf in leaves(audience.exclude)]
    texts = list(dict.fromkeys(text for text in texts if text))
    name = ""
    for text in texts:
        longer = f"{name}, {text}" if name else text
        if len(longer) > _NAME_LENGTH and name:
            break
        name = longer
    return (name[:1].upper() + name[1:])[:_MAX_NAME] or "New segment"


def _short(text: str) -> str:
    shorter = re.sub(r"\b(in|within|over|during) the (last|past)\b", "in last", text)
    shorter = re.sub(r"\s+([-/,])\s+", r"\1", shorter)
    return re.sub(r"^(not|never|no) ", lambda match: "no " if match[1] == "no" else f"{match[1]} ", shorter).strip(
        " ,."
    )


def _description(text: str) -> str:
    cleaned = text.strip(" .,:;!?")
    return f"{cleaned[:1].upper()}{cleaned[1:]}."[:_DESCRIPTION]


def numbers(notes: Sequence[str]) -> tuple[str, ...]:
    """The numbers that assumptions mention."""
    return tuple(number for note in notes for number in re.findall(r"\d[\d,.]*", note))
