"""A test of one stored value as one two-valued SQL expression: false, never NULL, where the value is missing.

A stored value is a path of a JSON column. ClickHouse keeps whole numbers, fractions, large whole numbers and strings
of one path in different sub-columns, so a numeric test reads all four (docs/decisions/0003-json-numbers.md).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

from segment_copilot.compiler.params import Params
from segment_copilot.compiler.plan import DateRange, Filter, Test
from segment_copilot.conditions.value_types import json_type

_NUMBER: Final = "'^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$'"
_DAY: Final = "(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"  # ClickHouse would read month and day 00
_CLOCK: Final = "([01][0-9]|2[0-3]):[0-5][0-9]"
_DATE: Final = f"'^{_DAY}$'"
_INSTANT: Final = f"'^{_DAY}T{_CLOCK}:[0-5][0-9]([.][0-9]+)?(Z|[+-]{_CLOCK})?$'"
_SYMBOLS: Final = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class Stored(Struct, frozen=True):
    """A value in a JSON column, and the ways to read it. *column* and *path* are SQL text."""

    column: str
    path: str  # a placeholder of type Identifier

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
            positive = _in_ranges(value.string, test.values, params)
        case "string" | "list":  # binding refuses every other operator of a list
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


def _containment(value: Stored, test: Test, params: Params) -> str:
    """A list with an equal element, or a string with the wanted text in it: what is stored decides."""
    wanted = test.values[0]
    match json_type(wanted):
        case "boolean":
            return f"has({value.elements}, {params.bind('true' if wanted else 'false', 'String')})"
        case "number":
            number = params.bind(float(wanted), "Float64")
            return f"arrayExists(element -> ifNull({_element_number()} = {number}, 0), {value.elements})"
        case _:
            text = params.bind(wanted, "String")
            subject, found = value.string, "JSONExtractString(element)"
            if test.ignore_case:
                subject, found, text = f"lowerUTF8({subject})", f"lowerUTF8({found})", f"lowerUTF8({text})"
            equal = f"arrayExists(element -> JSONType(element) = 'String' AND {found} = {text}, {value.elements})"
            return f"(ifNull(position({subject}, {text}) > 0, 0) OR {equal})"


def _element_number() -> str:
    """A list element as a number, by the rule of `Stored.number`."""
    text = "if(JSONType(element) = 'String', JSONExtractString(element), element)"
    return f"if(match({text}, {_NUMBER}), nullIf(nullIf(toFloat64OrNull({text}), inf), -inf), NULL)"


def _in_ranges(subject: str, ranges: tuple[DateRange, ...], params: Params) -> str:
    """Whether a stored date or instant lies in one of *ranges*. Both forms are parsed as UTC; a date by its day."""
    parsed = f"parseDateTime64BestEffortOrNull({subject}, 6, 'UTC')"
    return f"({' OR '.join(_in_range(subject, parsed, item, params) for item in ranges)})"


def _in_range(subject: str, parsed: str, wanted: DateRange, params: Params) -> str:
    first, last = (
        params.bind(datetime(day.year, day.month, day.day, tzinfo=UTC), "DateTime64(6, 'UTC')")
        for day in (wanted.first_date, wanted.last_date)
    )
    earliest, latest = (params.bind(instant, "DateTime64(6, 'UTC')") for instant in (wanted.earliest, wanted.latest))
    by_date = f"match({subject}, {_DATE}), {parsed} BETWEEN {first} AND {last}"
    by_instant = f"match({subject}, {_INSTANT}), {parsed} BETWEEN {earliest} AND {latest}"
    return f"ifNull(multiIf({by_date}, {by_instant}, 0), 0)"
