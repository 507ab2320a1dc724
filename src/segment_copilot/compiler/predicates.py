"""A test of one stored value as one two-valued SQL expression: false, never NULL, where the value is missing.

A stored value is a path of a JSON column. ClickHouse keeps whole numbers, fractions, large whole numbers and strings
of one path in different sub-columns, so a numeric test reads all four (docs/decisions/0003-json-numbers.md).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from segment_copilot.compiler.params import Params
from segment_copilot.compiler.slots import Anniversaries, DateRange, Filter, Test
from segment_copilot.language.lengths import EARLIEST, LATEST
from segment_copilot.language.value_types import json_type

_NUMBER: Final = "'^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$'"
_DAY: Final = "(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"  # ClickHouse would read month and day 00
_CLOCK: Final = "([01][0-9]|2[0-3]):[0-5][0-9]"
_DATE: Final = f"'^{_DAY}$'"
_INSTANT: Final = f"'^{_DAY}T{_CLOCK}:[0-5][0-9]([.][0-9]+)?(Z|[+-]{_CLOCK})?$'"
_FIRST: Final = "toDateTime64('1900-01-01 00:00:00', 6, 'UTC')"
_LAST: Final = "toDateTime64('2299-12-31 23:59:59.999999', 6, 'UTC')"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FIRST_ELAPSED: Final = (EARLIEST - _EPOCH) // _MICROSECOND
_LAST_ELAPSED: Final = (LATEST - _EPOCH) // _MICROSECOND
_SYMBOLS: Final = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class Stored(Struct, frozen=True):
    """A value in a JSON column, and the ways to read it. *column* and *path* are SQL text."""

    column: str
    path: str  # a placeholder of type Identifier

    @property
    def json(self) -> str:
        """Whatever is there, as JSON would print it: Dynamic, NULL where nothing is."""
        return f"{self.column}.{self.path}"

    @property
    def string(self) -> str:
        """Nullable(String)."""
        return f"{self.column}.{self.path}.:String"

    @property
    def boolean(self) -> str:
        """Nullable(Bool)."""
        return f"{self.column}.{self.path}.:Bool"

    @property
    def number(self) -> str:
        """Nullable(Float64): JSON numbers and strings that are, in full, a JSON number; beyond the doubles is NULL."""
        value = f"{self.column}.{self.path}"
        parsed = f"if(match({self.string}, {_NUMBER}), toFloat64OrNull({self.string}), NULL)"
        arms = f"{value}.:Float64, toFloat64({value}.:Int64), toFloat64({value}.:UInt64), {parsed}"
        return f"nullIf(nullIf(coalesce({arms}), inf), -inf)"

    def elapsed(self, unit: int) -> str:
        """Nullable(Float64): a JSON number of *unit* microseconds each since 1970, in whole microseconds, the rest cut."""
        value = f"{self.column}.{self.path}"
        number = f"coalesce({value}.:Float64, toFloat64({value}.:Int64), toFloat64({value}.:UInt64))"
        return f"floor({number} * {unit})"

    @property
    def elements(self) -> str:
        """Array(String): the elements of a list as JSON text; empty for anything else."""
        return f"JSONExtractArrayRaw(ifNull(toJSONString({self.column}.{self.path}), ''))"

    @property
    def is_set(self) -> str:
        """Whether a value other than null is there; an object is there when anything in it is."""
        return f"({self.column}.{self.path} IS NOT NULL OR notEmpty(JSONAllPaths({self.column}.^{self.path})))"


def stored(column: str, path: tuple[str, ...], params: Params) -> Stored:
    """The value at *path* of *column*; a dot inside a key is stored escaped."""
    return Stored(column, params.bind(".".join(step.replace(".", "%2E") for step in path), "Identifier"))


def render_filter(column: str, wanted: Filter, params: Params) -> str:
    """The tests of a `where`, as one parenthesised expression."""
    tests = [render_test(column, test, params) for test in wanted.tests]
    return f"({f' {wanted.logic} '.join(tests)})"


def render_test(column: str, test: Test, params: Params) -> str:
    """One parenthesised expression that is 0 or 1."""
    value = stored(column, test.path, params)
    match test.kind:
        case "presence":
            positive = value.is_set
        case "containment":
            positive = _containment(value, test, params)
        case "number":
            positive = f"ifNull({_compare(value.number, test, 'Float64', params, convert=float)}, 0)"
        case "boolean":
            positive = f"ifNull({_compare(value.boolean, test, 'Bool', params)}, 0)"
        case "datetime":
            positive = _in_ranges(value, test, params)
        case "list":
            positive = _list(value, test, params)
        case "anniversary":
            positive = _anniversary(value, test, params)
        case "string":
            positive = f"ifNull({_string(value.string, test, params)}, 0)"
    return f"(NOT {positive})" if test.complement else f"({positive})"


def _compare(subject: str, test: Test, type_: str, params: Params, *, convert: Any = None) -> str:
    values = [convert(value) for value in test.values] if convert else list(test.values)
    match test.operator:
        case "between":
            return f"({subject}) BETWEEN {params.bind(values[0], type_)} AND {params.bind(values[1], type_)}"
        case "in":
            return f"has({params.bind(values, f'Array({type_})')}, {subject})"
        case operator:
            return f"({subject}) {_SYMBOLS[operator]} {params.bind(values[0], type_)}"


def _string(subject: str, test: Test, params: Params) -> str:
    if test.operator == "matches_regex":
        # RE2's default is that a dot does not match a newline; ClickHouse's match() turns that off, (?-s) on again
        flags = "(?i-s)" if test.ignore_case else "(?-s)"
        return f"match({subject}, {params.bind(flags + test.values[0], 'String')})"
    if test.operator == "in":
        wanted = params.bind(list(test.values), "Array(String)")
        if test.ignore_case:
            return f"has(arrayMap(wanted -> lowerUTF8(wanted), {wanted}), lowerUTF8({subject}))"
        return f"has({wanted}, {subject})"
    bound = [params.bind(value, "String") for value in test.values]
    if test.ignore_case:
        subject, bound = f"lowerUTF8({subject})", [f"lowerUTF8({value})" for value in bound]
    match test.operator:
        case "starts_with":
            return f"startsWith({subject}, {bound[0]})"
        case "ends_with":
            return f"endsWith({subject}, {bound[0]})"
        case "between":
            return f"({subject} >= {bound[0]} AND {subject} <= {bound[1]})"
        case operator:
            return f"{subject} {_SYMBOLS[operator]} {bound[0]}"


def render_anniversary(instant: str, wanted: Anniversaries, params: Params) -> str:
    """Whether the local day and month of *instant* come round in a later year: the one use of a time zone in SQL."""
    return _comes_round(f"toTimeZone({instant}, {params.bind(wanted.zone, 'String')})", wanted, params)


def _comes_round(local: str, wanted: Anniversaries, params: Params) -> str:
    days, years = params.bind(list(wanted.days), "Array(UInt16)"), params.bind(list(wanted.years), "Array(UInt16)")
    return f"(toYear({local}) < transform(toUInt16(toMonth({local}) * 100 + toDayOfMonth({local})), {days}, {years}, toUInt16(0)))"


def _anniversary(value: Stored, test: Test, params: Params) -> str:
    """A stored date is a local day already; a stored instant has one in the time zone."""
    wanted: Anniversaries = test.values[0]
    parsed = f"parseDateTime64BestEffortOrNull({value.string}, 6, 'UTC')"
    by_date = f"match({value.string}, {_DATE}), {_comes_round(parsed, wanted, params)}"
    kept = f"{parsed} BETWEEN {_FIRST} AND {_LAST}"
    by_instant = f"match({value.string}, {_INSTANT}) AND {kept}, {render_anniversary(parsed, wanted, params)}"
    by_number = ""
    if test.epoch:
        elapsed = value.elapsed(test.epoch)
        kept = f"{elapsed} BETWEEN {_FIRST_ELAPSED} AND {_LAST_ELAPSED}"
        instant = f"fromUnixTimestamp64Micro(toInt64(ifNull(if({kept}, {elapsed}, 0), 0)), 'UTC')"
        by_number = f"ifNull({kept}, 0), {render_anniversary(instant, wanted, params)}, "
    return f"ifNull(multiIf({by_number}{by_date}, {by_instant}, 0), 0)"


def _list(value: Stored, test: Test, params: Params) -> str:
    """Of the wanted values: any (or all) equal an element. A scalar is no list: false."""
    equals = [_has(value, wanted, ignore_case=test.ignore_case, params=params) for wanted in test.values]
    return f"({(' AND ' if test.operator == 'contains_all' else ' OR ').join(equals)})"


def _has(value: Stored, wanted: Any, *, ignore_case: bool, params: Params) -> str:
    """Whether an element of a list equals *wanted*, as `eq` with its JSON type would say."""
    match json_type(wanted):
        case "boolean":
            return f"has({value.elements}, {params.bind('true' if wanted else 'false', 'String')})"
        case "number":
            number = params.bind(float(wanted), "Float64")
            return f"arrayExists(element -> ifNull({_element_number()} = {number}, 0), {value.elements})"
        case _:
            text, found = params.bind(wanted, "String"), "JSONExtractString(element)"
            if ignore_case:
                found, text = f"lowerUTF8({found})", f"lowerUTF8({text})"
            return f"arrayExists(element -> JSONType(element) = 'String' AND {found} = {text}, {value.elements})"


def _containment(value: Stored, test: Test, params: Params) -> str:
    """A list with an equal element, or a string with the wanted text in it: what is stored decides."""
    wanted = test.values[0]
    equal = _has(value, wanted, ignore_case=test.ignore_case, params=params)
    if not isinstance(wanted, str):
        return equal
    subject, text = value.string, params.bind(wanted, "String")
    if test.ignore_case:
        subject, text = f"lowerUTF8({subject})", f"lowerUTF8({text})"
    return f"(ifNull(position({subject}, {text}) > 0, 0) OR {equal})"


def _element_number() -> str:
    """A list element as a number, by the rule of `Stored.number`."""
    text = "if(JSONType(element) = 'String', JSONExtractString(element), element)"
    return f"if(match({text}, {_NUMBER}), nullIf(nullIf(toFloat64OrNull({text}), inf), -inf), NULL)"


def _in_ranges(value: Stored, test: Test, params: Params) -> str:
    """Whether a stored date or instant lies in one of the ranges. Texts are parsed as UTC; a date by its day."""
    return f"({' OR '.join(_in_range(value, test.epoch, item, params) for item in test.values)})"


def _in_range(value: Stored, epoch: int, wanted: DateRange, params: Params) -> str:
    subject = value.string
    parsed = f"parseDateTime64BestEffortOrNull({subject}, 6, 'UTC')"
    first, last = (
        params.bind(datetime(day.year, day.month, day.day, tzinfo=UTC), "DateTime64(6, 'UTC')")
        for day in (wanted.first_date, wanted.last_date)
    )
    earliest, latest = (params.bind(instant, "DateTime64(6, 'UTC')") for instant in (wanted.earliest, wanted.latest))
    by_date = f"match({subject}, {_DATE}), {parsed} BETWEEN {first} AND {last}"
    by_instant = f"match({subject}, {_INSTANT}), {parsed} BETWEEN {earliest} AND {latest}"
    by_number = ""
    if epoch:
        elapsed = value.elapsed(epoch)
        ends = (
            params.bind((instant - _EPOCH) // _MICROSECOND, "Int64") for instant in (wanted.earliest, wanted.latest)
        )
        by_number = f"isNotNull({elapsed}), {elapsed} BETWEEN {' AND '.join(ends)}, "
    return f"ifNull(multiIf({by_number}{by_date}, {by_instant}, 0), 0)"
