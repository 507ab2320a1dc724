"""Writes members as a file, some at a time: CSV, NDJSON or Parquet. It opens no file and knows no store.

The columns are `user_id`, `computed_at` and one for each trait, named `traits.` and its path. Instants are ISO 8601. Ids
and values go out as they are: a spreadsheet that opens a CSV may take one that begins with `=` for a formula.
"""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from queue import SimpleQueue
from typing import Any, Final, Literal, Protocol

import msgspec
from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema
from arro3.io import write_parquet

Format = Literal["csv", "parquet", "ndjson"]
MEDIA_TYPES: Final[dict[Format, str]] = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "ndjson": "application/x-ndjson",
}
_ROW_GROUP: Final = 100_000
"""Rows that a Parquet file keeps together; so many are in memory while it is written."""

Row = tuple[str, tuple[Any, ...]]
"""A user's id, and the value of each trait: what JSON can hold, None where there is none."""


class MemberFile(Protocol):
    """A file that is being written. What it returns are its bytes, in order; they need not end with a row."""

    def write(self, rows: Sequence[Row]) -> bytes:
        """Go on with *rows*."""
        ...

    def end(self) -> bytes:
        """Write the end."""
        ...


@contextmanager
def member_file(
    form: Format, *, computed_at: datetime, traits: Sequence[str] = (), columns: Sequence[str] = ()
) -> Generator[MemberFile]:
    """Begin a file; leaving the block without its end lets go of whatever it holds.

    *columns* are other names: of the id, the instant, and each value.
    """
    columns = columns or ("user_id", "computed_at", *(f"traits.{path}" for path in traits))
    instant: str = msgspec.to_builtins(computed_at)
    if form == "parquet":
        file = _ParquetFile(columns, instant)
        try:
            yield file
        finally:
            file.abandon()
    else:
        yield _CsvFile(columns, instant) if form == "csv" else _NdjsonFile(columns, instant)


class _CsvFile:
    """Writes RFC 4180 in UTF-8: a head, CRLF, quotes where needed. Lists are JSON; what is missing is empty."""

    def __init__(self, columns: Sequence[str], instant: str) -> None:
        self._text = io.StringIO()
        self._writer = csv.writer(self._text)
        self._instant = instant
        self._writer.writerow(columns)

    def write(self, rows: Sequence[Row]) -> bytes:
        self._writer.writerows((user, self._instant, *map(_text, values)) for user, values in rows)
        return self.end()

    def end(self) -> bytes:
        written = self._text.getvalue().encode()
        self._text.seek(0)
        self._text.truncate()
        return written


class _NdjsonFile:
    """Writes a JSON object on each line; values keep their types, and what is missing is null."""

    def __init__(self, columns: Sequence[str], instant: str) -> None:
        self._columns = columns
        self._instant = instant
        self._encoder = msgspec.json.Encoder()

    def write(self, rows: Sequence[Row]) -> bytes:
        named = (dict(zip(self._columns, (user, self._instant, *values), strict=True)) for user, values in rows)
        return self._encoder.encode_lines(named)

    def end(self) -> bytes:
        return b""


class _ParquetFile:
    """Writes Parquet with Snappy; every column is a string, as CSV would have it, and what is missing is null.

    The library pulls what it writes, and we push. So it runs in a thread of its own, which is handed one batch whenever it
    asks for the next; while it waits for one, what it has written is ours to take.
    """

    def __init__(self, columns: Sequence[str], instant: str) -> None:
        fields = [Field(name, DataType.string(), nullable=place > 1) for place, name in enumerate(columns)]
        self._schema = Schema(fields)
        self._instant = instant
        self._sink = io.BytesIO()
        self._asked = threading.Semaphore(0)
        self._batches: SimpleQueue[RecordBatch | None] = SimpleQueue()
        self._is_abandoned = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="parquet", daemon=True)
        self._thread.start()

    def write(self, rows: Sequence[Row]) -> bytes:
        users = Array([user for user, _ in rows], type=DataType.string())
        instants = Array([self._instant] * len(rows), type=DataType.string())
        columns = zip(*(values for _, values in rows), strict=True)
        traits = [Array([_text_or_none(value) for value in column], type=DataType.string()) for column in columns]
        batch = RecordBatch.from_arrays([users, instants, *traits], schema=self._schema)  # pyright: ignore[reportUnknownMemberType]  # stubs name what Python 3.12 has
        self._asked.acquire()
        written = self._take()
        self._batches.put(batch)
        return written

    def end(self) -> bytes:
        self._batches.put(None)
        self._thread.join()
        return self._take()

    def abandon(self) -> None:
        """Let the thread end, whether the file did or not."""
        self._is_abandoned = True
        self._batches.put(None)

    def _take(self) -> bytes:
        if self._error is not None:
            raise self._error
        written = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        return written

    def _run(self) -> None:
        reader = RecordBatchReader.from_batches(self._schema, self._given())
        try:
            write_parquet(reader, self._sink, compression="snappy", max_row_group_size=_ROW_GROUP)
        except BaseException as error:  # noqa: BLE001  # it belongs to whoever writes
            self._error = error
        finally:
            self._asked.release()

    def _given(self) -> Iterator[RecordBatch]:
        self._asked.release()
        while (batch := self._batches.get()) is not None:
            yield batch
            self._asked.release()
        if self._is_abandoned:
            raise EOFError


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)
