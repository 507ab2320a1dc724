"""What goes in comes out: literals against a real server, and what the encoder refuses."""

from __future__ import annotations

import math
import re
import struct
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from segment_copilot.language import lengths
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.literals import EARLIEST, LATEST, lower

INSTANT = "DateTime64(6,'UTC')"
texts = st.text()  # every code point but surrogates
instants = st.datetimes(datetime(1900, 1, 1), datetime(2299, 12, 31, 23, 59, 59, 999_999), timezones=st.just(UTC))  # noqa: DTZ001
floats = st.floats(allow_nan=False, allow_infinity=False)


def integers(type_: str) -> st.SearchStrategy[int]:
    bits = int(type_.removeprefix("U").removeprefix("Int"))
    low, high = (0, 2**bits - 1) if type_.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return st.integers(low, high) | st.sampled_from([low, high])


async def select(clickhouse: ClickHouse, expression: str, **params: object) -> Any:
    return (await clickhouse.fetch(f"SELECT {expression}", params, purpose="preview")).rows[0]


def test_the_instants_a_store_keeps_are_those_of_the_language():
    """The stores import no language, so the two constants stand in both."""
    assert (EARLIEST, LATEST) == (lengths.EARLIEST, lengths.LATEST)


@given(texts)
@example("\x00 ' \\ \" ` \n \r \t \b \x1a \x7f \u0085 \u2028 % {a:String} -- /* ; 😀")
@example("ends with a backslash \\")
@example("\\x00 \\N \\'")
@example("‘’“”")
async def test_a_string_comes_back_byte_for_byte(clickhouse: ClickHouse, value: str) -> None:
    answer = await select(clickhouse, "{v:String}, hex({v:String}), toTypeName({v:String})", v=value)
    assert answer == (value, value.encode().hex().upper(), "String")


@given(st.data())
@pytest.mark.parametrize("type_", [f"{sign}{bits}" for sign in ("Int", "UInt") for bits in (8, 16, 32, 64, 128)])
async def test_an_integer_comes_back_with_its_type(clickhouse: ClickHouse, type_: str, data: st.DataObject) -> None:
    value = data.draw(integers(type_))
    answer = await select(clickhouse, f"{{v:{type_}}}, toString({{v:{type_}}}), toTypeName({{v:{type_}}})", v=value)
    assert answer == (value, str(value), type_)


@given(floats)
@example(-0.0)
@example(5e-324)
@example(1.7976931348623157e308)
async def test_a_float_comes_back_bit_for_bit(clickhouse: ClickHouse, value: float) -> None:
    (bits, type_) = await select(clickhouse, "reinterpretAsUInt64({v:Float64}), toTypeName({v:Float64})", v=value)
    assert (bits, type_) == (struct.unpack("<Q", struct.pack("<d", value))[0], "Float64")


