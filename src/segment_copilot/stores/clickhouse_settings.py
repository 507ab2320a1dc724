"""Holds the settings of the server that our queries are sent with."""

from __future__ import annotations

from typing import Any, Final

from segment_copilot.stores.limits import LIMITS, LONG, VERY_LONG, Purpose

_SETTINGS: Final = {
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
INSERT_SETTINGS: Final = {
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


def settings_of(purpose: Purpose, *, size: int = 0) -> dict[str, Any]:
    """Return what a query of *purpose* and *size*, in characters, is sent with, its limits among it.

    A long one that people wait for goes behind the others that they wait for, and a very long one has one thread.
    """
    limits = LIMITS[purpose]
    is_behind = limits.is_awaited and size >= LONG
    threads = 1 if limits.is_awaited and size >= VERY_LONG else limits.threads
    return _SETTINGS | {
        "max_execution_time": limits.seconds,
        "max_memory_usage": int(limits.gibibytes * 2**30),
        "max_result_rows": limits.result_rows,
        "max_rows_to_read": limits.rows_read,
        "priority": limits.priority + is_behind,
        "log_comment": f"segment-copilot {purpose}",
        **({"max_threads": threads} if threads else {}),
    }
