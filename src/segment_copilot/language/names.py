"""Finds the names in a definition: of the event types, properties and traits that it looks at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import msgspec

from segment_copilot.language.nodes import Definition


def names_of(definition: Definition) -> tuple[str, ...]:
    """Return each name once, in the order in which they are read."""
    return tuple(dict.fromkeys(_named(msgspec.to_builtins(definition))))


def _named(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for key, child in cast("dict[str, Any]", value).items():
                if key in {"event_type", "property"}:
                    yield from _texts(child)
                elif key in {"events", "none_between"}:
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
