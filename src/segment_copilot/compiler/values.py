"""Reads a stored value in the ways that tests do: a path of a JSON column, or the JSON text of an item of a list.

ClickHouse keeps whole numbers, fractions, large whole numbers and strings of one path in different sub-columns, so a
number is read from all four (docs/decisions/0003-json-numbers.md).
"""

from __future__ import annotations

from typing import Final, LiteralString

from msgspec import Struct

from segment_copilot.compiler.fragments import Fragment, bind, join, sql

NUMBER: Final = "'^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$'"
_KEYS: Final = r"""'"(?:[^"\\\\]|\\\\.)*":'"""
_NOTHING: Final = "'^(?:[{,}]|null)*$'"


class StoredValue(Struct, frozen=True):
    """A value in a JSON column, and the ways to read it."""

    column: LiteralString
    path: Fragment  # a placeholder of type Identifier

    @property
    def json(self) -> Fragment:
        """The value as JSON would print it, whatever it is: Dynamic, NULL where nothing is."""
        return sql("{}.{}", self.column, self.path)

    @property
    def string(self) -> Fragment:
        """The value as Nullable(String)."""
        return sql("{}.:String", self.json)

    @property
    def boolean(self) -> Fragment:
        """The value as Nullable(Bool)."""
        return sql("{}.:Bool", self.json)

    @property
    def number(self) -> Fragment:
        """Nullable(Float64) of JSON numbers and of strings that are, in full, one; beyond the doubles is NULL."""
        template = "if(match({text}, {pattern}), toFloat64OrNull({text}), NULL)"
        arms = sql("{}, {}", _json_numbers(self), sql(template, text=self.string, pattern=NUMBER))
        return sql("nullIf(nullIf(coalesce({}), inf), -inf)", arms)

    @property
    def json_number(self) -> Fragment:
        """Nullable(Float64) of JSON numbers only."""
        return sql("coalesce({})", _json_numbers(self))

    def elapsed(self, unit: int) -> Fragment:
        """Write a JSON number of *unit* microseconds since 1970 in whole ones, the rest cut: Nullable(Float64)."""
        return sql("floor({} * {})", self.json_number, unit)

    @property
    def elements(self) -> Fragment:
        """The elements of a list as JSON text, Array(String); empty for anything else."""
        return sql("JSONExtractArrayRaw(ifNull({}, ''))", self.text)

    @property
    def text(self) -> Fragment:
        """The value as JSON text, NULL where nothing is."""
        return sql("toJSONString({})", self.json)

    @property
    def is_set(self) -> Fragment:
        """True where a value other than null is there; an object is there when anything in it is."""
        return sql("({} IS NOT NULL OR notEmpty(JSONAllPaths({}.^{})))", self.json, self.column, self.path)


def _json_numbers(value: StoredValue) -> Fragment:
    return sql("{value}.:Float64, toFloat64({value}.:Int64), toFloat64({value}.:UInt64)", value=value.json)


def stored_value(column: LiteralString, path: tuple[str, ...]) -> StoredValue:
    """Return the value at *path* of *column*; a dot inside a key is stored escaped."""
    return StoredValue(column, bind(".".join(step.replace(".", "%2E") for step in path), "Identifier"))


class ItemValue(Struct, frozen=True):
    """A value in an item of a list, and the same ways to read it; *text* is its JSON text, empty where nothing is."""

    text: Fragment

    @property
    def string(self) -> Fragment:
        """The value as Nullable(String)."""
        return sql("if(JSONType({t}) = 'String', JSONExtractString({t}), NULL)", t=self.text)

    @property
    def boolean(self) -> Fragment:
        """The value as Nullable(Bool)."""
        return sql("multiIf({t} = 'true', true, {t} = 'false', false, NULL)", t=self.text)

    @property
    def number(self) -> Fragment:
        """Nullable(Float64) of JSON numbers and of strings that are, in full, one; beyond the doubles is NULL."""
        text = sql("if(JSONType({t}) = 'String', JSONExtractString({t}), {t})", t=self.text)
        return sql("if(match({t}, {p}), nullIf(nullIf(toFloat64OrNull({t}), inf), -inf), NULL)", t=text, p=NUMBER)

    @property
    def json_number(self) -> Fragment:
        """Nullable(Float64) of JSON numbers only."""
        return sql("if(match({t}, {p}), toFloat64OrNull({t}), NULL)", t=self.text, p=NUMBER)

    def elapsed(self, unit: int) -> Fragment:
        """Write a JSON number of *unit* microseconds since 1970 in whole ones, the rest cut: Nullable(Float64)."""
        return sql("floor({} * {})", self.json_number, unit)

    @property
    def elements(self) -> Fragment:
        """The elements of a list as JSON text, Array(String); empty for anything else."""
        return sql("JSONExtractArrayRaw({})", self.text)

    @property
    def is_set(self) -> Fragment:
        """True where a value other than null is there; an object is there when anything in it is: keys alone are nothing."""
        return sql("(NOT match(replaceRegexpAll({}, {}, ''), {}))", self.text, _KEYS, _NOTHING)


Readable = StoredValue | ItemValue


def item_value(path: tuple[str, ...]) -> ItemValue:
    """Return the value at *path* of `item`, the JSON text of an item; no path: the item itself."""
    if not path:
        return ItemValue(Fragment("item"))
    steps = join(", ", [bind(step.replace(".", "%2E"), "String") for step in path])
    return ItemValue(sql("JSONExtractRaw(item, {})", steps))
