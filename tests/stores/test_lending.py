"""Who waits for a connection gets the first that is free; opening one outlives whoever it was begun for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from prometheus_client import REGISTRY

from segment_copilot.errors import Unavailable
from segment_copilot.stores import postgres as module
from segment_copilot.stores.postgres import Postgres, open_postgres
from tests.support.proxies import Proxy, eventually, run_proxy


@pytest.fixture
async def behind(module_database_url: str) -> AsyncGenerator[tuple[Proxy, Postgres]]:
    """PostgreSQL behind a proxy, with one connection open."""
    async with run_proxy(module_database_url) as (proxy, url), open_postgres(url, pool=4) as postgres:
        yield proxy, postgres


async def test_an_opening_that_nobody_waits_for_any_more_serves_the_next(
    behind: tuple[Proxy, Postgres], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where opening takes longer than anyone waits, a pool that began anew each time would never grow."""
    proxy, postgres = behind
    monkeypatch.setattr(module, "_ACQUIRE_SECONDS", 0.05)
    async with postgres.connection():
        proxy.silence()  # the next connection is not refused, and takes its time
        for _ in range(5):
            with pytest.raises(Unavailable, match="does not answer"):
                await postgres.fetchval("SELECT 1")
        assert proxy.accepted == 2
        proxy.speak()

        async def served() -> bool:
            try:
                return await postgres.fetchval("SELECT 7") == 7
            except Unavailable:
                return False

        await eventually(served)
        assert proxy.accepted == 2


async def test_who_waits_for_an_opening_is_served_by_what_is_given_back(behind: tuple[Proxy, Postgres]) -> None:
    proxy, postgres = behind
    served = asyncio.Event()

    async def wait() -> None:
        async with postgres.connection() as connection:
            connection.note_clean()
            served.set()

    async with asyncio.TaskGroup() as group:
        async with postgres.connection() as connection:
            proxy.silence()
            group.create_task(wait())
            connection.note_clean()
            while proxy.accepted < 2:  # noqa: ASYNC110  # it is being opened, and will not be for a long time
                await asyncio.sleep(0)
        await served.wait()
    proxy.speak()


async def test_a_turn_that_comes_at_the_moment_of_giving_up_is_the_next_ones(module_database_url: str) -> None:
    async with open_postgres(module_database_url, pool=1) as postgres:
        async with postgres.connection() as connection:
            connection.note_clean()
            first = asyncio.create_task(postgres.fetchval("SELECT 1"))
            second = asyncio.create_task(postgres.fetchval("SELECT 2"))
            await asyncio.sleep(0)
        first.cancel()  # it was called just now, and has not run since
        assert await second == 2
        assert first.cancelled()


async def test_a_crowd_is_served_by_as_many_connections_as_there_may_be(behind: tuple[Proxy, Postgres]) -> None:
    proxy, postgres = behind
    answers = await asyncio.gather(*(postgres.fetchval("SELECT $1::int", number) for number in range(200)))
    assert answers == list(range(200))
    assert proxy.accepted <= 4
    assert proxy.open == proxy.accepted


async def test_nobody_waits_for_a_server_that_refuses(
    behind: tuple[Proxy, Postgres], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is refused is known at once; only silence is waited for."""
    proxy, postgres = behind
    monkeypatch.setattr(module, "_ACQUIRE_SECONDS", 3600)
    proxy.reset()
    answers = await asyncio.gather(*(postgres.fetchval("SELECT 1") for _ in range(20)), return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    proxy.speak()
    assert await postgres.fetchval("SELECT 1") == 1


def failures() -> float:
    """Statements that failed because the server is away, as the alert of that counts them."""
    labels = {"db_system_name": "postgresql", "purpose": "statement"}
    name = "segment_copilot_db_client_operation_duration_seconds_count"
    found = (
        REGISTRY.get_sample_value(name, {**labels, "error_type": one}) for one in ("Unavailable", "ConnectionLost")
    )
    return sum(one or 0 for one in found)


def timeouts() -> float:
    """Times that every connection was in use, as the alert of that counts them."""
    name = "segment_copilot_db_client_connection_timeouts_total"
    return REGISTRY.get_sample_value(name, {"pool": "postgres"}) or 0


@pytest.mark.parametrize("fault", ["reset", "silence"])
async def test_a_server_that_is_away_counts_as_failing_and_not_as_a_full_pool(
    behind: tuple[Proxy, Postgres], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    proxy, postgres = behind
    monkeypatch.setattr(module, "_ACQUIRE_SECONDS", 0.05)
    async with postgres.connection():
        getattr(proxy, fault)()
        failed, full = failures(), timeouts()
        with pytest.raises(Unavailable):
            await postgres.fetchval("SELECT 1")
        assert (failures() - failed, timeouts() - full) == (1, 0)


async def test_a_pool_in_full_use_does_not_count_as_a_server_that_is_away(
    module_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ACQUIRE_SECONDS", 0.05)
    async with open_postgres(module_database_url, pool=1) as postgres, postgres.connection():
        failed, full = failures(), timeouts()
        with pytest.raises(Unavailable, match="busy"):
            await postgres.fetchval("SELECT 1")
        assert (failures() - failed, timeouts() - full) == (0, 1)
