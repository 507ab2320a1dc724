"""Recompute 200 segments of one tenant one by one, and together: `python benchmarks/together.py`.

The segments are the twelve audiences of `audiences/` in turns, with every condition drawn anew: one of thirty pairs of an
event type and a window, and a number of its own. Both ways write the members into `segment_states`; per segment the number of
members and a checksum of them must be the same.
"""

from __future__ import annotations

import argparse
import random
import statistics
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec

from compare import machine
from data import AS_OF, HALF_PERCENTS, SEED, TENANT, fill
from segment_copilot import compiler
from segment_copilot.compiler import Plan, leaves
from segment_copilot.language import decode, parse
from segment_copilot.language.catalog import Catalog
from segment_copilot.stores.literals import lower
from server import Server, serving
from shapes import twelve

Json = dict[str, Any]

SEGMENTS = 200
PAIRS = 30
DAYS = (7, 14, 30, 60, 90, 120)


class Run(msgspec.Struct, frozen=True):
    """One computation of one segment."""

    plan: Plan
    segment_id: int
    run_id: UUID


class Draw:
    """Definitions from a seed: those of `audiences/` in turns, over drawn pairs and with drawn numbers."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # a benchmark is to be repeatable
        self.pairs = self.random.sample([(name, days) for name in HALF_PERCENTS for days in DAYS], PAIRS)

    def redrawn(self, item: Any) -> Any:
        """*item* with every event type, window, number and text of a condition drawn anew."""
        if isinstance(item, list):
            return [self.redrawn(one) for one in item]
        if not isinstance(item, dict):
            return item
        changed = {name: self.redrawn(value) for name, value in item.items()}
        match item.get("type"):
            case "event_sequence":
                changed["events"] = self.random.sample(sorted(HALF_PERCENTS), len(item["events"]))
                changed["search_window"] = {"last": f"{self.random.choice(DAYS)}d"}
            case "recency":
                changed["event_type"], days = self.random.choice(self.pairs)
                changed["window_days"] = self.random.randint(1, days)
                if "value2" in item:
                    changed["value2"] = days + self.random.randint(1, 30)
            case "user_property" if isinstance(item.get("value"), int):
                changed["value"] = self.random.randint(10, 4_000)
            case "segment_membership":
                changed["segment_id"] = item["segment_id"]
            case _ if "event_type" in item:
                changed["event_type"], days = self.random.choice(self.pairs)
                if item["type"] != "event_periods":
                    changed["window_days"] = days
                if item.get("value"):
                    changed["value"] = self.number(item)
        return changed

    def number(self, condition: Json) -> Any:
        """What a condition compares with."""
        match condition["type"]:
            case "event_count":
                return self.random.randint(1, 25)
            case "monetary":
                return self.random.randint(20, 900)
            case "event_periods":
                return self.random.randint(2, 5)
            case _:
                return condition["value"]


def runs(number: int, seed: int, *, as_of: datetime = AS_OF) -> list[Run]:
    """The compiled segments, numbered from 1; those that one of them refers to are as they are in `audiences/`."""
    draw, shapes, found = Draw(seed), twelve(), list[Run]()
    for index in range(number):
        shape = shapes[index % len(shapes)]
        references = {id_: decode(msgspec.json.encode(definition)) for id_, definition in shape.references.items()}
        plan = compiler.compile_definition(
            parse(msgspec.json.encode(draw.redrawn(shape.definition))),
            catalog=Catalog(),
            references=references,
            tenant_id=TENANT,
            as_of=as_of,
        ).plan
        found.append(Run(plan, index + 1, UUID(int=index + 1)))
    return found


def at_once(segments: list[Run]) -> list[compiler.CompiledQuery]:
    """The statements that ask every source once, and then write the members of all segments."""
    sets, statements, kept = compiler.SlotSets([run.plan for run in segments]), list[compiler.CompiledQuery](), {}
    for slots in sets.asked:
        set_id = uuid4()
        statements.append(sets.ask(slots, set_id=set_id))
        kept |= {slot: compiler.Kept(set_id, place) for place, slot in enumerate(slots)}
    ids, run_ids = [run.segment_id for run in segments], [run.run_id for run in segments]
    return [*statements, sets.members(kept, segment_ids=ids, run_ids=run_ids)]


_NUMBERS = f"""
INSERT INTO user_numbers (tenant_id, user_id, user_key, number)
SELECT tenant_id, user_id, user_key, row_number() OVER () FROM (
    SELECT tenant_id, any(user_id) AS user_id, user_key FROM users WHERE tenant_id = {TENANT} GROUP BY tenant_id, user_key)
"""


def members(server: Server) -> dict[str, list[str]]:
    """Per segment, how many members were written and their checksum; they are taken out again."""
    rows = server.run(
        "SELECT segment_id, bitmapCardinality(set), sipHash64(bitmapToArray(set)) FROM ("
        "SELECT segment_id, groupBitmapMergeState(members) AS set FROM segment_states GROUP BY segment_id) "
        "WHERE bitmapCardinality(set) > 0 ORDER BY segment_id"
    ).rows
    server.run("TRUNCATE TABLE segment_states")
    return {segment: rest for segment, *rest in rows}


def main() -> None:
    """Fill, compute both ways, compare and print."""
    parser = argparse.ArgumentParser(description="Recompute many segments one by one and together.")
    parser.add_argument("--data", type=Path, default=Path("benchmarks/.data"), help="where ClickHouse keeps its files")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    segments = runs(SEGMENTS, given.seed)
    slots = [leaf.slot for run in segments for leaf in leaves(run.plan.root)]
    with serving(given.data) as server:
        fill(server, events=given.events, users=given.users, seed=given.seed)
        server.run("TRUNCATE TABLE user_numbers")
        server.run(_NUMBERS)
        seconds: dict[str, list[float]] = {"one by one": [], "together": []}
        memory: dict[str, list[float]] = {"one by one": [], "together": []}
        written = 0
        for _ in range(given.rounds):
            server.run("TRUNCATE TABLE segment_states")
            alone = [
                compiler.render_membership_insert(run.plan, segment_id=run.segment_id, run_id=run.run_id)
                for run in segments
            ]
            answers = [server.run(lower(query.sql, query.params)) for query in alone]
            seconds["one by one"].append(sum(answer.seconds for answer in answers))
            memory["one by one"].append(max(answer.memory for answer in answers))
            one_by_one = members(server)
            answers = [server.run(lower(query.sql, query.params)) for query in at_once(segments)]
            server.run("TRUNCATE TABLE kept_slots")
            seconds["together"].append(sum(answer.seconds for answer in answers))
            memory["together"].append(max(answer.memory for answer in answers))
            together = members(server)
            if one_by_one != together:
                raise SystemExit("the members differ")
            written = sum(int(count) for count, _ in together.values())
        print(f"{machine()}, ClickHouse {server.version}; {given.events:,} events, {given.users:,} users; ", end="")
        print(
            f"{SEGMENTS} segments, {len(slots)} leaves, {len(set(slots))} distinct slots, {written:,} memberships; ",
            end="",
        )
        print(f"median of {given.rounds}\n\n| way | s | MB |\n|---|---:|---:|")
        for way, taken in seconds.items():
            print(f"| {way} | {statistics.median(taken):.1f} | {max(memory[way]) / 2**20:.0f} |")
        ratio = statistics.median(seconds["one by one"]) / statistics.median(seconds["together"])
        print(f"\ntogether is {ratio:.1f} times as fast")


if __name__ == "__main__":
    main()
