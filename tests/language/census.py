"""Read very many drawn definitions every way there is, and print what was drawn how often and where the readings part.

`python -m tests.language.census --definitions 5000 --seed 1` (with TEST_CLICKHOUSE_SHARDS=2 on two shards). Each data set of
200 users is asked fifty definitions, drawn about the pieces of the language in turns, at two instants: as a chain, as
bits, with current traits and those of the history, and all of one instant in one computation. Exit 0 when no reading differs
from the interpreter's and each piece was drawn at least 100 times in 5,000 definitions, in proportion in fewer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, TextIO

from msgspec import Struct, field
from msgspec.structs import replace

from segment_copilot.compiler import SharedSlots, shape_of
from segment_copilot.stores import migrations
from segment_copilot.stores.clickhouse import ClickHouse, Session
from segment_copilot.stores.merging import ROWS
from segment_copilot.stores.postgres import open_postgres
from segment_copilot.telemetry.logs import configure_logging
from tests.support.databases import clickhouse_database, new_name, open_stores, run_postgres, with_database
from tests.support.engines import SHARDS, choose_source, run_servers
from tests.support.language.data_sets import (
    SEGMENT_IDS,
    WAYS,
    DataSet,
    explain_difference,
    fetch_members,
    load_data_set,
)
from tests.support.language.pieces import PIECES, POSITIONS, condition_with, definition_about, placed
from tests.support.language.strategies import Draw

Json = dict[str, Any]

A_DATA_SET = 50
IN_5000 = 100
SHOWN = 3


class Census(Struct):
    """What was drawn, read and found different so far."""

    definitions: int = 0
    histories: int = 0
    pairs: int = 0  # of a definition and a user, each read every way
    ways: Counter[str] = field(default_factory=Counter[str])
    drawn: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    seeds: list[int] = field(default_factory=list[int])
    differences: list[str] = field(default_factory=list[str])

    @property
    def rare(self) -> list[str]:
        """The pieces that were drawn too rarely."""
        least = IN_5000 * self.definitions / 5000
        return [name for name in PIECES if self.drawn[name, ""] < least]


def draw_definitions(draw: Draw, first: int, number: int) -> list[Json]:
    """Each is about a piece, whose turns go on from data set to data set."""
    return [definition_about(draw, first + index, SEGMENT_IDS) for index in range(number)]


def draw_references(draw: Draw, drawn: Mapping[int, Json], number: int) -> dict[int, Json]:
    """The segments of a data set, each with two conditions about pieces; the last may refer to the others."""
    names, turn = [*PIECES], number * 2 * len(SEGMENT_IDS)
    references = dict[int, Json]()
    for segment_id, old in sorted(drawn.items()):
        others = sorted(references)[-2:]
        some = list[Json]()
        while len(some) < 2:
            name, turn = names[turn % len(names)], turn + 1
            if others or not name.startswith("segment_ids"):
                some.append(condition_with(draw, name, others))
        references[segment_id] = old | {"conditions": [*old["conditions"], *some]}
    return references


async def take(census: Census, clickhouse: ClickHouse, data: DataSet, number: int, definitions: int) -> None:
    """Ask one data set its definitions."""
    draw = Draw(data.seed + 7_000, data.world)
    data = replace(data, references=draw_references(draw, data.references, number))
    drawn = [
        (definition, draw.one(data.world.as_ofs))
        for definition in draw_definitions(draw, number * A_DATA_SET, definitions)
    ]
    for as_of in data.world.as_ofs:
        asked = [definition for definition, when in drawn if when == as_of]
        universe = data.universe(as_of)
        read = [data.read(definition, as_of, universe) for definition in asked]
        await _together(census, clickhouse, data, asked, as_of=as_of, read=read)
        for definition, expected in zip(asked, read, strict=True):
            census.definitions += 1
            census.pairs += len(universe)
            census.drawn.update(placed(definition, data.references))
            census.ways[f"of itself a {shape_of(data.plan(definition, as_of))}"] += 1
            for shape, traits in WAYS if "user_property" in str(definition) else WAYS[:2]:
                census.ways[f"{shape}, {traits} traits"] += 1
                if (
                    await fetch_members(
                        clickhouse, await data.compile(clickhouse, definition, as_of, shape=shape, traits=traits)
                    )
                    != expected
                ):
                    way = (shape, traits)
                    census.differences.append(
                        await explain_difference(clickhouse, data, definition, as_of=as_of, universe=universe, way=way)
                    )
    census.seeds.append(data.seed)
    census.histories += len(data.universe(max(data.world.as_ofs)))


async def _together(
    census: Census, clickhouse: ClickHouse, data: DataSet, asked: list[Json], *, as_of: Any, read: list[set[str]]
) -> None:
    if not asked:
        return
    shared = SharedSlots(await data.asked(clickhouse, *asked, as_of=as_of))
    async with clickhouse.session(purpose="compute") as session:
        found = await _members(session, shared, len(asked))
    for place, (definition, expected) in enumerate(zip(asked, read, strict=True)):
        census.ways["computed with others"] += 1
        if found[place] != expected:
            told = f"together; seed {data.seed}, as_of {as_of.isoformat()}: {sorted(found[place] ^ expected)[:3]}"
            census.differences.append(f"{told}\n{definition}")


async def _members(session: Session, shared: SharedSlots, number: int) -> list[set[str]]:
    for query in (shared.create(), shared.create_members(range(number))):
        await session.fetch(query.sql, query.params)
    found = [set[str]() for _ in range(number)]
    for place, user_id in (await session.fetch("SELECT segment_id, user_id FROM shared_members", merge=ROWS)).rows:
        found[place].add(user_id)
    return found


def report(census: Census, *, seconds: float) -> str:
    """As Markdown."""
    lines = ["| piece | drawn | " + " | ".join(POSITIONS) + " |", "|---|---:" + "|---:" * len(POSITIONS) + "|"]
    for name in PIECES:
        numbers = [census.drawn[name, position] for position in ("", *POSITIONS)]
        lines.append(f"| {name} | {' | '.join(map(str, numbers))} |")
    read = f"{census.definitions:,} definitions, {census.histories:,} histories, {census.pairs:,} pairs of both"
    told = [
        f"{read}; shards: {SHARDS}; data sets {census.seeds[0]} to {census.seeds[-1]}; {seconds:.0f} s",
        ", ".join(f"{way}: {number:,}" for way, number in sorted(census.ways.items())),
        f"drawn too rarely: {', '.join(census.rare) or 'none'}",
        f"differences: {len(census.differences)}",
        *census.differences[:SHOWN],
    ]
    return "\n".join([*lines, "", *told])


async def run(definitions: int, seed: int) -> Census:
    """Make databases, load data sets and ask them, until so many definitions were read."""
    census, began = Census(), time.monotonic()
    async with contextlib.AsyncExitStack() as stack:
        servers = stack.enter_context(run_servers(choose_source()))
        name = new_name()
        await run_postgres(servers.database_url, f"CREATE DATABASE {name}")
        postgres = await stack.enter_async_context(open_postgres(with_database(servers.database_url, name)))
        url = await stack.enter_async_context(clickhouse_database(servers.clickhouse_url, *servers.other_shards))
        clickhouse = await stack.enter_async_context(open_stores(url, postgres))
        await migrations.migrate(postgres, clickhouse)
        for number in range(-(-definitions // A_DATA_SET)):
            data = await load_data_set(postgres, clickhouse, seed * 10_000 + number, linked=number % 2 == 1)
            left = min(A_DATA_SET, definitions - census.definitions)
            await take(census, clickhouse, data, number, left)
            tell(f"{census.definitions} definitions, {len(census.differences)} differences", sys.stderr)
            if number % 5 == 4:  # what was found so far, should it be stopped
                tell(report(census, seconds=time.monotonic() - began))
            if len(census.differences) >= SHOWN:
                break
    return census


def tell(text: str, to: TextIO = sys.stdout) -> None:
    """Write a text at once."""
    to.write(f"{text}\n")
    to.flush()


def main() -> int:
    """Print the report."""
    parser = argparse.ArgumentParser(description="Read very many drawn definitions every way there is.")
    parser.add_argument("--definitions", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    configure_logging(level="error", form="console")
    began = time.monotonic()
    census = asyncio.run(run(given.definitions, given.seed))
    tell(report(census, seconds=time.monotonic() - began))
    return 1 if census.differences or census.rare else 0


if __name__ == "__main__":
    sys.exit(main())
