"""Refresh 200 segments of one tenant, of everybody and where few users changed: `python benchmarks/refresh_many.py`.

The segments are those of `together.py`. The old way is what a refresh did when members were rows: each segment computed, by itself
or from bits of all slots, and then an INSERT of rows, a comparison and a DELETE for each (docs/decisions/0018-membership-as-bitmaps.md). Beside it, in the
same run, the service: its use cases over both engines, as a worker calls them. Measured is the CPU time of ClickHouse, and of
this process, which is the worker. After each refresh the members of all segments must be those of a computation of everybody.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import msgspec
import structlog

from compare import machine
from data import AS_OF, HALF_PERCENTS, SEED, TENANT, fill, statements_of
from segment_copilot import compiler
from segment_copilot.access.tenants import Tenant
from segment_copilot.compiler.bitmasks import Bitmasks
from segment_copilot.compiler.fragments import query
from segment_copilot.compiler.trees import normal
from segment_copilot.embedded import start_postgres
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores import migrations
from segment_copilot.stores.literals import lower
from server import Server, serving
from shapes import twelve
from together import SEGMENTS, Draw

FIRST = 1001  # id of the first segment; those that are referred to have smaller ones
MINUTES = (1, 180)
SHARE = 0.01  # of the users: something happens to them
MADE = "refresh-many-"  # begins the ids of the events that are sent, which are taken out again
TABLES = ("segment_states", "segment_deltas", "membership_changes", "user_numbers", "kept_slots")
NEW = ("0007_kept_slots.sql",)  # a data directory may be older
BEFORE = 4  # refreshes of the old way before it is measured: what was deleted lies around for a while

_ROWS = """CREATE TABLE IF NOT EXISTS old_memberships (
    tenant_id UInt32, segment_id UInt64, run_id UUID, user_id String, user_key UInt64
) ENGINE = MergeTree ORDER BY (tenant_id, segment_id, run_id, user_id)"""
_CHANGES = """CREATE TABLE IF NOT EXISTS old_changes (
    tenant_id UInt32, segment_id UInt64, user_id String, user_key UInt64, has_entered Bool
) ENGINE = MergeTree ORDER BY (tenant_id, segment_id, user_id)"""
_OF = "tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64}"
_KEYS = f"SELECT user_key FROM old_memberships WHERE {_OF} AND run_id = "
_COMPARE = f"""INSERT INTO old_changes SELECT tenant_id, segment_id, user_id, user_key, run_id = {{run:UUID}} FROM old_memberships
WHERE {_OF} AND (run_id = {{run:UUID}} AND user_key NOT IN ({_KEYS} {{before:UUID}})
    OR run_id = {{before:UUID}} AND user_key NOT IN ({_KEYS} {{run:UUID}}))"""
_DELETE = f"DELETE FROM old_memberships WHERE {_OF} AND run_id = {{before:UUID}}"

_SEGMENT = """
INSERT INTO segments (id, tenant_id, name, segment_type, tier, definition, words, is_active, version, refresh_mode, refresh_every)
OVERRIDING SYSTEM VALUE
VALUES ($1::bigint, $2, 'Segment ' || $1::bigint, 'rule', 'dynamic_plus', $3::text::json, '', $4, 1, $5, '30m')
"""
_VERSION = """
INSERT INTO segment_versions (segment_id, version, definition, words, tier) VALUES ($1, 1, $2::text::json, '', 'dynamic_plus')
"""
_DUE = "UPDATE segments SET next_refresh_at = $1, last_refreshed_at = NULL WHERE refresh_mode = 'interval'"
_RUNS = "SELECT id, published_run FROM segments WHERE refresh_mode = 'interval' ORDER BY id"
_USERS = f"SELECT user_id FROM users WHERE tenant_id = {TENANT} ORDER BY sipHash64(user_key) LIMIT {{}}"


class Clock:
    """The CPU seconds of ClickHouse and of this process, since the last look."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.lap()

    def lap(self) -> tuple[float, float]:
        """Both, and begin again."""
        now = self._server.cpu(), time.process_time()
        passed = (now[0] - self._last[0], now[1] - self._last[1]) if hasattr(self, "_last") else (0.0, 0.0)
        self._last = now
        return passed


