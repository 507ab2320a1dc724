"""Measure what this project promises, on engines of its own, and print a Markdown table: `python benchmarks/run.py`.

Times of one run compare with one another; machines differ and are noisy. Nothing here is asserted.
"""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from segment_copilot import compiler, demo
from segment_copilot.commands.serving import running
from segment_copilot.embedded import start_engines
from segment_copilot.language import parse
from segment_copilot.language.catalog import Catalog
from segment_copilot.resources import open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.migrations import migrate
from segment_copilot.telemetry.logs import configure_logging

BATCHES = 100
BATCH = 500
CLIENTS = 4
GROUP = 50


def median_ms(work: Callable[[], object], *, times: int) -> float:
    """The median of *times* runs, in milliseconds."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def definition(leaves: int) -> bytes:
    """Counts, sums, recencies and traits in turn, nested so that no group is too long."""
    kinds: list[dict[str, Any]] = [
        {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 2, "window_days": 90},
        {"type": "monetary", "event_type": "order_placed", "property": "total", "metric": "sum", "operator": "gt", "value": 9.5},
        {"type": "recency", "event_type": "page_viewed", "operator": "gt", "window_days": 30},
        {"type": "user_property", "property": "country", "operator": "in", "value": ["ES", "US"]},
        {"type": "event_count", "event_type": "page_viewed", "where": [{"property": "path", "operator": "eq", "value": "/"}]},
    ]  # fmt: skip
    # No two are alike: what says the same twice is compiled once.
    flat = [kinds[index % len(kinds)] | ALIKE[index % len(kinds)](index) for index in range(leaves)]
    groups = [
        {"type": "group", "logic": "OR", "conditions": flat[start : start + GROUP]} for start in range(0, leaves, GROUP)
    ]
    return msgspec.json.encode({"logic": "AND", "conditions": groups if leaves > GROUP else flat})


ALIKE: list[Callable[[int], dict[str, Any]]] = [
    lambda index: {"value": 2 + index},
    lambda index: {"value": 9.5 + index},
    lambda index: {"window_days": 30 + index},
    lambda index: {"value": ["ES", f"U{index}"]},
    lambda index: {"where": [{"property": "path", "operator": "eq", "value": f"/{index}"}]},
]


def compile_once(text: bytes) -> None:
    """From JSON to SQL and parameters."""
    compiled = compiler.compile_definition(
        parse(text), catalog=Catalog(), references={}, tenant_id=1, as_of=datetime(2026, 1, 1, tzinfo=UTC)
    )
    compiler.render_preview(compiled.plan, sample=10)


async def preview_overhead(client: httpx2.AsyncClient) -> tuple[float, float]:
    """Median of a preview request, and of that minus its ClickHouse query, in milliseconds."""
    body = {"definition": msgspec.json.decode(definition(10))}
    whole, overhead = list[float](), list[float]()
    for _ in range(60):
        started = time.perf_counter()
        answer = await client.post("/api/segments/preview/", json=body)
        taken = (time.perf_counter() - started) * 1000
        whole.append(taken)
        overhead.append(taken - answer.json()["duration_ms"])
    return statistics.median(whole), statistics.median(overhead)


async def ingest(client: httpx2.AsyncClient) -> tuple[float, float]:
    """Events a second until acknowledged, and until all can be queried."""
    now = datetime.now(UTC)
    batches = [
        {
            "events": [
                {
                    "user_id": f"user-{(number * BATCH + index) % 20_000}",
                    "event_type": "page_viewed",
                    "occurred_at": (now - timedelta(seconds=index)).isoformat(),
                    "payload": {"path": f"/p/{index}", "device": "mobile", "seconds": index / 7},
                }
                for index in range(BATCH)
            ]
        }
        for number in range(BATCHES)
    ]
    waiting = iter(batches)

    async def send() -> None:
        for batch in waiting:
            (await client.post("/api/ingestion/track/batch/", json=batch)).raise_for_status()

    started = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(CLIENTS)))
    acknowledged = time.perf_counter() - started
    pending = 1
    while pending:  # each look is a request of its own
        pending = (await client.get("/api/ingestion/status/")).json()["pending"]
    return BATCHES * BATCH / acknowledged, BATCHES * BATCH / (time.perf_counter() - started)


async def measure_service(settings: Settings) -> list[tuple[str, str]]:
    """What needs a running service with the demo shop."""
    async with open_resources(settings) as resources:
        await migrate(resources.postgres, resources.clickhouse)
        started = time.perf_counter()
        tenant = await demo.load_demo(resources, ends_at=datetime.now(UTC))
        loaded = time.perf_counter() - started
        shop_key = (await resources.keys.create(tenant))[1]
        empty = await resources.tenants.create("ingestion")
        empty_key = (await resources.keys.create(empty))[1]
    async with running(settings) as (url, _):
        async with httpx2.AsyncClient(base_url=url, headers={"Authorization": f"ApiKey {shop_key}"}) as client:
            whole, overhead = await preview_overhead(client)
        headers = {"Authorization": f"ApiKey {empty_key}"}
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
            acknowledged, queryable = await ingest(client)
    return [
        ("load the demo shop, 30 days of membership history included", f"{loaded:.1f} s"),
        ("preview of 10 conditions on the demo shop, whole request", f"{whole:.1f} ms"),
        ("the same minus its ClickHouse query", f"{overhead:.1f} ms"),
        (f"ingestion, batches of {BATCH} from {CLIENTS} clients, acknowledged", f"{acknowledged:,.0f} events/s"),
        ("the same until every event can be queried", f"{queryable:,.0f} events/s"),
    ]


def compile_row(leaves: int) -> tuple[str, str]:
    """How long a definition of so many conditions takes to compile."""
    text = definition(leaves)
    taken = median_ms(lambda: compile_once(text), times=max(20, 2000 // leaves))
    return f"compile {leaves} conditions", f"{taken:.2f} ms"


def main() -> None:
    """Print the table."""
    configure_logging(level="error", form="console")
    rows = [compile_row(leaves) for leaves in (1, 10, 100, 500)]
    with tempfile.TemporaryDirectory(prefix="segment-copilot-benchmark-") as folder:
        data = Path(folder)
        data.chmod(0o711)
        started = time.perf_counter()
        start_engines(data).stop()
        rows.append(("start and stop both engines, cold", f"{time.perf_counter() - started:.2f} s"))
        started = time.perf_counter()
        with start_engines(data) as engines:
            rows.append(("start both engines, warm", f"{time.perf_counter() - started:.2f} s"))
            settings = Settings(
                database_url=engines.database_url,
                clickhouse_url=engines.clickhouse_url,
                port=0,
                refresh_default="manual",
            )
            rows.extend(asyncio.run(measure_service(settings)))
    print(f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}\n")
    print("| what | measured |\n|---|---|")
    for what, measured in rows:
        print(f"| {what} | {measured} |")


if __name__ == "__main__":
    main()
