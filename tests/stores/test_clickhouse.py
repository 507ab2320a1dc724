"""One way to run a query: what comes back, what the limits do, and what an insert stores."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from segment_copilot.errors import InvalidInput, QueryTimeout, QueryTooExpensive, Unavailable
from segment_copilot.stores import clickhouse_settings as module
from segment_copilot.stores.clickhouse import LIMITS, ClickHouse, ClickHouseError, Purpose, open_clickhouse
from segment_copilot.stores.limits import LONG

NOON = datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=UTC)

TABLE = """
CREATE TABLE {table:Identifier} (
    id UInt64,
    kind LowCardinality(String),
    maybe Nullable(Int32),
    at DateTime64(6, 'UTC'),
    run UUID,
    share Float64,
    is_on Bool,
    version UInt256,
    seen SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    payload_text String EPHEMERAL '{}',
    payload JSON DEFAULT CAST(payload_text, 'JSON')
) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY id SETTINGS non_replicated_deduplication_window = 100
"""
COLUMNS = ("id", "kind", "maybe", "at", "run", "share", "is_on", "version", "seen", "payload_text")


def row(number: int, **changes: Any) -> tuple[Any, ...]:
    values = {
        "id": number,
        "kind": f"kind {number % 3}",
        "maybe": None if number % 2 else -number,
        "at": NOON.replace(month=1 + number % 12),
        "run": UUID(int=number),
        "share": number / 7,
        "is_on": number % 2 == 0,
        "version": 2**256 - 1 - number,
        "seen": NOON,
        "payload_text": f'{{"n": {number}}}',
    }
    return tuple((values | changes)[column] for column in COLUMNS)


@pytest.fixture
async def table(clickhouse: ClickHouse) -> AsyncGenerator[str]:
    name = f"t_{uuid4().hex[:8]}"
    await clickhouse.execute(TABLE, {"table": name}, purpose="migrate")
    yield name
    await clickhouse.execute("DROP TABLE {table:Identifier}", {"table": name}, purpose="migrate")


async def rows_of(clickhouse: ClickHouse, sql: str, **params: object) -> list[tuple[Any, ...]]:
    return (await clickhouse.fetch(sql, params, purpose="preview")).rows


async def test_a_result_has_columns_rows_and_the_id_of_its_query(clickhouse: ClickHouse) -> None:
    result = await clickhouse.fetch("SELECT number AS n, 'x' AS s FROM numbers(2)", purpose="preview", query_id="q-1")
    assert (result.columns, result.rows, result.query_id) == (("n", "s"), [(0, "x"), (1, "x")], "q-1")
    assert result.duration_ms > 0


async def test_an_empty_result_still_has_columns(clickhouse: ClickHouse) -> None:
    result = await clickhouse.fetch("SELECT 1 AS n WHERE 0", purpose="preview")
    assert (result.columns, result.rows) == (("n",), [])


async def test_every_column_type_we_store_comes_back(clickhouse: ClickHouse, table: str) -> None:
    assert await clickhouse.insert(table, COLUMNS, [row(3), row(4)], token="a") == 2
    sql = "SELECT * EXCEPT payload, payload.n.:Int64 FROM {table:Identifier} ORDER BY id"
    assert await rows_of(clickhouse, sql, table=table) == [(*row(3)[:-1], 3), (*row(4)[:-1], 4)]


@pytest.mark.parametrize(
    "instant",
    [
        "1900-01-01 00:00:00.000001",
        "1969-12-31 23:59:59.999999",
        "2255-06-05 23:47:34.740993",
        "2299-12-31 23:59:59.999999",
    ],
)
async def test_an_instant_comes_back_to_the_microsecond(clickhouse: ClickHouse, instant: str) -> None:
    sql = "SELECT toDateTime64({i:String}, 6, 'UTC') AS one, toNullable(one), toTimeZone(one, 'Europe/Madrid'), if(one = 0, one, NULL)"
    ((one, nullable, local, nothing),) = (await clickhouse.fetch(sql, {"i": instant}, purpose="catalog")).rows

    assert one == nullable == local == datetime.fromisoformat(f"{instant}+00:00")
    assert nothing is None


async def test_sums_and_counts_of_any_size_come_back(clickhouse: ClickHouse) -> None:
    sql = "SELECT toUInt64(18446744073709551615), toInt128('-170141183460469231731687303715884105728'), [toInt8(-1)], NULL"
    assert await rows_of(clickhouse, sql) == [(2**64 - 1, -(2**127), [-1], None)]


async def test_many_blocks_come_back_whole(clickhouse: ClickHouse) -> None:
    result = await clickhouse.fetch("SELECT number FROM numbers(300000)", purpose="transfer")
    assert [number for (number,) in result.rows] == list(range(300_000))


async def test_queries_run_side_by_side_and_each_gets_its_own_answer(clickhouse: ClickHouse) -> None:
    answers = await asyncio.gather(*(rows_of(clickhouse, "SELECT {n:UInt32}", n=number) for number in range(100)))
    assert answers == [[(number,)] for number in range(100)]


# Limits


@pytest.mark.parametrize("purpose", LIMITS)
async def test_the_server_knows_every_setting_of_a_purpose(clickhouse: ClickHouse, purpose: Purpose) -> None:
    sql = """
        SELECT getSetting('max_execution_time'), getSetting('max_memory_usage'), getSetting('max_result_rows'),
            getSetting('timeout_overflow_mode'), getSetting('log_comment')
    """
    limits = LIMITS[purpose]
    expected = (limits.seconds, limits.gibibytes * 2**30, limits.result_rows, "throw", f"segment-copilot {purpose}")
    assert (await clickhouse.fetch(sql, purpose=purpose)).rows == [expected]


async def test_what_is_long_goes_behind_what_is_short(clickhouse: ClickHouse) -> None:
    """Behind means: by the server's priorities, and with fewer threads."""

    async def standing(purpose: Purpose, *, text: int = 0) -> tuple[int, int]:
        sql = "SELECT getSetting('priority'), getSetting('max_threads')"
        return (await clickhouse.fetch(sql + " " * text, purpose=purpose)).rows[0]

    short, long, very_long = [await standing("preview", text=text) for text in (0, LONG, 8 * LONG)]
    computed, ingested = await standing("compute", text=8 * LONG), await standing("ingest")

    assert ingested[0] == 0  # it waits for nobody
    assert 0 < short[0] < long[0] == very_long[0] < computed[0]
    assert (short[1], long[1], very_long[1]) == (4, 4, 1)


