"""Finds the names in a definition: of the event types, properties and traits that it looks at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import msgspec

from segment_copilot.language.nodes import Definition

_EVENT_LISTS = {"events", "none_between"}
_PROPERTIES = {"property", "trait", "any_of", "same"}


def names_of(definition: Definition) -> tuple[str, ...]:
    """Return each name once, in the order in which they are read."""
    return tuple(dict.fromkeys(_named(msgspec.to_builtins(definition))))


def event_types_of(definition: Definition) -> tuple[str, ...]:
    """Return each event type once; `*` is none."""
    found = (name for node in _nodes(msgspec.to_builtins(definition)) for name in _event_types(node) if name != "*")
    return tuple(dict.fromkeys(found))


def event_properties_of(definition: Definition) -> tuple[tuple[str, str], ...]:
    """Return each property that is looked at once, with its event type, which may be `*`."""
    found = dict[tuple[str, str], None]()
    for node in _nodes(msgspec.to_builtins(definition)):
        for step in node.get("events", ()):
            named = [step] if isinstance(step, str) else _event_types(cast("dict[str, Any]", step))
            found |= {(name, path): None for name in named for path in node.get("same", ())}
        if node.get("type") == "user_property" or "event_type" not in node:
            continue
        where = node.get("where", [])
        tests = cast("Any", where)["conditions"] if isinstance(where, dict) else where
        paths = [node["property"]] if "property" in node else []
        paths += [test["any_of"] if "any_of" in test else test["property"] for test in tests]
        inner = [one for test in tests for one in test.get("conditions", [test])]
        paths += [other["property"] for test in [node, *inner] if "property" in (other := _other(test))]
        found |= {(name, path): None for name in _event_types(node) for path in paths}
    return tuple(found)


def traits_of(definition: Definition) -> tuple[str, ...]:
    """Return each trait once, those that others are compared with among them."""
    found = list[str]()
    for node in _nodes(msgspec.to_builtins(definition)):
        found += [node["property"]] if node.get("type") == "user_property" else []
        found += [node["trait"]] if "trait" in node else []
    return tuple(dict.fromkeys(found))


def _other(test: dict[str, Any]) -> dict[str, Any]:
    """Return the other stored value that a test compares with; empty where it compares with none."""
    return cast("Any", value) if isinstance(value := test.get("value"), dict) else {}


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in built-in values, the outer one first."""
    if isinstance(value, dict):
        node = cast("dict[str, Any]", value)
        yield node
        for child in node.values():
            yield from _nodes(child)
    elif isinstance(value, list):
        for child in cast("list[Any]", value):
            yield from _nodes(child)


def _event_types(node: dict[str, Any]) -> Iterator[str]:
    """Yield the event types of a condition, or of a step or match of a sequence."""
    named = node.get("event_type", [])
    yield from named if isinstance(named, list) else [named]
    for field in _EVENT_LISTS:
        yield from (one for one in node.get(field, []) if isinstance(one, str))


def _named(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for key, child in cast("dict[str, Any]", value).items():
                if key == "event_type" or key in _PROPERTIES:
                    yield from _texts(child)
                elif key in _EVENT_LISTS:
                    yield from _texts(child)
                    yield from _named(child)
                else:
                    yield from _named(child)
        case list():
            for child in cast("list[Any]", value):
                yield from _named(child)
        case _:
            return


def _texts(value: Any) -> Iterator[str]:
    """Yield one name, or those of a list; `*` is none."""
    for one in cast("list[Any]", value) if isinstance(value, list) else [value]:
        if isinstance(one, str) and one != "*":
            yield one
