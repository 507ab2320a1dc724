"""Makes wrong definitions, each one step from a right one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from evals.definitions import Path, at, walk, without
from evals.truth import Truth

Definition = dict[str, Any]
Mutant = tuple[str, Definition]
"""The rule that made it, and the definition."""

_STRICT: Final = {
    "gt": "gte",
    "gte": "gt",
    "lt": "lte",
    "lte": "lt",
    "in_last": "not_in_last",
    "before": "after",
    "after": "before",
}
_TEXTS: Final = {"eq", "neq", "contains", "does_not_contain", "starts_with", "ends_with", "matches_regex"}
_LENGTHS: Final = {"in_last", "not_in_last", "in_next", "anniversary_in_next", "anniversary_in_last"}
_METRICS: Final = {"sum": "avg", "avg": "max", "max": "min", "min": "max", "median": "avg", "count_distinct": ""}
_PERIODS: Final = {"today": "yesterday", "yesterday": "today", "tomorrow": "today"}
_ROLLING: Final = {"week": "7d", "month": "30d", "quarter": "90d", "year": "365d"}


def mutants(definition: Mapping[str, Any], truth: Truth) -> Iterator[Mutant]:
    """Yield every mutant of *definition*; some may not compile, a few may mean the same."""
    whole = dict(definition)
    yield from _logic(whole)
    yield from _exclusion(whole)
    for path, condition in walk(whole):
        yield from (
            (rule, _with(whole, path, changed)) for rule, changed in _changed(condition, truth) if changed != condition
        )
        if (rest := without(whole, path)) is not None:
            yield "dropped condition", rest
    yield from _extra(whole, truth)


def _with(whole: Definition, path: Path, changed: Any) -> Definition:
    found = copy.deepcopy(whole)
    at(found, path[:-1])[path[-1]] = changed
    return found


def _logic(whole: Definition) -> Iterator[Mutant]:
    flip = {"AND": "OR", "OR": "AND"}
    if len(whole["conditions"]) > 1:
        yield "AND for OR", {**copy.deepcopy(whole), "logic": flip[whole["logic"]]}
    for path, condition in walk(whole):
        if condition.get("logic") in flip and len(condition["conditions"]) > 1:
            yield "AND for OR", _with(whole, path, {**condition, "logic": flip[condition["logic"]]})
        if isinstance(where := condition.get("where"), Mapping) and len(where["conditions"]) > 1:
            changed = {**condition, "where": {**where, "logic": flip[where["logic"]]}}
            yield "AND for OR", _with(whole, path, changed)


def _exclusion(whole: Definition) -> Iterator[Mutant]:
    if "exclude" not in whole:
        return
    kept = {name: value for name, value in whole.items() if name != "exclude"}
    yield "exclusion dropped", kept
    yield "exclusion included", {**kept, "logic": "AND", "conditions": [
        {"type": "group", "logic": whole["logic"], "conditions": whole["conditions"]},
        {"type": "group", **whole["exclude"]},
    ]}  # fmt: skip
    swapped = {**kept, **whole["exclude"], "exclude": {"logic": whole["logic"], "conditions": whole["conditions"]}}
    yield "include and exclude swapped", swapped


def _extra(whole: Definition, truth: Truth) -> Iterator[Mutant]:
    """Yield a filter nobody asked for."""
    trait = "email_opt_in" if "email_opt_in" in truth.traits else "acepta_correo"
    event = next(name for name in ("page_viewed", "app_abierta") if name in truth.event_types)
    extras = (
        {"type": "user_property", "property": trait, "operator": "is_true"},
        {"type": "event_count", "event_type": event, "operator": "gte", "value": 1, "window_days": 30},
    )
    for extra in extras:
        if not any(condition.get("property") == trait == extra.get("property") for _path, condition in walk(whole)):
            group = {"type": "group", "logic": whole["logic"], "conditions": copy.deepcopy(whole["conditions"])}
            yield "extra condition", {**copy.deepcopy(whole), "logic": "AND", "conditions": [group, extra]}


def _changed(condition: Definition, truth: Truth) -> Iterator[Mutant]:
    """Yield one change inside a condition."""
    yield "negation", _negated(condition)
    if condition["type"] == "group":
        return
    yield from other_operators(condition)
    yield from other_numbers(condition)
    yield from _windows(condition)
    yield from _names(condition, truth)
    yield from _where(condition, truth)
    match condition["type"]:
        case "event_sequence":
            yield from _sequence(condition, truth)
        case "recency" if condition["operator"] in {"gt", "gte"}:
            never = {key: condition[key] for key in ("event_type", "where", "window_days") if key in condition}
            yield "never counts too", {"type": "event_count", "operator": "eq", "value": 0, **never}
        case "event_time":
            other = "last" if condition.get("occurrence", "first") == "first" else "first"
            yield "first for last", {**condition, "occurrence": other}
        case "monetary" if _METRICS[condition["metric"]]:
            yield "other metric", {**condition, "metric": _METRICS[condition["metric"]]}
        case "segment_membership":
            others = [name for name in truth.segments if name != condition["segment"]]
            yield "other segment", {**condition, "segment": others[0]}
        case _:
            pass


def _negated(condition: Definition) -> Definition:
    found = {key: value for key, value in condition.items() if key != "negate"}
    return found if condition.get("negate") else {**found, "negate": True}


def other_operators(condition: Definition) -> Iterator[Mutant]:
    """Another operator over the same value."""
    operator = condition.get("operator", "gte")
    if operator in _STRICT and condition["type"] != "segment_membership" and "operator" in condition:
        yield "strictness", {**condition, "operator": _STRICT[operator]}
    if operator == "eq" and condition.get("value") == 0:
        yield "never for ever", {**condition, "operator": "gte", "value": 1}


def other_numbers(condition: Definition) -> Iterator[Mutant]:
    """The number beside the one compared with."""
    for key in ("value", "value2"):
        value = condition.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            for change in (1, -1):
                if value + change >= 0:
                    yield "off by one", {**condition, key: value + change}


def _windows(condition: Definition) -> Iterator[Mutant]:
    if "window_days" in condition:
        for change in (1, -1):
            yield "window by a day", {**condition, "window_days": condition["window_days"] + change}
    if condition["type"] == "event_periods":
        for change in (1, -1):
            yield "window by a period", {**condition, "last": condition["last"] + change}
    for key in ("window", "search_window"):
        for changed in _window(condition.get(key) or {}):
            yield "other window", {**condition, key: changed}
    if condition["type"] != "recency" and {"window", "window_days", "search_window"} & condition.keys():
        bare = {key: value for key, value in condition.items() if key not in {"window", "window_days"}}
        if bare != condition:
            yield "all of history", bare
        if "search_window" in condition:
            yield "all of history", {key: value for key, value in condition.items() if key != "search_window"}


def _window(window: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    match window:
        case {"last": length}:
            yield from ({"last": one} for one in _lengths(length))
        case {"between": [far, near]}:
            yield from ({"between": [one, near]} for one in _lengths(far))
            yield from ({"between": [far, one]} for one in _lengths(near))
        case {"period": name}:
            which, _, unit = name.partition("_")
            if unit:
                yield {"period": f"{'last' if which == 'this' else 'this'}_{unit}"}
                if which != "next":
                    yield {"last": _ROLLING[unit]}
            else:
                yield {"period": _PERIODS[name]}
        case _:
            return


def _lengths(length: str) -> Iterator[str]:
    unit = length.lstrip("0123456789")
    number = int(length.removesuffix(unit))
    yield f"{number + 1}{unit}"
    if number > 1:
        yield f"{number - 1}{unit}"


def _names(condition: Definition, truth: Truth) -> Iterator[Mutant]:
    event_type = condition.get("event_type")
    if isinstance(event_type, str) and event_type != "*":
        for other in _others(event_type, truth):
            yield "other event", {**condition, "event_type": other}
    if condition["type"] == "user_property":
        others = sorted(truth.traits - {condition["property"]})
        yield "other trait", {**condition, "property": others[len(condition["property"]) % len(others)]}
        yield from other_values(condition)
    if condition["type"] in {"monetary", "event_property"} and isinstance(event_type, str):
        for other in sorted(truth.event_types[event_type] - {condition["property"]})[:2]:
            yield "other property", {**condition, "property": other}
        if condition["type"] == "event_property":
            yield from other_values(condition)


def _others(event_type: str, truth: Truth) -> list[str]:
    names = sorted(set(truth.event_types) - {event_type, "context_identified"})
    place = sum(map(ord, event_type)) % len(names)
    return [names[place], names[(place + 3) % len(names)]]


def other_values(test: Definition) -> Iterator[Mutant]:
    """Another text, date, length or list under the same operator."""
    value = test.get("value")
    if isinstance(value, str) and test["operator"] in _TEXTS:
        yield "other spelling", {**test, "value": value.swapcase() if value.swapcase() != value else f"{value}_"}
        yield "other value", {**test, "value": f"not {value}"}
    if isinstance(value, list) and len(value) > 1:
        yield "one value fewer", {**test, "value": value[:-1]}
    if isinstance(value, str) and test["operator"] in {"before", "after"}:
        day = int(value[8:10])
        yield "off by one", {**test, "value": f"{value[:8]}{day + 1 if day < 28 else day - 1:02d}{value[10:]}"}
    if isinstance(value, Mapping):
        season = cast("Mapping[str, Any]", value)
        others = [{"month": season["month"] % 12 + 1}] if "month" in season else _window(season)
        yield from (("other window", {**test, "value": other}) for other in others)
    if isinstance(value, str) and test["operator"] in _LENGTHS:
        yield from (("window by a day", {**test, "value": one}) for one in _lengths(value))


def _where(condition: Definition, truth: Truth) -> Iterator[Mutant]:
    where = condition.get("where")
    if not where:
        return
    tests = where["conditions"] if isinstance(where, Mapping) else where
    remake: Callable[[list[Any]], Any] = (
        (lambda changed: {**where, "conditions": changed}) if isinstance(where, Mapping) else (lambda changed: changed)
    )
    for place, test in enumerate(tests):
        rest = [other for number, other in enumerate(tests) if number != place]
        yield (
            "filter dropped",
            ({**condition, "where": remake(rest)} if rest else {k: v for k, v in condition.items() if k != "where"}),
        )
        for rule, changed in (*_tested(test), *_other_property(test, condition, truth)):
            yield rule, {**condition, "where": remake([*tests[:place], changed, *tests[place + 1 :]])}
        if len(of_item := test.get("conditions", ())) > 1 and tests is where and not test.get("negate"):
            apart = [{**test, "conditions": [one]} for one in of_item]
            yield "each of another item", {**condition, "where": [*tests[:place], *apart, *tests[place + 1 :]]}


def _tested(test: Definition) -> Iterator[Mutant]:
    """Yield one change inside a property test, or inside a test of items."""
    for place, one in enumerate(test.get("conditions", ())):
        before, after = test["conditions"][:place], test["conditions"][place + 1 :]
        if before or after:
            yield "filter dropped", {**test, "conditions": [*before, *after]}
        for rule, changed in _tested(one):
            yield rule, {**test, "conditions": [*before, changed, *after]}
    for rule, changed in (*other_values(test), *other_operators({"type": "", **test})):
        yield rule, {key: value for key, value in changed.items() if key != "type"}


def _other_property(test: Definition, condition: Definition, truth: Truth) -> Iterator[Mutant]:
    if isinstance(condition.get("event_type"), str):
        name = "any_of" if "any_of" in test else "property"
        for other in sorted(truth.event_types.get(condition["event_type"], set()) - {test[name]})[:1]:
            yield "other property", {**test, name: other}


def _sequence(condition: Definition, truth: Truth) -> Iterator[Mutant]:
    steps = condition["events"]
    yield "order reversed", {**condition, "events": list(reversed(steps))}
    yield "strict for loose", {**condition, "strict": not condition.get("strict", False)}
    for place, step in enumerate(steps):
        if len(steps) > 2:
            yield "step dropped", {**condition, "events": [*steps[:place], *steps[place + 1 :]]}
        if isinstance(step, str):
            other = _others(step, truth)[0]
            yield "other event", {**condition, "events": [*steps[:place], other, *steps[place + 1 :]]}
