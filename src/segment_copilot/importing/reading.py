"""Reads a CSV or NDJSON file, plain or gzipped, as events."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain
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
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_SEPARATORS = ",;\t|"  # the first of equals
_EPOCHS = ((1e8, 1e11, 1.0), (1e11, 1e14, 1e3), (1e14, 1e17, 1e6))  # from, to, in a second: 1973 to 5138
_ZIP = b"PK\x03\x04"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Columns(Struct, frozen=True, kw_only=True):
    """Says which columns mean what. *traits* describe the user; all columns that are not named here describe the event.

    A dot leads into the objects of NDJSON, as in `properties.distinct_id`. Without *event* every event is an *event_name*;
    without *id* an event's id is made from the file's content and the line.
    """

    user: str
    event: str | None = None
    time: str
    traits: tuple[str, ...] = ()
    id: str | None = None
    event_name: str | None = None

    def named(self) -> list[str]:
        """Return every column that is named, once or more."""
        names = (self.user, self.event, self.time, *self.traits, self.id)
        return [name for name in names if name is not None]


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

    def cell(self, name: str) -> Any:
        """Return a cell by its column, or of NDJSON by its path; None where there is none."""
        if name in self.cells or self.is_text:
            return self.cells.get(name)
        value: Any = self.cells
        for part in name.split("."):
            value = cast("dict[str, Any]", value).get(part) if isinstance(value, dict) else None
        return value

    def text(self, name: str) -> Any:
        """Return an id or a name: text, also where NDJSON has an integer; what else is there is for `validate` to refuse."""
        cell = self.cell(name)
        if self.is_text and cell is not None:
            return cell.strip()
        return str(cell) if type(cell) is int else cell


def survey(path: Path) -> Survey:
    """Read *path* once, for its digest."""
    digest, lines = hashlib.sha256(), 0
    with _open(path) as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
            lines += chunk.count(b"\n")
    return Survey(digest.hexdigest(), lines=lines)


def check_file(path: Path, *, columns: Columns) -> None:
    """Raise InvalidInput when no row of *path* can be read: its kind, its header, a column."""
    with _open(path) as file:
        start = file.read(2**12)
    if not start.strip():
        raise InvalidInput(f"{path} is empty.", code="unreadable_file")
    if start.startswith(_ZIP):
        raise InvalidInput(f"{path} is an Excel workbook or a ZIP file. Save it as CSV.", code="unreadable_file")
    if b"\0" in start and not start.startswith(_UTF_16):
        raise InvalidInput(f"{path} is no text. Name a CSV or NDJSON file.", code="unreadable_file")
    with closing(_records(path, columns)) as records:
        next(records, None)


def newest_time(path: Path, *, columns: Columns, zone: ZoneInfo) -> datetime | None:
    """Return the latest time in the file; None when no row has one."""
    records = (record for record in _records(path, columns) if isinstance(record, _Record))
    moments = (_moment(record.cell(columns.time), zone) for record in records)
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
        self._meant = frozenset(columns.named())
        self._traits: dict[str, dict[str, bytes]] = {}  # of each user's previous row, as JSON: 1 is not true

    def row(self, record: _Record) -> Row:
        columns = self._columns
        moment = _moment(cell := record.cell(columns.time), self._zone)
        if moment is None:
            shown = "There is no time" if cell is None else f"{str(cell)[:100]!r} is no time that can be read"
            detail = f"{shown}: write year-month-day, as in 2026-04-25 14:32:00, or seconds since 1970."
            raise EventRejected(join(columns.time), code="wrong_time", detail=detail)
        # Padded, so that among equal times the order of ids, as text, is the order of the lines.
        line_id = f"{self._digest[:24]}-{record.line:010d}"
        common = {"user_id": record.text(columns.user), "occurred_at": (moment + self._shift).isoformat()}
        own_id = record.text(columns.id) if columns.id else None
        event = {
            **common,
            "event_type": columns.event_name if columns.event is None else record.text(columns.event),
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
        rest = {name: _value(cell, record) for name, cell in _without(self._meant, record.cells).items()}
        if isinstance(inner := rest.get("payload"), dict):
            del rest["payload"]
            rest |= cast("dict[str, Any]", inner)
        return rest

    def _changed_traits(self, record: _Record, user: Any) -> dict[str, Any]:
        traits = {
            name: _value(cell, record)
            for name in self._columns.traits
            if (cell := record.cell(name)) is not None or name in record.cells
        }
        written = {name: msgspec.json.encode(value) for name, value in traits.items()}
        before = self._traits.get(user, {})
        self._traits[user] = written
        return {name: traits[name] for name, text in written.items() if before.get(name) != text}


def _without(names: frozenset[str], cells: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Return *cells* without what *names* name, also inside of objects; an object that is empty then goes too."""
    kept: dict[str, Any] = {}
    for name, cell in cells.items():
        path = place + name
        if path in names:
            continue
        if isinstance(cell, dict) and any(other.startswith(f"{path}.") for other in names):
            cell = _without(names, cast("dict[str, Any]", cell), f"{path}.")  # noqa: PLW2901  # the rest of it
            if not cell:
                continue
        kept[name] = cell
    return kept


