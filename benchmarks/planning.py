"""What the server's planning costs, by the number of conditions: `python benchmarks/planning.py`.

The world is tiny, so that hardly anything but planning is left: every type of condition, joined by AND and OR, negated and
not, 1 to 100 of them, and 500 of all types in turn. CPU is that of the engine. Then queries are given up while they are
planned, alone and eight at once: nothing in the server looks for a kill in between, so what counts is how short it is,
and how many the product lets be planned at once.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

import structlog

from compare import machine
from data import AS_OF, TENANT, fill
from many import FORMS, TYPES, Json, formed, many
from segment_copilot import compiler
from segment_copilot.compiler.fragments import CompiledQuery
from segment_copilot.language import parse
from segment_copilot.language.catalog import Catalog
from segment_copilot.stores.clickhouse import open_clickhouse
from segment_copilot.stores.literals import lower
from server import Server, serving

EVENTS, USERS = 1_500, 330
NUMBERS = (1, 10, 50, 100)
MOST = 500
AT_ONCE = 8
BEFORE_THE_KILL = 0.05


def asked(definition: Json, *, minutes: int = 0, tenant: int = TENANT) -> CompiledQuery:
    """The query that a person waits for; of another instant it is another one."""
    as_of = AS_OF - timedelta(minutes=minutes)
    plan = compiler.compile_definition(
        parse(definition), catalog=Catalog(), references={}, tenant_id=tenant, as_of=as_of
    ).plan
    return compiler.render_preview(plan, sample=10)


def lowered(query: CompiledQuery) -> str:
    """The text that is sent."""
    return lower(query.sql, query.params)


def cpu_ms(server: Server, sql: str, *, rounds: int) -> float:
    """The median of some runs after a warm one."""
    server.run(sql)
    taken = list[float]()
    for _ in range(rounds):
        before = server.cpu()
        server.run(sql)
        taken.append((server.cpu() - before) * 1000)
    return statistics.median(taken)


def curves(server: Server, *, kinds: list[str], rounds: int) -> None:
    """Print a row for every type and form."""
    heads = [*(f"{number}" for number in (*NUMBERS, MOST)), "50 to 100", "100 to 500"]
    print(f"| conditions, CPU ms of planning and answering | {' | '.join(heads)} |\n|---|{'---:|' * len(heads)}")
    for kind in kinds:
        for form in FORMS:
            numbers = (*NUMBERS, MOST) if kind == "mixed" else NUMBERS
            found = [
                cpu_ms(server, lowered(asked(formed(form, many(kind, number)))), rounds=rounds) for number in numbers
            ]
            growth = [f"× {more / fewer:.1f}" for fewer, more in pairwise(found[2:])]
            left = [""] * (len((*NUMBERS, MOST)) - len(found))
            cells = [*(f"{taken:.0f}" for taken in found), *left, *growth, *left]
            print(f"| {kind}, {form} | {' | '.join(cells)} |", flush=True)


def killed(server: Server, queries: list[CompiledQuery]) -> float:
    """Seconds from the kill of all these queries, sent at once, to the end of the last."""

    def run(number: int) -> None:
        with suppress(RuntimeError):  # that it was killed
            server.run(lowered(queries[number]), query_id=f"killed-{number}")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(queries))]
    for thread in threads:
        thread.start()
    while server.run("SELECT count() FROM system.processes WHERE query_id LIKE 'killed-%'").rows == [["0"]]:
        time.sleep(0.01)
    time.sleep(BEFORE_THE_KILL)
    started = time.perf_counter()
    server.run("KILL QUERY WHERE query_id LIKE 'killed-%' ASYNC")
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


async def given_up(server: Server, queries: list[CompiledQuery]) -> float:
    """Seconds until the server has none of these queries any more, when the product's store is no longer waited for."""
    async with open_clickhouse(server.url) as store:
        fetches = [
            store.fetch(query.sql, query.params, purpose="preview", query_id=f"given-up-{number}")
            for number, query in enumerate(queries)
        ]
        tasks = [asyncio.create_task(fetch) for fetch in fetches]
        left = "SELECT count() FROM system.processes WHERE query_id LIKE 'given-up-%'"
        while (await store.fetch(left, purpose="catalog")).rows == [(0,)]:  # noqa: ASYNC110  # a server sets no event
            await asyncio.sleep(0.01)
        await asyncio.sleep(BEFORE_THE_KILL)
        started = time.perf_counter()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        while (await store.fetch(left, purpose="catalog")).rows != [(0,)]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return time.perf_counter() - started


def kills(server: Server, *, kinds: list[str], rounds: int) -> None:
    """Print how long queries are there after nobody waits for them."""
    print(
        "\n| given up while it is planned: seconds until the last is gone, the longest | alone | eight, sent at once "
        "| eight of a tenant, in turns | eight of eight tenants, in turns |\n|---|---:|---:|---:|---:|"
    )
    largest = [("mixed", MOST)] if "mixed" in kinds else []
    for kind, number in [*((kind, 100) for kind in kinds), *largest]:
        definition = formed("AND", many(kind, number))
        eight = [asked(definition, minutes=minutes) for minutes in range(AT_ONCE)]
        of_eight = [asked(definition, tenant=TENANT + number) for number in range(AT_ONCE)]
        ways: list[Callable[[], float]] = [
            partial(killed, server, eight[:1]),
            partial(killed, server, eight),
            lambda queries=eight: asyncio.run(given_up(server, queries)),
            lambda queries=of_eight: asyncio.run(given_up(server, queries)),
        ]
        longest = [max(way() for _ in range(rounds)) for way in ways]
        print(f"| {kind}, {number} in one AND | {' | '.join(f'{seconds:.2f}' for seconds in longest)} |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="What planning costs by the number of conditions.")
    parser.add_argument("--only", help="types, separated by commas")
    parser.add_argument("--kills", action="store_true", help="only how long queries that are given up are there")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    kinds = given.only.split(",") if given.only else [*TYPES, "mixed"]
    with tempfile.TemporaryDirectory(prefix="segment-copilot-benchmark-") as folder:
        data = Path(folder)
        data.chmod(0o711)
        with serving(data) as server:
            fill(server, events=EVENTS, users=USERS)
            print(f"{machine()}, ClickHouse {server.version}\n")
            if not given.kills:
                curves(server, kinds=kinds, rounds=given.rounds)
            kills(server, kinds=kinds, rounds=given.rounds)


if __name__ == "__main__":
    main()