class OldWay:
    """Members as rows: everybody's slots as bits, then an INSERT, a comparison and a DELETE for each segment."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._refreshes = 0
        for table, made in (("old_memberships", _ROWS), ("old_changes", _CHANGES)):
            server.run(f"DROP TABLE IF EXISTS {table} SYNC")
            server.run(made)

    def _next(self) -> tuple[UUID, UUID]:
        """The run of a refresh, and the one before."""
        self._refreshes += 1
        return UUID(int=self._refreshes), UUID(int=self._refreshes - 1)

    def age(self) -> None:
        """Replace what there is by the same, and delete it by one statement: it lies around, as after a refresh."""
        run, before = self._next()
        rows = (
            f"SELECT tenant_id, segment_id, '{run}', user_id, user_key FROM old_memberships WHERE run_id = '{before}'"
        )
        self._server.run(f"INSERT INTO old_memberships {rows}")
        self._server.run(f"DELETE FROM old_memberships WHERE run_id = '{before}'")

    def refresh(self, plans: dict[int, compiler.Plan], *, is_apart: bool) -> dict[str, float]:
        """Refresh all segments, computed one by one or together; return the CPU seconds of ClickHouse by step."""
        run, before = self._next()
        clock, spent = Clock(self._server), dict[str, float]()
        if is_apart:
            for segment, plan in plans.items():
                self._insert(segment, run, compiler.render_members(plan), "{}")
        else:
            trees = [normal(plan.root) for plan in plans.values()]
            create, masks = compiler.SharedSlots(list(plans.values())).create(), Bitmasks(trees)
            self._server.run(lower(create.sql, create.params), session_id="old")
            for segment, tree in zip(plans, trees, strict=True):
                self._insert(
                    segment, run, query(masks.test(tree)), "SELECT user_key, user_id FROM shared_slots WHERE {}"
                )
            self._server.run("DROP TEMPORARY TABLE shared_slots", session_id="old")
        spent["compute and write, one by one" if is_apart else "compute and write, together"] = clock.lap()[0]
        if self._refreshes == 1:
            return spent
        for name, statement in (("compare", _COMPARE), ("delete", _DELETE)):
            for segment in plans:
                params = {"tenant": TENANT, "segment": segment, "before": before}
                self._server.run(lower(statement, params if name == "delete" else params | {"run": run}))
            spent[name] = clock.lap()[0]
        return spent

    def _insert(self, segment: int, run: UUID, found: compiler.CompiledQuery, rows: str) -> None:
        members = rows.format(lower(found.sql, found.params))
        into = f"INSERT INTO old_memberships SELECT {TENANT}, {segment}, '{run}', user_id, user_key FROM ({members})"
        self._server.run(into, session_id="old")


class Service:
    """The use cases, called as a worker calls them."""

    def __init__(self, server: Server, resources: Resources, tenant: Tenant) -> None:
        self._server = server
        self._resources = resources
        self._tenant = tenant

    async def save(self) -> None:
        """Save the segments of `together.py`, and those that they refer to, which nobody refreshes."""
        draw, shapes = Draw(SEED), twelve()
        drawn = {FIRST + index: draw.redrawn(shapes[index % len(shapes)].definition) for index in range(SEGMENTS)}
        for shape in shapes:
            drawn |= shape.references
        for segment, definition in drawn.items():
            text, is_asked = msgspec.json.encode(definition).decode(), segment >= FIRST
            mode = "interval" if is_asked else "manual"
            await self._resources.postgres.execute(_SEGMENT, segment, self._tenant.id, text, is_asked, mode)
            await self._resources.postgres.execute(_VERSION, segment, text)

    async def refresh(self, as_of: datetime) -> dict[str, float]:
        """Refresh all segments; return the CPU seconds by process."""
        resources = self._resources
        await resources.postgres.execute(_DUE, as_of)
        clock = Clock(self._server)
        assert await resources.refreshing.refresh_due(now=as_of)
        while await resources.computations.run_next():
            pass
        while await resources.removals.remove_due():
            pass
        clickhouse, worker = clock.lap()
        return {"ClickHouse": clickhouse, "worker": worker}

    async def plans(self, as_of: datetime) -> dict[int, compiler.Plan]:
        """What is asked of everybody."""
        found = dict[int, compiler.Plan]()
        for row in await self._resources.postgres.fetch(_RUNS):
            definition = await self._resources.segments.get(self._tenant, row["id"])
            text = msgspec.json.encode(definition.definition)
            prepared = await self._resources.previews.prepare(self._tenant, text, as_of=as_of, is_warned=False)
            found[row["id"]] = prepared.compiled.plan
        return found

    async def check(self, plans: dict[int, compiler.Plan]) -> int:
        """Return how many members there are, which must be those of a computation of everybody."""
        rows = await self._resources.postgres.fetch(_RUNS)
        runs = ", ".join(f"toUUID('{row['published_run']}')" for row in rows)
        published = self._server.run(
            "SELECT segment_id, bitmapCardinality(set), sipHash64(arraySort(bitmapToArray(set))) FROM (SELECT segment_id, "
            f"groupBitmapMergeState(members) AS set FROM segment_states WHERE run_id IN ({runs}) GROUP BY segment_id) "
            "WHERE bitmapCardinality(set) > 0 ORDER BY segment_id"
        ).rows
        shared, ids = compiler.SharedSlots(list(plans.values())), list(plans)
        for one in (shared.create(), shared.create_members(ids)):
            self._server.run(lower(one.sql, one.params), session_id="check")
        found = self._server.run(
            "SELECT segment_id, count(), sipHash64(arraySort(groupArray(number))) FROM shared_members INNER JOIN (SELECT user_key, "
            f"number FROM user_numbers WHERE tenant_id = {TENANT}) AS numbers USING (user_key) GROUP BY segment_id ORDER BY segment_id",
            session_id="check",
        ).rows
        for table in ("shared_slots", "shared_members"):
            self._server.run(f"DROP TEMPORARY TABLE {table}", session_id="check")
        if published != found:
            raise SystemExit("the members are not those of a computation of everybody")
        return sum(int(count) for _, count, _ in published)

    async def change(self, users: Sequence[str], since: datetime, *, round_: int) -> None:
        """Let something happen to some users after an instant: an event of the usual types, or two."""
        draw = random.Random(round_)  # a benchmark is to be repeatable
        names, weights = list(HALF_PERCENTS), list(HALF_PERCENTS.values())
        sent = [
            {
                "event_id": f"{MADE}{round_}-{number}",
                "user_id": user,
                "event_type": draw.choices(names, weights)[0],
                "occurred_at": (since + timedelta(seconds=draw.uniform(1, 59))).isoformat(),
                "payload": {"total": round(draw.uniform(1, 900), 2), "country": draw.choice(("ES", "FR", "DE"))},
            }
            for number, user in enumerate(user for user in users for _ in range(draw.choice((1, 1, 1, 2))))
        ]
        for start in range(0, len(sent), 5_000):
            await self._resources.ingestion.accept(
                self._tenant, sent[start : start + 5_000], received_at=datetime.now(UTC)
            )
        while await self._resources.forwarding.forward_next():
            pass


async def measure_old(server: Server, service: Service, *, rounds: int) -> tuple[float, float]:
    """Refresh in the old way and print; return the CPU seconds of a refresh, computed one by one and together."""
    old = OldWay(server)
    old.refresh(await service.plans(AS_OF - timedelta(minutes=2 * rounds)), is_apart=False)
    for _ in range(BEFORE):
        old.age()
    spent = dict[str, list[float]]()
    for number in range(2 * rounds):
        plans = await service.plans(AS_OF - timedelta(minutes=2 * rounds - 1 - number))
        for name, seconds in old.refresh(plans, is_apart=number % 2 == 0).items():
            spent.setdefault(name, []).append(seconds)
    steps = {name: statistics.median(seconds) for name, seconds in spent.items()}
    apart, together = (sum(steps.values()) - steps[f"compute and write, {way}"] for way in ("together", "one by one"))
    print("| the old way | CPU s |\n|---|---:|")
    for name, seconds in [*steps.items(), ("all, one by one", apart), ("all, together", together)]:
        print(f"| {name} | {seconds:.1f} |")
    print(flush=True)
    for table in ("old_memberships", "old_changes"):
        server.run(f"DROP TABLE {table} SYNC")
    return apart, together


async def measure(server: Server, resources: Resources, *, rounds: int, users: int, is_old_measured: bool) -> None:
    """Refresh both ways and print."""
    for file in sorted(files(migrations).joinpath("postgres").iterdir(), key=lambda file: file.name):
        await resources.postgres.execute(file.read_text("utf-8"))
    tenant = await resources.tenants.create("benchmark")
    assert tenant.id == TENANT
    service = Service(server, resources, tenant)
    await service.save()
    changed = [user for (user,) in server.run(_USERS.format(int(users * SHARE))).rows]
    apart, together = await measure_old(server, service, rounds=rounds) if is_old_measured else (0.0, 0.0)
    print(
        "| refresh | ClickHouse | worker | both | the old way, one by one ÷ this | the old way, together ÷ this | MB written |\n"
        "|---|---:|---:|---:|---:|---:|---:|"
    )

    async def row(name: str, prepare: Callable[[int], Awaitable[datetime]]) -> None:
        taken, sizes = list[dict[str, float]](), list[int]()
        for number in range(rounds):
            as_of = await prepare(number)
            before = written(server)
            taken.append(await service.refresh(as_of))
            sizes.append(written(server) - before)
            await service.check(await service.plans(as_of))
        clickhouse, worker = (statistics.median(one[process] for one in taken) for process in ("ClickHouse", "worker"))
        both = clickhouse + worker
        size = statistics.median(sizes) / 1e6
        print(
            f"| {name} | {clickhouse:.2f} | {worker:.2f} | {both:.2f} | {apart / both:.1f} | {together / both:.1f} | {size:.1f} |",
            flush=True,
        )

    async def anew(number: int) -> datetime:
        as_of = AS_OF - timedelta(days=1, minutes=rounds - number)
        if not number:
            await service.refresh(as_of - timedelta(minutes=1))
        await forget(resources)
        return as_of

    def later(minutes: int) -> Callable[[int], Awaitable[datetime]]:
        async def prepare(number: int) -> datetime:
            as_of = AS_OF - timedelta(minutes=minutes * (rounds - number))
            await service.refresh(as_of - timedelta(minutes=minutes))
            await service.change(changed, as_of - timedelta(minutes=1), round_=number + 10 * minutes)
            return as_of

        return prepare

    await row("of everybody", anew)
    for minutes in MINUTES:
        await row(f"{len(changed):,} users changed, {minutes} min later", later(minutes))


async def forget(resources: Resources) -> None:
    """Have the next refresh ask everything."""
    await resources.postgres.execute("UPDATE tenants SET rewritten_by = pg_current_xact_id()")


def written(server: Server) -> int:
    """Bytes that the server has written to files so far, those of merges too."""
    return int(
        server.run("SELECT sum(value) FROM system.events WHERE event = 'WriteBufferFromFileDescriptorWriteBytes'").rows[
            0
        ][0]
        or 0
    )


async def run(server: Server, *, rounds: int, users: int, is_old_measured: bool) -> None:
    """Open the use cases over *server* and a PostgreSQL of their own."""
    with TemporaryDirectory() as directory, start_postgres(Path(directory)) as engine:
        async with open_resources(Settings(database_url=engine.url, clickhouse_url=server.url)) as resources:
            await measure(server, resources, rounds=rounds, users=users, is_old_measured=is_old_measured)


def main() -> None:
    """Fill, refresh and print."""
    parser = argparse.ArgumentParser(description="Refresh many segments, of everybody and where few users changed.")
    parser.add_argument("--data", type=Path, default=Path("benchmarks/.data"), help="where ClickHouse keeps its files")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--new-only", action="store_true", help="leave the old way out, which takes most of the time")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with serving(given.data) as server:
        fill(server, events=given.events, users=given.users)
        for name in NEW:
            for statement in statements_of(name):
                server.run(statement)
        for table in TABLES:
            server.run(f"TRUNCATE TABLE {table}")
        print(f"{machine()}, ClickHouse {server.version}; {given.events:,} events, {given.users:,} users; ", end="")
        print(f"{SEGMENTS} segments; median of {given.rounds}\n")
        try:
            asyncio.run(run(server, rounds=given.rounds, users=given.users, is_old_measured=not given.new_only))
        finally:
            server.run(f"ALTER TABLE events DELETE WHERE startsWith(event_id, '{MADE}') SETTINGS mutations_sync = 1")


if __name__ == "__main__":
    main()
