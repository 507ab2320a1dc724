"""Reads a CSV or NDJSON file, plain or gzipped, as events."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from math import isfinite
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from segment_copilot.documents import is_whole, join
from segment_copilot.errors import InvalidInput
from segment_copilot.events import EventRejected, parse_instant, validate
from segment_copilot.language.catalog import IDENTIFY, nearest

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Columns(Struct, frozen=True, kw_only=True):
    """Says which columns mean what. *traits* describe the user; all columns that are not named here describe the event.

    Without *id* an event's id is made from the file's content and the line.
    """

    user: str
    event: str
    time: str
    traits: tuple[str, ...] = ()
    id: str | None = None


class Survey(Struct, frozen=True):
    """Holds what a first reading of a file tells: the SHA-256 of its (unzipped) content, and how many lines it has."""

    digest: str
    lines: int


class BadRow(Struct, frozen=True):
    """A row that is not imported, and why; *line* is where it ends, counted from 1."""

    line: int
    reason: str


class Row(Struct, frozen=True):
    """The events of one row, as the batch endpoint takes them: an identify if a trait changed, and the event."""

    line: int
    events: tuple[dict[str, Any], ...]


class _Record(Struct, frozen=True):
    """A row by column name: of CSV text, without the empty cells, of NDJSON typed values."""

    line: int
    cells: Mapping[str, Any]
    is_text: bool


def survey(path: Path) -> Survey:
    """Read *path* once, for its digest."""
    digest, lines = hashlib.sha256(), 0
    with _open(path) as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
            lines += chunk.count(b"\n")
    return Survey(digest.hexdigest(), lines=lines)


def newest_time(path: Path, *, columns: Columns, zone: ZoneInfo) -> datetime | None:
    """Return the latest time in the file; None when no row has one."""
    records = (record for record in _records(path, columns) if isinstance(record, _Record))
    moments = (_moment(record.cells.get(columns.time), zone) for record in records)
    return max((moment for moment in moments if moment is not None), default=None)


def read_rows(
    path: Path, *, columns: Columns, zone: ZoneInfo, digest: str, shift: timedelta = timedelta()
) -> Iterator[Row | BadRow]:
    """Yield every row of *path* as events, or as what is wrong with it.

    Times without an offset are in *zone*; *shift* is added to all. Traits are sent, as a `context_identified` of the
    row's time, when they differ from the same user's previous row.
    Raises InvalidInput when the file is not what it should be as a whole.
    """
    reader = _Reader(columns, zone=zone, digest=digest, shift=shift)
    for record in _records(path, columns):
        if isinstance(record, BadRow):
            yield record
            continue
        try:
            yield reader.row(record)
        except EventRejected as rejected:
            yield BadRow(record.line, f"{rejected.pointer.lstrip('/')}: {rejected.detail}".removeprefix(": "))


class _Reader:
    """Makes events of records, one after the other."""

    def __init__(self, columns: Columns, *, zone: ZoneInfo, digest: str, shift: timedelta) -> None:
        self._columns = columns
        self._zone = zone
        self._digest = digest
        self._shift = shift
        self._meant = {columns.user, columns.event, columns.time, columns.id, *columns.traits}
        self._traits: dict[str, dict[str, bytes]] = {}  # of each user's previous row, as JSON: 1 is not true

    def row(self, record: _Record) -> Row:
        columns, cells = self._columns, record.cells
        moment = _moment(cells.get(columns.time), self._zone)
        if moment is None:
            detail = "A time is an ISO 8601 date or date-time such as 2026-04-25 14:32:00."
            raise EventRejected(join(columns.time), code="wrong_time", detail=detail)
        # Padded, so that among equal times the order of ids, as text, is the order of the lines.
        line_id = f"{self._digest[:24]}-{record.line:010d}"
        common = {"user_id": _as_text(cells.get(columns.user)), "occurred_at": (moment + self._shift).isoformat()}
        own_id = _as_text(cells.get(columns.id)) if columns.id else None
        event = {
            **common,
            "event_type": _as_text(cells.get(columns.event)),
            "payload": self._payload(record),
            "event_id": own_id or line_id,
        }
        validate(event, received_at=moment)
        if not (traits := self._changed_traits(record, common["user_id"])):
            return Row(record.line, (event,))
        identify = {**common, "event_type": IDENTIFY, "payload": traits, "event_id": f"{line_id}-t"}
        validate(identify, received_at=moment)
        return Row(record.line, (identify, event))

    def _payload(self, record: _Record) -> dict[str, Any]:
        """Take every column that means nothing else. An NDJSON object called `payload` is the payload, not a property of it."""
        rest = {name: _value(cell, record) for name, cell in record.cells.items() if name not in self._meant}
        if isinstance(inner := rest.get("payload"), dict):
            del rest["payload"]
            rest |= cast("dict[str, Any]", inner)
        return rest

    def _changed_traits(self, record: _Record, user: Any) -> dict[str, Any]:
        traits = {name: _value(record.cells[name], record) for name in self._columns.traits if name in record.cells}
        written = {name: msgspec.json.encode(value) for name, value in traits.items()}
        before = self._traits.get(user, {})
        self._traits[user] = written
        return {name: traits[name] for name, text in written.items() if before.get(name) != text}


def _moment(cell: object, zone: ZoneInfo) -> datetime | None:
    """Read the instant of a cell. A wall time that occurs twice in *zone* is the first, one that does not exist moves on."""
    instant = parse_instant(cell.strip()) if isinstance(cell, str) else None
    if instant is None:
        return None
    try:
        return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        return None


def _as_text(cell: object) -> Any:
    """Ids and names are text, also where NDJSON has an integer; what else is there is for `validate` to refuse."""
    return str(cell) if type(cell) is int else cell


def _value(cell: Any, record: _Record) -> Any:
    """Return the value of a cell: of CSV, a number if it is exactly one in JSON, otherwise its text."""
    if not record.is_text or not _NUMBER.fullmatch(cell):
        return cell
    try:
        number = msgspec.json.decode(cell)
        return number if isfinite(number) else cell
    except (msgspec.DecodeError, OverflowError):  # beyond what a number can be
        return cell


# Files


_File = io.BufferedReader | gzip.GzipFile


@contextmanager
def _open(path: Path) -> Generator[_File]:
    """Open *path*, unzipped if it is gzip."""
    try:
        with path.open("rb") as file:
            if file.peek(2)[:2] != _GZIP:
                yield file
                return
            with gzip.GzipFile(fileobj=file) as unzipped:
                yield unzipped
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidInput(f"{path} is not a whole gzip file: {error}.", code="unreadable_file") from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.", code="unreadable_file") from error


def _records(path: Path, columns: Columns) -> Iterator[_Record | BadRow]:
    """Yield the rows of *path*: NDJSON if its first character is a brace, otherwise CSV with a header."""
    with _open(path) as file:
        if file.peek(64).removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"{"):
            yield from _ndjson_records(file)
        else:
            # What is not UTF-8 must not stop the file: it is kept as half surrogates and refused row by row.
            text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
            yield from _csv_records(text, columns)


def _ndjson_records(lines: _File) -> Iterator[_Record | BadRow]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            cells = msgspec.json.decode(line.removeprefix(_BYTE_ORDER_MARK))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield BadRow(number, f"It is not JSON: {error}.")
            continue
        if isinstance(cells, dict):
            yield _Record(number, cells=cast("dict[str, Any]", cells), is_text=False)
        else:
            yield BadRow(number, "It is not a JSON object.")


def _csv_records(text: io.TextIOWrapper, columns: Columns) -> Iterator[_Record | BadRow]:
    reader = csv.reader(text)
    header = next(reader, list[str]())
    _check_header(header, columns)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadRow(reader.line_num, f"It is not CSV: {error}.")
            continue
        if row:
            yield _csv_record(reader.line_num, row, header)


def _csv_record(line: int, row: Sequence[str], header: Sequence[str]) -> _Record | BadRow:
    if len(row) > len(header):
        return BadRow(line, f"It has {len(row)} cells, and the header {len(header)}.")
    if not is_whole("".join(row)):
        return BadRow(line, "It is not UTF-8.")
    return _Record(line, cells={name: cell for name, cell in zip(header, row, strict=False) if cell}, is_text=True)


def _check_header(header: Sequence[str], columns: Columns) -> None:
    if doubled := {name for name in header if header.count(name) > 1}:
        raise InvalidInput(f"The header names a column twice: {', '.join(sorted(doubled))}.", code="duplicate_column")
    names = [columns.user, columns.event, columns.time, *columns.traits, *([columns.id] if columns.id else [])]
    for name in names:
        if name not in header:
            near = nearest(name, header) or header
            raise InvalidInput(
                f"The file has no column {name!r}; there is {', '.join(map(repr, near))}.", code="unknown_column"
            )
