"""Holds what a query may cost, by its purpose, and how long is long."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

Purpose = Literal[
    "preview", "sandbox", "compute", "history", "members", "copilot", "catalog", "ingest", "transfer", "migrate"
]


class Limits(Struct, frozen=True):
    """Holds what a query may cost. Zero is no limit, and for *threads* as many as the server has cores."""

    seconds: int
    gibibytes: float
    result_rows: int = 0
    rows_read: int = 0
    threads: int = 0
    is_awaited: bool = False
    """A person waits for it, and others of the same tenant wait their turn."""
    priority: int = 0  # a query waits while one of a lower number runs; 0 neither waits nor is waited for


LIMITS: dict[Purpose, Limits] = {
    "preview": Limits(10, 2, result_rows=10_000, rows_read=2_000_000_000, threads=4, is_awaited=True, priority=1),
    "sandbox": Limits(20, 2, result_rows=10_000, threads=4, is_awaited=True, priority=1),
    "copilot": Limits(10, 2, result_rows=10_000, rows_read=2_000_000_000, threads=4, is_awaited=True, priority=1),
    "catalog": Limits(10, 2, result_rows=100_000, rows_read=2_000_000_000, threads=4, is_awaited=True, priority=1),
    "members": Limits(5, 2, result_rows=1_000_000, is_awaited=True, priority=1),
    "compute": Limits(300, 8, rows_read=10_000_000_000, priority=10),
    "history": Limits(
        300, 8, rows_read=10_000_000_000, threads=1, priority=10
    ),  # many in a row: threads cost more than they give
    "transfer": Limits(300, 2, result_rows=1_000_000, priority=10),
    "ingest": Limits(60, 4),
    "migrate": Limits(600, 4),
}

LONG: Final = 16 * 2**10
"""Characters of SQL, values left out, from which a query is long: shorter ones are planned in 0.2 s."""

VERY_LONG: Final = 128 * 2**10
"""From here on it is some 250 conditions, planned for seconds, on one core whatever it may have."""
