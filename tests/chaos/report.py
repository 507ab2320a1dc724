"""Prints one row of the table for each fault."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from msgspec import Struct

from tests.chaos.judging import Recovery
from tests.chaos.load import Load

_COLUMNS = (
    "fault", "for, s", "acknowledged", "clients saw", "slowest (preview), s", "ready / forwarded / computed after, s", "broken",
)  # fmt: skip


class Row(Struct):
    """A row says what one fault did."""

    name: str
    words: str
    lasted: float
    load: Load
    recovery: Recovery
    wrong: list[str]


def write_title() -> None:
    """Print the head of the table (Markdown, as benchmarks/README.md has it)."""
    _write(_COLUMNS)
    _write("---" for _ in _COLUMNS)


def write_row(row: Row) -> None:
    """Print a row as soon as there is one."""
    load, after = row.load, row.recovery
    _write((
        f"{row.words} (`{row.name}`)",
        f"{row.lasted:.0f}",
        f"{len(load.acknowledged):,}",
        ", ".join(f"{count:,} × {said}" for said, count in sorted(load.answers.items())),
        f"{load.slowest:.1f} ({load.slowest_preview:.1f})",
        f"{after.ready:.1f} / {after.forwarded:.1f} / {after.computed:.1f}",
        str(len(row.wrong)),
    ))  # fmt: skip


def _write(cells: Iterable[str]) -> None:
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()
