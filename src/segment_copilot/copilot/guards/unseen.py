"""Finds values that a definition asks for and nobody ever had: a typo looks just like an empty audience."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, cast

from msgspec import Struct

from segment_copilot.errors import Finding
from segment_copilot.language.catalog import Catalog, Property, nearest
from segment_copilot.language.operators import OPERATORS

_REMEMBERED: Final = 50  # distinct values of a property; with fewer there are no other short ones
_LONGEST: Final = 64  # characters of a value that is remembered
_SUGGESTED: Final = 5


class _PropertyTest(Struct, frozen=True):
    """Holds a test of a property of these event types, or (no event type) of a trait."""

    pointer: str
    event_types: tuple[str, ...]
    test: Mapping[str, Any]


def unseen_values(definition: Mapping[str, Any], catalog: Catalog, *, empty: Collection[str] = ()) -> list[Finding]:
    """Return a finding for each text that is tested for and was never seen, with the nearest values that were.

    Of a property with more values than are remembered, and of parts of values, only the tests of conditions that match
    nobody (*empty*, by pointer) are looked at: there it is certain that no user has the value.
    """
    found: list[Finding] = []
    for asked in _tests(definition):
        properties = _properties(catalog, asked)
        samples = [sample for one in properties for sample in one.samples if isinstance(sample, str)]
        is_whole = all(len(one.samples) < _REMEMBERED for one in properties)
        is_empty = any(f"{asked.pointer}/".startswith(f"{pointer}/") for pointer in empty)
        if samples and (is_empty or (is_whole and OPERATORS[asked.test["operator"]].seeks == "whole")):
            found += [_finding(asked, value, samples) for value in _unseen(asked.test, samples)]
    return found


def _tests(node: Any, pointer: str = "", event_types: tuple[str, ...] = ()) -> Iterator[_PropertyTest]:
    match node:
        case dict():
            fields = cast("dict[str, Any]", node)
            named = fields.get("event_type")
            if named is not None:
                event_types = tuple(cast("list[str]", named)) if isinstance(named, list) else (named,)
            if "property" in fields and "operator" in fields:
                yield _PropertyTest(pointer, event_types, fields)
            for key, child in fields.items():
                yield from _tests(child, f"{pointer}/{key}", event_types)
        case list():
            for index, child in enumerate(cast("list[Any]", node)):
                yield from _tests(child, f"{pointer}/{index}", event_types)
        case _:
            return


def _properties(catalog: Catalog, asked: _PropertyTest) -> list[Property]:
    path = asked.test["property"]
    if not asked.event_types:
        return [catalog.traits[path]] if path in catalog.traits else []
    names = catalog.event_types if asked.event_types == ("*",) else asked.event_types
    types = [catalog.event_types[name] for name in names if name in catalog.event_types]
    return [one.properties[path] for one in types if path in one.properties]


def _unseen(test: Mapping[str, Any], samples: list[str]) -> list[str]:
    value = test.get("value")
    wanted = cast("list[Any]", value) if isinstance(value, list) else [value]
    texts = [one for one in wanted if isinstance(one, str) and len(one) <= _LONGEST]
    if test.get("ignore_case", False):
        samples = [sample.lower() for sample in samples]
        texts = [text.lower() for text in texts]
    match OPERATORS[test["operator"]].seeks:
        case "whole":
            return [text for text in texts if text not in samples]
        case "part":
            return [text for text in texts if not any(text in sample for sample in samples)]
        case "start" | "end" | None:  # a pattern, or no text: nothing that was seen is nearest to it
            return []


def _finding(asked: _PropertyTest, value: str, samples: list[str]) -> Finding:
    detail = f"{value[:100]!r} is not among the values seen of {asked.test['property'][:100]}."
    near = nearest(value, samples, limit=_SUGGESTED) or tuple(samples[:_SUGGESTED])
    return Finding(f"{asked.pointer}/value", "unseen_value", detail, near)
