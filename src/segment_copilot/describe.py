"""A definition in words: one deterministic sentence that a marketer reads, and that says what the laws decide.

"Users who placed an order at least 3 times in the last 90 days, and who have not viewed a page for more than 30 days
(people who never did are not included)."
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, assert_never

from msgspec import UNSET, UnsetType

from segment_copilot.conditions import (
    Condition,
    Definition,
    EventCount,
    EventMatch,
    EventPeriods,
    EventProperty,
    EventSequence,
    EventTime,
    Group,
    Monetary,
    Recency,
    Sample,
    SegmentMembership,
    Step,
    UserProperty,
    WhereGroup,
    Window,
)
from segment_copilot.conditions.checks import as_date_test
from segment_copilot.conditions.lengths import Length, parse_length
from segment_copilot.conditions.nodes import EventTypes, Where
from segment_copilot.conditions.value_types import POSITIVE_OF, AnyTest, resolve_type

_NEVER_DID: Final = "(people who never did are not included)"
_PAST: Final = frozenset(
    [
        "begun",
        "bought",
        "built",
        "chosen",
        "done",
        "found",
        "given",
        "gone",
        "heard",
        "held",
        "kept",
        "left",
        "lost",
        "made",
        "met",
        "paid",
        "put",
        "read",
        "run",
        "seen",
        "sent",
        "set",
        "sold",
        "spent",
        "spoken",
        "taken",
        "told",
        "won",
        "written",
    ]
)
_NUMBERS: Final = {
    "eq": "exactly {0}",
    "neq": "any number but {0}",
    "gt": "more than {0}",
    "gte": "at least {0}",
    "lt": "fewer than {0}",
    "lte": "at most {0}",
    "between": "from {0} to {1}",
    "not_between": "fewer than {0} or more than {1}",
}
_TESTS: Final = {
    "eq": "is {0}",
    "gt": "is more than {0}",
    "gte": "is at least {0}",
    "lt": "is less than {0}",
    "lte": "is at most {0}",
    "between": "is from {0} to {1}",
    "contains": "contains {0}",
    "starts_with": "starts with {0}",
    "ends_with": "ends with {0}",
    "matches_regex": "matches the pattern {0}",
    "is_set": "is known",
    "is_true": "is true",
    "is_false": "is false",
    "neq": "is not {0} or is unknown",
    "not_between": "is not from {0} to {1} or is unknown",
    "does_not_contain": "does not contain {0} or is unknown",
    "is_not_set": "is unknown",
}
_LIST_TESTS: Final = {
    "contains_any": "contains {0}",
    "contains_all": "contains all of {0}",
    "contains_none": "contains none of {0} or is unknown",
}
_CLOCK_TESTS: Final = {
    "in_last": "is in the last {0}",
    "not_in_last": "is not in the last {0} or is unknown",
    "in_next": "is in the next {0}",
    "anniversary_in_next": "comes round in the next {0}",
}
_DATE_TESTS: Final = {
    "before": "is before {0}",
    "after": "is after {0}",
    "gt": "is after {0}",
    "gte": "is on or after {0}",
    "lt": "is before {0}",
    "lte": "is on or before {0}",
}
_METRICS: Final = {
    "sum": "adds up to",
    "avg": "averages",
    "min": "has a minimum of",
    "max": "has a maximum of",
    "median": "has a median of",
    "count_distinct": "has a number of different values of",
}


def describe(definition: Definition, segment_names: Mapping[int, str]) -> str:
    """The definition as one sentence. *segment_names* names the segments it refers to."""
    words = _Words(segment_names)
    sentence = f"Users {words.joined(definition.logic, definition.conditions)}"
    if definition.exclude is not UNSET:
        sentence += f"; leaving out users {words.joined(definition.exclude.logic, definition.exclude.conditions)}"
    return f"{sentence}."


def describe_condition(condition: Condition, segment_names: Mapping[int, str]) -> str:
    """One condition as a phrase that follows "users": "who …" or "whose …"."""
    return _Words(segment_names).condition(condition)


def describe_event(event_type: str) -> str:
    """What one did: `order_placed` → "placed an order"; a name that is no noun and past verb is quoted."""
    tokens = [token.lower() for token in re.findall(r"[A-Z]?[^\W_A-Z]+|[A-Z]+(?![a-z])", event_type)]
    plain = tokens and "_".join(tokens) == event_type
    if not plain or not (tokens[-1].endswith("ed") or tokens[-1] in _PAST):
        return f"did “{event_type}”"
    verb, noun = tokens[-1], " ".join(tokens[:-1])
    if not noun:
        return verb
    article = "an" if noun[0] in "aeiou" else "a"
    return f"{verb} {article} {noun}"


class _Words:
    def __init__(self, segment_names: Mapping[int, str]) -> None:
        self.segment_names = segment_names

    def joined(self, logic: str, conditions: Sequence[Condition]) -> str:
        word = logic.lower()
        return f", {word} ".join(self.condition(condition) for condition in conditions)

    def condition(self, condition: Condition) -> str:
        phrase = self._phrase(condition)
        return f"for whom it is not true that they are users {phrase}" if condition.negate else phrase

    def _phrase(self, condition: Condition) -> str:
        match condition:
            case Group():
                return f"({self.joined(condition.logic, condition.conditions)})"
            case EventCount():
                return _count(condition)
            case Recency():
                return _recency(condition)
            case EventTime():
                return _event_time(condition)
            case EventPeriods():
                return _periods(condition)
            case Sample():
                share = f"{_number(condition.from_)} % up to {_number(condition.to)} %"
                return f"who are in the share from {share} of the split “{condition.salt}”"
            case Monetary():
                return _monetary(condition)
            case EventProperty():
                return _event_property(condition)
            case UserProperty():
                return f"whose {condition.property} {_test(condition)}"
            case EventSequence():
                return _sequence(condition)
            case SegmentMembership():
                name = self.segment_names.get(condition.segment_id)
                named = f"“{name}”" if name else f"{condition.segment_id}"
                return f"who {'are' if condition.operator == 'in' else 'are not'} in the segment {named}"
            case _:
                assert_never(condition)


def _count(leaf: EventCount) -> str:
    did = _did(leaf.event_type, leaf.where)
    window = _window(leaf.window_days, leaf.window)
    low, high = _pair(leaf.value, leaf.value2)
    match leaf.operator, low:
        case ("eq" | "lte", 0) | ("lt", 1):
            done = _done(leaf.event_type, leaf.where)
            return f"who have not {done}{window}" if window else f"who have never {done}"
        case ("gte", 1) | ("gt", 0):
            return f"who {did}{window}"
        case _:
            times = "time" if low == 1 and leaf.operator == "eq" else "times"
            counted = _NUMBERS[leaf.operator].format(_number(low), _number(high))
            never = " (never counts too)" if _zero_passes(leaf.operator, low, high) else ""
            return f"who {did} {counted} {times}{window}{never}"


def _zero_passes(operator: str, low: float, high: float | None) -> bool:
    match operator:
        case "lt":
            return low > 0
        case "lte":
            return True
        case "gte" | "eq":
            return low == 0
        case "neq":
            return low != 0
        case "between":
            return low <= 0
        case "not_between":
            return low > 0 or (high is not None and high < 0)
        case _:
            return False


def _recency(leaf: Recency) -> str:
    did, done = _did(leaf.event_type, leaf.where), _done(leaf.event_type, leaf.where)
    days = Length(leaf.window_days, "d")
    told = f"{days.count} day" if days.count == 1 else days.words
    match leaf.operator:
        case "gt":
            return f"who have not {done} for more than {told} {_NEVER_DID}"
        case "gte":
            return f"who have not {done} for {told} or more {_NEVER_DID}"
        case "lt":
            return f"who last {did} less than {told} ago"
        case "lte":
            return f"who last {did} at most {told} ago"
        case "eq":
            return f"who last {did} {told} ago, in whole days"
        case "between":
            return f"who last {did} between {leaf.window_days:,} and {_number(leaf.value2)} days ago"


def _event_time(leaf: EventTime) -> str:
    told = _test(as_date_test(leaf)).removesuffix(" or is unknown")
    never = " (people who never did are included)" if leaf.operator in POSITIVE_OF else ""
    return f"for whom the {leaf.occurrence} time they {_did(leaf.event_type, leaf.where)} {told}{never}"


def _periods(leaf: EventPeriods) -> str:
    low, high = _pair(leaf.value, leaf.value2)
    counted = _NUMBERS[leaf.operator].format(_number(low), _number(high))
    least = "" if leaf.min_per_period == 1 else f" at least {_number(leaf.min_per_period)} times"
    one = f"1 {leaf.period}" if leaf.last == 1 else f"{leaf.last:,} {leaf.period}s"
    never = " (never counts too)" if _zero_passes(leaf.operator, low, high) else ""
    did = _did(leaf.event_type, leaf.where)
    return f"who {did}{least} in {counted} of the last {one}, this {leaf.period} included{never}"


def _monetary(leaf: Monetary) -> str:
    low, high = _pair(leaf.value, leaf.value2)
    amount = _NUMBERS[leaf.operator].replace("fewer", "less").replace("any number", "anything")
    over = f" over every time they {_did(leaf.event_type, leaf.where)}"
    metric = f"{_METRICS[leaf.metric]} {amount.format(_number(low), _number(high))}"
    return f"whose {leaf.property} {metric}{over}{_window(leaf.window_days, leaf.window)}"


def _event_property(leaf: EventProperty) -> str:
    did, window = _did(leaf.event_type, leaf.where), _window(leaf.window_days, leaf.window)
    when = {
        "latest": f"the last time they {did}{window}",
        "first": f"the first time they {did}{window}",
        "any": f"at least once when they {did}{window}",
        "every": f"every time they {did}{window} (people who never did are not included)",
    }[leaf.occurrence]
    return f"whose {leaf.property} {_test(leaf)}, {when}"


def _sequence(leaf: EventSequence) -> str:
    steps = [_step(step) for step in leaf.events]
    span = ""
    if leaf.window_days is not UNSET:
        span = f" within {Length(leaf.window_days, 'd').words}" if leaf.window_days != 1 else " within 1 day"
    elif leaf.window is not UNSET and leaf.window.last is not UNSET:
        span = f" within {_length(leaf.window.last)}"
    between = " with no other event in between" if leaf.strict else ""
    if leaf.none_between is not UNSET:
        others = [re.sub(r"^did ", "", _step(match)) for match in leaf.none_between]
        between += f"{' and' if between else ','} without having {_listed(others)} in between"
    when = "" if leaf.search_window is UNSET else f", all of it{_window(UNSET, leaf.search_window)}"
    return f"who {', then '.join(steps)}{', all' if span and len(steps) > 1 else ''}{span}{between}{when}"


def _step(step: str | Step | EventMatch) -> str:
    if isinstance(step, str):
        return _did(step, UNSET)
    did = _did(step.event_type, step.where)
    if isinstance(step, Step) and step.within is not UNSET:
        return f"within {_length(step.within)} {did}"
    return did


def _did(event_type: EventTypes, where: Where | UnsetType) -> str:
    if event_type == "*":
        did = "did anything"
    elif isinstance(event_type, str):
        did = describe_event(event_type)
    else:
        did = _listed([describe_event(name) for name in event_type])
    return did + _where(where)


def _done(event_type: EventTypes, where: Where | UnsetType) -> str:
    """After "have": "placed an order", "done “cart_add”"."""
    return re.sub(r"(^|, | or )did ", r"\1done ", _did(event_type, UNSET)) + _where(where)


def _where(where: Where | UnsetType) -> str:
    if where is UNSET:
        return ""
    logic, tests = (where.logic.lower(), where.conditions) if isinstance(where, WhereGroup) else ("and", where)
    told = [
        f"it is not true that {test.property} {_test(test)}" if test.negate else f"{test.property} {_test(test)}"
        for test in tests
    ]
    return f" where {f' {logic} '.join(told)}"


def _test(test: AnyTest) -> str:
    values = [_value(item) for item in (test.value if isinstance(test.value, list) else [test.value])]
    if test.value2 is not UNSET:
        values.append(_value(test.value2))
    case = ", in any case," if test.ignore_case else ""
    if test.operator in _CLOCK_TESTS and isinstance(test.value, str):
        return _CLOCK_TESTS[test.operator].format(parse_length(test.value).words)
    if test.operator in _LIST_TESTS:
        joined = _listed(values, "and") if test.operator == "contains_all" else _listed(values)
        return _LIST_TESTS[test.operator].format(joined) + (", in any case" if test.ignore_case else "")
    if test.operator in {"in", "not_in"}:
        return (
            f"is {_listed(values)}{case}" if test.operator == "in" else f"is not {_listed(values)}{case} or is unknown"
        )
    templates = {**_TESTS, **_DATE_TESTS} if resolve_type(test, None) == "datetime" else _TESTS
    told = templates[test.operator].format(*values)
    if test.ignore_case:
        told = told.removesuffix(" or is unknown") + (
            " in any case or is unknown" if test.operator in POSITIVE_OF else " in any case"
        )
    return told


def _window(days: int | UnsetType, window: Window | UnsetType) -> str:
    if days is not UNSET:
        return f" in the last {Length(days, 'd').words}"
    if window is UNSET:
        return ""
    if window.last is not UNSET:
        return f" in the last {parse_length(window.last).words}"
    if window.period is not UNSET:
        name = window.period.replace("_", " ")
        return f" {name}"
    if window.between is not UNSET:
        far, near = (_length(end) for end in window.between)
        return f" between {far} and {near} ago"
    since = "" if window.from_ is UNSET else f" from {window.from_}"
    until = "" if window.to is UNSET else f" until before {window.to}"
    return since + until


def _length(text: str) -> str:
    """As in "1 hour" or "90 days"."""
    length = parse_length(text, least=0)
    return f"1 {length.words}" if length.count == 1 else length.words


def _pair(value: float | list[int | float], value2: float | UnsetType) -> tuple[float, float | None]:
    if isinstance(value, list):
        return value[0], value[1]
    return value, None if value2 is UNSET else value2


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"“{value}”" if isinstance(value, str) else _number(value)


def _number(number: Any) -> str:
    if number is None or number is UNSET:
        return ""
    return f"{number:,}" if isinstance(number, int) else f"{number:,.15g}"


def _listed(words: Iterable[str], word: str = "or") -> str:
    """One, one or two, one, two or three."""
    *most, last = words
    return f"{', '.join(most)} {word} {last}" if most else last
