"""Writes what a row adds to an amount, and the aggregate of such over some of a user's rows.

*guard* is the condition of the rows that count, None for all rows. Long expressions of a row are `named`; the SELECT
that holds the expressions is to be put through `with_named`.
"""

from __future__ import annotations

from typing import Final, LiteralString

from segment_copilot.compiler.fragments import Fragment, column, join, named, sql
from segment_copilot.compiler.predicates import stored_value

Guard = Fragment | None

_LARGEST_EXACT: Final = 9_000_000_000_000  # beyond ±9 × 10^12 a number is missing to sum and avg


def aggregate(function: LiteralString, guard: Guard, *arguments: Fragment) -> Fragment:
    """Write the aggregate over the rows of the guard."""
    if guard is None:
        return column(sql("{}({})", function, join(", ", arguments)))
    return column(sql("{}If({})", function, join(", ", [*arguments, guard])))


def with_guard(guard: Guard, condition: Fragment) -> Fragment:
    """Write the guard of the rows that also meet a condition."""
    return condition if guard is None else sql("{} AND {}", guard, condition)


def number_of(path: tuple[str, ...]) -> Fragment:
    """Write the number at a path of a row's payload; NULL where none is."""
    return named("number", path, stored_value("payload", path).number)


def scalar_of(path: tuple[str, ...]) -> Fragment:
    """Write a scalar as a text that no other value has: 1 and 1.0 are one, "1" is another; '' for anything else.

    Most are texts, which stay as they are. What else there is has the character NUL before it, which no stored text holds
    (`documents`), and is told apart by how it is printed: this reads two columns of the path where its types would be five
    (benchmarks/README.md, 15_same_sequence).
    """
    value = stored_value("payload", path)
    template = (
        "multiIf(assumeNotNull({string}) != '', assumeNotNull({string}), {string} IS NOT NULL, '\\0', "
        "{value} IS NULL, '', "
        "toString({value}) IN ('true', 'false'), concat('\\0b', assumeNotNull(toString({value}))), "
        "toFloat64OrNull(toString({value})) IS NOT NULL, "
        "concat('\\0n', toString(assumeNotNull(toFloat64OrNull(toString({value}))) + 0)), '')"  # -0.0 + 0 is 0
    )
    return named("scalar", path, sql(template, string=value.string, value=value.json))


def summed(path: tuple[str, ...]) -> tuple[Fragment, Fragment]:
    """Write a number as whole millionths, ties to even, 0 where none is summed; and whether one is.

    What is not summed becomes 0 before the conversion: behind a NULL there may be an infinity, which has no integer.
    """
    number = number_of(path)
    is_summed = sql("ifNull(abs({}) <= {}, 0)", number, _LARGEST_EXACT)
    return sql("toInt128(roundBankers(if({}, assumeNotNull({}), 0) * 1000000))", is_summed, number), is_summed
