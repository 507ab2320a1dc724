"""Kill workers and stores at random instants while events come in, segments are refreshed and changes delivered; judge it all.

`python -m tests.chaos.deliveries [--kills 200] [--seed 1]`: exit 0 when every acknowledged event is in ClickHouse exactly once,
every segment has the members that a preview finds, every change was delivered at least once and in order, nothing is dead,
and no computation was open for longer than 30 seconds in which stores and workers were up.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from segment_copilot.activations.secrets import new_key
from segment_copilot.embedded import Engine, start_engines
from segment_copilot.telemetry.logs import configure_logging
from tests.chaos.delivered import judge, settle, wrong_events
from tests.chaos.forked import Forked
from tests.chaos.receiving import ACTIVATION, SECRET, WEBHOOK, MoodyReceiver
from tests.chaos.service import Process, Service, Stores, run_service
from tests.chaos.traffic import ACTIVATED, Traffic, client_of, make_segments
from tests.support.engines import data_directory
from tests.support.proxies import eventually
from tests.support.receiver import listening

_STUCK_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.25
_PATIENCE_SECONDS: Final = 120.0
_WEIGHTS: Final = {"worker": 2, "PostgreSQL": 1, "ClickHouse": 1}  # there are two workers
_A_ROW: Final = 10  # kills
_COLUMNS: Final = (
    "kills", "worker / PostgreSQL / ClickHouse", "for, s", "events", "computed", "requests", "failed by the receiver",
    "repeated", "crashed", "longest open, s", "broken",
)  # fmt: skip


class Victim:
    """Something that is killed, and comes back a moment later."""

    def __init__(self, name: str, end: Callable[[], Awaitable[object]], start: Callable[[], Awaitable[object]]) -> None:
        self.name = name
        self.is_up = True
        self._end = end
        self._start = start

    async def suffer(self, away: float) -> None:
        """Die, stay away for so many seconds, and start again."""
        await self._end()
        await asyncio.sleep(away)
        await self._start()
        self.is_up = True


class Watch:
    """Measures how long computations are open; time while a store or a worker is away counts for none."""

    def __init__(self, service: Service, victims: Iterable[Victim]) -> None:
        self._service = service
        self._victims = tuple(victims)
        self.open = dict[int, float]()

    @property
    def longest(self) -> float:
        return max(self.open.values(), default=0.0)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Look again and again while the block runs."""
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait([looking])

    async def _look(self) -> None:
        last, were = time.monotonic(), frozenset[int]()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                sql = "SELECT id FROM computations WHERE status IN ('queued', 'running')"
                now_open = frozenset(row["id"] for row in await self._service.resources.postgres.fetch(sql))
            except Exception:  # noqa: BLE001  # a store is away
                last = time.monotonic()
                continue
            now = time.monotonic()
            if all(one.is_up for one in self._victims):
                for id_ in now_open & were:
                    self.open[id_] = self.open.get(id_, 0.0) + now - last
            last, were = now, now_open


class Plan(Struct, frozen=True):
    """So many *kills*, or as many as come in *seconds*."""

    kills: int
    seconds: float
    seed: int


async def run(plan: Plan, directory: Path) -> list[str]:
    """Run everything; return what was broken, as sentences."""
    settings = {"SECRETS_KEYS": new_key(), "OUTGOING_ALLOW": "127.0.0.0/8"}
    receiver = MoodyReceiver(plan.seed)
    engines = await asyncio.to_thread(start_engines, directory / "engines")
    try:
        stores = Stores(engines.database_url, engines.clickhouse_url)
        async with listening(receiver), run_service(engines, directory, stores, settings) as service:
            await service.command("migrate")
            await service.make_tenant("kills")
            service.worker = Forked("worker", log=directory / "worker.log")
            other = Forked("worker", log=directory / "worker-2.log")
            await service.start_all()
            service.start(other)
            try:
                return await _run(service, other, receiver, plan)
            finally:
                await other.end(signal.SIGKILL)
    finally:
        await asyncio.to_thread(engines.stop)


async def _run(service: Service, other: Process, receiver: MoodyReceiver, plan: Plan) -> list[str]:
    segments = await _connect(service, receiver)
    traffic = Traffic(service, segments, plan.seed)
    victims = _victims(service, other)
    watch = Watch(service, victims)
    async with watch.running():
        async with traffic.running():
            await _kill(victims, watch, traffic, receiver, plan)
        receiver.is_moody = False
        seconds, wrong = await settle(service, segments)
        wrong += await judge(service, receiver, segments)
        wrong += await wrong_events(service, traffic.sent, traffic.acknowledged)
    stuck = {id_: seconds for id_, seconds in watch.open.items() if seconds > _STUCK_SECONDS}
    wrong += [f"computation {id_} was open for {seconds:.0f} s with everything up" for id_, seconds in stuck.items()]
    for process in (service.api, service.worker, other):
        wrong += [f"{process.log.name}: {line[:400]}" for line in process.errors()]
    said = ", ".join(f"{count:,} × {what}" for what, count in sorted(receiver.counts.items()))
    clients = ", ".join(f"{count:,} × {what}" for what, count in sorted(traffic.answers.items()))
    sys.stdout.write(f"\nsettled {seconds:.1f} s after the last came back; received {said}; clients saw {clients}\n")
    return [*receiver.broken, *wrong]


