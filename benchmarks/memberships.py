"""Find one user's memberships in tables of several layouts: `python benchmarks/memberships.py`.

200 segments of half a million users, 11.8 million members in the published runs and as many in the ones before them. Each
layout is written segment by segment, as computations do; then one user is looked for, then 1,000 at once, a page is read,
and one run is deleted.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

import msgspec

from compare import machine
from server import Server, serving

SEGMENTS = 200
COLUMNS = "tenant_id UInt32, segment_id UInt64, run_id UUID, user_id String, user_key UInt64"
ORDER = "ORDER BY (tenant_id, segment_id, run_id, user_id)"
BY_USER = "CREATE TABLE measured_by_user (tenant_id UInt32, user_key UInt64, segment_id UInt64, run_id UUID) ENGINE = MergeTree ORDER BY"
VIEW = "CREATE MATERIALIZED VIEW measured_view TO measured_by_user AS SELECT tenant_id, user_key, segment_id, run_id FROM measured"
REBUILT = f"ENGINE = MergeTree {ORDER} SETTINGS lightweight_mutation_projection_mode = 'rebuild'"
LAYOUTS = {
    "as it was": [f"CREATE TABLE measured ({COLUMNS}) ENGINE = MergeTree {ORDER}"],
    "granules of 1,024": [
        f"CREATE TABLE measured ({COLUMNS}) ENGINE = MergeTree {ORDER} SETTINGS index_granularity = 1024"
    ],
    "granules of 256": [
        f"CREATE TABLE measured ({COLUMNS}) ENGINE = MergeTree {ORDER} SETTINGS index_granularity = 256"
    ],
    "projection by user": [
        f"CREATE TABLE measured ({COLUMNS}, PROJECTION by_user (SELECT * ORDER BY tenant_id, user_id)) {REBUILT}",
    ],
    "offsets by user": [
        f"CREATE TABLE measured ({COLUMNS}, PROJECTION by_user (SELECT _part_offset ORDER BY tenant_id, user_id)) {REBUILT}",
    ],
    "a table by user": [
        f"CREATE TABLE measured ({COLUMNS}) ENGINE = MergeTree {ORDER}",
        f"{BY_USER} (tenant_id, user_key, segment_id, run_id) SETTINGS index_granularity = 1024",
        VIEW,
    ],
}


def runs_of(generation: int) -> list[str]:
    """The run of each segment."""
    return [f"toUUID('00000000-0000-0000-{generation:04d}-{segment:012d}')" for segment in range(1, SEGMENTS + 1)]


def share(segment: int) -> float:
    """How many of the users are in a segment: half of them in the first, very few in the last; 12 % on the average."""
    return 0.5 / (1 + (segment - 1) * 0.045)


def write(server: Server, table: str, *, users: int, generation: int) -> None:
    """One run of every segment."""
    for segment, run in enumerate(runs_of(generation), 1):
        server.run(
            f"INSERT INTO {table} SELECT 1, {segment}, {run}, concat('user_', leftPad(toString(number), 7, '0')) AS id, "
            f"sipHash64(id) FROM numbers({users}) WHERE sipHash64(number, {segment}) % 100000 < {int(share(segment) * 1e5)}"
        )


def look_up(table: str, users: list[str]) -> str:
    """The query for the runs that some users are in."""
    pairs = ", ".join(f"({segment}, {run})" for segment, run in enumerate(runs_of(1), 1))
    wanted = ", ".join(f"'{user}'" for user in users)
    if table == "measured_by_user":
        named = f"user_key IN (SELECT sipHash64(arrayJoin([{wanted}])))"
    else:
        named = f"user_id IN ({wanted})"
    return f"SELECT run_id FROM {table} WHERE tenant_id = 1 AND (segment_id, run_id) IN ({pairs}) AND {named}"


class Timing(msgspec.Struct, frozen=True):
    """Milliseconds a query: half of them, 99 % of them, and of the server's CPU on the average; and the rows that came."""

    half: float
    most: float
    cpu: float
    rows: int

    def __str__(self) -> str:
        return f"{self.half:.1f} / {self.most:.1f} / {self.cpu:.1f}"


def timed(server: Server, queries: list[str]) -> Timing:
    """Run some queries, one after the other."""
    server.run(queries[0])
    before = server.cpu()
    found = [server.run(query) for query in queries]
    cpu = 1000 * (server.cpu() - before) / len(queries)
    taken = sorted(1000 * one.seconds for one in found)
    return Timing(statistics.median(taken), taken[len(taken) * 99 // 100], cpu, sum(len(one.rows) for one in found))


def main() -> None:
    """Fill, look up and print."""
    parser = argparse.ArgumentParser(description="Look up one user's memberships.")
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--lookups", type=int, default=300)
    parser.add_argument("--only", default="", help="layouts with this in their name")
    given = parser.parse_args()
    random.seed(7)
    some = [f"user_{random.randrange(given.users):07d}" for _ in range(given.lookups)]
    many = [f"user_{random.randrange(given.users):07d}" for _ in range(1_000)]
    with tempfile.TemporaryDirectory() as directory, serving(Path(directory)) as server:
        print(machine(), server.version)
        print(
            "\n| layout | write s CPU | MB | one user ms: p50 / p99 / CPU | found | 1,000 users ms | a page ms | DELETE of a run s CPU |"
        )
        print("|---|---:|---:|---:|---:|---:|---:|---:|")
        for name, layout in LAYOUTS.items():
            if given.only not in name:
                continue
            for statement in layout:
                server.run(statement)
            asked = "measured_by_user" if len(layout) > 1 else "measured"
            before = server.cpu()
            write(server, "measured", users=given.users, generation=0)
            write(server, "measured", users=given.users, generation=1)
            written = (server.cpu() - before) / 2
            for table in {"measured", asked}:
                server.run(f"OPTIMIZE TABLE {table} FINAL")
            size = int(
                server.run("SELECT sum(bytes_on_disk) FROM system.parts WHERE table LIKE 'measured%' AND active").rows[
                    0
                ][0]
            )
            one = timed(server, [look_up(asked, [user]) for user in some])
            bulk = timed(server, [look_up(asked, many)] * 5)
            page = timed(server, [
                f"SELECT user_id FROM measured WHERE tenant_id = 1 AND segment_id = 3 AND run_id = {runs_of(1)[2]} "
                f"AND user_id > '{user}' ORDER BY user_id LIMIT 1001" for user in some[:50]
            ])  # fmt: skip
            before, started = server.cpu(), time.perf_counter()
            for table in {"measured", asked}:
                server.run(f"DELETE FROM {table} WHERE tenant_id = 1 AND segment_id = 9 AND run_id = {runs_of(0)[8]}")
            deleted = server.cpu() - before
            print(
                f"| {name} | {written:.1f} | {size / 1e6:.0f} | {one} | {one.rows:,} | {bulk} | {page} "
                f"| {deleted:.2f} ({time.perf_counter() - started:.2f} s) |",
                flush=True,
            )
            for table in ("measured_view", "measured_by_user", "measured"):
                server.run(f"DROP TABLE IF EXISTS {table} SYNC")


if __name__ == "__main__":
    main()
