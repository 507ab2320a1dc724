"""How a sequence's time grows with one user's events: `python benchmarks/heavy_user.py`.

Tenants of one user each, with 25, 50, 100 and 200 thousand events that match a step, in an engine of their own. A
definition of three steps is compiled by the project's compiler and run; the table gives the median time, the number of
members, and the ratio to the previous size: about 2 is linear, 4 would be quadratic.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from data import INSERT_SETTINGS, create_tables
from segment_copilot import compiler
from segment_copilot.language import parse
from segment_copilot.language.catalog import Catalog
from segment_copilot.stores.literals import lower
from server import Answer, Server, serving

SIZES = (25_000, 50_000, 100_000, 200_000)
AS_OF = datetime(2026, 6, 30, tzinfo=UTC)
DAYS = 180
MEGABYTE = 2**20

STEPS = ["product_viewed", "cart_updated", "order_placed"]
WITHIN = "2h"
SEQUENCES: dict[str, dict[str, Any]] = {
    "plain": {"events": STEPS},
    "A-B-A": {"events": ["product_viewed", "cart_updated", "product_viewed"]},
    "within": {"events": [STEPS[0], *({"event_type": step, "within": WITHIN} for step in STEPS[1:])]},
    "none_between": {"events": STEPS, "none_between": [{"event_type": "refund_requested"}]},
    "strict": {"events": STEPS, "strict": True},
    "A-B-A, within, none_between": {
        "events": ["product_viewed", {"event_type": "cart_updated", "within": WITHIN}, "product_viewed"],
        "none_between": [{"event_type": "refund_requested"}],
    },
}


def fill(server: Server) -> None:
    """A user a tenant: events of the steps in turns drawn by a hash, and an eighth as many that may come between."""
    create_tables(server)
    start, span = int((AS_OF - timedelta(days=DAYS)).timestamp() * 1_000_000), DAYS * 86_400 * 1_000_000
    for tenant, size in enumerate(SIZES, 1):
        server.run(
            "INSERT INTO events (tenant_id, event_type, user_id, occurred_at, event_id) "
            f"SELECT {tenant}, if(number < {size}, {STEPS}[1 + cityHash64(number) % 3], 'refund_requested'), 'heavy', "
            f"fromUnixTimestamp64Micro({start} + toInt64(cityHash64(number, 'time') % {span}), 'UTC'), toString(number) "
            f"FROM numbers({size + size // 8})",
            **INSERT_SETTINGS,
        )
        server.run(
            "INSERT INTO users (tenant_id, user_id, first_seen, last_seen) "
            f"SELECT {tenant}, 'heavy', min(occurred_at), max(occurred_at) FROM events WHERE tenant_id = {tenant}"
        )
    for table in ("events", "users"):
        server.run(f"OPTIMIZE TABLE {table} FINAL")


def compiled_sql(sequence: dict[str, Any], *, tenant: int) -> str:
    """What the compiler of this tree makes of the sequence."""
    definition = {"logic": "AND", "conditions": [{"type": "event_sequence", "window_days": 7, **sequence}]}
    parsed = parse(msgspec.json.encode(definition))
    if parsed.definition is None:
        raise SystemExit(f"not a definition: {parsed}")
    compiled = compiler.compile_definition(parsed, catalog=Catalog(), references={}, tenant_id=tenant, as_of=AS_OF)
    query = compiler.render_members(compiled.plan)
    return lower(query.sql, query.params)


def measure(server: Server, sequence: dict[str, Any], *, rounds: int) -> list[list[Answer]]:
    """The answers by size, the sizes in turns, the first round left out."""
    queries = [f"SELECT count() FROM ({compiled_sql(sequence, tenant=tenant)})" for tenant, _ in enumerate(SIZES, 1)]
    turns = [[server.run(sql) for sql in queries] for _ in range(rounds + 1)]
    return [list(answers) for answers in zip(*turns[1:], strict=True)]


def main() -> None:
    """Fill, measure and print a table."""
    parser = argparse.ArgumentParser(description="Time a sequence over one user's events.")
    parser.add_argument("--rounds", type=int, default=7, help="warm runs of each query")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="segment-copilot-benchmark-") as folder:
        data = Path(folder)
        data.chmod(0o711)
        with serving(data) as server:
            fill(server)
            print("| sequence | events | members | ms | ÷ previous size | MB |\n|---|---:|---:|---:|---:|---:|")
            for name, sequence in SEQUENCES.items():
                previous = None
                for size, answers in zip(SIZES, measure(server, sequence, rounds=given.rounds), strict=True):
                    seconds = statistics.median(answer.seconds for answer in answers)
                    memory = statistics.median(answer.memory for answer in answers) / MEGABYTE
                    ratio = "" if previous is None else f"{seconds / previous:.2f}"
                    members = answers[0].rows[0][0]
                    print(
                        f"| {name} | {size:,} | {members} | {seconds * 1000:.0f} | {ratio} | {memory:.0f} |", flush=True
                    )
                    previous = seconds


if __name__ == "__main__":
    main()
