"""Compare the twelve audiences on two shards with one server that has everybody: `python benchmarks/shards.py`.

Every compiled query is asked of one server, and then, as it is, of two at once that have half of the users each, as
`stores/cluster.py` does it. Both must find the same members. CPU is that of the servers' processes, memory what the
server counts for the query. Ratios compare within a run; times of different runs or machines do not.
"""

from __future__ import annotations

import argparse
import statistics
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import msgspec

from compare import MEGABYTE, compiled_sql, machine
from data import SEED, fill
from server import Server, serving
from shapes import Shape, twelve

SHARDS = 2


class Cost(msgspec.Struct, frozen=True):
    """Seconds of CPU of all servers, seconds until the last has answered, and the most memory on one of them."""

    cpu: float
    wall: float
    memory: float


class Measured(msgspec.Struct, frozen=True):
    """One shape on one server and on shards."""

    name: str
    members: int
    whole: Cost
    parts: Cost


def ask(servers: list[Server], queries: list[str], pool: ThreadPoolExecutor) -> tuple[tuple[int, int], Cost]:
    """What all servers answer together: how many members, the sum of their hashes; and what it cost."""
    before = [server.cpu() for server in servers]
    count, checksum, wall, memory = 0, 0, 0.0, 0
    for sql in queries:
        asked = f"SELECT count(), sum(sipHash64(user_key)) FROM ({sql})"
        answers = list(pool.map(lambda server, asked=asked: server.run(asked), servers))
        wall += max(answer.seconds for answer in answers)
        memory = max(memory, *(answer.memory for answer in answers))
        count += sum(int(answer.rows[0][0]) for answer in answers)
        checksum += sum(int(answer.rows[0][1]) for answer in answers)
    cpu = sum(server.cpu() for server in servers) - sum(before)
    return (count, checksum % 2**64), Cost(cpu, wall, memory / MEGABYTE)


def measure(
    whole: Server, parts: list[Server], shape: Shape, *, rounds: int, events: int, pool: ThreadPoolExecutor
) -> Measured:
    """Ask in turns; the first turn warms up and is left out."""
    queries = compiled_sql(shape, events=events)
    costs: dict[str, list[Cost]] = {"whole": [], "parts": []}
    found = dict[str, tuple[int, int]]()
    for turn in range(rounds + 1):
        for name, servers in (("whole", [whole]), ("parts", parts)):
            found[name], cost = ask(servers, queries, pool)
            if turn:
                costs[name].append(cost)
    if found["whole"] != found["parts"]:
        raise SystemExit(f"{shape.name}: the shards do not agree with one server: {found}")
    return Measured(shape.name, found["whole"][0], median(costs["whole"]), median(costs["parts"]))


def median(costs: list[Cost]) -> Cost:
    """Of each number by itself."""
    return Cost(*(statistics.median(getattr(cost, name) for cost in costs) for name in ("cpu", "wall", "memory")))


def table(measured: list[Measured]) -> str:
    """As Markdown."""
    lines = [
        "| audience | members | CPU ms, one server | CPU ms, both shards | ÷ | wall ÷ | MB, one server | MB, the larger shard | ÷ |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    ratios = list[tuple[float, float, float]]()
    for one in measured:
        whole, parts = one.whole, one.parts
        ratios.append((parts.cpu / whole.cpu, parts.wall / whole.wall, parts.memory / whole.memory))
        cpu, wall, memory = (f"{ratio:.2f}" for ratio in ratios[-1])
        lines.append(
            f"| {one.name} | {one.members:,} | {whole.cpu * 1000:.0f} | {parts.cpu * 1000:.0f} | {cpu} | {wall} "
            f"| {whole.memory:.0f} | {parts.memory:.0f} | {memory} |"
        )
    cpu, wall, memory = (f"{statistics.geometric_mean(each):.2f}" for each in zip(*ratios, strict=True))
    lines.append(f"| **geometric mean** | | | | **{cpu}** | **{wall}** | | | **{memory}** |")
    return "\n".join(lines)


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description="Compare two shards with one server.")
    parser.add_argument(
        "--data", type=Path, default=Path("benchmarks/.data/shards"), help="where the servers keep their files"
    )
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=5, help="warm runs of each query")
    arguments = parser.parse_args()
    size = {"events": arguments.events, "users": arguments.users, "seed": SEED}
    with ExitStack() as stack, ThreadPoolExecutor(SHARDS) as pool:
        servers = list[Server]()
        for name, only in (
            ("whole", "true"),
            *((f"shard-{n}", f"sipHash64(user_id) % {SHARDS} = {n}") for n in range(SHARDS)),
        ):
            servers.append(stack.enter_context(serving(arguments.data / name)))
            fill(servers[-1], **size, only=only)
        whole, *parts = servers
        print(f"{machine()}, ClickHouse {whole.version}; {arguments.events:,} events, {arguments.rounds} rounds\n")
        measured = [
            measure(whole, parts, shape, rounds=arguments.rounds, events=arguments.events, pool=pool)
            for shape in twelve()
        ]
    print(table(measured))


if __name__ == "__main__":
    main()
