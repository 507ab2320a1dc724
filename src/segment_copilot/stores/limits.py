"""Holds what a query may cost, by its purpose, and the settings of the server that say so."""

from __future__ import annotations

from typing import Any, Final, Literal

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

_VERY_LONG: Final = 128 * 2**10  # some 250 conditions: planned for seconds, on one core whatever it may have

_EVERY: Final[dict[str, Any]] = {
    "timeout_overflow_mode": "throw",  # "break" answers with part of the rows and no error
    "result_overflow_mode": "throw",
    "read_overflow_mode": "throw",
    "max_query_size": 16 * 2**20,  # lowered text carries its values: 10,000 of them pass the default of 256 KiB
    # A hundred conditions exceed the defaults of 50,000, 500,000 and 1,000,000; what a query costs is limited by its time.
    "max_ast_elements": 10_000_000,
    "max_expanded_ast_elements": 10_000_000,
    "max_parser_backtracks": 100_000_000,
    "session_timezone": "UTC",
    # Two passes over the conditions that find nothing in compiled SQL and cost half of a long query's planning.
    "optimize_and_compare_chain": 0,
    "optimize_extract_common_expressions": 0,
}
INSERTING: Final[dict[str, Any]] = {
    "async_insert": 0,  # an answer means stored
    "max_partitions_per_insert_block": 0,  # a block of history spans as many months as it does
    # JSON keeps what was sent: dates stay strings, booleans beside numbers or strings in a list stay booleans,
    # a dot in a key stays a dot, a key given twice counts once.
    "input_format_try_infer_dates": 0,
    "input_format_try_infer_datetimes": 0,
    "input_format_json_read_bools_as_numbers": 0,
    "input_format_json_read_bools_as_strings": 0,
    "input_format_json_read_numbers_as_strings": 0,
    "json_type_escape_dots_in_keys": 1,
    "type_json_skip_duplicated_paths": 1,
}
"""Settings of an INSERT, beside those of every query."""


def settings_of(purpose: Purpose, *, size: int = 0) -> dict[str, Any]:
    """Return the settings that a query of *size* characters comes with.

    A long one that people wait for goes behind the others that they wait for, and a very long one has one thread.
    """
    limits = LIMITS[purpose]
    is_behind = limits.is_awaited and size >= LONG
    threads = 1 if limits.is_awaited and size >= _VERY_LONG else limits.threads
    return _EVERY | {
        "max_execution_time": limits.seconds,
        "max_memory_usage": int(limits.gibibytes * 2**30),
        "max_result_rows": limits.result_rows,
        "max_rows_to_read": limits.rows_read,
        "priority": limits.priority + is_behind,
        "log_comment": f"segment-copilot {purpose}",
        **({"max_threads": threads} if threads else {}),
    }