def _moment(cell: object, zone: ZoneInfo) -> datetime | None:
    """Read the instant of a cell. A wall time that occurs twice in *zone* is the first, one that does not exist moves on."""
    instant = parse_instant(cell.strip()) if isinstance(cell, str) else None
    if instant is None:
        return _since_1970(cell)
    try:
        return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        return None


def _since_1970(cell: object) -> datetime | None:
    """Read a count of seconds, milliseconds or microseconds; its size says which."""
    if isinstance(cell, str) and _NUMBER.fullmatch(cell.strip()):
        cell = float(cell)
    if not isinstance(cell, int | float) or isinstance(cell, bool):
        return None
    for least, most, unit in _EPOCHS:
        if least <= cell < most:
            return datetime.fromtimestamp(cell / unit, UTC)
    return None


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


def _records(path: Path, columns: Columns) -> Generator[_Record | BadRow]:
    """Yield the rows of *path*: NDJSON if it begins with a brace, JSON with a bracket, otherwise CSV with a header."""
    with _open(path) as file:
        start = file.peek(64).removeprefix(_BYTE_ORDER_MARK).lstrip()
        if start.startswith(b"{"):
            yield from _ndjson_records(file)
        elif start.startswith(b"["):
            yield from _array_records(file)
        elif start.startswith(_UTF_16):
            text = io.TextIOWrapper(file, encoding="utf-16", errors="replace", newline="")  # closed by `_open` first
            yield from _csv_records(text, columns)
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


def _array_records(file: _File) -> Iterator[_Record | BadRow]:
    """Yield the elements of one JSON array, which is read whole; an element's number stands for its line."""
    try:
        elements = msgspec.json.decode(file.read().removeprefix(_BYTE_ORDER_MARK), type=list[Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"The file begins as a JSON array and is none: {error}.", code="unreadable_file") from error
    for number, cells in enumerate(elements, start=1):
        if isinstance(cells, dict):
            yield _Record(number, cells=cast("dict[str, Any]", cells), is_text=False)
        else:
            yield BadRow(number, "It is not a JSON object.")


def _csv_records(text: io.TextIOWrapper, columns: Columns) -> Iterator[_Record | BadRow]:
    try:
        first = text.readline()
        reader = csv.reader(chain([first], text), delimiter=_separator(first, columns))
        header = [name.strip() for name in next(reader, list[str]())]
    except csv.Error as error:
        raise InvalidInput(f"The file is not CSV: {error}.", code="unreadable_file") from error
    _check_header(header, columns)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadRow(reader.line_num, f"It is not CSV: {error}.")
            continue
        if any(row):
            yield _csv_record(reader.line_num, row, header)


def _separator(first: str, columns: Columns) -> str:
    """Return what parts the cells: what finds most of the columns that are named, then most cells, in the first line."""

    def found(separator: str) -> tuple[int, int]:
        cells = [cell.strip() for cell in next(csv.reader([first], delimiter=separator), list[str]())]
        return sum(name in cells for name in columns.named()), len(cells)

    return max(_SEPARATORS, key=found)


def _csv_record(line: int, row: Sequence[str], header: Sequence[str]) -> _Record | BadRow:
    if any(row[len(header) :]):
        return BadRow(line, f"It has {len(row)} cells, and the header {len(header)}.")
    if not is_whole("".join(row)):
        return BadRow(line, "It is not UTF-8.")
    return _Record(line, cells={name: cell for name, cell in zip(header, row, strict=False) if cell}, is_text=True)


def _check_header(header: Sequence[str], columns: Columns) -> None:
    if doubled := {name for name in header if header.count(name) > 1}:
        raise InvalidInput(f"The header names a column twice: {', '.join(sorted(doubled))}.", code="duplicate_column")
    for name in columns.named():
        if name not in header:
            near = nearest(name, header) or header
            raise InvalidInput(
                f"The file has no column {name!r}; there is {', '.join(map(repr, near))}.", code="unknown_column"
            )
