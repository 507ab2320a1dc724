"""How long after an event was acknowledged is its user a member: `python benchmarks/refresh_lag.py [--seconds 60] [--rate 1000]`.

One tenant, 50,000 users; dynamic segments whose trait an identify sets, and live segments that count an event. While events
come in at the given rate in batches, one user after the other is identified (or does what the live segments count), and the
time is taken from the answer of the request to the first look-up that names a segment. Client, service, worker and engines
share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx2

from compare import machine
from segment_copilot.audiences.schedules import Wanted
from segment_copilot.commands.serving import running
from segment_copilot.embedded import start_engines
from segment_copilot.resources import open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.migrations import migrate
from segment_copilot.telemetry.logs import configure_logging

USERS: Final = 50_000
BATCH: Final = 500
LATE: Final = 150.0  # seconds after which somebody who is no member is counted as this late


def dynamic(number: int) -> dict[str, Any]:
    """A segment of one trait; every second one is met by the users that are identified."""
    value = "ES" if number % 2 == 0 else f"X{number}"
    test = {"type": "user_property", "property": "country", "operator": "eq", "value": value}
    return {"logic": "AND", "conditions": [test]}


def live(number: int) -> dict[str, Any]:
    """A segment of one event type; all are met by users who do it."""
    test = {
        "type": "event_count",
        "event_type": "order_placed",
        "operator": "gte",
        "value": 1,
        "window_days": number + 1,
    }
    return {"logic": "AND", "conditions": [test]}


async def load(client: httpx2.AsyncClient, rate: int, until: float) -> int:
    """Send events of random users in batches, *rate* a second; return how many."""
    draw, sent, begun = random.Random(7), 0, time.perf_counter()
    while time.perf_counter() < until:
        events = [
            {
                "user_id": f"u{draw.randrange(USERS)}",
                "event_type": draw.choice(("page_viewed", "cart_updated")),
                "payload": {"n": sent},
            }
            for _ in range(BATCH)
        ]
        (await client.post("/api/ingestion/track/batch/", json={"events": events})).raise_for_status()
        sent += BATCH
        await asyncio.sleep(max(0.0, begun + sent / rate - time.perf_counter()))
    return sent


async def lag(client: httpx2.AsyncClient, event: dict[str, Any], segment_id: int) -> float:
    """Send an event and return the seconds from its acknowledgement until its user is in the segment."""
    (await client.post("/api/ingestion/track/", json=event)).raise_for_status()
    acknowledged = time.perf_counter()
    while (passed := time.perf_counter() - acknowledged) < LATE:
        answer = (await client.get("/api/segments/membership/", params={"user_id": event["user_id"]})).json()
        if any(one["segment_id"] == segment_id for one in answer.get("segments", ())):  # none in a problem
            break
        await asyncio.sleep(0.1 + passed / 20)
    return passed


def told(name: str, lags: list[float]) -> str:
    """A line of the table."""
    ordered = sorted(lags)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return (
        f"{name}: {len(lags)} users, p50 {statistics.median(lags):.2f} s, p99 {p99:.2f} s, at most {ordered[-1]:.2f} s"
    )


async def measure(settings: Settings, given: argparse.Namespace) -> None:
    """Seed, save, and follow users while events come in."""
    async with open_resources(settings) as resources:
        await migrate(resources.postgres, resources.clickhouse)
        tenant = await resources.tenants.create("lag")
        key = (await resources.keys.create(tenant))[1]
        seen = [
            {"user_id": f"u{number}", "event_type": "context_identified", "payload": {"country": f"X{number % 40}"}}
            for number in range(USERS)
        ]
        for start in range(0, USERS, 5_000):
            await resources.ingestion.accept(tenant, seen[start : start + 5_000], received_at=datetime.now(UTC))
        while await resources.forwarding.forward_next():
            pass
        create = resources.segments.create
        dynamics = [
            (await create(tenant, name=f"D{n}", definition=dynamic(n), refresh=Wanted("auto"))).segment.id
            for n in range(given.dynamic)
        ]
        lives = [
            (await create(tenant, name=f"L{n}", definition=live(n), refresh=Wanted("live"))).segment.id
            for n in range(given.live)
        ]
    async with running(settings) as (url, _):
        headers = {"Authorization": f"ApiKey {key}"}
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
            for one in dynamics + lives:
                while (  # noqa: ASYNC110  # nothing to be woken by
                    await client.get(f"/api/segments/{one}/")
                ).json().get("last_refreshed_at") is None:
                    await asyncio.sleep(0.5)
            begun = time.perf_counter()
            loading = asyncio.create_task(load(client, given.rate, begun + given.seconds))
            identified = list[asyncio.Task[float]]()
            ordered = list[asyncio.Task[float]]()
            number = 0
            while time.perf_counter() < begun + given.seconds:
                number += 1
                event = {"user_id": f"new{number}", "event_type": "context_identified", "payload": {"country": "ES"}}
                identified.append(asyncio.create_task(lag(client, event, dynamics[0])))
                if number % 4 == 0 and lives:
                    event = {"user_id": f"buyer{number}", "event_type": "order_placed", "payload": {}}
                    ordered.append(asyncio.create_task(lag(client, event, lives[-1])))
                await asyncio.sleep(0.5)
            sent = await loading
            print(
                f"{sent / (time.perf_counter() - begun):,.0f} events/s, {len(dynamics)} dynamic and {len(lives)} live segments"
            )
            print(told("dynamic, after an identify", await asyncio.gather(*identified)))
            if ordered:
                print(told("live, after an event", await asyncio.gather(*ordered)))


def main() -> None:
    """Start engines of its own and measure."""
    parser = argparse.ArgumentParser(description="Measure how long after an event its user is a member.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--dynamic", type=int, default=20)
    parser.add_argument("--live", type=int, default=50)
    given = parser.parse_args()
    configure_logging(level="error", form="console")
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)
        with start_engines(Path(directory)) as engines:
            print(machine())
            settings = Settings(database_url=engines.database_url, clickhouse_url=engines.clickhouse_url, port=0)
            asyncio.run(measure(settings, given))


if __name__ == "__main__":
    main()
