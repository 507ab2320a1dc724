"""Cancelled queries, frozen and restarted servers: nothing hangs, nothing runs on, nothing is mistaken for success."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from contextlib import suppress
from uuid import uuid4

import pytest
import structlog
from prometheus_client import REGISTRY

from segment_copilot.embedded import Engines
from segment_copilot.errors import SegmentCopilotError, Unavailable
from segment_copilot.stores import clickhouse as module
from segment_copilot.stores.clickhouse import LIMITS, ClickHouse, open_clickhouse
from segment_copilot.stores.limits import Limits
from tests.support.proxies import eventually, run_proxy

FOREVER = (
    "SELECT sum(sleepEachRow(0.05)) FROM numbers(10000) SETTINGS max_block_size = 1"  # busy, but not the processor
)


async def running(clickhouse: ClickHouse, query_id: str) -> bool:
    sql = "SELECT count() FROM system.processes WHERE query_id = {query_id:String}"
    return (await clickhouse.fetch(sql, {"query_id": query_id}, purpose="catalog")).rows == [(1,)]


def begin(clickhouse: ClickHouse, query_id: str, sql: str = FOREVER) -> asyncio.Task[object]:
    return asyncio.create_task(clickhouse.fetch(sql, purpose="compute", query_id=query_id))


async def test_a_cancelled_task_kills_its_query_on_the_server(clickhouse: ClickHouse) -> None:
    query_id = uuid4().hex
    task = begin(clickhouse, query_id)
    await eventually(lambda: running(clickhouse, query_id))
    with structlog.testing.capture_logs() as lines:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait(clickhouse._kills)
    assert {"event": "clickhouse.kill", "query_id": query_id, "found": True, "log_level": "info"} in lines

    async def gone() -> bool:
        return not await running(clickhouse, query_id)

    await eventually(gone)


async def test_a_query_is_killed_even_when_its_socket_stays_open(
    clickhouse: ClickHouse, module_clickhouse_url: str
) -> None:
    """As behind a load balancer that does not pass our hanging up on."""
    query_id = uuid4().hex
    async with run_proxy(module_clickhouse_url) as (proxy, url), open_clickhouse(url) as proxied:
        task = begin(proxied, query_id)
        await eventually(lambda: running(clickhouse, query_id))
        proxied._options = clickhouse._options  # the kill goes past the proxy
        proxy.silence()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        async def gone() -> bool:
            return not await running(clickhouse, query_id)

        await eventually(gone)


def test_a_cancellation_stays_one_when_the_connection_went_at_the_same_moment() -> None:
    cancelled = asyncio.CancelledError()
    assert module._translate(cancelled, lost=True) is cancelled


async def test_a_time_limit_of_the_caller_kills_too(clickhouse: ClickHouse) -> None:
    query_id = uuid4().hex
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await clickhouse.fetch(FOREVER, purpose="compute", query_id=query_id)

    async def gone() -> bool:
        return not await running(clickhouse, query_id)

    await eventually(gone)


async def test_a_storm_of_cancellations_leaves_the_pool_whole(module_clickhouse_url: str) -> None:
    chance = random.Random(1)  # noqa: S311 - a seed
    sql = "SELECT number, sleepEachRow(0.001) FROM numbers({n:UInt32})"
    async with open_clickhouse(module_clickhouse_url, pool=4) as clickhouse:

        async def one(number: int) -> bool:
            with suppress(TimeoutError, Unavailable):  # unavailable: no connection free for two seconds
                async with asyncio.timeout(chance.uniform(0, 0.1)):
                    result = await clickhouse.fetch(sql, {"n": number % 90 + 1}, purpose="compute")
                assert len(result.rows) == number % 90 + 1
                return True
            return False

        finished = await asyncio.gather(*(one(number) for number in range(200)))
        assert True in finished
        assert False in finished
        assert len(clickhouse._idle) <= 4
        answers = await asyncio.gather(
            *(clickhouse.fetch("SELECT {n:UInt32}", {"n": number}, purpose="preview") for number in range(8))
        )
        assert [answer.rows for answer in answers] == [[(number,)] for number in range(8)]
        assert clickhouse._free.free == 4


async def test_a_pool_in_full_use_is_unavailable(module_clickhouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ACQUIRE_SECONDS", 0.2)
    async with open_clickhouse(module_clickhouse_url, pool=1) as clickhouse:
        task = begin(clickhouse, uuid4().hex)
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="busy"):
            await clickhouse.fetch("SELECT 1", purpose="preview")
        task.cancel()
        await asyncio.wait([task])
        assert (await clickhouse.fetch("SELECT 1", purpose="preview")).rows == [(1,)]


async def test_a_frozen_server_does_not_hold_up_a_cancellation(module_clickhouse_url: str) -> None:
    async with run_proxy(module_clickhouse_url) as (proxy, url), open_clickhouse(url) as clickhouse:
        await clickhouse.ping()
        proxy.silence()
        task = begin(clickhouse, uuid4().hex)
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await task
        assert time.monotonic() - started < 1
        proxy.speak()


async def test_a_frozen_server_does_not_hold_up_the_cancellation_of_an_insert(
    module_clickhouse_url: str, clickhouse: ClickHouse
) -> None:
    """More is on its way than the sockets hold, so a polite close would wait for ever."""
    await clickhouse.execute("CREATE OR REPLACE TABLE long (s String) ENGINE = MergeTree ORDER BY s", purpose="migrate")
    rows = [("x" * 1_000_000,)] * 64
    async with run_proxy(module_clickhouse_url) as (proxy, url), open_clickhouse(url) as proxied:
        await proxied.ping()
        task = asyncio.create_task(proxied.insert("long", ["s"], rows, token="a"))
        await eventually(lambda: inserting(clickhouse))
        proxy.silence()
        started = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - started < 1
        proxy.speak()
    assert (await clickhouse.fetch("SELECT count() FROM long", purpose="preview")).rows == [(0,)]


async def inserting(clickhouse: ClickHouse) -> bool:
    sql = "SELECT count() FROM system.processes WHERE query_kind = 'Insert'"
    return (await clickhouse.fetch(sql, purpose="catalog")).rows == [(1,)]


async def test_a_server_silent_past_the_limit_is_unavailable(
    module_clickhouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, "preview", Limits(0, 1))
    monkeypatch.setattr(module, "_GRACE_SECONDS", 0.3)
    async with run_proxy(module_clickhouse_url) as (proxy, url), open_clickhouse(url) as clickhouse:
        await clickhouse.ping()
        proxy.silence()
        with pytest.raises(Unavailable):
            await clickhouse.fetch("SELECT 1", purpose="preview")
        proxy.speak()
        assert (await clickhouse.fetch("SELECT 1", purpose="catalog")).rows == [(1,)]


async def test_an_idle_connection_that_went_silent_is_not_used(
    module_clickhouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FRESH_SECONDS", 0.0)
    async with run_proxy(module_clickhouse_url) as (proxy, url), open_clickhouse(url) as clickhouse:
        await clickhouse.ping()
        await clickhouse.ping()
        assert proxy.accepted == 1
        proxy.hang_up()
        await clickhouse.ping()
        assert proxy.accepted == 2


@pytest.mark.parametrize("after_bytes", [1, 100, 1000, 5000, 20_000, 100_000, 400_000])
async def test_a_connection_cut_in_the_middle_is_never_a_short_answer(
    module_clickhouse_url: str, after_bytes: int
) -> None:
    sql = "SELECT number, toString(number), [number] FROM numbers(50000)"
    async with run_proxy(module_clickhouse_url) as (proxy, url), open_clickhouse(url) as clickhouse:
        await clickhouse.ping()
        proxy.hang_up_after(after_bytes)
        with pytest.raises(Unavailable):
            await clickhouse.fetch(sql, purpose="transfer")
        result = await clickhouse.fetch(sql, purpose="transfer")
        assert len(result.rows) == 50_000


def unreachable() -> float:
    labels = {"db_system_name": "clickhouse", "purpose": "catalog", "error_type": "Unavailable"}
    name = "segment_copilot_db_client_operation_duration_seconds_count"
    return REGISTRY.get_sample_value(name, labels) or 0


async def test_a_restarted_server_is_unavailable_and_then_works(own_engines: Engines) -> None:
    server = own_engines.clickhouse
    assert server is not None
    async with open_clickhouse(own_engines.clickhouse_url) as clickhouse:
        await asyncio.gather(*(clickhouse.ping() for _ in range(4)))
        task = begin(clickhouse, "long")
        await eventually(lambda: running(clickhouse, "long"))
        await asyncio.to_thread(server.kill)
        with pytest.raises(Unavailable):
            await task
        before = unreachable()
        with pytest.raises(Unavailable):
            await clickhouse.ping()
        assert unreachable() == before + 1  # or nobody is told: the alert counts these
        await asyncio.to_thread(server.restart)
        await clickhouse.ping()


async def test_a_stopped_process_does_not_hold_up_anyone(own_engines: Engines) -> None:
    server = own_engines.clickhouse
    assert server is not None
    async with open_clickhouse(own_engines.clickhouse_url) as clickhouse:
        await clickhouse.ping()
        os.kill(server.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            with pytest.raises(Unavailable):
                await clickhouse.ping()
            assert time.monotonic() - started < 4
        finally:
            os.kill(server.pid, signal.SIGCONT)

        async def answers() -> bool:
            with suppress(SegmentCopilotError):
                await clickhouse.ping()
                return True
            return False

        await eventually(answers)


async def test_an_idle_connection_whose_server_hangs_up_is_let_go(module_clickhouse_url: str) -> None:
    async with run_proxy(module_clickhouse_url) as (proxy, url), open_clickhouse(url) as proxied:
        await asyncio.gather(*(proxied.fetch("SELECT 1", purpose="catalog") for _ in range(3)))
        assert len(proxied._idle) == 3
        proxy.hang_up()

        async def let_go() -> bool:
            return len(proxied._idle) == 0

        await eventually(let_go)
