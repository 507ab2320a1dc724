"""One property test on one stored value: types, missing values and all operators.

Part of the reference interpreter (see `reference`): slow, obvious, and written from the language's page alone.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import re2

from tests.support.language.reference_times import Clock, ahead, anniversary_in_next, back, stored_datetime, wanted_span

Schemas = Mapping[str, Mapping[str, str]]
"""Event type → property path → declared type. Traits are the properties of `context_identified`."""

NEGATIVE = {
    "neq": "eq",
    "not_in": "in",
    "not_between": "between",
    "does_not_contain": "contains",
    "contains_none": "contains_any",
    "is_not_set": "is_set",
    "not_in_last": "in_last",
}
"""Each is the exact complement of its positive one."""

ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
DATETIMES = {"datetime": None, "epoch_s": 1_000_000, "epoch_ms": 1_000}
"""With the unit, in microseconds, of a number that stands for one."""

_DATE_OPERATORS = {"before", "after", "in_last", "in_next", "anniversary_in_next"}
_STRING_OPERATORS = {"starts_with", "ends_with", "matches_regex"}
_LIST_OPERATORS = {"contains_any", "contains_all"}
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()


# Where a value is, and what it is as a type.


def path_steps(path: str) -> list[str]:
    r"""`a.b\.c` → a, then b.c."""
    steps = [""]
    characters = iter(path)
    for character in characters:
        if character == ".":
            steps.append("")
        else:
            steps[-1] += next(characters) if character == "\\" else character
    return steps


def look_up(payload: Any, path: str) -> Any:
    """The value at *path*; dots walk objects only, and null is missing."""
    value = payload
    for step in path_steps(path):
        if not isinstance(value, dict) or step not in value:
            return MISSING
        value = value[step]
    return MISSING if value is None else value


def as_number(value: Any) -> float | None:
    """JSON numbers and strings that are, in full, a JSON number; beyond the doubles there are none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and not _JSON_NUMBER.fullmatch(value):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def read(value: Any, type_: str, clock: Clock) -> Any:
    """*value* as *type_*; None when it is not of that type, which is missing."""
    if value is MISSING:
        return None
    if type_ == "number":
        return as_number(value)
    if type_ in DATETIMES:
        return stored_datetime(value, clock.zone, DATETIMES[type_])
    python = {"string": str, "boolean": bool, "list": list}[type_]
    return value if isinstance(value, python) else None


def json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def wanted_values(test: Mapping[str, Any]) -> list[Any]:
    """`value` and `value2`, or the values of a list."""
    value = test.get("value")
    values = list(value) if isinstance(value, list) else [value]
    return [*values, test["value2"]] if "value2" in test else values


def declared_type(schemas: Schemas, event_types: str | Sequence[str], path: str) -> str | None:
    """The type in the schema, if all the named event types agree; `"*"` names every one that there is."""
    names = [event_types] if isinstance(event_types, str) else event_types
    if event_types == "*":
        names = [name for name in schemas if name != "context_identified"]
    declared = {schemas.get(name, {}).get(path) for name in names}
    return declared.pop() if len(declared) == 1 else None


def type_of(test: Mapping[str, Any], declared: str | None, clock: Clock) -> str:
    """In which type *test* compares. *declared*: what the schema says."""
    name = NEGATIVE.get(test["operator"], test["operator"])
    given = test.get("value_type") or declared
    if name in _DATE_OPERATORS:
        return given if given in DATETIMES else "datetime"
    if given:
        return given
    if name in {"is_true", "is_false"}:
        return "boolean"
    values = wanted_values(test)
    if name in {"gt", "gte", "lt", "lte", "between"} and all(wanted_span(value, clock.zone) for value in values):
        return "datetime"
    return json_type(values[0])


# The test itself.


