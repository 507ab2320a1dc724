"""Compare a rank on two shards with one on one server that has everybody: `python benchmarks/ranks.py`.

On one server a rank is one read. Over shards its border is looked for first (`audiences/spread.py`), in one read of the measure
where it has few different values and in two or three where it has very many; then the plan runs on each shard. Both are
asked in turns, of a measure of each kind; both must find the same members. CPU is that of the servers' processes.
Ratios compare within a run; times of different runs or machines do not.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, cast

import msgspec

from compare import machine
from data import AS_OF, SEED, TENANT, fill
from segment_copilot import compiler
from segment_copilot.audiences.spread import Ranks
from segment_copilot.compiler import Plan
from segment_copilot.language import parse
from segment_copilot.language.catalog import Catalog
from segment_copilot.stores.clickhouse import ClickHouse, Result, open_clickhouse
from segment_copilot.stores.merging import SUMS, Merge
from segment_copilot.telemetry.logs import configure_logging
from server import Server, serving

SHARDS = 2
COUNTED = {"measure": "count", "event_type": "*"}
SPENT = {"measure": "sum", "event_type": "order_placed", "property": "total"}
RANKS: Mapping[str, dict[str, Any]] = {
    "a tenth, by how many events: few different values": {"top_percent": 10, "by": COUNTED},
    "500, by how many events: a crowded border": {"top": 500, "by": COUNTED},
    "a tenth, by what they spent: very many values": {"top_percent": 10, "by": SPENT},
}


class Shards:
    """Answers as a cluster does: each statement is sent to all servers at once, and *reads* counts them."""

    def __init__(self, servers: list[ClickHouse]) -> None:
        self.servers = servers
        self.reads = 0

    async def fetch(
        self, sql: str, params: Mapping[str, object] | None = None, *, purpose: Any, merge: Merge, **_: object
    ) -> Result:
        """Return what the rows of all make together."""
        self.reads += 1
        given = {**(params or {}), **merge.params}
        results = await asyncio.gather(*(one.fetch(sql, given, purpose=purpose) for one in self.servers))
        rows = merge.together([one.rows for one in results])
        return msgspec.structs.replace(results[0], rows=rows)


def plan_of(rank: dict[str, Any], *, spread: bool) -> Plan:
    """Return the plan of an audience that is this rank alone."""
    definition = {"logic": "AND", "conditions": [{"type": "rank", **rank}]}
    parsed = parse(msgspec.json.encode(definition))
    compiled = compiler.compile_definition(
        parsed, catalog=Catalog(), references={}, tenant_id=TENANT, as_of=AS_OF, spread=spread
    )
    return compiled.plan


async def asked(rank: dict[str, Any], shards: Shards) -> tuple[int, int]:
    """Return how many are in, and the sum of their keys' hashes, with the border looked for where users are spread."""
    plan = plan_of(rank, spread=len(shards.servers) > 1)
    if plan.spread:
        (plan,) = await Ranks(cast("ClickHouse", shards)).bounded([plan], purpose="preview")
    query = compiler.render_keys(plan, keys=None)
    sql = f"SELECT count(), sum(sipHash64(user_key) % 1000003) FROM ({query.sql})"
    ((members, checksum),) = (await shards.fetch(sql, query.params, purpose="compute", merge=SUMS)).rows
    return members, checksum


async def measure(engines: list[Server], rounds: int) -> list[str]:
    """Ask in turns; the first turn warms up and is left out. Return rows of a table."""
    rows = list[str]()
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(open_clickhouse(one.url)) for one in engines]
        both = {"whole": (Shards(opened[:1]), engines[:1]), "parts": (Shards(opened[1:]), engines[1:])}
        for name, rank in RANKS.items():
            cpu: dict[str, list[float]] = {"whole": [], "parts": []}
            wall: dict[str, list[float]] = {"whole": [], "parts": []}
            found = dict[str, tuple[int, int]]()
            for turn in range(rounds + 1):
                for side, (shards, servers) in both.items():
                    before, began = sum(one.cpu() for one in servers), time.perf_counter()
                    shards.reads = 0
                    found[side] = await asked(rank, shards)
                    if turn:
                        cpu[side].append(sum(one.cpu() for one in servers) - before)
                        wall[side].append(time.perf_counter() - began)
            if found["whole"] != found["parts"]:
                raise SystemExit(f"{name}: the shards do not agree with one server: {found}")
            one, two = (statistics.median(cpu[side]) * 1000 for side in ("whole", "parts"))
            ratio = statistics.median(wall["parts"]) / statistics.median(wall["whole"])
            reads = both["parts"][0].reads
            rows.append(
                f"| {name} | {found['whole'][0]:,} | {reads} | {one:.0f} | {two:.0f} | {two / one:.2f} | {ratio:.2f} |"
            )
    return rows


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description="Compare ranks on two shards with ranks on one server.")
    parser.add_argument(
        "--data", type=Path, default=Path("benchmarks/.data/ranks"), help="where the servers keep their files"
    )
    parser.add_argument("--events", type=int, default=4_000_000)
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=5, help="warm runs of each rank")
    given = parser.parse_args()
    configure_logging(level="error", form="console")
    size = {"events": given.events, "users": given.users, "seed": SEED}
    with ExitStack() as stack:
        servers = list[Server]()
        for name, only in (
            ("whole", "true"),
            *((f"shard-{n}", f"sipHash64(user_id) % {SHARDS} = {n}") for n in range(SHARDS)),
        ):
            servers.append(stack.enter_context(serving(given.data / name)))
            fill(servers[-1], **size, only=only)
        print(f"{machine()}, ClickHouse {servers[0].version}; {given.events:,} events, {given.users:,} users, ", end="")
        print(f"{given.rounds} rounds in turns\n")
        rows = asyncio.run(measure(servers, given.rounds))
    print("| rank | members | reads of all shards | CPU ms, one server | CPU ms, both shards | ÷ | wall ÷ |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
