"""What one tenant notices of others: `python benchmarks/noisy_tenant.py [--users 20000] [--previews 100] [--share 3]`.

One tenant asks for previews of three conditions, one after the other: alone; while another tenant asks for previews of
500 conditions in a loop, over many connections; and while a worker computes 200 segments of that other tenant. API and
worker are processes of their own on real engines. `--share 8` is without shares: a tenant may take every connection.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from compare import machine
from many import formed, many
from segment_copilot.access.tenants import Tenant
from segment_copilot.embedded import Engines, start_engines
from segment_copilot.events import Event, observe_names, write_block
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.migrations import migrate
from segment_copilot.telemetry.logs import configure_logging

EVENTS_OF_A_USER = 10
BLOCK = 50_000
LEAVES = 500
LOOPS = 8
SEGMENTS = 200
IN_THE_STORE = list[float]()
TYPES = ("order_placed", "page_viewed", "cart_updated")


def asked(number: int) -> dict[str, Any]:
    """A preview of three conditions, each another one, so that no cache answers."""
    conditions = [
        {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 2, "window_days": 30},
        {"type": "recency", "event_type": "page_viewed", "operator": "lte", "window_days": 14},
        {"type": "event_count", "event_type": "cart_updated", "operator": "lt", "value": 3, "window_days": 60},
    ]
    as_of = datetime.now(UTC) - timedelta(minutes=number)
    return {"definition": {"logic": "AND", "conditions": conditions}, "as_of": as_of.isoformat()}


async def fill(resources: Resources, tenant: Tenant, users: int) -> None:
    """Write a past of some months."""
    dice, now = random.Random(tenant.id), datetime.now(UTC)
    rows = [
        Event(
            tenant.id,
            f"{user}-{number}",
            f"user-{user}",
            dice.choice(TYPES),
            now - timedelta(minutes=dice.randrange(90 * 1440)),
            f'{{"x": {dice.randrange(100)}}}',
        )
        for user in range(users)
        for number in range(EVENTS_OF_A_USER)
    ]
    for start in range(0, len(rows), BLOCK):
        await write_block(resources.clickhouse, rows[start : start + BLOCK], token=f"{tenant.id}-{start}")
    await observe_names(resources.postgres, rows[:1_000])


async def prepare(settings: Settings, users: int) -> tuple[str, str]:
    """Two tenants with a past, one of them with segments; their keys."""
    async with open_resources(settings) as resources:
        await migrate(resources.postgres, resources.clickhouse)
        keys = list[str]()
        for slug in ("quiet", "noisy"):
            tenant = await resources.tenants.create(slug)
            await fill(resources, tenant, users)
            keys.append((await resources.keys.create(tenant))[1])
        for number in range(SEGMENTS):
            conditions = [
                {"type": "event_count", "event_type": TYPES[number % 3], "value": number % 5 + 1, "window_days": number % 80 + 5},
                {"type": "monetary", "event_type": TYPES[number % 2], "property": "x", "metric": "sum", "operator": "gt", "value": number},
            ]  # fmt: skip
            await resources.segments.create(
                tenant, name=f"Segment {number}", definition={"logic": "OR", "conditions": conditions}
            )
        return keys[0], keys[1]


@contextmanager
def running(engines: Engines, share: int) -> Generator[str]:
    """An API and a worker, until the block ends; the address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {
        "DATABASE_URL": engines.database_url,
        "CLICKHOUSE_URL": engines.clickhouse_url,
        "PORT": str(port),
        "WORKER_PORT": "0",
        "LOG_LEVEL": "error",
        "REFRESH_DEFAULT": "manual",
        "CLICKHOUSE_TENANT_QUERIES": str(share),
    }
    command = [sys.executable, "-m", "segment_copilot"]
    processes = [subprocess.Popen([*command, what], env=environment) for what in ("serve", "worker")]
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                if httpx2.get(f"{url}/health/ready").is_success:
                    break
            except httpx2.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


async def latencies(client: httpx2.AsyncClient, previews: int, *, until: asyncio.Event | None = None) -> list[float]:
    """Milliseconds of so many previews one after the other, or of those until the event is set."""
    taken = list[float]()
    while len(taken) < previews and not (until and until.is_set()):
        started = time.perf_counter()
        answer = await client.post("/api/segments/preview/", json=asked(len(taken)))
        taken.append((time.perf_counter() - started) * 1000)
        assert answer.is_success, answer.text
        IN_THE_STORE.append(answer.json()["duration_ms"])
    return taken


