"""Draws an import on a terminal or as plain lines: what the file is, its first rows, how far it is, what became of it."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from segment_copilot.importing.columns import Column
from segment_copilot.importing.files import FileFacts
from segment_copilot.importing.records import Table
from segment_copilot.importing.times import TimeReading

LINE_EVERY_ROWS = 50_000  # without a terminal
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_LONGEST_EVENT = 400
_MOST_COLUMNS = 40


class Report(Protocol):
    """Tells of an import that has ended."""

    read: int
    queued: int
    skipped: int
    reasons: list[str]
    notes: list[str]
    rejects: Path | None


def show_file(console: Console, path: Path, *, facts: FileFacts, table: Table, times: TimeReading) -> None:
    """Say how the file is read: what was found by itself may be wrong, and is then said by an option."""
    how = facts.kind
    if table.header:
        how += f" separated by {_NAMES.get(table.separator, repr(table.separator))}"
    read_as = f", times {times.format}" if times.format else ""
    _say(console, f"{path.name}: {how}, {facts.shown_encoding}{read_as}, in {times.zone.key}")


def show_preview(console: Console, events: Sequence[Mapping[str, Any]], columns: Iterable[Column]) -> None:
    """Show the first events as they would be sent, and the types of every column."""
    if events:
        _say(console, "The first rows, as they would be sent:")
    for event in events:
        text = msgspec.json.encode(event).decode()
        _say(console, f"  {text if len(text) <= _LONGEST_EVENT else text[: _LONGEST_EVENT - 1] + '…'}")
    found = [column for column in columns if column.total]
    if found:
        _say(console, "What the columns become:")
    width = max((len(column.name) for column in found[:_MOST_COLUMNS]), default=0)
    for column in found[:_MOST_COLUMNS]:
        kinds = ", ".join(f"{count} {kind}" for kind, count in column.kinds.most_common())
        offer = f" · yes or no: --boolean {column.name!r}" if column.may_be_boolean else ""
        word = "trait" if column.is_trait else "property"
        _say(console, f"  {column.name:<{width}}  {word:<8}  {kinds}, as in {column.example}{offer}")
    if len(found) > _MOST_COLUMNS:
        _say(console, f"  and {len(found) - _MOST_COLUMNS} more")


def show_report(console: Console, report: Report, *, is_dry: bool) -> None:
    """Say what became of the rows, the first reasons, and where the rejected ones are."""
    verb = "would queue" if is_dry else "queued"
    _say(console, f"read {report.read} rows, {verb} {report.queued} events, skipped {report.skipped}")
    if not report.read:
        _say(console, "Note: the file has no rows, only a header or nothing that is one.")
    for reason in report.reasons:
        _say(console, f"  {reason}")
    if report.rejects:
        _say(
            console, f"The rows that were skipped are in {report.rejects}. Mend them there, and import that file alone."
        )
    for note in report.notes:
        _say(console, f"Note: {note}")


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


# Progress


class Display:
    """Shows lines read and events waiting: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, bar: Progress, task: TaskID) -> None:
        self._console = console
        self._bar = bar
        self._task = task
        self._next_line = LINE_EVERY_ROWS

    def advance(self, line: int) -> None:
        """Say that *line* was read."""
        if self._console.is_terminal:
            self._bar.update(self._task, completed=line)
        elif line >= self._next_line:
            self._console.print(f"{line} lines read", highlight=False)
            self._next_line = line + LINE_EVERY_ROWS

    def waiting(self, pending: int) -> None:
        """Say that *pending* events cannot be queried yet."""
        if self._console.is_terminal:
            self._bar.update(self._task, description=f"{pending} events on their way")


@contextmanager
def progress(console: Console, name: str, *, lines: int) -> Generator[Display]:
    """Draw a bar of *lines* on a terminal for as long as this is open."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with bar:
        yield Display(console, bar, bar.add_task(name, total=lines))
