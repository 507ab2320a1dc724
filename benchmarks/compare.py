"""Compare compiled SQL, the best hand-written SQL and the usual peers: `python benchmarks/compare.py`.

Every shape of `audiences/` runs in turns, compiled, best, peer on our layout, peer on the usual storage, compiled, …,
on one engine with warm data; what is compared is the median of the rounds, the first round left out. Each query
answers only how many members it found. Before that, all four must give the same number and the same checksum of ids.
Ratios compare within a run; times of different runs or machines do not.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
from collections.abc import Mapping
from pathlib import Path

import msgspec

from data import AS_OF, SEED, TENANT, fill
from peers import peer_sql
from segment_copilot import compiler
from segment_copilot.language import Definition, Parsed, parse
from segment_copilot.language.catalog import Catalog, SegmentName
from segment_copilot.stores.literals import lower
from server import Server, serving
from shapes import Shape, read_shapes

COMPILED, BEST, LAYOUT, USUAL = "compiled", "best", "peer, our layout", "peer, usual storage"
MEGABYTE = 2**20


class Measured(msgspec.Struct, frozen=True):
    """One shape: its members, and by query the median seconds and the peak of memory."""

    name: str
    members: int
    seconds: dict[str, float]
    memory: dict[str, float]

    def ratio(self, query: str, to: str) -> float:
        """How many times as long *query* takes as *to*."""
        return self.seconds[query] / self.seconds[to]


def compiled_sql(shape: Shape, *, events: int) -> list[str]:
    """What the compiler of this tree makes of the definition: a query for every range of users."""
    references: Mapping[int, Definition] = {
        number: _parsed(definition).definition or _refuse(shape) for number, definition in shape.references.items()
    }
    catalog = Catalog(segments={number: SegmentName(number, f"segment {number}") for number in references})
    compiled = compiler.compile_definition(
        _parsed(shape.definition), catalog=catalog, references=references, tenant_id=TENANT, as_of=AS_OF
    )
    ranges = compiler.key_ranges(compiled.plan, events=events)
    queries = [compiler.render_keys(compiled.plan, keys=keys) for keys in ranges]
    return [lower(query.sql, query.params) for query in queries]


def _parsed(definition: dict[str, object]) -> Parsed:
    return parse(msgspec.json.encode(definition))


def _refuse(shape: Shape) -> Definition:
    raise ValueError(f"{shape.name} refers to a definition that is not one")


def measure(server: Server, shape: Shape, *, rounds: int, events: int, by_cpu: bool = False) -> Measured:
    """Check that all agree, then time them in turns, by the clock or by the CPU time of the engine."""
    queries = {COMPILED: compiled_sql(shape, events=events), BEST: [shape.best]}
    queries |= {LAYOUT: [peer_sql(shape, "layout")], USUAL: [peer_sql(shape, "usual")]}
    members = check(server, shape.name, queries)
    seconds: dict[str, list[float]] = {name: [] for name in queries}
    memory: dict[str, list[int]] = {name: [] for name in queries}
    for turn in range(rounds + 1):
        for name, parts in queries.items():
            before = server.cpu()
            answers = [server.run(f"SELECT count() FROM ({sql})") for sql in parts]
            if turn:
                worked = server.cpu() - before
                seconds[name].append(worked if by_cpu else sum(answer.seconds for answer in answers))
                memory[name].append(max(answer.memory for answer in answers))
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    peaks = {name: statistics.median(used) / MEGABYTE for name, used in memory.items()}
    return Measured(shape.name, members, medians, peaks)


def check(server: Server, name: str, queries: Mapping[str, list[str]]) -> int:
    """The number of members, when every query gives the same ones."""
    found = dict[str, tuple[int, int]]()
    for query, parts in queries.items():
        key = "sipHash64(user_id)" if query in {LAYOUT, USUAL} else "user_key"
        sums = [server.run(f"SELECT count(), sum(sipHash64({key})) FROM ({sql})").rows[0] for sql in parts]
        counts, checksums = [int(count) for count, _ in sums], [int(checksum) for _, checksum in sums]
        found[query] = (sum(counts), sum(checksums) % 2**64)
    if len(set(found.values())) != 1:
        raise SystemExit(f"{name}: the queries do not agree: {found}")
    return found[BEST][0]


def table(measured: list[Measured]) -> str:
    """As Markdown."""
    lines = [
        "| audience | members | compiled ms | best ms | compiled ÷ best | peer, our layout ÷ compiled | peer, usual storage ÷ compiled | peers ÷ best | MB compiled / best / peers |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for shape in measured:
        peers = " / ".join(f"{shape.ratio(peer, BEST):.2f}" for peer in (LAYOUT, USUAL))
        memory = " / ".join(f"{shape.memory[query]:.0f}" for query in (COMPILED, BEST, LAYOUT, USUAL))
        lines.append(
            f"| {shape.name} | {shape.members:,} | {shape.seconds[COMPILED] * 1000:.0f} | {shape.seconds[BEST] * 1000:.0f} "
            f"| {shape.ratio(COMPILED, BEST):.2f} | {shape.ratio(LAYOUT, COMPILED):.2f} | {shape.ratio(USUAL, COMPILED):.2f} "
            f"| {peers} | {memory} |"
        )
    against = [
        mean(measured, query, to)
        for query, to in ((COMPILED, BEST), (LAYOUT, COMPILED), (USUAL, COMPILED), (LAYOUT, BEST), (USUAL, BEST))
    ]
    first, second, third, fourth, fifth = (f"{ratio:.2f}" for ratio in against)
    lines.append(f"| **geometric mean** | | | | **{first}** | **{second}** | **{third}** | **{fourth} / {fifth}** | |")
    return "\n".join(lines)


def mean(measured: list[Measured], query: str, to: str) -> float:
    """Of the ratios, geometric."""
    return statistics.geometric_mean([shape.ratio(query, to) for shape in measured])


def machine() -> str:
    """What this ran on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.machine()}"


def main() -> None:
    """Fill, check, measure and print."""
    parser = argparse.ArgumentParser(description="Compare compiled SQL with hand-written SQL and with the usual peers.")
    parser.add_argument("--data", type=Path, default=Path("benchmarks/.data"), help="where ClickHouse keeps its files")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--rounds", type=int, default=5, help="warm runs of each query")
    parser.add_argument("--only", default="", help="shapes whose name contains one of these, as in 06,leaves")
    parser.add_argument("--cpu", action="store_true", help="CPU time of the engine, where others use the machine too")
    given = parser.parse_args()
    with serving(given.data) as server:
        fill(server, events=given.events, users=given.users, seed=given.seed)
        measured = list[Measured]()
        for shape in read_shapes():
            if any(part in shape.name for part in given.only.split(",")):
                measured.append(measure(server, shape, rounds=given.rounds, events=given.events, by_cpu=given.cpu))
                ratio = measured[-1].ratio(COMPILED, BEST)
                print(f"{shape.name}: {measured[-1].members:,} members, compiled ÷ best {ratio:.2f}", flush=True)
        print(f"\n{machine()}, ClickHouse {server.version}; {given.events:,} events, {given.users:,} users, ", end="")
        print(f"median of {given.rounds} warm runs in turns{', CPU time' * given.cpu}\n\n{table(measured)}")


if __name__ == "__main__":
    main()
