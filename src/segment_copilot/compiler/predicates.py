"""Writes a test of one stored value as a two-valued SQL expression: false, never NULL, where the value is missing.

A stored value is a path of a JSON column. ClickHouse keeps whole numbers, fractions, large whole numbers and strings
of one path in different sub-columns, so a numeric test reads all four (docs/decisions/0003-json-numbers.md).
Each operator of a type is one row of the type's table: the function that writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal, LiteralString

from segment_copilot.compiler.fragments import Fragment, bind, group, join, numbered, sql
from segment_copilot.compiler.slots import Anniversaries, DateRange, Filter, Kind, Known, LocalTimes, Other, Test
from segment_copilot.compiler.tables import INSTANT
from segment_copilot.compiler.values import NUMBER, Readable, item_value, stored_value
from segment_copilot.language.lengths import EARLIEST, LATEST, to_microseconds
from segment_copilot.language.nodes import PropertyOperator, Scalar

_DAY: Final = "(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"  # ClickHouse would read month and day 00
_CLOCK: Final = "([01][0-9]|2[0-3]):[0-5][0-9]"
_DATE: Final[LiteralString] = f"'^{_DAY}$'"
_TIMESTAMP: Final[LiteralString] = f"'^{_DAY}[T ]{_CLOCK}:[0-5][0-9]([.][0-9]+)?(Z|[+-]{_CLOCK})?$'"
_FIRST, _LAST = (
    Fragment(f"toDateTime64('{instant.replace(tzinfo=None).isoformat(' ')}', 6, 'UTC')")
    for instant in (EARLIEST, LATEST)
)


def render_filter(column: LiteralString, wanted: Filter) -> Fragment:
    """Write the tests of a `where`, and when it was by the local clock, as one parenthesised expression."""
    tests = [render_test(column, test) for test in wanted.tests]
    passed = [group(wanted.logic, tests)] if tests else []
    if wanted.at is None:
        return passed[0]
    return group("AND", [*passed, *_local_times(wanted.at)])


def _local_times(wanted: LocalTimes) -> list[Fragment]:
    """Write whether an event happened on the weekdays, and in the hours, of its own local time."""
    local, tests = sql("toTimeZone(occurred_at, {})", bind(wanted.zone, "String")), list[Fragment]()
    if wanted.weekdays:
        # Not `has`: the server would look in the index for what passes it, and takes the days of UTC for those of the zone.
        bits = bind(sum(1 << day for day in wanted.weekdays), "UInt8")
        tests.append(sql("bitTest({}, toDayOfWeek({}))", bits, local))
    if wanted.minutes is not None:
        begin, end = wanted.minutes
        template = (
            "({minute} >= {begin} AND {minute} < {end})" if begin < end else "({minute} >= {begin} OR {minute} < {end})"
        )
        minute = sql("toHour({local}) * 60 + toMinute({local})", local=local)
        tests.append(sql(template, minute=minute, begin=bind(begin, "UInt16"), end=bind(end, "UInt16")))
    return tests


def render_test(column: LiteralString, test: Test) -> Fragment:
    """Write one parenthesised expression that is 0 or 1."""
    return _render_test(column, stored_value(column, test.path), test)


def _render_test(column: LiteralString, value: Readable, test: Test) -> Fragment:
    if test.other is not None:
        positive = _is_like_other(column, value, test, test.other)
    else:
        positive = _positive(column, value, test)
    return sql("(NOT {})" if test.complement else "({})", positive)


def _positive(column: LiteralString, value: Readable, test: Test) -> Fragment:
    match test.kind:
        case "presence":
            return value.is_set if test.operator == "is_set" else _is_not_empty(value)
        case "containment":
            return _containment(value, test)
        case "number":
            return _false_if_null(NUMBER_WRITERS[test.operator](value.number, test))
        case "boolean":
            return _false_if_null(BOOLEAN_WRITERS[test.operator](value.boolean, test))
        case "datetime":
            return _in_ranges(value, test)
        case "list":
            return LIST_WRITERS[test.operator](value, test)
        case "anniversary":
            return _anniversary(value, test)
        case "string":
            return _false_if_null(STRING_WRITERS[test.operator](value.string, test))
        case "items":
            return _any_item(column, value, test)


def _any_item(column: LiteralString, value: Readable, test: Test) -> Fragment:
    """Write whether an item of a list passes all tests. What is no list has no items."""
    tests = [_render_test(column, item_value(one.path), one) for one in test.tests]
    return sql("arrayExists(item -> {}, {})", group("AND", tests), value.elements)


# Two stored values

_SIGNS: Final[dict[PropertyOperator, Literal["=", ">", ">=", "<", "<="]]] = {
    "eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "before": "<", "after": ">",
}  # fmt: skip


def _is_like_other(column: LiteralString, value: Readable, test: Test, other: Other) -> Fragment:
    """Compare a stored value with another that is read in the same type; false where either is missing."""
    one = typed_value(value, test.kind, test.epoch, other.zone)
    if test.known is not None:
        beside = known_column(test.known)
    else:
        beside = typed_value(stored_value(column, other.path), test.kind, test.epoch, other.zone)
    if test.kind == "string":
        one, beside = _cased(one, test), _cased(beside, test)
    return _false_if_null(sql("({}) {} ({})", one, _SIGNS[test.operator], beside))


def render_tested(column: LiteralString, test: Test) -> Fragment:
    """Write the stored value that is tested as JSON text; of two that are compared, both, in a list."""
    value = _as_json(stored_value(column, test.path).json)
    if test.other is None:
        return value
    if test.known is None:
        return sql("concat('[', {}, ',', {}, ']')", value, _as_json(stored_value(column, test.other.path).json))
    beside = known_column(test.known)
    if test.kind == "datetime":  # kept as a number; told as data has it
        beside = sql("concat(formatDateTime(fromUnixTimestamp64Micro({}, 'UTC'), '%FT%T.%f'), 'Z')", beside)
    return sql("concat('[', {}, ',', {}, ']')", value, _as_json(beside))


def _as_json(value: Fragment) -> Fragment:
    return sql("ifNull(toJSONString({}), 'null')", value)


def known_column(known: Known) -> Fragment:
    """Write the column of a trait's value beside the rows that it is joined with."""
    return numbered("known", known)


