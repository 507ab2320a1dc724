"""Makes one row of the table for each fault."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from tests.chaos.judging import Recovery
from tests.chaos.load import Load

_COLUMNS = (
    "fault", "for, s", "acknowledged", "clients saw", "streams", "told", "slowest (preview, stream), s",
    "ready / forwarded / computed after, s", "broken",
)  # fmt: skip


class Row(Struct):
    """A row says what one fault did."""

    name: str
    words: str
    lasted: float
    load: Load
    streams: Counter[str]
    slowest_stream: float
    told: int
    """How many changes of membership the webhook's receiver was told of."""
    recovery: Recovery
    wrong: list[str]


def title() -> str:
    """Return the head of the table, in Markdown."""
    return _line(_COLUMNS) + _line("---" for _ in _COLUMNS)


def line(row: Row) -> str:
    """Return a row of the table."""
    load, after = row.load, row.recovery
    return _line((
        f"{row.words} (`{row.name}`)",
        f"{row.lasted:.0f}",
        f"{len(load.acknowledged):,}",
        ", ".join(f"{count:,} × {said}" for said, count in sorted(load.answers.items())),
        ", ".join(f"{count:,} × {said}" for said, count in sorted(row.streams.items())) or "–",
        f"{row.told:,}",
        f"{load.slowest:.1f} ({load.slowest_preview:.1f}, {row.slowest_stream:.1f})",
        f"{after.ready:.1f} / {after.forwarded:.1f} / {after.computed:.1f}",
        str(len(row.wrong)),
    ))  # fmt: skip


def write(text: str) -> None:
    """Print *text* as soon as there is some."""
    sys.stdout.write(text)
    sys.stdout.flush()


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"
