"""How long the explorer takes on many users: `python benchmarks/explorer.py [--data DIRECTORY]`, on the data of `data.py`.

Its use cases are asked, without HTTP, over both engines, about users drawn by a hash and about the one with 200,000 events;
with 200 segments as `together.py` draws them, and 8.5 million made-up members. Printed: the median and the
slowest round, and what a round costs ClickHouse, which says more where the machine does other things beside.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import msgspec
import structlog

from compare import machine
from data import AS_OF, SEED, TENANT, fill
from segment_copilot.access.tenants import Tenant
from segment_copilot.embedded import start_postgres
from segment_copilot.lists import Window
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores import migrations
from server import Server, serving
from shapes import twelve
from together import SEGMENTS, Draw

FIRST = 1001  # id of the first segment; those that are referred to have smaller ones
_NUMBERS = f"""
INSERT INTO user_numbers (tenant_id, user_id, user_key, number)
SELECT {TENANT}, user_id, user_key, row_number() OVER () FROM (
    SELECT any(user_id) AS user_id, user_key FROM users WHERE tenant_id = {TENANT} GROUP BY user_key)
"""
_MEMBERS = f"""
INSERT INTO segment_states (tenant_id, segment_id, run_id, members)
SELECT {TENANT}, segment, toUUID(concat('00000000-0000-0000-0000-', leftPad(toString(segment), 12, '0'))), groupBitmapState(number)
FROM user_numbers ARRAY JOIN range({FIRST}, {FIRST + SEGMENTS}) AS segment
WHERE tenant_id = {TENANT} AND cityHash64(user_key, segment) % 1000 < (segment * 37) % 160 + 1
GROUP BY segment
"""
_SEGMENT = """
INSERT INTO segments (id, tenant_id, name, segment_type, tier, definition, words, is_active, published_run, member_count)
OVERRIDING SYSTEM VALUE
VALUES ($1::bigint, $2, 'Segment', 'rule', 'dynamic_plus', $3::text::json, '', $1::bigint >= $4::bigint, $5, 1000)
"""
_HEAVY = f"SELECT user_key FROM events WHERE tenant_id = {TENANT} GROUP BY user_key ORDER BY count() DESC LIMIT 1"
_USERS = f"""
SELECT user_id FROM users WHERE tenant_id = {TENANT} AND user_key IN (SELECT user_key FROM events WHERE tenant_id = {TENANT})
ORDER BY sipHash64(user_key) LIMIT 50
"""


async def save_segments(resources: Resources, tenant: Tenant) -> None:
    """Save the segments of `together.py`, and those that they refer to."""
    draw, shapes = Draw(SEED), twelve()
    drawn = {FIRST + index: draw.redrawn(shapes[index % len(shapes)].definition) for index in range(SEGMENTS)}
    for shape in shapes:
        drawn |= shape.references
    for segment_id, definition in drawn.items():
        text = msgspec.json.encode(definition).decode()
        await resources.postgres.execute(_SEGMENT, segment_id, tenant.id, text, FIRST, UUID(f"{segment_id:032d}"))


async def measure(server: Server, resources: Resources, *, rounds: int, only: str) -> None:
    """Ask everything and print it."""
    for file in sorted(files(migrations).joinpath("postgres").iterdir(), key=lambda file: file.name):
        await resources.postgres.execute(file.read_text("utf-8"))
    tenant = await resources.tenants.create("benchmark")
    assert tenant.id == TENANT
    await save_segments(resources, tenant)
    users = [user_id for (user_id,) in server.run(_USERS).rows]
    ((heavy,),) = server.run(
        f"SELECT any(user_id) FROM users WHERE tenant_id = {TENANT} AND user_key = ({_HEAVY})"
    ).rows
    order = {"event_type": "order_placed", "payload": {"total": 10}}
    profiles, sandbox = resources.profiles, resources.sandbox
    questions: dict[str, Callable[[int], Awaitable[Any]]] = {
        "search, a part of an id": lambda round_: profiles.search(tenant, users[round_ % 50][-4:]),
        "search, every user": lambda _: profiles.search(tenant, ""),
        "search, every user, 400,000 further on": lambda _: profiles.search(tenant, "", Window(offset=400_000)),
        "profile": lambda round_: profiles.profile(tenant, users[round_ % 50]),
        "profile, 200,000 events": lambda _: profiles.profile(tenant, heavy),
        "events": lambda round_: profiles.events(tenant, users[round_ % 50]),
        "events, 200,000 of them": lambda _: profiles.events(tenant, heavy),
        "sandbox, 200 segments": lambda round_: sandbox.publish(
            tenant, order | {"user_id": users[round_ % 50]}, as_of=AS_OF
        ),
        "sandbox, 200 segments, nobody known": lambda _: sandbox.publish(
            tenant, order | {"user_id": "nobody"}, as_of=AS_OF
        ),
        "sandbox, 200 segments, 200,000 events": lambda _: sandbox.publish(
            tenant, order | {"user_id": heavy}, as_of=AS_OF
        ),
        "overlap of 200 segments": lambda _: resources.standings.overlaps(tenant),
        "usage of a month": lambda _: resources.usage.this_month(tenant, as_of=AS_OF),
        "overview": lambda _: resources.standings.overview(tenant, as_of=AS_OF),
    }
    print("| question | ms | slowest | CPU ms of ClickHouse |\n|---|---:|---:|---:|")
    for name, ask in questions.items():
        if only not in name:
            continue
        taken, cpu = list[float](), list[float]()
        for round_ in range(rounds + 1):
            started, before = time.perf_counter(), server.cpu()
            try:
                await ask(round_)
            except Exception as error:  # noqa: BLE001  # what takes too long is a result
                print(f"| {name} | {type(error).__name__}: {error} | |")
                break
            taken.append((time.perf_counter() - started) * 1000)
            cpu.append((server.cpu() - before) * 1000)
        else:
            wall, cost = statistics.median(taken[1:]), statistics.median(cpu[1:])
            print(f"| {name} | {wall:,.0f} | {max(taken[1:]):,.0f} | {cost:,.0f} |", flush=True)


async def run(server: Server, *, rounds: int, only: str) -> None:
    """Open the use cases over *server* and a PostgreSQL of their own."""
    with TemporaryDirectory() as directory, start_postgres(Path(directory)) as engine:
        async with open_resources(Settings(database_url=engine.url, clickhouse_url=server.url)) as resources:
            await measure(server, resources, rounds=rounds, only=only)


def main() -> None:
    """Fill, ask and print."""
    parser = argparse.ArgumentParser(description="Ask the explorer about half a million users.")
    parser.add_argument("--data", type=Path, default=Path("benchmarks/.data"), help="where ClickHouse keeps its files")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--only", default="", help="questions with this in their name")
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with serving(given.data) as server:
        fill(server, events=given.events, users=given.users)
        server.run("TRUNCATE TABLE segment_states")
        server.run("TRUNCATE TABLE user_numbers")
        server.run(_NUMBERS)
        server.run(_MEMBERS)
        print(f"{machine()}, ClickHouse {server.version}; {given.events:,} events, {given.users:,} users\n")
        asyncio.run(run(server, rounds=given.rounds, only=given.only))


if __name__ == "__main__":
    main()
