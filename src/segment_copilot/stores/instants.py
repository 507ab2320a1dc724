"""Reads instants of ClickHouse to the microsecond.

The driver divides their ticks by a float, which has none left for a microsecond from the year 2255 on: the last one of 2299 was
read as the year 2300, which nothing here takes. What it writes is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from asynch.proto.columns import datetimecolumn

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_IN_A_SECOND: Final = 1_000_000


def read_instants_exactly() -> None:
    """Have the driver read instants with a time zone by whole numbers."""
    column_type: Any = datetimecolumn.DateTime64Column  # the driver's stubs do not say what it does
    by_float = column_type.after_read_items

    def after_read_items(column: Any, items: Sequence[int], nulls_map: Sequence[int] | None = None) -> Any:
        if column.offset_naive:
            return by_float(column, items, nulls_map)
        ticks = 10**column.scale
        read = [_EPOCH + timedelta(microseconds=item * _IN_A_SECOND // ticks) for item in items]
        if column.timezone.key != "UTC":
            read = [one.astimezone(column.timezone) for one in read]
        return tuple(
            read if nulls_map is None else (None if null else one for one, null in zip(read, nulls_map, strict=True))
        )

    column_type.after_read_items = after_read_items
