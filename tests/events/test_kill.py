"""`kill -9` of the worker, of PostgreSQL and of ClickHouse while there is work: it is done all the same, once, and soon."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime

import msgspec
import pytest

from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.embedded import Engine, Engines, start_engines
from segment_copilot.errors import Unavailable
from segment_copilot.events import Ingestion, IngestionStatus
from segment_copilot.resources import Resources
from segment_copilot.stores.clickhouse import open_clickhouse
from segment_copilot.stores.migrations import migrate
from segment_copilot.stores.postgres import Postgres, open_postgres
from tests.support.engines import data_directory
from tests.support.resources import NOW
from tests.support.workers import running_worker, until

EVENTS = 100_000
BATCH = 500


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


class Client:
    """Batches on their way in, and what was said about each."""

    def __init__(self, postgres: Postgres, tenant: Tenant) -> None:
        self._postgres = postgres
        self._ingestion, self._tenant = Ingestion(postgres), tenant
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
                accepted = await self._ingestion.accept(self._tenant, batch(number), received_at=datetime.now(UTC))
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


async def until_forwarded(postgres: Postgres, tenant: Tenant) -> IngestionStatus:
    async with asyncio.timeout(180):
        while (status := await Ingestion(postgres).status(tenant)).pending:  # noqa: ASYNC110  # nothing to be woken by
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
        tenant = await Tenants(postgres).create("acme")
        client = Client(postgres, tenant)
        running = running_worker(engines.database_url, engines.clickhouse_url)
        async with running as worker, asyncio.TaskGroup() as group:
            sent = group.create_task(client.run())

            await client.go_on_until_a_block_is_under_way(batches=60)
            await worker.end(signal.SIGKILL)
            await worker.start()

            await client.go_on_until_a_block_is_under_way(batches=50)
            await crash(engines.clickhouse)

            await client.go_on_until_a_block_is_under_way(batches=50)
            await crash(engines.postgres)

            client.go_on(batches=40)
            await sent
            status = await until_forwarded(postgres, tenant)
        sql = "SELECT toUInt64(payload.n.:Int64), count() FROM events GROUP BY 1"
        found = dict((await clickhouse.fetch(sql, purpose="compute")).rows)

    assert {n for n, copies in found.items() if copies != 1} == set()
    assert client.acknowledged - found.keys() == set()
    assert found.keys() - client.acknowledged <= client.unanswered
    assert status.forwarded == len(found)
    assert status.failed == 0


async def test_a_killed_worker_is_followed_as_soon_as_another_works(
    resources: Resources, tenant: Tenant, database_url: str, clickhouse_url: str
):
    """With a block and a computation in its hands: both stop where they want to read or write names."""
    postgres, loop = resources.postgres, asyncio.get_running_loop()
    definition = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
    segment = (await resources.segments.create(tenant, name="Buyers", definition=definition)).segment
    async with running_worker(database_url, clickhouse_url) as worker:
        async with postgres.transaction() as transaction:
            await transaction.execute("LOCK TABLE observed_names IN ACCESS EXCLUSIVE MODE")
            await resources.computations.request(tenant, segment.id, as_of=NOW)
            await resources.ingestion.accept(tenant, batch(1), received_at=NOW)
            await until(postgres, "SELECT EXISTS (SELECT FROM blocks WHERE attempts = 1)")
            await until(postgres, "SELECT EXISTS (SELECT FROM computations WHERE attempts = 1)")
            await worker.end(signal.SIGKILL)
        await worker.start()
        started_at = loop.time()
        await until(postgres, "SELECT EXISTS (SELECT FROM blocks WHERE attempts = 2 AND status = 'forwarded')")
        await until(postgres, "SELECT EXISTS (SELECT FROM computations WHERE attempts = 2 AND status = 'done')")

    assert loop.time() - started_at < 8  # and not when its leases end: they hold for 20
    assert (await resources.clickhouse.fetch("SELECT count() FROM events", purpose="catalog")).rows == [(BATCH,)]
