"""Takes a CSV, NDJSON or JSON file apart into records: what stands in each row, by column."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from msgspec import Struct, structs

from segment_copilot.documents import is_whole
from segment_copilot.errors import InvalidInput
from segment_copilot.importing.files import FileFacts, open_text
from segment_copilot.importing.layout import Layout, Names, names_of, read_separator
from segment_copilot.language.catalog import nearest

REJECT_LINE: Final = "import_line"
REJECT_REASON: Final = "import_reason"
REJECT_ROW: Final = "import_row"
"""The columns that a rejects file has beside those of the file: read again, they mean nothing."""

_SEPARATORS: Final = ",;\t|"  # the first of equals
_BETWEEN: Final = re.compile(r"[\s,]*")
_SAYS_SEPARATOR: Final = "sep="  # Excel's own first line


class Source(Struct, frozen=True):
    """One row as it stands in the file: the cells of CSV, or the text of JSON."""

    line: int
    text: Sequence[str] | str


class Record(Struct, frozen=True):
    """A row by column name: of CSV text, without the empty cells, of JSON typed values. It ends on *line*."""

    line: int
    cells: Mapping[str, Any]
    is_text: bool
    sources: tuple[Source, ...]

    def cell(self, name: str) -> Any:
        """Return a cell by its column or by its path; None where there is none."""
        if name in self.cells:
            return self.cells[name]
        value: Any = self.cells
        for part in name.split("."):
            value = cast("dict[str, Any]", value).get(part) if isinstance(value, Mapping) else None
        return value

    def first(self, names: Names) -> Any:
        """Return the cell of the first of *names* that has one."""
        for name in names_of(names):
            if (cell := self.cell(name)) is not None:
                return cell
        return None

    def text(self, names: Names) -> Any:
        """Return an id or a name: text, also where JSON has an integer; what else is there is for `validate` to refuse."""
        cell = self.first(names)
        if isinstance(cell, str):
            return cell.strip() if self.is_text else cell
        return str(cell) if type(cell) is int else cell


class BadRow(Struct, frozen=True):
    """A row that is not imported, and why; *line* is where it ends, counted from 1."""

    line: int
    reason: str
    sources: tuple[Source, ...] = ()


class Table(Struct, frozen=True):
    """Says how the cells of a CSV file stand: its *header* (empty for JSON) and *separator*."""

    header: tuple[str, ...] = ()
    separator: str = ","


def read_table(path: Path, *, facts: FileFacts, layout: Layout) -> Table:
    """Return the header of a CSV file; raises InvalidInput when a column of *layout* is not in it, or one is twice."""
    if facts.kind != "CSV":
        return Table()
    with open_text(path, facts, newline="") as text:
        table, _ = _begin(text, layout)
    if REJECT_ROW not in table.header:
        _check_header(table.header, layout)
    return table


def read_records(path: Path, *, facts: FileFacts, layout: Layout) -> Generator[Record | BadRow]:
    """Yield the rows of *path*, and what is wrong with those that cannot be taken apart; blank ones are none."""
    if facts.kind in {"JSON array", "JSON object"}:
        elements = _array_elements(path, facts) if facts.kind == "JSON array" else _object_elements(path, facts, layout)
        for number, element in enumerate(elements or (), start=1):
            yield _json_record(number, element)
        return
    with open_text(path, facts, newline="\n" if facts.kind == "NDJSON" else "") as text:
        if facts.kind == "NDJSON":
            yield from _ndjson_records(text)
        else:
            yield from _csv_records(text, layout, facts)


# JSON


def _ndjson_records(lines: io.TextIOWrapper) -> Iterator[Record | BadRow]:
    for number, line in enumerate(lines, start=1):
        if line.strip("\ufeff \t\r\n"):
            yield _json_record(number, line.strip("\ufeff\r\n"))


def see_object(path: Path, *, facts: FileFacts, layout: Layout) -> FileFacts:
    """Return *facts* with another kind where lines that begin with a brace are one object: an answer, or a lone row."""
    if facts.kind != "NDJSON":
        return facts
    with open_text(path, facts, newline="\n") as file:
        first = file.readline().strip("\ufeff \t\r\n")
    if facts.lines > 1 and not first.endswith(("{", "[", ",")):
        return facts
    found = _object_elements(path, facts, layout)
    is_line = found is None or [row.strip() for row in found] == [first]  # a lone line of NDJSON is what it says
    return facts if is_line else structs.replace(facts, kind="JSON object")


def _object_elements(path: Path, facts: FileFacts, layout: Layout) -> list[str] | None:
    """Return the rows of a file that is one JSON object; None where it is not, or nothing in it is the list of rows.

    An object that has a user is a row. In another, as an API answers, the one list of objects has them.
    """
    text = _read_text(path, facts)
    try:
        members = msgspec.json.decode(text.encode("utf-8", "surrogateescape"), type=dict[str, msgspec.Raw])
        record = _json_record(1, text)
        if isinstance(record, BadRow) or record.first(layout.user) is not None:
            return None if isinstance(record, BadRow) else [text]
        lists = [name for name, value in record.cells.items() if _is_table(value)]
        return (
            [_text_of(row) for row in msgspec.json.decode(members[lists[0]], type=list[msgspec.Raw])]
            if len(lists) == 1
            else None
        )
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _is_table(value: object) -> bool:
    rows = cast("list[object]", value) if isinstance(value, list) else []
    return bool(rows) and isinstance(rows[0], dict)


def _read_text(path: Path, facts: FileFacts) -> str:
    with open_text(path, facts, newline="\n") as file:
        return file.read().removeprefix("\ufeff")


def _array_elements(path: Path, facts: FileFacts) -> Iterator[str]:
    """Return the elements of one JSON array, which is read whole but decoded one by one."""
    text = _read_text(path, facts)
    try:
        content = text.encode("utf-8", "surrogateescape")
        return map(_text_of, msgspec.json.decode(content, type=list[msgspec.Raw]))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return iter(_elements(text))


def _text_of(raw: msgspec.Raw) -> str:
    return bytes(raw).decode("utf-8", "surrogateescape")


def _elements(text: str) -> list[str]:
    """Take an array apart where the fast way refuses it for one element, such as half of a surrogate pair in a text."""
    decoder, elements = json.JSONDecoder(), list[str]()
    place = _BETWEEN.match(text, text.index("[") + 1).end()  # pyright: ignore[reportOptionalMemberAccess]  # matches ""
    try:
        while not text.startswith("]", place):
            _, end = decoder.raw_decode(text, place)
            elements.append(text[place:end])
            place = _BETWEEN.match(text, end).end()  # pyright: ignore[reportOptionalMemberAccess]
    except (ValueError, RecursionError) as error:
        detail = f"The file begins as a JSON array and is none: {error}."
        raise InvalidInput(detail, code="unreadable_file") from error
    return elements


def _json_record(number: int, text: str) -> Record | BadRow:
    source = (Source(number, text),)
    try:
        cells = msgspec.json.decode(text.encode("utf-8", "surrogateescape"))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return BadRow(number, f"It is not JSON: {error}.", source)
    if not isinstance(cells, dict):
        return BadRow(number, "It is not a JSON object.", source)
    return Record(number, cast("dict[str, Any]", cells), is_text=False, sources=source)


# CSV


def _begin(text: io.TextIOWrapper, layout: Layout) -> tuple[Table, int]:
    """Read the header, and return the line it stands in too.

    The separator is what is given, what Excel's own first line says, or what the header shows.
    """
    line, first = 1, text.readline()
    separator = read_separator(layout.separator)
    while first and (not first.strip() or first.lower().startswith(_SAYS_SEPARATOR)):
        if first.strip():
            separator = separator or first[len(_SAYS_SEPARATOR) : len(_SAYS_SEPARATOR) + 1].strip("\r\n")
        line, first = line + 1, text.readline()
    try:
        separator = separator or _separator(first, layout)
        header = [name.strip() for name in next(csv.reader([first], delimiter=separator), list[str]())]
    except (csv.Error, ValueError, TypeError) as error:
        raise InvalidInput(f"The file is not CSV: {error}.", code="unreadable_file") from error
    named = tuple(name or f"column_{place}" for place, name in enumerate(header, start=1))
    return Table(named, separator), line


def _csv_records(text: io.TextIOWrapper, layout: Layout, facts: FileFacts) -> Iterator[Record | BadRow]:
    table, line = _begin(text, layout)
    opened = _opened(table.header, layout)
    for row in _csv_rows(text, table.separator, line):
        if isinstance(row, BadRow):
            yield row
        elif any(cell.strip() for cell in row.text):
            cells = cast("list[str]", row.text)
            if is_whole("".join(cells)):
                yield _csv_record(row.line, cells, table.header, opened)
            else:
                yield BadRow(row.line, f"It is not {facts.shown_encoding}.", (row,))


def _csv_rows(text: Iterator[str], separator: str, line: int) -> Iterator[Source | BadRow]:
    """Yield every row, with the line where it ends.

    A quote that is never closed, or closed in the middle of a cell, would take the rows below it into its cell: its line
    alone is bad, and reading goes on below it. How far a cell may reach is csv's own limit of 128 KiB.
    """
    waiting, taken = deque[str](), list[str]()

    def lines() -> Iterator[str]:
        while (found := waiting.popleft() if waiting else next(text, None)) is not None:
            taken.append(found)
            yield found

    while True:
        reader = csv.reader(lines(), delimiter=separator, strict=True)
        try:
            for row in reader:
                line += len(taken)
                taken.clear()
                yield Source(line, row)
        except csv.Error as error:
            broken, line = taken[0].rstrip("\r\n"), line + 1
            waiting.extendleft(reversed(taken[1:]))
            taken.clear()
            yield BadRow(line, f"Its quotes are not those of CSV ({error}).", (Source(line, broken),))
        else:
            return


def _opened(header: Sequence[str], layout: Layout) -> frozenset[str]:
    """Return the columns whose cells are JSON objects: those that a path leads into, and what *layout* takes apart."""
    paths = {
        name.partition(".")[0] for name in (*layout.named(), *layout.boolean, *layout.number) if name not in header
    }
    return frozenset({*layout.properties, *layout.profile, *layout.pairs, *paths} & set(header))


def _csv_record(line: int, row: list[str], header: Sequence[str], opened: frozenset[str]) -> Record | BadRow:
    source = (Source(line, row),)
    if any(row[len(header) :]):
        return BadRow(line, f"It has {len(row)} cells, and the header {len(header)}.", source)
    cells: dict[str, Any] = {name: cell for name, cell in zip(header, row, strict=False) if cell}
    if REJECT_REASON in cells or REJECT_LINE in cells:
        if row_text := cells.get(REJECT_ROW):
            return _json_record(line, row_text)
        cells.pop(REJECT_REASON, None)
        cells.pop(REJECT_LINE, None)
    for name in opened:
        if name in cells:
            try:
                cells[name] = msgspec.json.decode(cells[name])
            except (msgspec.DecodeError, RecursionError):
                return BadRow(line, f"{name} is not JSON: {cells[name][:100]!r}.", source)
    return Record(line, cells, is_text=True, sources=source)


def _separator(first: str, layout: Layout) -> str:
    """Return what parts the cells: what finds most of the columns that are named, then most cells, in the first line."""

    def found(separator: str) -> tuple[int, int]:
        cells = [cell.strip() for cell in next(csv.reader([first], delimiter=separator), list[str]())]
        return sum(name in cells for name in layout.named()), len(cells)

    return max(_SEPARATORS, key=found)


def _check_header(header: Sequence[str], layout: Layout) -> None:
    if doubled := {name for name in header if header.count(name) > 1}:
        raise InvalidInput(f"The header names a column twice: {', '.join(sorted(doubled))}.", code="duplicate_column")
    wanted = [
        layout.user,
        layout.event,
        layout.time,
        *names_of(layout.id),
        *layout.trait,
        *layout.boolean,
        *layout.number,
    ]
    for names in wanted:
        alternatives = names_of(names)
        if alternatives and not any(_has(header, name) for name in alternatives):
            near = nearest(alternatives[0], header) or header
            raise InvalidInput(
                f"The file has no column {alternatives[0]!r}; there is {', '.join(map(repr, near))}.",
                code="unknown_column",
            )


def _has(header: Sequence[str], name: str) -> bool:
    return name in header or ("." in name and name.partition(".")[0] in header)
