"""Reads one page of a table's rows: filtered, sorted one way or the other, by offset or after the row a cursor names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from msgspec import Struct

from segment_copilot.lists import Listed, Window, read_cursor, write_cursor
from segment_copilot.stores.postgres import Postgres, Record

T = TypeVar("T")


class Sorting(Struct, frozen=True):
    """A sorting orders rows by *sql*, whose values are a *type_* in Python and a *cast* in PostgreSQL; NULL comes last.

    Rows of one value are sorted by id, in the same direction, or always *oldest_first*.
    """

    sql: str
    type_: Any = int
    cast: str = "bigint"
    oldest_first: bool = False


BY_ID: Final = Sorting("id")


class Rows(Struct, frozen=True):
    """Rows of *table* that meet every condition: its SQL, with {} for its value; a value of None leaves it out.

    *table* has an `id`, a whole number: rows that sort alike are told apart by it. One condition names the tenant.
    """

    columns: str
    table: str
    conditions: tuple[tuple[str, object], ...]
    sortings: Mapping[str, Sorting]

    async def page(self, postgres: Postgres, window: Window, order: str, record: Callable[[Record], T]) -> Listed[T]:
        """Return the page that *window* names, in *order*: a name of `sortings`, with "-" before it the largest first.

        Raises:
            InvalidInput: the cursor is none of this list, filter and order.

        """
        given = [(sql, value) for sql, value in self.conditions if value is not None]
        values = [value for _, value in given]
        where = " AND ".join(sql.format(f"${number}") for number, (sql, _) in enumerate(given, 1))
        sorting, is_descending = self.sortings[order.removeprefix("-")], order.startswith("-")
        listed = [self.table, order, given]
        after, place = "true", list[object]()
        if window.cursor:
            place = list(read_cursor(listed, window.cursor, tuple[sorting.type_ | None, int]))
            after = _after(sorting, place, first=len(values) + 1, is_descending=is_descending)
            place = [value for value in place if value is not None]
        direction = "DESC" if is_descending else "ASC"
        ties = "DESC" if is_descending and not sorting.oldest_first else "ASC"
        sql = f"""
            SELECT {self.columns}, {sorting.sql} AS sorted_by FROM {self.table} WHERE {where} AND {after}
            ORDER BY {sorting.sql} {direction} NULLS LAST, id {ties}
            LIMIT {window.limit + 1:d} OFFSET {window.offset:d}"""
        async with postgres.connection() as connection:
            count: int = await connection.fetchval(f"SELECT count(*) FROM {self.table} WHERE {where}", *values)
            rows = await connection.fetch(sql, *values, *place)
            connection.note_clean()
        shown = rows[: window.limit]
        cursor = None
        if len(rows) > window.limit and shown:
            cursor = write_cursor(listed, [shown[-1]["sorted_by"], shown[-1]["id"]])
        return Listed(tuple(record(row) for row in shown), count, cursor)


def _after(sorting: Sorting, place: list[object], *, first: int, is_descending: bool) -> str:
    """Return the SQL of the rows that come after *place*, a value and an id, whose placeholders begin at *first*."""
    sign = "<" if is_descending else ">"
    later = "<" if is_descending and not sorting.oldest_first else ">"
    if place[0] is None:
        return f"({sorting.sql} IS NULL AND id {later} ${first}::bigint)"
    value, id_ = f"${first}::{sorting.cast}", f"${first + 1}::bigint"
    return f"({sorting.sql} {sign} {value} OR {sorting.sql} IS NULL OR ({sorting.sql} = {value} AND id {later} {id_}))"