async def test_a_query_past_its_time_is_a_timeout(clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIMITS, "preview", replace(LIMITS["preview"], seconds=1, rows_read=0))
    with pytest.raises(QueryTimeout):
        await clickhouse.fetch("SELECT count() FROM numbers(1e12) WHERE cityHash64(number) = 1", purpose="preview")


async def test_a_query_past_its_memory_is_too_expensive(
    clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, "preview", replace(LIMITS["preview"], gibibytes=0.1))
    with pytest.raises(QueryTooExpensive):
        await clickhouse.fetch("SELECT length(groupArray(number)) FROM numbers(100000000)", purpose="preview")


async def test_a_query_that_reads_too_much_is_too_expensive(clickhouse: ClickHouse) -> None:
    with pytest.raises(QueryTooExpensive):
        await clickhouse.fetch("SELECT sum(number) FROM numbers(3000000000)", purpose="preview")


async def test_a_result_past_its_rows_is_too_expensive_not_cut_short(clickhouse: ClickHouse) -> None:
    with pytest.raises(QueryTooExpensive):
        await clickhouse.fetch("SELECT number FROM numbers(100000)", purpose="preview")


async def test_our_own_mistake_keeps_the_code_of_the_server(clickhouse: ClickHouse) -> None:
    with pytest.raises(ClickHouseError, match="no_such_function") as caught:
        await clickhouse.fetch("SELECT no_such_function(1)", purpose="preview")
    assert caught.value.code == 46


