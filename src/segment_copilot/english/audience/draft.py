"""From what was understood to a proposal: definition, name, description, assumptions."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from segment_copilot.english.audience.leaves import NONE_INCLUDED, Leaf, Node, leaves
from segment_copilot.english.audience.sentences import Audience
from segment_copilot.errors import InvalidDefinition
from segment_copilot.language import decode
from segment_copilot.language.operators import OPERATORS

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
    named: bool = False  # whether the person gave the name
    orders: tuple[str, ...] = ()  # what the message asks of the answer, beside the audience

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
    """Understood, but more than this version can draft. *details* says which clause, and what would do."""

    details: tuple[str, ...]


def propose(audience: Audience, *, named: str, text: str, orders: tuple[str, ...] = ()) -> Proposal | Inexpressible:
    """A proposal for an audience without problems. *text* is the request without its command, *orders* what it asks of the answer."""
    definition = definition_of(audience)
    notes = _notes(audience)
    if _mistakes(definition):
        return Inexpressible(_reasons(audience))
    name = named or audience.label or _name(audience)
    return Proposal(
        name[:_MAX_NAME].strip(),
        _description(text),
        definition,
        tuple(note[:_SENTENCE] for note in notes[:_MAX_ASSUMPTIONS]),
        bool(named),
        orders,
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
    turned = OPERATORS[condition["operator"]].complement if condition["type"] == "user_property" else None
    return {**condition, "operator": turned} if turned else {**condition, "negate": True}


def _notes(audience: Audience) -> tuple[str, ...]:
    nodes = [node for node in (audience.include, audience.exclude) if node is not None]
    present = _present(audience.include)
    notes = [
        *audience.notes,
        *(
            note
            for node in nodes
            for leaf in leaves(node)
            for note in leaf.notes
            if note != NONE_INCLUDED or leaf.condition.get("event_type") not in present
        ),
    ]
    return tuple(dict.fromkeys(_sentence(note) for note in notes))


def _present(node: Node | None) -> set[str]:
    """The event types that every member of the audience has had."""
    if isinstance(node, Leaf):
        together: tuple[Node, ...] = (node,)
    else:
        together = node.nodes if node is not None and node.logic == "AND" else ()
    conditions = [
        child.condition for child in together if isinstance(child, Leaf) and child.condition["type"] == "event_count"
    ]
    return {
        str(item["event_type"])
        for item in conditions
        if item["operator"] in {"gt", "gte"} and item["value"] >= (item["operator"] == "gte")
    }


def _sentence(note: str) -> str:
    return note if note.endswith(".") else f"{note[:1].upper()}{note[1:]}."


def _mistakes(definition: dict[str, Any]) -> str:
    """Why the language refuses the definition; empty when it does not."""
    try:
        decode(definition)
    except InvalidDefinition as error:
        return "; ".join(dict.fromkeys(finding.detail for finding in error.findings)) or error.detail
    return ""


def _reasons(audience: Audience) -> tuple[str, ...]:
    """A sentence for each clause that the language refuses on its own."""
    nodes = [node for node in (audience.include, audience.exclude) if node is not None]
    failed = [
        (leaf, _mistakes({"logic": "AND", "conditions": [leaf.condition]})) for node in nodes for leaf in leaves(node)
    ]
    refused = [
        f"I understood {leaf.text!r}, but the language refuses it: {mistake}" for leaf, mistake in failed if mistake
    ]
    return tuple(refused) or ("I understood the audience, but it is more than one definition can hold.",)


def _name(audience: Audience) -> str:
    """A short name from the user's own words, whole clauses only."""
    texts = _texts(audience.include) if audience.include is not None else []
    if audience.exclude is not None:
        texts += [f"not {_short(leaf.text)}" for leaf in leaves(audience.exclude)]
    texts = list(dict.fromkeys(text for text in texts if text))
    name = ""
    for text in texts:
        longer = f"{name}{' ' if text.startswith(('or ', 'nor ')) else ', '}{text}" if name else text
        if len(longer) > _NAME_LENGTH and name:
            break
        name = longer
    return (name[:1].upper() + name[1:])[:_MAX_NAME] or "New segment"


def _texts(node: Node) -> list[str]:
    """A text for each condition; those joined by "or" are one."""
    if isinstance(node, Leaf):
        return [_short(node.text)]
    parts = [" and ".join(_texts(child)) for child in node.nodes]
    return [" or ".join(parts)] if node.logic == "OR" else parts


def _short(text: str) -> str:
    shorter = re.sub(r"\b(in|within|over|during) the (last|past)\b", "in last", text)
    shorter = re.sub(r"\s+([-/,])\s+", r"\1", shorter)
    return re.sub(r"^(not|never|no) ", lambda match: "no " if match[1] == "no" else f"{match[1]} ", shorter).strip(
        " ,."
    )


def _description(text: str) -> str:
    cleaned = text.strip(" .,:;!?")
    return f"{cleaned[:1].upper()}{cleaned[1:]}."[:_DESCRIPTION]
