"""Checks what a well-formed node may still get wrong: operands its operator does not read, limits, paths, regexes.

Every function yields findings; none raises.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from msgspec import UNSET, UnsetType

from segment_copilot.documents import escape, is_double, unstorable
from segment_copilot.errors import Finding
from segment_copilot.language.local_times import check_at
from segment_copilot.language.nodes import (
    DateWindow,
    EventCondition,
    EventCount,
    EventMatch,
    EventPeriods,
    EventProperty,
    EventSequence,
    EventTime,
    EventTypes,
    Leaf,
    MeasureCompare,
    Monetary,
    Number,
    PropertyTest,
    Rank,
    Recency,
    Sample,
    Scalar,
    SegmentMembership,
    Step,
    UserProperty,
    Value,
    ValueObject,
    Where,
    WhereGroup,
    Window,
)
from segment_copilot.language.operand_checks import ITEM, check_form, check_other_value, check_path
from segment_copilot.language.operators import (
    DATETIMES,
    LENGTHS,
    OPERATORS,
    RANGES,
    WINDOWS,
    ValueType,
    operators_of,
)
from segment_copilot.language.value_types import AnyTest, json_type, operands, parse_date
from segment_copilot.language.window_checks import (
    YEARS,
    YEARS_RULE,
    as_utc,
    check_days,
    check_length,
    check_window,
    check_windowed,
)

MAX_STRING: Final = 1_024
MAX_LIST: Final = 1_000
MAX_TESTS: Final = 100
STEPS: Final = range(2, 11)
PERIODS: Final = range(1, 367)
SEGMENTS: Final = range(1, 51)
_LARGEST_WHOLE: Final = 2**63 - 1
_SPAN_UNITS: Final = "m h d w"  # absolute: added to the earlier step

_re2: Any = importlib.import_module("re2")  # ClickHouse's own engine; it has no type stubs
_quiet: Any = _re2.Options()
_quiet.log_errors = False


def check_leaf(pointer: str, leaf: Leaf) -> Iterator[Finding]:
    """Check everything about one leaf that can be judged without a catalog."""
    match leaf:
        case UserProperty():
            yield from check_test(pointer, leaf)
        case SegmentMembership():
            yield from _check_membership(pointer, leaf)
        case EventSequence():
            yield from _check_sequence(pointer, leaf)
        case Sample():
            yield from _check_sample(pointer, leaf)
        case EventCount() | Recency() | EventTime() | Monetary() | EventProperty() | EventPeriods():
            yield from _check_event_leaf(pointer, leaf)
        case MeasureCompare() | Rank():
            pass  # measure_checks


def _check_membership(pointer: str, leaf: SegmentMembership) -> Iterator[Finding]:
    if (leaf.segment_id is UNSET) == (leaf.segment_ids is UNSET):
        yield Finding(pointer, "missing_field", "Give segment_id, or segment_ids for several, and not both.")
    located = [] if leaf.segment_id is UNSET else [("segment_id", leaf.segment_id)]
    if leaf.segment_ids is not UNSET:
        if len(leaf.segment_ids) not in SEGMENTS:
            code = "empty_list" if not leaf.segment_ids else "list_too_long"
            detail = f"segment_ids names {SEGMENTS[0]} to {SEGMENTS[-1]} segments."
            yield Finding(f"{pointer}/segment_ids", code, detail)
        located += [(f"segment_ids/{index}", segment_id) for index, segment_id in enumerate(leaf.segment_ids)]
    for where, segment_id in located:
        if not 0 < segment_id <= _LARGEST_WHOLE:
            yield Finding(f"{pointer}/{where}", "out_of_range", "A segment id is a positive whole number.")


def _check_event_leaf(pointer: str, leaf: EventCondition) -> Iterator[Finding]:
    yield from check_event_types(f"{pointer}/event_type", leaf.event_type)
    yield from check_where(f"{pointer}/where", leaf.where)
    yield from check_at(f"{pointer}/at", leaf.at)
    match leaf:
        case EventCount():
            yield from _check_numbers(pointer, leaf.operator, leaf.value, leaf.value2, whole=True)
        case Monetary():
            yield from check_path(f"{pointer}/property", leaf.property)
            yield from _check_numbers(pointer, leaf.operator, leaf.value, leaf.value2, whole=False)
        case EventProperty():
            yield from check_test(pointer, leaf)
        case Recency():
            yield from _check_recency(pointer, leaf)
            return
        case EventTime():
            test = as_date_test(leaf)
            yield from _check_operands(pointer, test)
            yield from check_typed_test(pointer, test, "datetime")
            return
        case EventPeriods():
            yield from _check_numbers(pointer, leaf.operator, leaf.value, leaf.value2, whole=True)
            yield from _check_whole(f"{pointer}/last", leaf.last, PERIODS)
            yield from _check_whole(f"{pointer}/min_per_period", leaf.min_per_period, range(1, _LARGEST_WHOLE + 1))
            return
    yield from _check_window(pointer, leaf.window_days, leaf.window)


def as_date_test(leaf: EventTime) -> PropertyTest:
    """Return the test that an event_time makes of the instant it picks."""
    return PropertyTest(
        "instant",
        leaf.operator,
        list(leaf.value) if isinstance(leaf.value, list) else cast("Any", leaf.value),  # a window names no other value
        leaf.value2,
        "datetime",
    )


def check_test(pointer: str, test: AnyTest, *, of_item: bool = False) -> Iterator[Finding]:
    """Check that a property test has a path, and the operands that its operator reads."""
    if not (of_item and test.property == ITEM):
        yield from check_path(f"{pointer}/property", test.property)
    if isinstance(test.value, ValueObject) and test.value.other is not None:
        yield from check_other_value(pointer, test, test.value)
        return
    yield from _check_operands(pointer, test)
    if test.operator == "matches_regex" and isinstance(test.value, str):
        try:
            _re2.compile(test.value, _quiet)
        except _re2.error as error:
            yield Finding(f"{pointer}/value", "bad_regex", f"This is not an RE2 expression: {_text_of(error)}.")


def check_typed_test(pointer: str, test: AnyTest, value_type: ValueType | None) -> Iterator[Finding]:
    """Check that *value_type* has the operator, and the values are of it. *None*: the operator needs no type."""
    if value_type is None:
        if test.ignore_case and not any(isinstance(value, str) for value in operands(test)):
            yield Finding(f"{pointer}/ignore_case", "unread_field", "ignore_case is for strings; leave it out.")
        return
    if value_type not in OPERATORS[test.operator].types:
        yield Finding(
            f"{pointer}/operator",
            "operator_not_allowed",
            f"A {value_type} has no operator {test.operator}.",
            tuple(sorted(operators_of(value_type))),
        )
        return
    if test.ignore_case and value_type == "list" and not any(isinstance(value, str) for value in operands(test)):
        yield Finding(f"{pointer}/ignore_case", "unread_field", "ignore_case is for strings; these are none.")
    elif test.ignore_case and value_type not in {"string", "list"}:
        yield Finding(
            f"{pointer}/ignore_case", "unread_field", f"ignore_case is for strings; this is a {value_type} test."
        )
    if test.operator in LENGTHS | WINDOWS:  # what they take was looked at already
        return
    for where, value in _located_operands(pointer, test):
        if value_type in DATETIMES:
            date = parse_date(value) if isinstance(value, str) else None
            if date is None:
                yield Finding(where, "wrong_type", "This must be a date (2026-06-01) or an RFC 3339 instant.")
            elif date.year not in YEARS:
                yield Finding(where, "out_of_range", YEARS_RULE)
        elif json_type(value) != value_type and value_type != "list":
            yield Finding(where, "wrong_type", f"This must be a {value_type}; it is a {json_type(value)}.")
    if test.operator in RANGES and value_type in DATETIMES and _is_reversed_in_time(operands(test)):
        yield _reversed(f"{pointer}/{'value2' if test.value2 is not UNSET else 'value'}", test.operator)


def check_where(pointer: str, where: Where | UnsetType) -> Iterator[Finding]:
    """Check the tests of a `where`."""
    if where is UNSET:
        return
    tests, inside = (where.conditions, f"{pointer}/conditions") if isinstance(where, WhereGroup) else (where, pointer)
    if not 0 < sum(len(test.conditions or [test]) for test in tests) <= MAX_TESTS:
        code = "empty_group" if not tests else "too_many_conditions"
        yield Finding(pointer, code, f"A where holds 1 to {MAX_TESTS} tests; leave it out to filter nothing.")
    for index, test in enumerate(tests):
        yield from _check_where_test(f"{inside}/{index}", test)


def _check_where_test(pointer: str, test: PropertyTest, *, of_item: bool = False) -> Iterator[Finding]:
    """Check a test of an event, or of an item of a list in it."""
    wrong = [*check_form(pointer, test, inside=of_item)]
    yield from wrong
    if test.conditions is not UNSET and not of_item:
        for index, one in enumerate(test.conditions):
            yield from _check_where_test(f"{pointer}/conditions/{index}", one, of_item=True)
    elif not wrong:
        yield from check_test(pointer, test, of_item=of_item)


def check_event_types(pointer: str, event_type: EventTypes) -> Iterator[Finding]:
    """Check that this is one name, a list of names, or "*" alone."""
    if isinstance(event_type, str):
        if not event_type:
            yield Finding(pointer, "empty_name", "An event type has a name.")
        return
    if not event_type:
        yield Finding(pointer, "empty_list", "Name at least one event type.")
    for index, name in enumerate(event_type):
        if not name:
            yield Finding(f"{pointer}/{index}", "empty_name", "An event type has a name.")
        elif name == "*":
            yield Finding(
                f"{pointer}/{index}", "star_not_alone", '"*" means every event and stands alone, not in a list.'
            )


def check_texts(pointer: str, document: Any) -> Iterator[Finding]:
    """Check every string and list inside one condition. How large a number may be, its operator says."""
    flaws = [flaw for flaw in unstorable(document, pointer) if flaw.code != "number_out_of_range"]
    yield from flaws
    if all(flaw.code != "too_deep" for flaw in flaws):
        yield from _check_lengths(pointer, document)


def _check_lengths(pointer: str, document: Any) -> Iterator[Finding]:
    if isinstance(document, str):
        if len(document) > MAX_STRING:
            yield Finding(pointer, "string_too_long", f"A string has at most {MAX_STRING:,} characters.")
    elif isinstance(document, list):
        items = cast("list[Any]", document)
        if len(items) > MAX_LIST:
            yield Finding(pointer, "list_too_long", f"A list has at most {MAX_LIST:,} values.")
            return
        for index, item in enumerate(items):
            yield from _check_lengths(f"{pointer}/{index}", item)
    elif isinstance(document, Mapping):
        for key, item in cast("Mapping[str, Any]", document).items():
            yield from _check_lengths(f"{pointer}/{escape(key)}", item)


def _check_operands(pointer: str, test: AnyTest) -> Iterator[Finding]:
    operator, value, value2 = test.operator, test.value, test.value2
    takes = OPERATORS[operator].takes
    if takes == "nothing":
        for name in ("value", "value2"):
            if getattr(test, name) is not UNSET:
                yield _unread(f"{pointer}/{name}", name, operator)
        return
    if isinstance(value, UnsetType):
        yield Finding(pointer, "missing_field", f"{operator} needs a value.")
        return
    if takes != "two" and value2 is not UNSET:
        yield _unread(f"{pointer}/value2", "value2", operator)
    if isinstance(value, DateWindow) or operator in WINDOWS:
        yield from check_windowed(f"{pointer}/value", operator, value)
        return
    match takes:
        case "two":
            yield from _check_pair(pointer, operator, value, value2, fold=bool(test.ignore_case))
        case "length":
            yield from _check_length_operand(f"{pointer}/value", test)
        case "any" | "all":
            yield from _check_list(f"{pointer}/value", operator, value)
        case _:
            if isinstance(value, list):
                yield Finding(f"{pointer}/value", "wrong_type", f"{operator} compares with one value, not a list.")
    for where, number in _located_operands(pointer, test):
        yield from _check_finite(where, number)


def _check_pair(
    pointer: str, operator: str, value: Scalar | Sequence[Scalar], value2: Scalar | UnsetType, *, fold: bool = False
) -> Iterator[Finding]:
    if not isinstance(value, str | int | float):
        if value2 is not UNSET:
            yield _unread(f"{pointer}/value2", "value2", f"{operator} with a list value")
        if len(value) != 2:  # noqa: PLR2004  # lower and upper end
            yield Finding(
                f"{pointer}/value", "wrong_type", f"{operator} takes two values: the lower and the upper end."
            )
        elif json_type(value[0]) != json_type(value[1]):
            yield Finding(f"{pointer}/value", "mixed_types", f"The two ends of {operator} are of one type.")
        elif _is_reversed(value[0], value[1], fold=fold):
            yield _reversed(f"{pointer}/value", operator)
    elif value2 is UNSET:
        yield Finding(pointer, "missing_field", f"{operator} needs value and value2, or a value of two.")
    elif json_type(value) != json_type(value2):
        yield Finding(f"{pointer}/value2", "mixed_types", f"The two ends of {operator} are of one type.")
    elif _is_reversed(value, value2, fold=fold):
        yield _reversed(f"{pointer}/value2", operator)


def _is_reversed(first: Scalar, second: Scalar, *, fold: bool) -> bool:
    """Return whether a range of these ends is one of nothing, whatever type it is compared in; of instants it depends."""
    if isinstance(first, str) and isinstance(second, str):
        if any(isinstance(parse_date(text), datetime) for text in (first, second)):
            return False
        return first.lower() > second.lower() if fold else first > second
    return not isinstance(first, str) and not isinstance(second, str) and first > second


def _is_reversed_in_time(ends: Sequence[Scalar]) -> bool:
    """Return whether the instants of a range run backward; a date beside an instant depends on the time zone."""
    moments = [parse_date(end) if isinstance(end, str) else None for end in ends]
    match moments:
        case [datetime() as start, datetime() as end]:
            pass
        case _:
            return False
    return (start.tzinfo is None) == (end.tzinfo is None) and as_utc(start) > as_utc(end)


def _reversed(pointer: str, operator: str) -> Finding:
    return Finding(pointer, "reversed_range", f"The lower end of {operator} comes first.")


def _check_list(pointer: str, operator: str, value: Value) -> Iterator[Finding]:
    if not isinstance(value, list):
        yield Finding(pointer, "wrong_type", f"{operator} takes a list of values.")
    elif not value:
        yield Finding(pointer, "empty_list", f"{operator} needs at least one value.")
    elif len({json_type(item) for item in value}) > 1:
        yield Finding(pointer, "mixed_types", "The values of a list are of one JSON type.")


def _check_numbers(
    pointer: str, operator: str, value: Number | list[Number], value2: Number | UnsetType, *, whole: bool
) -> Iterator[Finding]:
    """Check the operands of counts (whole, not negative) and aggregates (finite)."""
    if operator in RANGES:
        yield from _check_pair(pointer, operator, value, value2)
    else:
        if value2 is not UNSET:
            yield _unread(f"{pointer}/value2", "value2", operator)
        if isinstance(value, list):
            yield Finding(f"{pointer}/value", "wrong_type", f"{operator} compares with one number, not a list.")
    for where, number in _located(pointer, value, value2):
        yield from _check_finite(where, number)
        if whole and is_double(number) and not (float(number).is_integer() and 0 <= number <= _LARGEST_WHOLE):
            yield Finding(where, "out_of_range", "A count is a whole number, 0 or more.")


def _check_recency(pointer: str, leaf: Recency) -> Iterator[Finding]:
    yield from check_days(f"{pointer}/window_days", leaf.window_days)
    if leaf.operator == "between":
        if leaf.value2 is UNSET:
            yield Finding(pointer, "missing_field", "between needs value2, the far end in days.")
            return
        yield from check_days(f"{pointer}/value2", leaf.value2)
        if leaf.value2 < leaf.window_days:
            yield Finding(f"{pointer}/value2", "reversed_range", "value2 is the far end: at least window_days.")
    elif leaf.value2 is not UNSET:
        yield _unread(f"{pointer}/value2", "value2", leaf.operator)


def _check_sequence(pointer: str, leaf: EventSequence) -> Iterator[Finding]:
    if len(leaf.events) not in STEPS:
        yield Finding(f"{pointer}/events", "out_of_range", "A sequence has 2 to 10 steps.")
    for index, step in enumerate(leaf.events):
        here = f"{pointer}/events/{index}"
        if isinstance(step, Step):
            yield from check_event_types(f"{here}/event_type", step.event_type)
            yield from check_where(f"{here}/where", step.where)
            yield from check_at(f"{here}/at", step.at)
            if step.within is not UNSET:
                if index == 0:
                    yield Finding(f"{here}/within", "unread_field", "The first step follows nothing; leave within out.")
                yield from check_length(f"{here}/within", step.within, units=_SPAN_UNITS)
        else:
            yield from check_event_types(here, step)
    yield from _check_none_between(f"{pointer}/none_between", leaf.none_between)
    yield from _check_same(f"{pointer}/same", leaf.same)
    if leaf.search_window is not UNSET:
        yield from check_window(f"{pointer}/search_window", leaf.search_window)
    yield from _check_span(pointer, leaf)


def _check_none_between(pointer: str, blockers: list[str | EventMatch] | UnsetType) -> Iterator[Finding]:
    if blockers is UNSET:
        return
    if not blockers:
        yield Finding(pointer, "empty_list", "Name at least one event type, or leave none_between out.")
    for index, match in enumerate(blockers):
        here = f"{pointer}/{index}"
        if isinstance(match, EventMatch):
            yield from check_event_types(f"{here}/event_type", match.event_type)
            yield from check_where(f"{here}/where", match.where)
            yield from check_at(f"{here}/at", match.at)
        else:
            yield from check_event_types(here, match)


def _check_same(pointer: str, paths: list[str] | UnsetType) -> Iterator[Finding]:
    if paths is UNSET:
        return
    if not paths:
        yield Finding(pointer, "empty_list", "Name at least one property, or leave same out.")
    if len(paths) > MAX_TESTS:
        yield Finding(pointer, "list_too_long", f"At most {MAX_TESTS} properties are held the same.")
    for index, path in enumerate(paths):
        yield from check_path(f"{pointer}/{index}", path)


def _check_span(pointer: str, leaf: EventSequence) -> Iterator[Finding]:
    if leaf.window_days is not UNSET:
        yield from check_days(f"{pointer}/window_days", leaf.window_days)
        if leaf.window is not UNSET:
            yield Finding(f"{pointer}/window", "two_windows", "Give window_days or window, not both.")
    if leaf.window is UNSET:
        return
    if leaf.window.last is UNSET or leaf.window != Window(last=leaf.window.last):
        detail = "The window of a sequence is its span, {last: …}; search_window says where the steps may lie."
        yield Finding(f"{pointer}/window", "bad_window", detail)
    else:
        yield from check_length(f"{pointer}/window/last", leaf.window.last, units=_SPAN_UNITS)


def _check_window(pointer: str, days: int | UnsetType, window: Window | UnsetType) -> Iterator[Finding]:
    if days is not UNSET:
        yield from check_days(f"{pointer}/window_days", days)
        if window is not UNSET:
            yield Finding(f"{pointer}/window", "two_windows", "Give window_days or window, not both.")
    if window is not UNSET:
        yield from check_window(f"{pointer}/window", window)


def _check_length_operand(pointer: str, test: AnyTest) -> Iterator[Finding]:
    if not isinstance(test.value, str):
        yield Finding(pointer, "wrong_type", f"{test.operator} takes a length such as 30d.")
        return
    operator = OPERATORS[test.operator]
    yield from check_length(pointer, test.value, least=operator.least, units=operator.units)


def _check_sample(pointer: str, leaf: Sample) -> Iterator[Finding]:
    if not leaf.salt:
        yield Finding(f"{pointer}/salt", "empty_name", "A salt is not empty: it names the split.")
    if not (is_double(leaf.from_) and is_double(leaf.to) and 0 <= leaf.from_ < leaf.to <= 100):  # noqa: PLR2004  # percent
        yield Finding(f"{pointer}/to", "out_of_range", "from and to are percent: 0 <= from < to <= 100.")


def _check_whole(pointer: str, number: int, allowed: range) -> Iterator[Finding]:
    if number not in allowed:
        yield Finding(pointer, "out_of_range", f"A whole number from {allowed[0]:,} to {allowed[-1]:,}.")


def _check_finite(pointer: str, number: object) -> Iterator[Finding]:
    if isinstance(number, int | float) and not is_double(number):
        yield Finding(pointer, "out_of_range", "A number lies within the range of IEEE doubles.")


def _located_operands(pointer: str, test: AnyTest) -> Iterator[tuple[str, Any]]:
    if operands(test) and not isinstance(test.value, DateWindow):
        yield from _located(pointer, test.value, test.value2)


def _located(pointer: str, value: Any, value2: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        items = cast("list[Any]", value)
        yield from ((f"{pointer}/value/{index}", item) for index, item in enumerate(items))
    elif value is not UNSET:
        yield f"{pointer}/value", value
    if value2 is not UNSET:
        yield f"{pointer}/value2", value2


def _unread(pointer: str, name: str, operator: str) -> Finding:
    return Finding(pointer, "unread_field", f"{operator} does not read {name}; leave it out.")


def _text_of(error: BaseException) -> str:
    text = error.args[0] if error.args else ""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