async def test_a_setting_the_server_does_not_know_is_an_error(
    clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module._SETTINGS, "no_such_setting", 1)
    with pytest.raises(ClickHouseError) as caught:
        await clickhouse.fetch("SELECT 1", purpose="preview")
    assert caught.value.code == 115


async def test_bytes_that_are_no_text_are_an_error_and_cost_one_connection(clickhouse: ClickHouse) -> None:
    with pytest.raises(UnicodeDecodeError):
        await clickhouse.fetch("SELECT unhex('ff')", purpose="preview")
    assert await rows_of(clickhouse, "SELECT 1") == [(1,)]


# Inserts


async def test_an_insert_repeated_with_its_token_counts_once(clickhouse: ClickHouse, table: str) -> None:
    rows = [row(number) for number in range(1000)]  # over twelve partitions, so twelve parts
    for _ in range(3):
        assert await clickhouse.insert(table, COLUMNS, rows, token="block 1") == 1000
    assert await rows_of(clickhouse, "SELECT count(), uniqExact(id) FROM {t:Identifier}", t=table) == [(1000, 1000)]


async def test_the_same_rows_with_another_token_count_again(clickhouse: ClickHouse, table: str) -> None:
    for token in ("block 1", "block 2"):
        await clickhouse.insert(table, COLUMNS, [row(1)], token=token)
    assert await rows_of(clickhouse, "SELECT count() FROM {t:Identifier}", t=table) == [(2,)]


async def test_an_insert_of_nothing_does_nothing(clickhouse: ClickHouse) -> None:
    assert await clickhouse.insert("no_such_table", ["id"], [], token="a") == 0


async def test_one_bad_row_refuses_the_whole_block(clickhouse: ClickHouse, table: str) -> None:
    rows = [*(row(number) for number in range(50_000)), row(1, payload_text='{"broken":')]
    with pytest.raises(ClickHouseError) as caught:
        await clickhouse.insert(table, COLUMNS, rows, token="a")
    assert caught.value.code == 117
    assert await rows_of(clickhouse, "SELECT count() FROM {t:Identifier}", t=table) == [(0,)]


@pytest.mark.parametrize(
    ("column", "value", "error"),
    [
        ("kind", 3, TypeError),  # the driver would store three NULs
        ("kind", b"x", TypeError),
        ("kind", None, TypeError),
        ("id", "3", TypeError),
        ("id", True, TypeError),
        ("id", -1, ValueError),
        ("id", 2**64, ValueError),
        ("maybe", 2**31, ValueError),
        ("at", datetime(2026, 1, 1), ValueError),  # noqa: DTZ001
        ("at", NOON.replace(year=1899), ValueError),
        ("at", NOON.replace(year=2300), ValueError),
        ("at", 5, TypeError),
        ("run", "b6c3ff2e-7a4d-4d7e-9c39-1c5d3bb1a001", TypeError),
        ("share", 1, TypeError),
        ("is_on", 1, TypeError),
        ("version", 2**256, ValueError),
    ],
)
async def test_a_value_of_another_type_is_refused_and_nothing_stored(
    clickhouse: ClickHouse, table: str, column: str, value: object, error: type[Exception]
) -> None:
    with pytest.raises(error, match=f"Column {column} "):
        await clickhouse.insert(table, COLUMNS, [row(1), row(2, **{column: value})], token="a")
    assert await rows_of(clickhouse, "SELECT count() FROM {t:Identifier}", t=table) == [(0,)]


async def test_rows_of_unequal_length_are_refused(clickhouse: ClickHouse, table: str) -> None:
    with pytest.raises(ValueError, match="zip"):
        await clickhouse.insert(table, COLUMNS, [row(1), row(2)[:-1]], token="a")


