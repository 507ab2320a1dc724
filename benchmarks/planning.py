"""What the server's planning costs, by the number of conditions: `python benchmarks/planning.py`.

The world is tiny, so that hardly anything but planning is left: every type of condition, joined by AND and OR, negated and
not, 1 to 100 of them, and 500 of all types in turn. CPU is that of the engine. Then queries are killed while they are
planned, alone and eight at once: nothing in the server looks for a kill in between, so what counts is how short it is.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from compare import machine
from data import AS_OF, TENANT, fill
from many import FORMS, TYPES, formed, many
from segment_copilot import compiler
from segment_copilot.language import parse
from segment_copilot.language.catalog import Catalog
from segment_copilot.stores.literals import lower
from server import Server, serving

EVENTS, USERS = 1_500, 330
NUMBERS = (1, 10, 50, 100)
MOST = 500
AT_ONCE = 8
BEFORE_THE_KILL = 0.05


def preview(definition: dict[str, Any], *, minutes: int = 0) -> str:
    """The SQL that a person waits for; of another instant it is another query."""
    as_of = AS_OF - timedelta(minutes=minutes)
    plan = compiler.compile_definition(
        parse(definition), catalog=Catalog(), references={}, tenant_id=TENANT, as_of=as_of
    ).plan
    query = compiler.render_preview(plan, sample=10)
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
            found = [cpu_ms(server, preview(formed(form, many(kind, number))), rounds=rounds) for number in numbers]
            growth = [f"× {more / fewer:.1f}" for fewer, more in pairwise(found[2:])]
            left = [""] * (len((*NUMBERS, MOST)) - len(found))
            cells = [*(f"{taken:.0f}" for taken in found), *left, *growth, *left]
            print(f"| {kind}, {form} | {' | '.join(cells)} |", flush=True)


def killed(server: Server, sqls: list[str]) -> float:
    """Seconds from the kill of all these queries to the end of the last."""

    def run(number: int) -> None:
        with suppress(RuntimeError):  # that it was killed
            server.run(sqls[number], query_id=f"killed-{number}")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(sqls))]
    for thread in threads:
        thread.start()
    time.sleep(BEFORE_THE_KILL)
    started = time.perf_counter()
    server.run("KILL QUERY WHERE query_id LIKE 'killed-%' ASYNC")
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def kills(server: Server, *, rounds: int) -> None:
    """Print how long queries outlive their kill."""
    print(
        "\n| killed while it is planned: seconds until it is gone, the longest | alone | eight at once |\n|---|---:|---:|"
    )
    for kind, number in [*((kind, 100) for kind in (*TYPES, "mixed")), ("mixed", MOST)]:
        longest = list[float]()
        for count in (1, AT_ONCE):
            sqls = [preview(formed("AND", many(kind, number)), minutes=minutes) for minutes in range(count)]
            longest.append(max(killed(server, sqls) for _ in range(rounds)))
        print(f"| {kind}, {number} in one AND | {longest[0]:.2f} | {longest[1]:.2f} |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="What planning costs by the number of conditions.")
    parser.add_argument("--only", help="types, separated by commas")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    kinds = given.only.split(",") if given.only else [*TYPES, "mixed"]
    with tempfile.TemporaryDirectory(prefix="segment-copilot-benchmark-") as folder:
        data = Path(folder)
        data.chmod(0o711)
        with serving(data) as server:
            fill(server, events=EVENTS, users=USERS)
            print(f"{machine()}, ClickHouse {server.version}\n")
            curves(server, kinds=kinds, rounds=given.rounds)
            kills(server, rounds=given.rounds)


if __name__ == "__main__":
    main()
