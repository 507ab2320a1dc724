"""Turns definitions of the cases into those of a workspace and back: segments by name, or by that workspace's ids."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

Definition = Mapping[str, Any]
Path = tuple[int | str, ...]
"""Where a condition stands: ("conditions", 0), or ("exclude", "conditions", 1), deeper in groups."""


class SegmentIds(Struct, frozen=True):
    """The saved segments of one workspace, by name."""

    ids: Mapping[str, int] = {}

    def id_of(self, name: str) -> int:
        """Return the id here of the segment of that name; 0, which is nobody's, when there is none."""
        return self.ids.get(name, 0)

    def name_of(self, segment_id: Any) -> str:
        """Return the name of the segment of that id."""
        return next((name for name, one in self.ids.items() if one == segment_id), f"segment {segment_id}")


def with_ids(definition: Definition, segments: SegmentIds) -> dict[str, Any]:
    """Replace names of segments by ids of that workspace."""

    def named(condition: dict[str, Any]) -> None:
        if "segment" in condition:
            condition["segment_id"] = segments.id_of(condition.pop("segment"))
        if "segments" in condition:
            condition["segment_ids"] = [segments.id_of(name) for name in condition.pop("segments")]

    return _changed(definition, named)


def with_names(definition: Definition, segments: SegmentIds) -> dict[str, Any]:
    """Replace ids of segments of that workspace by names."""

    def unnamed(condition: dict[str, Any]) -> None:
        if "segment_id" in condition:
            condition["segment"] = segments.name_of(condition.pop("segment_id"))
        if "segment_ids" in condition:
            condition["segments"] = [segments.name_of(one) for one in condition.pop("segment_ids")]

    return _changed(definition, unnamed)


def _changed(definition: Definition, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    found = copy.deepcopy(dict(definition))
    for _path, condition in walk(found):
        change(condition)
    return found


def walk(definition: Definition, path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield every condition, groups before what they hold, with where it stands."""
    for place, condition in enumerate(definition.get("conditions", ())):
        here: Path = (*path, "conditions", place)
        yield here, condition
        if condition.get("type") == "group":
            yield from walk(condition, here)
    if isinstance(definition.get("exclude"), Mapping):
        yield from walk(definition["exclude"], (*path, "exclude"))


def at(definition: Any, path: Path) -> Any:
    """Return what stands at *path*."""
    for step in path:
        definition = definition[step]
    return definition


def without(definition: Definition, path: Path) -> dict[str, Any] | None:
    """Drop the condition at *path* from a definition, and a group left empty with it. None when nothing is left."""
    found = copy.deepcopy(dict(definition))
    del at(found, path[:-1])[path[-1]]
    holder = path[:-2]
    while not at(found, holder)["conditions"]:
        if not holder:
            return None
        if holder[-1] == "exclude":
            del at(found, holder[:-1])["exclude"]
            break
        del at(found, holder[:-1])[holder[-1]]
        holder = holder[:-2]
    return found


def complement(definition: Definition) -> dict[str, Any]:
    """Return a definition of everybody whom *definition* does not match."""
    included = {"type": "group", "logic": definition["logic"], "conditions": definition["conditions"], "negate": True}
    conditions: list[Any] = [included]
    if "exclude" in definition:
        conditions.append({"type": "group", **definition["exclude"]})
    found: dict[str, Any] = {"logic": "OR", "conditions": conditions}
    if "timezone" in definition:
        found["timezone"] = definition["timezone"]
    return found


def names_in(definition: Definition) -> Iterator[tuple[str, str, str]]:
    """List what a definition refers to: ("event", type, ""), ("property", type, path), ("trait", "", path), ("segment", "", name)."""
    for _path, condition in walk(definition):
        match condition.get("type"):
            case "group" | "sample":
                continue
            case "user_property":
                yield "trait", "", condition["property"]
            case "segment_membership":
                one = condition.get("segment", condition.get("segment_id"))
                for name in condition.get("segments", condition.get("segment_ids", [one])):
                    yield "segment", "", str(name)
            case "event_sequence":
                for step in (*condition["events"], *condition.get("none_between", ())):
                    yield from _match_names(step if isinstance(step, Mapping) else {"event_type": step})
                for step in condition["events"]:
                    for path in condition.get("same", ()):
                        yield from _match_names({"event_type": _types_of(step), "property": path})
            case _:
                yield from _match_names(condition)


def _types_of(step: Any) -> Any:
    return step["event_type"] if isinstance(step, Mapping) else step


def _match_names(match: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    types = match["event_type"] if isinstance(match["event_type"], list) else [match["event_type"]]
    tests = list(where_tests(match))
    for name in types:
        if name == "*":
            continue
        yield "event", name, ""
        if "property" in match:
            yield "property", name, match["property"]
        for test in tests:
            yield "property", name, tested_path(test)


def tested_path(test: Mapping[str, Any]) -> str:
    """Return the path that a property test looks at: of a test of items, the list's."""
    return test["any_of"] if "any_of" in test else test["property"]


def where_tests(match: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the property tests of an event match, whichever way they are written."""
    where = match.get("where") or []
    yield from where["conditions"] if isinstance(where, Mapping) else where