async def make_noise(client: httpx2.AsyncClient, heard: list[int]) -> None:
    """Ask for previews of 500 conditions for ever; what is refused is asked again at once, as somebody would who does not care."""
    definition = formed("OR", many("mixed", LEAVES))
    number = len(heard)
    while True:
        number += 1
        as_of = datetime.now(UTC) - timedelta(seconds=number)
        body = {"definition": definition, "as_of": as_of.isoformat()}
        heard.append((await client.post("/api/segments/preview/", json=body)).status_code)


async def compute(client: httpx2.AsyncClient, done: asyncio.Event) -> float:
    """Let all segments be computed; seconds that it took."""
    started = time.perf_counter()
    queued = (await client.post("/api/segments/compute/", json={})).json()
    assert len(queued["computations"] if isinstance(queued.get("computations"), list) else range(SEGMENTS)) == SEGMENTS
    while True:
        found = (await client.get("/api/segments/", params={"status": "computed", "limit": 1})).json()["count"]
        if found >= SEGMENTS:
            done.set()
            return time.perf_counter() - started
        await asyncio.sleep(0.2)


async def measure(url: str, keys: tuple[str, str], previews: int) -> None:
    """Print the table."""
    quiet, noisy = (
        httpx2.AsyncClient(base_url=url, headers={"Authorization": f"ApiKey {key}"}, timeout=120) for key in keys
    )
    async with quiet, noisy:
        await latencies(quiet, 20)
        print(
            "| another tenant's previews of three conditions, ms | n | p50 | p95 | p99 | slowest | p99, of alone |\n|---|---:|---:|---:|---:|---:|---:|"
        )
        alone = await latencies(quiet, previews)
        row("alone", alone, alone)
        heard = list[int]()
        noise = [asyncio.create_task(make_noise(noisy, heard)) for _ in range(LOOPS)]
        await asyncio.sleep(2)
        beside = await latencies(quiet, previews)
        for task in noise:
            task.cancel()
        await asyncio.gather(*noise, return_exceptions=True)
        row(f"beside {LOOPS} loops of previews of {LEAVES} conditions", beside, alone)
        await asyncio.sleep(2)
        done = asyncio.Event()
        computing = asyncio.create_task(compute(noisy, done))
        while_computing = await latencies(quiet, 10_000, until=done)
        seconds = await computing
        row(f"while {SEGMENTS} segments are computed ({seconds:.0f} s)", while_computing, alone)
        answers = {status: heard.count(status) for status in sorted(set(heard))}
        print(f"\nThe noisy tenant's previews were answered {answers} (status: how many).")


def row(name: str, taken: list[float], alone: list[float]) -> None:
    """Print one row."""
    p50, p95, p99 = (statistics.quantiles(taken, n=100, method="inclusive")[at - 1] for at in (50, 95, 99))
    base = statistics.quantiles(alone, n=100, method="inclusive")[98]
    store = statistics.quantiles(IN_THE_STORE[-len(taken) :], n=100, method="inclusive")
    name += f" (of it in ClickHouse: {store[49]:.0f}, {store[94]:.0f}, {store[98]:.0f})"
    print(
        f"| {name} | {len(taken)} | {p50:.0f} | {p95:.0f} | {p99:.0f} | {max(taken):.0f} | {p99 / base:.1f} |",
        flush=True,
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--previews", type=int, default=100)
    parser.add_argument("--share", type=int, default=3, help="queries of one tenant at once")
    arguments = parser.parse_args()
    configure_logging(level="error", form="console")
    print(f"{machine()}; {arguments.users:,} users of each tenant, share {arguments.share}\n")
    with tempfile.TemporaryDirectory(prefix="segment-copilot-benchmark-") as folder:
        data = Path(folder)
        data.chmod(0o711)
        with start_engines(data) as engines:
            settings = Settings(
                database_url=engines.database_url, clickhouse_url=engines.clickhouse_url, refresh_default="manual"
            )
            keys = asyncio.run(prepare(settings, arguments.users))
            with running(engines, arguments.share) as url:
                asyncio.run(measure(url, keys, arguments.previews))


if __name__ == "__main__":
    main()
