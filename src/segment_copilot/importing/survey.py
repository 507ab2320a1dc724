"""Reads all rows of a file once before any is sent, for what only the whole of it tells."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from msgspec import Struct, structs

from segment_copilot.importing.layout import Layout
from segment_copilot.importing.records import BadRow, Record
from segment_copilot.importing.rows import mark_of
from segment_copilot.importing.times import TimeReading, find_order

_SAMPLE: Final = 256
_MOSTLY: Final = 0.5


class Survey(Struct, frozen=True, kw_only=True):
    """Holds what the rows of a file tell together: how its times are read, the newest of them, a sample of its rows."""

    times: TimeReading
    newest: datetime | None = None
    sample: tuple[int, ...] = ()


class RowSample:
    """Keeps the rows whose hashes are the smallest: the same rows of two files, whatever else is in them."""

    def __init__(self) -> None:
        self._kept: set[int] = set()
        self._limit = 2**64

    def add(self, mark: str) -> None:
        """Take one row, by `mark_of`."""
        number = int.from_bytes(hashlib.blake2b(mark.encode("utf-8", "surrogatepass"), digest_size=8).digest())
        if number < self._limit:
            self._kept.add(number)
            if len(self._kept) > 4 * _SAMPLE:
                self._kept = set(self.smallest())
                self._limit = max(self._kept)

    def smallest(self) -> tuple[int, ...]:
        """Return the sample."""
        return tuple(sorted(self._kept)[:_SAMPLE])


def are_mostly_the_same(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Return whether more than half of the rows of the smaller of two files are in the other, judged by their samples."""
    if not one or not other:
        return False
    ends = [sample[-1] for sample in (one, other) if len(sample) == _SAMPLE]
    least = min(ends, default=2**64)  # below it both samples are complete
    left, right = ({number for number in sample if number <= least} for sample in (one, other))
    return len(left & right) > _MOSTLY * max(1, min(len(left), len(right)))


def survey_rows(
    records: Iterable[Record | BadRow], *, layout: Layout, times: TimeReading, needs_newest: bool, needs_sample: bool
) -> Survey:
    """Read every row; raises InvalidInput where the order of day and month cannot be told from the times."""
    sample = RowSample()
    cells: list[object] = []

    def seen() -> Iterator[object]:
        for record in records:
            if isinstance(record, BadRow):
                continue
            if needs_sample:
                sample.add(mark_of(record, layout))
            cell = record.first(layout.time)
            if needs_newest:
                cells.append(cell)
            yield cell

    if times.format:
        for _ in seen():
            pass
    elif order := find_order(seen()):
        times = structs.replace(times, format=order)
    moments = (times.read(cell) for cell in cells)
    newest = max((moment for moment in moments if moment is not None), default=None)
    return Survey(times=times, newest=newest, sample=sample.smallest())