def typed_value(value: Readable, kind: Kind, epoch: int, zone: str) -> Fragment:
    """Write a stored value as one of its type, NULL where it is none; of a datetime the microseconds since 1970."""
    match kind:
        case "number":
            return value.number
        case "boolean":
            return value.boolean
        case "string":
            return value.string
        case "datetime":
            return _instant(value, epoch, zone)
        case "list" | "presence" | "containment" | "anniversary" | "items":
            raise ValueError(f"values are not compared as {kind}")


def _instant(value: Readable, epoch: int, zone: str) -> Fragment:
    """Write a stored datetime as microseconds since 1970: a bare date is local midnight, an instant without offset UTC."""
    arms = [
        sql("{}, {}", _has_form(value, _DATE), _midnight(value.string, zone)),
        sql("{}, toUnixTimestamp64Micro({})", _has_form(value, _TIMESTAMP), _parsed(value)),
    ]
    if epoch:
        elapsed = value.elapsed(epoch)
        is_kept = sql("{} BETWEEN {} AND {}", elapsed, to_microseconds(EARLIEST), to_microseconds(LATEST))
        whole = sql("toInt64(ifNull(if({}, {}, 0), 0))", is_kept, elapsed)
        arms.insert(0, sql("isNotNull({}), if({}, {}, NULL)", elapsed, is_kept, whole))
    ends = (to_microseconds(EARLIEST), to_microseconds(LATEST))
    template = "arrayMap(micro -> if(micro BETWEEN {} AND {}, micro, NULL), [multiIf({}, NULL)])[1]"  # written once
    return sql(template, *ends, join(", ", arms))


def _midnight(day: Fragment, zone: str) -> Fragment:
    """Write the first instant of a local day, in microseconds since 1970.

    Of a midnight that a zone skips the server makes an instant of the day before: too early by what the clock went forward.
    """
    parsed = sql("parseDateTime64BestEffortOrNull({}, 6, {})", day, bind(zone, "String"))
    skipped = sql("timezoneOffset(midnight + INTERVAL 25 HOUR) - timezoneOffset(midnight)")
    template = (
        "arrayMap(midnight -> toUnixTimestamp64Micro(midnight)"
        " + if(toString(toDate32(midnight)) < {}, ({}) * 1000000, 0), [{}])[1]"
    )
    return sql(template, day, skipped, parsed)


def _false_if_null(test: Fragment) -> Fragment:
    return sql("ifNull({}, 0)", test)


# Numbers, booleans and strings: a writer is given the value, which may be NULL, and what it writes may be too


def _compare(template: LiteralString, type_: LiteralString, subject: Fragment, test: Test) -> Fragment:
    """Compare with one operand, `low`, or with two."""
    operands = [bind(value, type_) for value in _values(type_, test)]
    if type_ == "String":
        subject, *operands = (_cased(text, test) for text in (subject, *operands))
    return sql(template, subject=subject, **dict(zip(("low", "high"), operands, strict=False)))