async def test_json_keeps_what_was_sent(clickhouse: ClickHouse, table: str) -> None:
    payload = {
        "a.b": 1,  # a dot in a key is not a path
        "a": {"b": 2},
        "day": "2026-01-01",  # and a date stays a string
        "moment": "2026-01-01T00:00:00Z",
        "big": 2**63,
        "bigger": 2**64,
        "small": -(2**63),
        "fraction": 0.1,
        "list": ["a", "ü", '"', "\\"],
        "control": "\x00\x1f\u2028",
        "none": None,
    }
    await clickhouse.insert(table, COLUMNS, [row(1, payload_text=json.dumps(payload))], token="a")
    sql = """
        SELECT payload.{dotted:Identifier}.:Int64, payload.a.b.:Int64, payload.day.:String, payload.moment.:String,
            payload.big.:UInt64, payload.bigger.:String, payload.small.:Int64, payload.fraction.:Float64,
            payload.list.:`Array(Nullable(String))`, payload.control.:String, payload.none
        FROM {t:Identifier}
    """
    expected = (1, 2, "2026-01-01", "2026-01-01T00:00:00Z", 2**63, str(2**64), -(2**63), 0.1, ["a", "ü", '"', "\\"])
    assert await rows_of(clickhouse, sql, t=table, dotted="a%2Eb") == [(*expected, "\x00\x1f\u2028", None)]


async def test_a_key_given_twice_keeps_the_first(clickhouse: ClickHouse, table: str) -> None:
    await clickhouse.insert(table, COLUMNS, [row(1, payload_text='{"a": 1, "a": 2}')], token="a")
    assert await rows_of(clickhouse, "SELECT payload.a.:Int64 FROM {t:Identifier}", t=table) == [(1,)]


@given(st.lists(st.text(), min_size=1, max_size=20))
async def test_inserted_text_comes_back_byte_for_byte(clickhouse: ClickHouse, texts: list[str]) -> None:
    await clickhouse.execute(
        "CREATE OR REPLACE TABLE texts (n UInt32, s String) ENGINE = MergeTree ORDER BY n", purpose="migrate"
    )
    await clickhouse.insert("texts", ["n", "s"], list(enumerate(texts)), token=uuid4().hex)
    assert await rows_of(clickhouse, "SELECT n, s FROM texts ORDER BY n") == list(enumerate(texts))


# Opening


@pytest.mark.parametrize("url", ["", "clickhouse", "http://app@host:8123/db", "clickhouse://app@host:port/db"])
async def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="ClickHouse URL"):
        async with open_clickhouse(url):
            pass


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with open_clickhouse("clickhouse://app:app@127.0.0.1:1/db") as clickhouse:
        with pytest.raises(Unavailable):
            await clickhouse.ping()


async def test_a_wrong_password_is_told_as_such(module_clickhouse_url: str) -> None:
    account, _, place = module_clickhouse_url.rpartition("@")
    async with open_clickhouse(f"{account}x@{place}") as clickhouse:
        with pytest.raises(Unavailable, match="refuses the user or the password"):
            await clickhouse.ping()


async def test_one_line_is_logged_for_a_query_without_its_text_or_values(
    clickhouse: ClickHouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as lines:
        await clickhouse.fetch("SELECT {s:String}", {"s": "a secret"}, purpose="preview", query_id="q-2")
        with pytest.raises(ClickHouseError):
            await clickhouse.fetch("SELECT {s:String} +", {"s": "a secret"}, purpose="preview")
    assert [(line["event"], line["purpose"], line.get("rows"), line.get("error")) for line in lines] == [
        ("clickhouse.query", "preview", 1, None),
        ("clickhouse.query", "preview", None, "ClickHouseError"),
    ]
    assert lines[0]["query_id"] == "q-2"
    assert "secret" not in str(lines) + caplog.text
