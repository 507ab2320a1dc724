"""Measures what judging events by event schemas costs: ingestion without any, with one that all meet, with one that none meets.

`python benchmarks/schemas.py`, on engines of its own; the kinds take turns, so that a busy machine is busy for all.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import httpx2

from run import BATCH, BATCHES, CLIENTS, ingest
from segment_copilot.commands.serving import running
from segment_copilot.embedded import start_engines
from segment_copilot.events.shapes import SchemaProperty
from segment_copilot.resources import open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.migrations import migrate
from segment_copilot.telemetry.logs import configure_logging

ROUNDS: Final = 5
MET: Final = (
    SchemaProperty("path", "string", required=True),
    SchemaProperty("device", "string", required=True),
    SchemaProperty("seconds", "number", required=True),
    *(SchemaProperty(f"p{number}", "datetime") for number in range(17)),
)
VIOLATED: Final = (SchemaProperty("seconds", "string"), SchemaProperty("referrer", "string", required=True))
KINDS: Final[dict[str, dict[str, Any] | None]] = {
    "no schema": None,
    "a schema of 20 properties that every event meets": {"properties": MET},
    "the same, beside 500 schemas of other event types": {"properties": MET, "others": 500},
    "a schema that every event violates twice, each queued and counted": {"properties": VIOLATED},
    "a strict one that every event violates, each skipped and counted": {"properties": VIOLATED, "strict": True},
}


async def measure(settings: Settings) -> dict[str, list[tuple[float, float]]]:
    """Events a second until acknowledged, and CPU of clients, API and worker in µs an event, by kind and round."""
    keys = dict[str, str]()
    async with open_resources(settings) as resources:
        await migrate(resources.postgres, resources.clickhouse)
        for number, (kind, schema) in enumerate(KINDS.items()):
            tenant = await resources.tenants.create(f"tenant-{number}")
            keys[kind] = (await resources.keys.create(tenant))[1]
            if schema is not None:
                strict = schema.get("strict", False)
                await resources.schemas.create(
                    tenant, event_type="page_viewed", properties=schema["properties"], strict=strict
                )
                for other in range(schema.get("others", 0)):
                    await resources.schemas.create(tenant, event_type=f"other_{other}", properties=MET)
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    async with running(settings) as (url, _):
        for _ in range(ROUNDS):
            for kind, key in keys.items():
                headers = {"Authorization": f"ApiKey {key}"}
                async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
                    began = time.process_time()
                    rate, _ = await ingest(client)
                    found[kind].append((rate, (time.process_time() - began) / (BATCH * BATCHES) * 1e6))
    return found


def main() -> None:
    """Print the table."""
    configure_logging(level="error", form="console")
    with tempfile.TemporaryDirectory(prefix="segment-copilot-benchmark-") as folder:
        data = Path(folder)
        data.chmod(0o711)
        with start_engines(data) as engines:
            settings = Settings(
                database_url=engines.database_url,
                clickhouse_url=engines.clickhouse_url,
                port=0,
                refresh_default="manual",
            )
            found = asyncio.run(measure(settings))
    print(f"batches of {BATCH} from {CLIENTS} clients, acknowledged, events/s; median of {ROUNDS} (lowest–highest)\n")
    print("| | events/s | CPU of clients, API and worker, least, µs an event |\n|---|---|---|")
    for kind, rounds in found.items():
        rates = [rate for rate, _ in rounds]
        cpu = min(taken for _, taken in rounds)
        print(f"| {kind} | {statistics.median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f}) | {cpu:.1f} |")


if __name__ == "__main__":
    main()
