"""Says of each line of a corpus file what is wrong with it: how it is written, and what its tenant does not have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from evals.corpus.examples import Example, Fault, definitions, read
from evals.corpus.tenants import segment_ids, tenant
from evals.definitions import tested_path, walk, where_tests
from segment_copilot.language import Definition
from segment_copilot.language.catalog import IDENTIFY, Catalog, Property, nearest
from segment_copilot.language.equivalence import form_of
from segment_copilot.language.operators import OPERATORS
from segment_copilot.language.value_types import is_number_text, parse_date

_NUMBERS = ("gt", "gte", "lt", "lte", "between", "not_between")


def lint_text(text: str, name: str = "") -> tuple[tuple[Example, ...], tuple[Fault, ...]]:
    """Return the examples of a file's text, and every fault by line."""
    examples, faults = read(text, segments=segment_ids(), name=name)
    found = list(faults)
    seen = dict[tuple[str, tuple[str, ...], Any], str]()
    for example in examples:
        line = int(example.place.rpartition(":")[2])
        catalog = tenant(example.tenant).catalog
        found += [Fault(line, told) for one in definitions(example) for told in dict.fromkeys(_faults(one, catalog))]
        base = example.draft and msgspec.json.encode(example.draft)
        same = (example.tenant, example.texts, (base, example.viewing))
        if same in seen:
            found.append(Fault(line, f"The same was said in {seen[same]}."))
        seen.setdefault(same, f"line {line}")
    return examples, tuple(sorted(found, key=lambda fault: fault.line))


def _faults(definition: Definition, catalog: Catalog) -> Iterator[str]:
    form = form_of(definition)
    if form.is_nobody or form.is_everybody:
        yield f"This selects {'nobody' if form.is_nobody else 'everybody'}, whatever the data."
    for _path, condition in walk(msgspec.to_builtins(definition)):
        match condition["type"]:
            case "group" | "sample":
                pass
            case "segment_membership":
                named = condition.get("segment_ids") or [condition["segment_id"]]
                yield from (f"There is no segment {one}." for one in named if one not in catalog.segments)
            case "user_property":
                yield from _tested(condition, catalog.traits, "trait")
            case "event_sequence":
                for step in (*condition["events"], *condition.get("none_between", ())):
                    yield from _matched({"event_type": step} if isinstance(step, str) else step, catalog)
                for step in condition["events"]:
                    names = step if isinstance(step, str) else step["event_type"]
                    for path in condition.get("same", ()):
                        held = {"event_type": names, "property": path, "operator": "is_set"}
                        yield from _matched(held, catalog)
            case "rank" | "measure_compare":
                for side in ("by", "left", "right"):
                    yield from _matched(condition[side], catalog) if side in condition else ()
            case _:
                yield from _matched(condition, catalog)


def _matched(match: Mapping[str, Any], catalog: Catalog) -> Iterator[str]:
    names = match["event_type"] if isinstance(match["event_type"], list) else [match["event_type"]]
    for name in names:
        if name == "*":
            properties = {path: one for event in catalog.event_types.values() for path, one in event.properties.items()}
        elif name in catalog.event_types:
            properties = catalog.event_types[name].properties
        elif name == IDENTIFY:
            properties = catalog.traits
        else:
            yield f"There is no event “{name}”; {_near(name, catalog.event_types)}."
            continue
        for test in where_tests(match):
            yield from _tested(test, properties, f"property of {name}")
        if "property" in match:
            yield from _tested(match, properties, f"property of {name}")


def _tested(test: Mapping[str, Any], properties: Mapping[str, Property], what: str) -> Iterator[str]:
    path = tested_path(test)
    found = properties.get(path)
    if found is None:
        yield f"There is no {what} “{path}”; {_near(path, properties)}."
        return
    if "any_of" in test or isinstance(
        test.get("value"), Mapping
    ):  # of what is in items, or stored elsewhere, nothing is known
        return
    if "metric" in test or "measure" in test:
        return
    row = OPERATORS[test["operator"]]
    values = test.get("value")
    listed: list[Any] = values if isinstance(values, list) else [values]
    is_element = row.seeks == "part" and found.told_types == ("list",)
    if (row.seeks == "whole" or is_element) and found.is_whole and found.samples:
        for value in listed:
            if not _is_stored(value, found):
                near = nearest(str(value), [str(one) for one in found.samples])
                told = f"; near is {', '.join(near)}" if near else f"; there are {_some(found)}"
                yield f"{path} is never {value!r}{told}."
    elif test["operator"] in _NUMBERS and found.told_types == ("number",) and isinstance(values, str):
        yield f"{path} is a number, and {values!r} is a text."


def _is_stored(value: Any, found: Property) -> bool:
    """Return whether a value is among the samples, as a number too; of dates every day is plausible."""
    if isinstance(value, str):
        return value in found.samples or parse_date(value) is not None
    numbers = (float(one) for one in found.samples if isinstance(one, str) and is_number_text(one))
    return value in found.samples or value in numbers


def _some(found: Property) -> str:
    return ", ".join(repr(one) for one in found.samples[:8])


def _near(name: str, names: Mapping[str, Any]) -> str:
    near = nearest(name, names)
    return f"near is {', '.join(near)}" if near else f"there are {', '.join(names)}"