@given(instants)
async def test_an_instant_comes_back_to_the_microsecond(clickhouse: ClickHouse, value: datetime) -> None:
    (ticks, type_) = await select(
        clickhouse, f"toUnixTimestamp64Micro({{v:{INSTANT}}}), toTypeName({{v:{INSTANT}}})", v=value
    )
    assert ticks == (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert type_ == "DateTime64(6, 'UTC')"


async def test_an_instant_of_another_zone_is_converted(clickhouse: ClickHouse) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    assert await select(clickhouse, f"toString({{v:{INSTANT}}})", v=noon) == ("2026-01-01 07:00:00.000000",)


@given(st.lists(st.tuples(st.uuids(), st.booleans(), st.none() | integers("Int64"), st.lists(texts))))
async def test_containers_come_back(clickhouse: ClickHouse, value: list[tuple[Any, ...]]) -> None:
    type_ = "Array(Tuple(UUID, Bool, Nullable(Int64), Array(String)))"
    assert await select(clickhouse, f"{{v:{type_}}}, toTypeName({{v:{type_}}})", v=value) == (value, type_)


@given(st.data())
@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("String", texts),
        ("Int64", integers("Int64")),
        ("UInt64", integers("UInt64")),
        ("Int128", integers("Int128")),
        ("Float64", floats),
        ("Nullable(Float64)", st.none() | floats),
        (INSTANT, instants.filter(lambda value: value.year < 2200)),  # later ones the driver reads through a float
        ("Array(Array(Nullable(String)))", st.lists(st.lists(st.none() | texts))),
    ],
    ids=str,
)
async def test_an_array_comes_back(
    clickhouse: ClickHouse, type_: str, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    value = data.draw(st.lists(values))
    (back, count) = await select(clickhouse, f"{{v:Array({type_})}}, length({{v:Array({type_})}})", v=value)
    assert [str(item) for item in back] == [str(item) for item in value]  # str tells -0.0 from 0.0
    assert count == len(value)


@given(st.text(min_size=1).filter(lambda name: "." not in name))
@example("`; DROP TABLE events --")
@example("\\`")
async def test_an_identifier_names_exactly_one_column(clickhouse: ClickHouse, name: str) -> None:
    result = await clickhouse.fetch(
        "SELECT {n:Identifier} FROM (SELECT 7 AS {n:Identifier})", {"n": name}, purpose="preview"
    )
    assert (result.columns, result.rows) == ((name,), [(7,)])


async def test_an_identifier_may_be_a_path_into_json(clickhouse: ClickHouse) -> None:
    sql = """SELECT payload.{p:Identifier}.:Int64 FROM (SELECT '{"a":{"b":5}}'::JSON AS payload)"""
    assert (await clickhouse.fetch(sql, {"p": "a.b"}, purpose="preview")).rows == [(5,)]


@given(st.lists(texts, min_size=1, max_size=5, unique=True))
async def test_strings_select_the_rows_that_equal_them(clickhouse: ClickHouse, values: list[str]) -> None:
    sql = "SELECT arrayJoin({all:Array(String)}) AS x WHERE x IN {some:Array(String)} AND x != {not:String}"
    rows = (await clickhouse.fetch(sql, {"all": values, "some": values[:2], "not": values[0]}, purpose="preview")).rows
    assert rows == [(value,) for value in values[1:2]]


async def test_a_negative_number_after_a_minus_is_no_comment(clickhouse: ClickHouse) -> None:
    assert await select(clickhouse, "1 -{f:Float64}, 1 -{i:Int8}", f=-5.0, i=-5) == (6.0, 6)


async def test_a_percent_sign_survives(clickhouse: ClickHouse) -> None:
    assert await select(clickhouse, "'100%s' LIKE '100\\\\%%', 7 % {n:UInt8}", n=4) == (1, 3)


async def test_ten_thousand_values_pass(clickhouse: ClickHouse) -> None:
    value = [f"user {number} {'x' * 40}" for number in range(10_000)]
    assert await select(clickhouse, "length({v:Array(String)})", v=value) == (10_000,)


@pytest.mark.parametrize("place", ["LIMIT {n:UInt32}", "LIMIT 5 OFFSET {n:UInt32}", "WHERE number < {n:UInt32}"])
async def test_a_literal_stands_where_a_number_may(clickhouse: ClickHouse, place: str) -> None:
    rows = (await clickhouse.fetch(f"SELECT number FROM numbers(4) {place}", {"n": 2}, purpose="preview")).rows
    assert len(rows) == 2


SURROGATE = "\ud800"
DAY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("type_", "value", "error"),
    [
        ("String", 5, TypeError),
        ("String", b"bytes", TypeError),
        ("String", None, TypeError),
        ("String", SURROGATE, ValueError),
        ("Identifier", SURROGATE, ValueError),
        ("Identifier", "", ValueError),
        ("Identifier", 5, TypeError),
        ("FixedString(2)", "äö", ValueError),
        ("Int64", "5", TypeError),
        ("Int64", 5.0, TypeError),
        ("Int64", True, TypeError),
        ("Int64", 2**63, ValueError),
        ("UInt8", -1, ValueError),
        ("UInt8", 256, ValueError),
        ("Float64", 5, TypeError),
        ("Float64", True, TypeError),
        ("Float64", math.nan, ValueError),
        ("Float64", -math.inf, ValueError),
        ("Bool", 1, TypeError),
        ("UUID", "b6c3ff2e-7a4d-4d7e-9c39-1c5d3bb1a001", TypeError),
        (INSTANT, "2026-01-01", TypeError),
        (INSTANT, DAY.replace(tzinfo=None), ValueError),
        (INSTANT, DAY.replace(year=1899), ValueError),
        (INSTANT, DAY.replace(year=2300), ValueError),
        ("DateTime64(3,'UTC')", DAY, ValueError),
        ("DateTime64", DAY, ValueError),
        ("Array(String)", "abc", TypeError),
        ("Array(String)", ["a", 1], TypeError),
        ("Array(Array(Int8))", [[1], [None]], TypeError),
        ("Array(Bool)", {True}, TypeError),
        ("Tuple(String, Int8)", ("a",), ValueError),
        ("Tuple(String)", ["a"], TypeError),
        ("Nullable(Int8)", "NULL", TypeError),
        ("Date", DAY, ValueError),
        ("Map(String, String)", {}, ValueError),
        ("Array", [], TypeError),
        ("String) --", "a", ValueError),
    ],
)
def test_a_value_of_another_type_is_refused(type_: str, value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=re.escape(f"Placeholder {{v:{type_}}}")):
        lower(f"SELECT {{v:{type_}}}", {"v": value})


def test_a_placeholder_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match=r"No value for the placeholder \{b:String\}"):
        lower("SELECT {a:String}, {b:String}", {"a": "x"})


def test_a_value_without_a_placeholder_is_refused() -> None:
    with pytest.raises(ValueError, match="No placeholder for the values b, c"):
        lower("SELECT {a:String}", {"a": "x", "b": 1, "c": UUID(int=0)})


def test_other_braces_are_left_alone() -> None:
    assert lower("""SELECT '{}', '{"a": 1}', map('a', 1)""", {}) == """SELECT '{}', '{"a": 1}', map('a', 1)"""


def test_a_message_never_holds_the_value() -> None:
    with pytest.raises(ValueError, match="out of range") as caught:
        lower("{v:UInt8}", {"v": 123456789})
    assert "123456789" not in str(caught.value)


def test_a_value_that_looks_like_a_placeholder_is_not_one() -> None:
    assert lower("{a:String} {b:String}", {"a": "{b:String}", "b": "x"}) == "'{b:String}' 'x'"