async def _connect(service: Service, receiver: MoodyReceiver) -> dict[str, int]:
    """Tell the receiver of every segment by a webhook, and of some by activations as well."""
    await service.resources.webhooks.create(
        service.tenant,
        f"{receiver.url}{WEBHOOK}",
        events=("segment.recomputed", "segment.entered", "segment.left", "computation.failed"),
        secret=SECRET,
    )
    segments = await make_segments(service)
    async with client_of(service) as client:
        for name in ACTIVATED:
            asked = {
                "segment": segments[name],
                "connector_type": "webhook",
                "config": {"url": f"{receiver.url}{ACTIVATION}", "secret": SECRET},
                "status": "active",
                "max_shrink_percent": 100,
            }
            (await client.post("/api/activations/", json=asked)).raise_for_status()
    return segments


def _victims(service: Service, other: Process) -> list[Victim]:
    def process(one: Process) -> Victim:
        return Victim("worker", lambda: one.end(signal.SIGKILL), lambda: service.supervise(one))

    def engine(name: str, one: Engine) -> Victim:
        return Victim(name, lambda: asyncio.to_thread(one.kill), lambda: asyncio.to_thread(one.restart))

    stores = (engine("PostgreSQL", service.postgres), engine("ClickHouse", service.clickhouse))
    return [process(service.worker), process(other), *stores]


async def _kill(victims: list[Victim], watch: Watch, traffic: Traffic, receiver: MoodyReceiver, plan: Plan) -> None:
    """Kill one after another, each at a random instant: a worker also while a store or the other one is away."""
    dice = random.Random(plan.seed)  # noqa: S311  # a seed, not a secret
    killed, began = Counter[str](), time.monotonic()
    _write(_COLUMNS)
    _write("---" for _ in _COLUMNS)
    async with asyncio.TaskGroup() as group:
        for number in range(1, plan.kills + 1):
            await eventually(lambda: _has(_choice(victims)), seconds=_PATIENCE_SECONDS)
            await asyncio.sleep(dice.uniform(0.1, 3.0))
            up = _choice(victims)
            victim = dice.choices(up, [_WEIGHTS[one.name] for one in up])[0]
            victim.is_up = False
            killed[victim.name] += 1
            group.create_task(victim.suffer(dice.uniform(0.0, 1.0)))
            is_last = number == plan.kills or time.monotonic() - began > plan.seconds
            if number % _A_ROW == 0 or is_last:
                counts, published = receiver.counts, receiver.counts["segment.recomputed"]
                _write((
                    f"{number}", " / ".join(str(killed[name]) for name in ("worker", "PostgreSQL", "ClickHouse")),
                    f"{time.monotonic() - began:.0f}", f"{traffic.acknowledged:,}", f"{published:,}",
                    f"{counts['requests']:,}", f"{counts['failed']:,}", f"{counts['repeated']:,}", f"{counts['computation.failed']:,}",
                    f"{watch.longest:.1f}", str(len(receiver.broken)),
                ))  # fmt: skip
            if is_last:
                break


def _choice(victims: list[Victim]) -> list[Victim]:
    """Return what may be killed now: a store only while a worker and the other store are up, else nothing is under way."""
    workers = [one for one in victims[:2] if one.is_up]
    return [*workers, *victims[2:]] if workers and all(one.is_up for one in victims[2:]) else workers


async def _has(up: list[Victim]) -> bool:
    return bool(up)


def _write(cells: Iterable[str]) -> None:
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="make kills", description="Kill workers and stores while delivering.")
    parser.add_argument("--kills", type=int, default=200, help="how many (200)")
    parser.add_argument("--seconds", type=float, default=3600, help="kill no longer than this (3600)")
    parser.add_argument("--seed", type=int, default=1, help="what is killed when, and how the receiver fails (1)")
    parser.add_argument("--keep", type=Path, help="keep the logs of the processes in this directory")
    arguments = parser.parse_args()
    plan = Plan(arguments.kills, arguments.seconds, arguments.seed)
    configure_logging(level="error", form="console")
    started = time.monotonic()
    with data_directory() as directory:
        try:
            broken = asyncio.run(run(plan, directory))
        finally:
            if arguments.keep:
                arguments.keep.mkdir(parents=True, exist_ok=True)
                for log in directory.glob("*.log"):
                    (arguments.keep / log.name).write_bytes(log.read_bytes())
    seconds = time.monotonic() - started
    sys.stdout.write(
        f"\nat most {plan.kills} kills, seed {plan.seed}: {seconds:.0f} s, {len(broken)} promises broken\n"
    )
    sys.stdout.write("".join(f"- {sentence}\n" for sentence in broken[:100]))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
