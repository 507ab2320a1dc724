"""Makes a JSON Schema shorter that says the same: what it says several times stands once, among its shared types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import msgspec

Schema = dict[str, Any]

_REFERENCE: Final = len('{"$ref":"#/$defs/"}')
_ENTRY: Final = len('"":,')


def shared(schema: Mapping[str, Any]) -> Schema:
    """Return *schema* with each part that repeats, and is longer than a reference to it, in `$defs`, under the property's name.

    It accepts exactly what *schema* does, with the same descriptions. The outermost object stays one, as hosts want it.
    """
    counts, names = Counter[bytes](), dict[bytes, str]()
    taken = set(schema.get("$defs", ()))

    def count(part: Schema, name: str) -> Schema:
        key = _key(part)
        counts[key] += 1
        names.setdefault(key, name)
        if counts[key] > 1:
            return part  # its own parts are counted once
        if (bare := _bare(part)) is not None:
            count(bare, name)
            return part
        return _within(part, count)

    _within(schema, count)
    moved, chosen = dict[str, Schema](), dict[bytes, str]()
    for key, times in counts.items():
        name = _free(names[key], taken)
        if (times - 1) * len(key) > times * (_REFERENCE + len(name)) + len(name) + _ENTRY:
            chosen[key] = name
            taken.add(name)

    def move(part: Schema, _: str) -> Schema:
        name = chosen.get(_key(part))
        if name is None:
            return unfold(part)
        if name not in moved:
            moved[name] = {}  # its place: what is inside comes after it
            moved[name] = unfold(part)
        return {"$ref": f"#/$defs/{name}"}

    def unfold(part: Schema) -> Schema:
        bare = _bare(part)
        if bare is None or _key(bare) not in chosen:
            return _within(part, move)
        return {"description": part["description"], **move(bare, "")}

    made = _within(schema, move)
    return made | {"$defs": {**made.get("$defs", {}), **moved}} if moved else made


def _within(schema: Mapping[str, Any], change: Callable[[Schema, str], Schema]) -> Schema:
    """Return *schema* with each schema right inside of it changed; a shared type keeps its place, its own parts are changed."""
    changed = dict(schema)
    for key, inside in schema.items():
        match key, inside:
            case "properties", dict():
                properties = cast("dict[str, Schema]", inside)
                changed[key] = {each: change(one, each) for each, one in properties.items()}
            case "$defs", dict():
                types = cast("dict[str, Schema]", inside)
                changed[key] = {each: _within(one, change) for each, one in types.items()}
            case "items" | "additionalProperties", dict():
                changed[key] = change(cast("Schema", inside), "item")
            case "anyOf" | "allOf" | "oneOf" | "prefixItems", list():
                changed[key] = [change(one, "choice") for one in cast("list[Schema]", inside)]
            case _:
                pass
    return changed


def _bare(part: Schema) -> Schema | None:
    """Return *part* without its description; None where it has none, or says nothing else but a reference."""
    if "description" not in part or "$ref" in part:
        return None
    return {key: value for key, value in part.items() if key != "description"}


def _key(part: Schema) -> bytes:
    return msgspec.json.encode(part, order="sorted")


def _free(name: str, taken: set[str]) -> str:
    """Return *name*, or with the first number that makes it a name of its own."""
    return next(
        one for number in range(1, len(taken) + 2) if (one := name if number == 1 else f"{name}_{number}") not in taken
    )
