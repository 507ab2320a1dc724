"""Pieces of SQL that carry their own parameters, and the few ways to put them together.

    sql("occurred_at >= {}", bind(window.start, INSTANT))

Text comes from literals alone, which the type checker demands; values stay beside it until `query` prints the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import cache
from itertools import count
from string import Formatter
from typing import Any, Final, Literal, LiteralString

from msgspec import Struct, field

_HOLE: Final = "{}"
_NUMBERS: Final = count()  # for as long as the process lives: only the order of the numbers matters


class Parameter(Struct, frozen=True, eq=False):
    """A parameter is a value that gets one placeholder, however often it is used; equal values get different ones."""

    value: Any
    type: LiteralString
    name: LiteralString
    number: int = field(default_factory=_NUMBERS.__next__)  # placeholders are numbered in this order when printed


class NamedExpression(Struct, frozen=True, eq=False):
    """An expression that its SELECT names in a WITH. Two with one key are the same; the name begins with the key."""

    key: tuple[str, ...]
    expression: Fragment


class Numbered(Struct, frozen=True):
    """A name that is the same wherever its key is, numbered when printed: what the key says is in no text."""

    kind: LiteralString
    key: Hashable


class Column(NamedExpression, frozen=True, eq=False):
    """An expression that may stand in a subquery of its SELECT, as a column, or else where it is used."""


class Fragment(Struct, frozen=True):
    """A fragment is SQL text with a hole (`{}`) for each of its parameters, named expressions and names, in order."""

    sql: str
    holes: tuple[Hole, ...] = ()

    def indented(self, margin: int) -> Fragment:
        """Return the same with every line moved to the right."""
        spaces = " " * margin
        return Fragment(spaces + self.sql.replace("\n", "\n" + spaces), self.holes)


class CompiledQuery(Struct, frozen=True):
    """SQL with typed placeholders, and their values. The text may be logged; the values may not."""

    sql: str
    params: dict[str, Any]


Hole = Parameter | NamedExpression | Numbered

Part = Fragment | LiteralString | int
"""What may stand in a template."""


def sql(template: LiteralString, /, *parts: Part, **named_parts: Part) -> Fragment:
    """Return the template with its fields replaced by the parts, as `str.format` would.

    Raises:
        LookupError: A part is missing.
        ValueError: The template has no field for a part.
    """
    pieces, fields = _read(template)
    if len(parts) + len(named_parts) > fields:
        raise ValueError(f"{template!r} has fields for {fields} parts only")
    texts: list[str] = []  # this runs some hundred times for a query, and `list[str]()` takes as long as the rest
    holes: tuple[Hole, ...] = ()
    for text, key in pieces:
        texts.append(text)
        if key is None:
            continue
        part = parts[key] if isinstance(key, int) else named_parts[key]
        if isinstance(part, Fragment):
            texts.append(part.sql)
            holes += part.holes
        else:
            texts.append(str(part))
    return Fragment("".join(texts), holes)


@cache
def _read(template: str) -> tuple[tuple[tuple[str, str | int | None], ...], int]:
    """Return the texts of a template, each with the field after it; and how many different fields there are."""
    numbers = count()
    pieces = tuple(
        (text, name if name is None else name or next(numbers)) for text, name, _, _ in Formatter().parse(template)
    )
    return pieces, len({key for _, key in pieces} - {None})


def bind(value: Any, type_: LiteralString, *, name: LiteralString = "") -> Fragment:
    """Return a placeholder of a ClickHouse type: `{p0:String}`, or with a name that says what it is: `{as_of:…}`."""
    return Fragment(_HOLE, (Parameter(value, type_, name),))


def numbered(kind: LiteralString, key: Hashable) -> Fragment:
    """Return a name for what *key* says: `known_0`, the same throughout a query."""
    return Fragment(_HOLE, (Numbered(kind, key),))


def named(kind: LiteralString, path: tuple[str, ...], expression: Fragment) -> Fragment:
    """Return the name of an expression, which `with_named` then writes once: the server reads every repetition."""
    return Fragment(_HOLE, (NamedExpression((kind, *path), expression),))


def column(expression: Fragment) -> Fragment:
    """Return an expression that may be written once, as a column of a subquery, wherever it is used: see `apart`."""
    values = [(hole.type, hole.value) if isinstance(hole, Parameter) else hole.key for hole in expression.holes]
    return Fragment(_HOLE, (Column((expression.sql, repr(values)), expression),))


def join(separator: LiteralString, parts: Iterable[Fragment]) -> Fragment:
    """Return the parts one after the other."""
    parts = list(parts)
    return Fragment(
        separator.join([part.sql for part in parts]), tuple([hole for part in parts for hole in part.holes])
    )


def at_least(least: int, tests: Iterable[Fragment]) -> Fragment:
    """Return whether at least so many of the tests, which are 0 or 1, hold, in parentheses."""
    return sql("(arraySum([{}]) >= {})", join(", ", tests), least)


def group(logic: Literal["AND", "OR"], tests: Iterable[Fragment]) -> Fragment:
    """Return the tests under one logic, in parentheses."""
    return sql("({})", join(f" {logic} ", tests))


def nested(rows: Fragment, *, margin: int = 0) -> Fragment:
    """Return a SELECT in parentheses, on lines of its own; *margin* is that of the line it stands in."""
    return sql("(\n{}\n{})", rows.indented(margin + 2), " " * margin)


def apart(expressions: Fragment) -> tuple[Fragment, Fragment]:
    """Return expressions in which every `column` is a name, and the columns themselves, each once, with those names."""
    columns = dict[tuple[str, ...], Fragment]()
    for hole in expressions.holes:
        if isinstance(hole, Column):
            columns.setdefault(hole.key, hole.expression)
    names = {key: Fragment(f"column_{index}") for index, key in enumerate(columns)}
    written = _replaced(expressions, lambda hole: names[hole.key])
    return written, join(", ", [sql("{} AS {}", columns[key], name) for key, name in names.items()])


def _replaced(fragment: Fragment, of_column: Callable[[Column], Fragment]) -> Fragment:
    parts = [of_column(hole) if isinstance(hole, Column) else Fragment(_HOLE, (hole,)) for hole in fragment.holes]
    text = _filled(fragment.sql, [part.sql for part in parts])
    return Fragment(text, tuple(hole for part in parts for hole in part.holes))


def with_named(select: Fragment) -> Fragment:
    """Return a SELECT with the expressions that it names in a WITH before it; its columns stand where they are used."""
    select = _replaced(select, lambda hole: hole.expression)
    expressions = dict[tuple[str, ...], Fragment]()
    for hole in select.holes:
        if isinstance(hole, NamedExpression):
            expressions.setdefault(hole.key, hole.expression)
    if not expressions:
        return select
    names = {key: Fragment(f"{key[0]}_{index}") for index, key in enumerate(expressions)}
    texts = [names[hole.key].sql if isinstance(hole, NamedExpression) else _HOLE for hole in select.holes]
    others = tuple(hole for hole in select.holes if not isinstance(hole, NamedExpression))
    listed = [sql("{} AS {}", expression, names[key]) for key, expression in expressions.items()]
    return sql("WITH {}\n{}", join(", ", listed), Fragment(_filled(select.sql, texts), others))


def query(fragment: Fragment) -> CompiledQuery:
    """Return the finished text, its placeholders numbered in the order in which they were made, and their values.

    Raises:
        ValueError: Two parameters have one name, or an expression that has a name is in no WITH.
    """
    holes = [hole for hole in fragment.holes if not isinstance(hole, NamedExpression)]
    found = {hole for hole in holes if isinstance(hole, Parameter)}
    parameters = sorted(found, key=lambda parameter: parameter.number)
    names = {parameter: parameter.name or f"p{index}" for index, parameter in enumerate(parameters)}
    if len(holes) < len(fragment.holes) or len(set(names.values())) < len(names):
        raise ValueError(f"not a whole query: {fragment.sql}")
    in_order = dict.fromkeys(hole for hole in holes if isinstance(hole, Numbered))
    numbers = {hole: f"{hole.kind}_{index}" for index, hole in enumerate(in_order)}
    texts = [f"{{{names[hole]}:{hole.type}}}" if isinstance(hole, Parameter) else numbers[hole] for hole in holes]
    text = _filled(fragment.sql, texts)
    return CompiledQuery(text, {names[parameter]: parameter.value for parameter in parameters})


def _filled(text: str, fillings: Iterable[str]) -> str:
    first, *rest = text.split(_HOLE)
    return first + "".join([filling + piece for filling, piece in zip(fillings, rest, strict=True)])