def _is_among(type_: LiteralString, subject: Fragment, test: Test) -> Fragment:
    return sql("has({}, {})", bind(_values(type_, test), f"Array({type_})"), subject)


def _values(type_: LiteralString, test: Test) -> list[Any]:
    return [float(value) for value in test.values] if type_ == "Float64" else [*test.values]


def _string_is_among(subject: Fragment, test: Test) -> Fragment:
    template = "has(arrayMap(wanted -> lowerUTF8(wanted), {}), {})" if test.ignore_case else "has({}, {})"
    return sql(template, bind([*test.values], "Array(String)"), _cased(subject, test))


def _matches_regex(subject: Fragment, test: Test) -> Fragment:
    # RE2's default is that a dot does not match a newline; ClickHouse's match() turns that off, (?-s) on again
    flags = "(?i-s)" if test.ignore_case else "(?-s)"
    return sql("match({}, {})", subject, bind(flags + test.values[0], "String"))


def _cased(text: Fragment, test: Test) -> Fragment:
    return sql("lowerUTF8({})", text) if test.ignore_case else text


Writer = Callable[[Fragment, Test], Fragment]

NUMBER_WRITERS: Final[dict[PropertyOperator, Writer]] = {
    "eq": partial(_compare, "({subject}) = {low}", "Float64"),
    "gt": partial(_compare, "({subject}) > {low}", "Float64"),
    "gte": partial(_compare, "({subject}) >= {low}", "Float64"),
    "lt": partial(_compare, "({subject}) < {low}", "Float64"),
    "lte": partial(_compare, "({subject}) <= {low}", "Float64"),
    "between": partial(_compare, "({subject}) BETWEEN {low} AND {high}", "Float64"),
    "in": partial(_is_among, "Float64"),
}
BOOLEAN_WRITERS: Final[dict[PropertyOperator, Writer]] = {
    "eq": partial(_compare, "({subject}) = {low}", "Bool"),
    "in": partial(_is_among, "Bool"),
}
STRING_WRITERS: Final[dict[PropertyOperator, Writer]] = {
    "eq": partial(_compare, "{subject} = {low}", "String"),
    "gt": partial(_compare, "{subject} > {low}", "String"),
    "gte": partial(_compare, "{subject} >= {low}", "String"),
    "lt": partial(_compare, "{subject} < {low}", "String"),
    "lte": partial(_compare, "{subject} <= {low}", "String"),
    "between": partial(_compare, "({subject} >= {low} AND {subject} <= {high})", "String"),
    "in": _string_is_among,
    "starts_with": partial(_compare, "startsWith({subject}, {low})", "String"),
    "ends_with": partial(_compare, "endsWith({subject}, {low})", "String"),
    "matches_regex": _matches_regex,
}


# Lists, and what is a list or a string


def _contains(logic: Literal["AND", "OR"], value: Readable, test: Test) -> Fragment:
    """Write whether any (or all) of the wanted values equal an element. A scalar is no list: false."""
    return group(logic, [_has(value, wanted, test) for wanted in test.values])


def _equals_set(value: Readable, test: Test) -> Fragment:
    """Write whether each wanted value equals an element, and each element a wanted value."""
    among = group("OR", [_is_equal(wanted, test) for wanted in test.values])
    return sql("({} AND arrayAll(element -> {}, {}))", _contains("AND", value, test), among, value.elements)


LIST_WRITERS: Final[dict[PropertyOperator, Callable[[Readable, Test], Fragment]]] = {
    "contains_any": partial(_contains, "OR"),
    "contains_all": partial(_contains, "AND"),
    "equals_set": _equals_set,
}


def _has(value: Readable, wanted: Scalar, test: Test) -> Fragment:
    """Write whether an element of a list equals *wanted*, as `eq` with its JSON type would say."""
    if isinstance(wanted, bool):
        return sql("has({}, {})", value.elements, bind("true" if wanted else "false", "String"))
    return sql("arrayExists(element -> {}, {})", _is_equal(wanted, test), value.elements)


def _is_equal(wanted: Scalar, test: Test) -> Fragment:
    """Write whether an element equals *wanted*."""
    if isinstance(wanted, bool):
        return sql("element = {}", bind("true" if wanted else "false", "String"))
    if isinstance(wanted, str):
        found, text = _cased(sql("JSONExtractString(element)"), test), _cased(bind(wanted, "String"), test)
        return sql("(JSONType(element) = 'String' AND {} = {})", found, text)
    return sql("ifNull({} = {}, 0)", _element_number(), bind(float(wanted), "Float64"))


