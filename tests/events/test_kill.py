"""`kill -9` of the worker, of PostgreSQL and of ClickHouse while events come in: what was acknowledged is there, once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest

from segment_copilot.access.tenants import create_tenant
from segment_copilot.embedded import Engine, Engines, start_engines
from segment_copilot.errors import Unavailable
from segment_copilot.events import IngestionStatus, accept, ingestion_status
from segment_copilot.stores.clickhouse import open_clickhouse
from segment_copilot.stores.migrations import migrate
from segment_copilot.stores.postgres import Postgres, open_postgres
from tests.support.engines import data_directory

EVENTS = 100_000
BATCH = 500


class Worker:
    """A worker process that can be killed and started again."""

    def __init__(self, engines: Engines) -> None:
        self._environment = {
            **os.environ,
            "DATABASE_URL": engines.database_url,
            "CLICKHOUSE_URL": engines.clickhouse_url,
            "LOG_LEVEL": "info",
        }
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when it works."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "segment_copilot", "worker", env=self._environment, stderr=asyncio.subprocess.PIPE
        )
        started = asyncio.Event()
        self._reading = asyncio.create_task(self._read(self._process.stderr, started))
        async with asyncio.timeout(60):
            await started.wait()

    async def _read(self, lines: asyncio.StreamReader | None, started: asyncio.Event) -> None:
        assert lines is not None
        async for line in lines:
            if b"worker.started" in line:
                started.set()
            if b'"level":"error"' in line:
                sys.stderr.write(line.decode())

    async def end(self, number: signal.Signals) -> int:
        assert self._process is not None
        assert self._reading is not None
        self._process.send_signal(number)
        await self._reading
        return await self._process.wait()


@asynccontextmanager
async def running_worker(engines: Engines) -> AsyncGenerator[Worker]:
    worker = Worker(engines)
    await worker.start()
    try:
        yield worker
    finally:
        code = await worker.end(signal.SIGTERM)
    assert code == 0


def batch(number: int) -> list[bytes]:
    """Every other batch has ids of its own, so that it may be sent again when the answer is lost."""
    return [
        msgspec.json.encode(
            {
                "user_id": f"user-{n % 5000}",
                "event_type": "context_identified" if n % 10 == 0 else "order_placed",
                "occurred_at": f"2026-0{1 + n % 6}-01T00:00:00Z",
                "payload": {"n": n},
                **({"event_id": f"event-{n}"} if number % 2 else {}),
            }
        )
        for n in range(number * BATCH, (number + 1) * BATCH)
    ]


class Ingestion:
    """Batches on their way in, and what was said about each."""

    def __init__(self, postgres: Postgres, tenant_id: int) -> None:
        self._postgres = postgres
        self._tenant_id = tenant_id
        self._allowed = asyncio.Semaphore(0)
        self.acknowledged: set[int] = set()  # numbers n of events
        self.unanswered: set[int] = set()

    async def run(self) -> None:
        for number in range(EVENTS // BATCH):
            await self._allowed.acquire()
            await self._send(number)

    async def _send(self, number: int) -> None:
        numbers = range(number * BATCH, (number + 1) * BATCH)
        while True:
            try:
                accepted = await accept(self._postgres, self._tenant_id, batch(number), received_at=datetime.now(UTC))
            except Unavailable:
                if number % 2 == 0:  # nobody may repeat these: they are there once or not at all
                    self.unanswered.update(numbers)
                    return
            else:
                assert accepted.queued == BATCH
                self.acknowledged.update(numbers)
                return

    def go_on(self, batches: int) -> None:
        """Let this many more in."""
        for _ in range(batches):
            self._allowed.release()

    async def go_on_until_a_block_is_under_way(self, batches: int) -> None:
        """Let this many more in, and return when the worker has a new block in its hands while the last still come in."""
        newest = await self._postgres.fetchval("SELECT coalesce(max(id), 0) FROM blocks")
        sql = "SELECT EXISTS (SELECT FROM blocks WHERE status = 'pending' AND id > $1)"
        while not await self._postgres.fetchval(sql, newest):
            assert batches > 10, "the worker was not fast enough to be caught in the middle"
            self.go_on(1)
            batches -= 1
            await asyncio.sleep(0.05)
        self.go_on(batches)


async def until_forwarded(postgres: Postgres, tenant_id: int) -> IngestionStatus:
    async with asyncio.timeout(180):
        while (status := await ingestion_status(postgres, tenant_id)).pending:  # noqa: ASYNC110  # nothing to be woken by
            await asyncio.sleep(0.1)
    return status


async def crash(engine: Engine | None) -> None:
    """Kill the engine and bring it back on its port."""
    assert engine is not None
    await asyncio.to_thread(engine.kill)
    await asyncio.to_thread(engine.restart)


@pytest.mark.engines
@pytest.mark.timeout(300)
async def test_every_acknowledged_event_survives_kill_9_of_worker_and_engines_exactly_once():
    with data_directory() as directory:
        engines = await asyncio.to_thread(start_engines, directory, durable=True)
        try:
            await ingest_and_kill(engines)
        finally:
            await asyncio.to_thread(engines.stop)


async def ingest_and_kill(engines: Engines) -> None:
    async with open_postgres(engines.database_url) as postgres, open_clickhouse(engines.clickhouse_url) as clickhouse:
        await migrate(postgres, clickhouse)
        tenant_id = (await create_tenant(postgres, "acme")).id
        ingestion = Ingestion(postgres, tenant_id)
        async with running_worker(engines) as worker, asyncio.TaskGroup() as group:
            sent = group.create_task(ingestion.run())

            await ingestion.go_on_until_a_block_is_under_way(batches=60)
            await worker.end(signal.SIGKILL)
            await worker.start()

            await ingestion.go_on_until_a_block_is_under_way(batches=50)
            await crash(engines.clickhouse)

            await ingestion.go_on_until_a_block_is_under_way(batches=50)
            await crash(engines.postgres)

            ingestion.go_on(batches=40)
            await sent
            status = await until_forwarded(postgres, tenant_id)
        sql = "SELECT toUInt64(payload.n.:Int64), count() FROM events GROUP BY 1"
        found = dict((await clickhouse.fetch(sql, purpose="compute")).rows)

    assert {n for n, copies in found.items() if copies != 1} == set()
    assert ingestion.acknowledged - found.keys() == set()
    assert found.keys() - ingestion.acknowledged <= ingestion.unanswered
    assert status.forwarded == len(found)
    assert status.failed == 0
