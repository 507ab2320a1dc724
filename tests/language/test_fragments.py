"""Pieces of SQL: put together in any way, each value is in its place; what is thrown away takes its values along."""

from __future__ import annotations

import re

import pytest

from segment_copilot.compiler.fragments import bind, group, join, named, nested, query, sql, with_named


def test_a_template_is_filled_by_place_and_by_name():
    low, high = bind(1, "UInt8"), bind(2, "UInt8")
    assert query(sql("x BETWEEN {} AND {}", low, high)).sql == "x BETWEEN {p0:UInt8} AND {p1:UInt8}"
    between = query(sql("{x} >= {low} AND {x} <= 7", x=sql("x"), low=low))
    assert (between.sql, between.params) == ("x >= {p0:UInt8} AND x <= 7", {"p0": 1})


def test_placeholders_are_numbered_in_the_order_in_which_they_were_made():
    first, second = bind("a", "String"), bind("b", "String")
    found = query(sql("{} {} {}", second, first, second))
    assert (found.sql, found.params) == ("{p1:String} {p0:String} {p1:String}", {"p0": "a", "p1": "b"})


def test_equal_values_have_placeholders_of_their_own():
    assert query(join(" ", [bind(1, "UInt8"), bind(1, "UInt8")])).params == {"p0": 1, "p1": 1}


def test_what_is_thrown_away_leaves_nothing_behind():
    first, _, third = (sql("x = {}", bind(number, "UInt8")) for number in range(3))
    found = query(group("OR", [first, third]))
    assert (found.sql, found.params) == ("(x = {p0:UInt8} OR x = {p1:UInt8})", {"p0": 0, "p1": 2})


def test_a_parameter_with_a_name_keeps_it_and_no_other_may_have_it():
    tenant = bind(1, "UInt32", name="tenant")
    found = query(sql("{} {} {}", tenant, bind(5, "UInt8"), tenant))
    assert (found.sql, found.params) == ("{tenant:UInt32} {p1:UInt8} {tenant:UInt32}", {"tenant": 1, "p1": 5})
    with pytest.raises(ValueError, match="not a whole query"):
        query(sql("{} {}", tenant, bind(2, "UInt32", name="tenant")))


def test_a_select_is_nested_line_by_line():
    rows = sql("SELECT 1\nWHERE {}", bind(1, "UInt8"))
    assert query(sql("FROM {}", nested(rows))).sql == "FROM (\n  SELECT 1\n  WHERE {p0:UInt8}\n)"
    assert query(nested(nested(rows), margin=2)).sql == "(\n    (\n      SELECT 1\n      WHERE {p0:UInt8}\n    )\n  )"


def test_what_a_select_names_is_written_once_wherever_it_is_used():
    def number(path: str):
        return named("number", (path,), sql("toFloat64({})", bind(path, "Identifier")))

    used = [sql("{} > {}", number("b"), bind(1, "UInt8")), number("a"), number("b")]
    for parts in (used, used[::-1]):
        found = query(with_named(sql("SELECT {}", join(", ", parts))))
        written, select = found.sql.split("\n")
        assert re.fullmatch(r"WITH toFloat64\(\{\w+:Identifier\}\) AS number_0, toFloat64\(.*\) AS number_1", written)
        assert (select.count("number_0"), select.count("number_1")) == (2, 1)
        assert sorted(map(str, found.params.values())) == ["1", "a", "b"]
    assert with_named(sql("SELECT 1")) == sql("SELECT 1")
    with pytest.raises(ValueError, match="not a whole query"):
        query(number("a"))


def test_a_part_too_few_or_too_many_is_an_error():
    with pytest.raises(LookupError):
        sql("{} {}", 1)
    with pytest.raises(LookupError):
        sql("{x}", y=1)
    with pytest.raises(ValueError, match="fields for 1 parts only"):
        sql("{}", 1, 2)
    with pytest.raises(ValueError, match="fields for 1 parts only"):
        sql("{x}", x=1, y=2)


def test_values_are_never_text():
    found = query(sql("x = {}", bind("{} {p0:String} '; --", "String")))
    assert (found.sql, found.params) == ("x = {p0:String}", {"p0": "{} {p0:String} '; --"})