def _containment(value: Readable, test: Test) -> Fragment:
    """Find an equal element in a list, or the wanted text in a string: what is stored decides."""
    wanted = test.values[0]
    equal = _has(value, wanted, test)
    if not isinstance(wanted, str):
        return equal
    subject, text = _cased(value.string, test), _cased(bind(wanted, "String"), test)
    return sql("(ifNull(position({}, {}) > 0, 0) OR {})", subject, text, equal)


def _element_number() -> Fragment:
    """Write a list element as a number, by the rule of `StoredValue.number`."""
    text = "if(JSONType(element) = 'String', JSONExtractString(element), element)"
    template = "if(match({text}, {pattern}), nullIf(nullIf(toFloat64OrNull({text}), inf), -inf), NULL)"
    return sql(template, text=text, pattern=NUMBER)


def _is_not_empty(value: Readable) -> Fragment:
    """Write whether there is a value that is neither an empty text nor an empty list."""
    template = "({} AND ifNull({} != '', 1) AND ifNull({} != '[]', 1))"
    return sql(template, value.is_set, value.string, value.text)


# Dates and instants: the planner made ranges, or days of the year, of every operator


def _in_ranges(value: Readable, test: Test) -> Fragment:
    """Write whether a stored date or instant lies in one of the ranges. Texts are parsed as UTC; a date by its day."""
    return group("OR", [_in_range(value, test.epoch, wanted) for wanted in test.values])


def _in_range(value: Readable, epoch: int, wanted: DateRange) -> Fragment:
    parsed, instants = _parsed(value), (wanted.earliest, wanted.latest)
    midnights = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (wanted.first_date, wanted.last_date))
    arms = [
        sql("{}, {}", _has_form(value, _DATE), _between(parsed, midnights, INSTANT)),
        sql("{}, {}", _has_form(value, _TIMESTAMP), _between(parsed, instants, INSTANT)),
    ]
    if epoch:
        elapsed = value.elapsed(epoch)
        arms.insert(0, sql("isNotNull({}), {}", elapsed, _between(elapsed, map(to_microseconds, instants), "Int64")))
    return _by_form(arms)


def _between(subject: Fragment, ends: Iterable[Any], type_: LiteralString) -> Fragment:
    return sql("{} BETWEEN {}", subject, join(" AND ", [bind(end, type_) for end in ends]))


def render_anniversary(instant: Fragment, wanted: Anniversaries) -> Fragment:
    """Write whether the local day and month of *instant* come round in a later year: with `at`, the only time zones in SQL."""
    return _comes_round(sql("toTimeZone({}, {})", instant, bind(wanted.zone, "String")), wanted)


def _comes_round(local: Fragment, wanted: Anniversaries) -> Fragment:
    day = sql("toUInt16(toMonth({local}) * 100 + toDayOfMonth({local}))", local=local)
    days, years = bind([*wanted.days], "Array(UInt16)"), bind([*wanted.years], "Array(UInt16)")
    return sql("(toYear({}) < transform({}, {}, {}, toUInt16(0)))", local, day, days, years)


def _anniversary(value: Readable, test: Test) -> Fragment:
    """Test a local day: a stored date is one already, a stored instant has one in the time zone."""
    wanted: Anniversaries = test.values[0]
    parsed = _parsed(value)
    is_kept = sql("{} BETWEEN {} AND {}", parsed, _FIRST, _LAST)
    arms = [
        sql("{}, {}", _has_form(value, _DATE), _comes_round(parsed, wanted)),
        sql("{} AND {}, {}", _has_form(value, _TIMESTAMP), is_kept, render_anniversary(parsed, wanted)),
    ]
    if test.epoch:
        elapsed = value.elapsed(test.epoch)
        is_kept = sql("{} BETWEEN {} AND {}", elapsed, to_microseconds(EARLIEST), to_microseconds(LATEST))
        whole = sql("toInt64(ifNull(if({}, {}, 0), 0))", is_kept, elapsed)
        instant = sql("fromUnixTimestamp64Micro({}, 'UTC')", whole)
        arms.insert(0, sql("{}, {}", _false_if_null(is_kept), render_anniversary(instant, wanted)))
    return _by_form(arms)


def _parsed(value: Readable) -> Fragment:
    return sql("parseDateTime64BestEffortOrNull({}, 6, 'UTC')", value.string)


def _has_form(value: Readable, pattern: LiteralString) -> Fragment:
    return sql("match({}, {})", value.string, pattern)


def _by_form(arms: list[Fragment]) -> Fragment:
    """Write the test of the first form that the value has; false for any other form."""
    return sql("ifNull(multiIf({}, 0), 0)", join(", ", arms))
