"""The faults: what each does to the service while its block runs, and how it is undone at the end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from msgspec import Struct

from segment_copilot.embedded import Engine
from tests.chaos.clocks import step
from tests.chaos.disks import full
from tests.chaos.service import Process, Service, frozen
from tests.support.proxies import Proxy

Plant = Callable[[Service], AbstractAsyncContextManager[None]]
_AWAY_SECONDS = 2.0  # between the death of a process and its restart


class Fault(Struct, frozen=True):
    """A fault lasts *seconds*. Then *plant* undoes it, and the service has to be as before within seconds."""

    name: str
    words: str
    plant: Plant
    seconds: float
    may_hang_up: bool = False
    """True when the API itself is away, so that connections to it are refused or cut."""
    refused: int = 0
    """How many events it plants that ClickHouse refuses by themselves."""
    needs: str = ""
    """What this machine has to allow: `clock` a C compiler, `disks` to mount file systems."""
    target: str = ""
    """What the service speaks to that is out of reach: the faults of `network` name it."""
    proxied: bool = False
    """True when it lies between our processes and the stores. Such faults are the last of the list, and share proxies."""


def _ended(role: str, number: signal.Signals) -> Plant:
    """A process of ours gets the signal, is away for a moment, and is started again."""

    @asynccontextmanager
    async def plant(service: Service) -> AsyncGenerator[None]:
        process: Process = service.api if role == "api" else service.worker
        code = await process.end(number)
        assert code in {0, -number}, f"{role} ended with {code}"
        yield
        await service.restart(process)

    return plant


@asynccontextmanager
async def _worker_ended_in_a_computation(service: Service) -> AsyncGenerator[None]:
    """SIGTERM while an INSERT … SELECT is held up for longer than the worker waits for what is under way."""
    await service.on_clickhouse(
        "ALTER TABLE segment_states MODIFY SETTING parts_to_delay_insert = 1, min_delay_to_insert_ms = 30000"
    )
    await asyncio.sleep(3)  # a computation is caught by then
    ending = asyncio.create_task(service.worker.end(signal.SIGTERM))
    yield
    await ending
    await service.on_clickhouse(
        "ALTER TABLE segment_states RESET SETTING parts_to_delay_insert, min_delay_to_insert_ms"
    )
    await service.restart(service.worker)


def _killed(engine: Callable[[Service], Engine]) -> Plant:
    @asynccontextmanager
    async def plant(service: Service) -> AsyncGenerator[None]:
        await asyncio.to_thread(engine(service).kill)
        yield
        await asyncio.to_thread(engine(service).restart)

    return plant


def _frozen(pid: Callable[[Service], int]) -> Plant:
    @asynccontextmanager
    async def plant(service: Service) -> AsyncGenerator[None]:
        with frozen(pid(service)):
            yield

    return plant


@asynccontextmanager
async def _worker_frozen(service: Service) -> AsyncGenerator[None]:
    """It stands still longer than its leases hold; another works meanwhile, and both do when it wakes up."""
    other = Process("worker", log=service.worker.log)
    service.start(other)
    with frozen(service.worker.pid):
        yield
    assert await other.end(signal.SIGTERM) == 0


def _settings_of_events(settings: str) -> Plant:
    """The table of events takes what is inserted as these settings of ClickHouse say."""

    @asynccontextmanager
    async def plant(service: Service) -> AsyncGenerator[None]:
        names = ", ".join(each.partition("=")[0] for each in settings.split(","))
        await service.on_clickhouse(f"ALTER TABLE events MODIFY SETTING {settings}")
        yield
        await service.on_clickhouse(f"ALTER TABLE events RESET SETTING {names}")

    return plant


_SECONDS_AWAY = {"events": 20, "segment_states": 6, "traits_current": 4, "traits": 4, "users": 4}


@asynccontextmanager
async def _tables_missing(service: Service) -> AsyncGenerator[None]:
    """Each in turn."""
    for table, seconds in _SECONDS_AWAY.items():
        await service.on_clickhouse(f"RENAME TABLE {table} TO hidden")
        await asyncio.sleep(seconds)
        await service.on_clickhouse(f"RENAME TABLE hidden TO {table}")
    yield


def _between(cut: Callable[[Proxy], None], mend: Callable[[Proxy], None]) -> Plant:
    """Both stores are out of reach of our processes."""

    @asynccontextmanager
    async def plant(service: Service) -> AsyncGenerator[None]:
        for proxy in service.proxies:
            cut(proxy)
        yield
        for proxy in service.proxies:
            mend(proxy)

    return plant


def _of_inserts(*, arrived: bool) -> Plant:
    """ClickHouse answers everything but INSERTs: it never gets their rows, or has got them (*arrived*)."""

    @asynccontextmanager
    async def plant(service: Service) -> AsyncGenerator[None]:
        clickhouse = service.proxies[1]
        clickhouse.stall_answers_to(b"INSERT INTO", arrived=arrived)
        yield
        clickhouse.speak()

    return plant


_REFUSED = """
INSERT INTO events (tenant_id, event_id, user_id, event_type, occurred_at, payload)
VALUES ($1, 'refused', 'eve', 'order_placed', now(), '{"a":1e400}')
"""


@asynccontextmanager
async def _row_refused(service: Service) -> AsyncGenerator[None]:
    """An event that validation would not have let in stands among the others."""
    await service.resources.postgres.execute(_REFUSED, service.tenant.id)
    yield


FAULTS: tuple[Fault, ...] = (
    Fault("worker-kill", "worker: SIGKILL", _ended("worker", signal.SIGKILL), _AWAY_SECONDS),
    Fault("worker-term", "worker: SIGTERM", _ended("worker", signal.SIGTERM), _AWAY_SECONDS),
    Fault("worker-term-late", "worker: SIGTERM in a computation of 30 s", _worker_ended_in_a_computation, 1),
    Fault("worker-freeze", "worker: SIGSTOP, another takes over", _worker_frozen, 25),
    Fault("api-kill", "API: SIGKILL", _ended("api", signal.SIGKILL), _AWAY_SECONDS, may_hang_up=True),
    Fault("api-term", "API: SIGTERM", _ended("api", signal.SIGTERM), _AWAY_SECONDS, may_hang_up=True),
    Fault("clickhouse-kill", "ClickHouse: SIGKILL", _killed(lambda service: service.clickhouse), _AWAY_SECONDS),
    Fault("clickhouse-freeze", "ClickHouse: SIGSTOP", _frozen(lambda service: service.clickhouse.pid), 15),
    Fault("postgres-kill", "PostgreSQL: SIGKILL", _killed(lambda service: service.postgres), _AWAY_SECONDS),
    Fault("postgres-freeze", "PostgreSQL: SIGSTOP", _frozen(lambda service: service.postgres.pid), 15),
    Fault(
        "inserts-throttled",
        "each INSERT of events held up for 4 s (too many parts)",
        _settings_of_events("parts_to_delay_insert = 1, min_delay_to_insert_ms = 4000"),
        16,
    ),
    Fault(
        "inserts-refused",
        "every INSERT of events refused (far too many parts)",
        _settings_of_events("parts_to_throw_insert = 1"),
        10,
    ),
    Fault("tables-missing", "each ClickHouse table missing, events for 20 s", _tables_missing, 0),
    Fault("row-refused", "one row that ClickHouse refuses", _row_refused, 2, refused=1),
    Fault("clock-forward", "clocks of API and worker an hour ahead", step(3600), 8, needs="clock"),
    Fault("clock-back", "clocks of API and worker an hour behind", step(-3600), 8, needs="clock"),
    Fault("clickhouse-disk-full", "ClickHouse: no room on its disk", full("clickhouse"), 12, needs="disks"),
    Fault("postgres-disk-full", "PostgreSQL: no room on its disk", full("postgres"), 8, needs="disks"),
    Fault("inserts-stalled", "INSERTs stall, SELECTs do not", _of_inserts(arrived=False), 20, proxied=True),
    Fault("answers-lost", "INSERTs arrive, their answers do not", _of_inserts(arrived=True), 75, proxied=True),
    Fault("network-cut", "stores: connections cut and refused", _between(Proxy.refuse, Proxy.speak), 8, proxied=True),
    Fault("network-silent", "stores: packets lost", _between(Proxy.silence, Proxy.speak), 15, proxied=True),
)
