"""A definition as places: each condition with its pointer, and a definition with another condition in a place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, cast

import msgspec
from msgspec import UNSET, Struct, structs

from segment_copilot.language import Condition, Definition, Exclusion, Group

Json = Mapping[str, Any]
Path = tuple[str | int, ...]
_LISTS: Final = ("conditions",)


class Unfit(Exception):
    """A change that cannot be made; the text says why, in a sentence. *final* when no other way of reading it is tried."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


class Place(Struct, frozen=True):
    """A condition of a definition: where it stands, and what it is."""

    path: Path
    node: Condition

    @property
    def excluded(self) -> bool:
        """True where it takes people out."""
        return self.path[0] == "exclude"

    @property
    def pointer(self) -> str:
        """Return its JSON pointer."""
        return "".join(f"/{step}" for step in self.path)


def places(definition: Definition) -> tuple[Place, ...]:
    """Return every condition that is no group, in order, those that take people out last."""
    return (*_inside(definition, ()), *(_inside(definition.exclude, ("exclude",)) if definition.exclude else ()))


def _inside(node: Definition | Exclusion | Group, path: Path) -> Iterator[Place]:
    for at, condition in enumerate(node.conditions):
        here = (*path, "conditions", at)
        if isinstance(condition, Group):
            yield from _inside(condition, here)
        else:
            yield Place(here, condition)


def put(definition: Definition, path: Path, condition: Condition | None) -> Definition:
    """Return the definition with another condition in a place; with none, what holds nothing any more goes too.

    Raises:
        Unfit: It was the only condition.
    """
    made = _put(definition, path, condition)
    if made is None:
        raise Unfit("That is the only condition of the draft: say what is to take its place.")
    return made


def _put(node: Any, path: Path, condition: Condition | None) -> Any:
    if not path:
        return condition
    step, *rest = path
    inner = _put(node[step] if isinstance(step, int) else getattr(node, step), tuple(rest), condition)
    if isinstance(step, int):
        return (
            [one for at, one in enumerate(node) if at != step]
            if inner is None
            else [*node[:step], inner, *node[step + 1 :]]
        )
    if step in _LISTS and not inner:
        return None
    return structs.replace(node, **{step: UNSET if inner is None else inner})


def joined(definition: Definition, conditions: Sequence[Condition], logic: Literal["AND", "OR"]) -> Definition:
    """Return the definition with more conditions, joined to all there are."""
    if definition.exclude and logic == "OR":  # who else comes in need not be left out
        left = [Group(logic=definition.exclude.logic, conditions=definition.exclude.conditions, negate=True)]
        return joined(joined(structs.replace(definition, exclude=UNSET), left, "AND"), conditions, logic)
    if definition.logic == logic or len(definition.conditions) == 1:
        return structs.replace(definition, logic=logic, conditions=[*definition.conditions, *conditions])
    whole = Group(logic=definition.logic, conditions=definition.conditions)
    return structs.replace(definition, logic=logic, conditions=[whole, *conditions])


def excluding(definition: Definition, conditions: Sequence[Condition]) -> Definition:
    """Return the definition with more people taken out."""
    out = definition.exclude
    if not out:
        return structs.replace(definition, exclude=Exclusion("OR" if len(conditions) > 1 else "AND", list(conditions)))
    if out.logic == "OR" or len(out.conditions) == 1:
        return structs.replace(definition, exclude=Exclusion("OR", [*out.conditions, *conditions]))
    whole = Group(logic=out.logic, conditions=out.conditions)
    return structs.replace(definition, exclude=Exclusion("OR", [whole, *conditions]))


def as_one(definition: Definition) -> Condition:
    """Return what a definition takes as one condition; whom it takes out is not looked at."""
    if len(definition.conditions) == 1:
        return definition.conditions[0]
    return Group(logic=definition.logic, conditions=definition.conditions)


def document(base: Json, before: Definition, after: Definition) -> Json:
    """Return *after* as JSON, in which each condition and setting of *base* that is as it was *before* keeps its bytes."""
    known: dict[bytes, Any] = {}
    for place in _everywhere(before, base):
        known.setdefault(msgspec.json.encode(place[0]), place[1])
    made = dict(base)
    made["conditions"] = [_written(one, known) for one in after.conditions]
    if after.logic != before.logic:
        made["logic"] = after.logic
    if not after.exclude:
        made.pop("exclude", None)
    elif after.exclude != before.exclude:
        out = dict(cast("Json", base.get("exclude") or {}))
        same = bool(before.exclude) and before.exclude.logic == after.exclude.logic
        logic = out.get("logic") if same else after.exclude.logic
        made["exclude"] = out | {
            "logic": logic,
            "conditions": [_written(one, known) for one in after.exclude.conditions],
        }
    return made


def _everywhere(node: Any, raw: Any) -> Iterator[tuple[Condition, Any]]:
    for one, text in zip(node.conditions, raw["conditions"], strict=True):
        yield one, text
        if isinstance(one, Group):
            yield from _everywhere(one, text)
    if isinstance(node, Definition) and node.exclude:
        yield from _everywhere(node.exclude, raw["exclude"])


def _written(node: Condition, known: Mapping[bytes, Any]) -> Any:
    kept = known.get(msgspec.json.encode(node))
    if kept is not None:
        return kept
    made = msgspec.json.decode(msgspec.json.encode(node))
    if isinstance(node, Group):
        made["conditions"] = [_written(one, known) for one in node.conditions]
    return made
