"""What neighbours cost: a preview that tells them beside the same preview without: `python benchmarks/sensitivity.py`.

Both are asked in turns, of every audience of `audiences/` whose conditions have a number or a length that can be varied.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from compare import machine
from data import AS_OF, SEED, TENANT, fill
from segment_copilot import compiler
from segment_copilot.audiences.sensitivity import Sensitivity
from segment_copilot.compiler import CompiledQuery, leaves
from segment_copilot.language import decode, parse
from segment_copilot.language.catalog import Catalog, EventType
from segment_copilot.stores.literals import lower
from server import Server, serving
from shapes import Shape, read_shapes


def queries(shape: Shape, events: int) -> tuple[list[CompiledQuery], list[CompiledQuery], int]:
    """Those of the preview, those that tell neighbours too, and how many variations these ask."""
    catalog = Catalog(event_types={"all": EventType("all", event_count=events)})
    compiled = compiler.compile_definition(
        parse(shape.definition),
        catalog=catalog,
        references={number: decode(one) for number, one in shape.references.items()},
        tenant_id=TENANT,
        as_of=AS_OF,
    )
    varied = Sensitivity(compiled.bound.definition, compiled.plan, catalog)
    nodes = [*leaves(compiled.plan.root), *varied.nodes]
    plain = [compiler.render_preview(compiled.plan, sample=10, keys=keys) for keys in compiled.ranges]
    telling = [compiler.render_preview_of_many(compiled.plan, nodes, sample=10, keys=keys) for keys in compiled.ranges]
    return plain, telling, len(varied.nodes)


def seconds(server: Server, asked: list[CompiledQuery]) -> tuple[float, int]:
    """Seconds that all of them take, and how many members they find."""
    answers = [server.run(lower(one.sql, one.params)) for one in asked]
    return sum(answer.seconds for answer in answers), sum(int(answer.rows[0][1]) for answer in answers)


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description="Compare previews that tell neighbours with those that do not.")
    parser.add_argument("--data", type=Path, default=Path("benchmarks/.data"), help="where ClickHouse keeps its files")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    ratios = list[float]()
    with serving(wanted.data) as server:
        fill(server, events=wanted.events, users=wanted.users, seed=SEED)
        print(f"{machine()}; ClickHouse {server.version}; {wanted.events:,} events, {wanted.users:,} users\n")
        print("| audience | variations | preview ms | with neighbours ms | ratio |\n|---|---:|---:|---:|---:|")
        for shape in read_shapes():
            plain, telling, number = queries(shape, wanted.events)
            if not number:
                continue
            assert seconds(server, plain)[1] == seconds(server, telling)[1]
            turns = [(seconds(server, plain)[0], seconds(server, telling)[0]) for _ in range(wanted.rounds)]
            one, other = (statistics.median(taken) * 1000 for taken in zip(*turns, strict=True))
            ratios.append(other / one)
            print(f"| {shape.name} | {number} | {one:.0f} | {other:.0f} | {other / one:.2f} |", flush=True)
    print(f"\ngeometric mean {statistics.geometric_mean(ratios):.2f}, most {max(ratios):.2f}")


if __name__ == "__main__":
    main()