def passes(test: Mapping[str, Any], value: Any, *, clock: Clock, declared: str | None = None) -> bool:
    """Whether *value* (or MISSING) passes *test*. `negate` is not looked at here."""
    name = test["operator"]
    if name in NEGATIVE:
        return not passes({**test, "operator": NEGATIVE[name]}, value, clock=clock, declared=declared)
    if name == "is_set":
        return _is_set(value)
    if name == "contains":
        return _contains(value, test, clock)
    if name in _LIST_OPERATORS:
        return _contains_many(value, test, clock)
    if name in _STRING_OPERATORS:
        return isinstance(value, str) and _string_test(name, value, test)
    type_ = type_of(test, declared, clock)
    stored = read(value, type_, clock)
    if stored is None:
        return False
    if type_ in DATETIMES:
        return _datetime_test(name, stored, test, clock)
    if name in {"is_true", "is_false"}:
        return stored is (name == "is_true")
    return _order_test(name, _folded(stored, test), [_folded(_wanted(one, type_), test) for one in wanted_values(test)])


def _is_set(value: Any) -> bool:
    """Whether a value other than null is there; an object is there when anything in it is."""
    if isinstance(value, dict):
        return any(_is_set(inside) for inside in value.values())
    return value is not MISSING and value is not None


def _wanted(value: Any, type_: str) -> Any:
    return float(value) if type_ == "number" else value


def _folded(value: Any, test: Mapping[str, Any]) -> Any:
    """Unicode lower case when the test ignores case."""
    return value.lower() if isinstance(value, str) and test.get("ignore_case") else value


def _order_test(name: str, stored: Any, wanted: list[Any]) -> bool:
    """Strings order by code point, which is how Python orders them."""
    if name == "in":
        return stored in wanted
    if name == "between":
        return wanted[0] <= stored <= wanted[1]
    return ORDER[name](stored, wanted[0])


def _string_test(name: str, stored: str, test: Mapping[str, Any]) -> bool:
    wanted = test["value"]
    if name == "matches_regex":
        return re2.search(f"(?i){wanted}" if test.get("ignore_case") else wanted, stored) is not None
    stored, wanted = _folded(stored, test), _folded(wanted, test)
    return stored.startswith(wanted) if name == "starts_with" else stored.endswith(wanted)


def _datetime_test(name: str, stored: Any, test: Mapping[str, Any], clock: Clock) -> bool:
    """A bare date in *test* is a whole local day; an instant is a day of one microsecond."""
    if name == "in_last":
        return back(clock, test["value"]) <= stored <= clock.as_of
    if name == "in_next":
        return clock.as_of < stored <= ahead(clock, test["value"])
    if name == "anniversary_in_next":
        return anniversary_in_next(stored, test["value"], clock)
    wanted = [span for value in wanted_values(test) if (span := wanted_span(value, clock.zone))]
    first = wanted[0]
    return {
        "eq": lambda: first.holds(stored),
        "in": lambda: any(span.holds(stored) for span in wanted),
        "lt": lambda: stored < first.start,
        "before": lambda: stored < first.start,
        "lte": lambda: stored < first.end,
        "gt": lambda: stored >= first.end,
        "after": lambda: stored >= first.end,
        "gte": lambda: stored >= first.start,
        "between": lambda: first.start <= stored < wanted[1].end,
    }[name]()


def _contains(value: Any, test: Mapping[str, Any], clock: Clock) -> bool:
    """What is stored decides: a list has an equal element, a string has the substring."""
    if isinstance(value, list):
        return _has_element(value, test["value"], test, clock)
    if isinstance(value, str) and isinstance(test["value"], str):
        return _folded(test["value"], test) in _folded(value, test)
    return False


def _contains_many(value: Any, test: Mapping[str, Any], clock: Clock) -> bool:
    if not isinstance(value, list):
        return False
    found = [_has_element(value, wanted, test, clock) for wanted in test["value"]]
    return any(found) if test["operator"] == "contains_any" else all(found)


def _has_element(values: list[Any], wanted: Any, test: Mapping[str, Any], clock: Clock) -> bool:
    """An element equals a wanted value when `eq` in the wanted value's JSON type would hold."""
    equal = {
        "operator": "eq",
        "value": wanted,
        "value_type": json_type(wanted),
        "ignore_case": test.get("ignore_case", False),
    }
    return any(passes(equal, MISSING if one is None else one, clock=clock) for one in values)


def compares(test: Mapping[str, Any], measured: float | None, wanted: Sequence[float]) -> bool:
    """A count or an aggregate against its bounds; *measured* None is missing."""
    name = test["operator"]
    if name in NEGATIVE:
        return not compares({**test, "operator": NEGATIVE[name]}, measured, wanted)
    return measured is not None and _order_test(name, measured, list(wanted))
