"""Imports one file: looks at it, reads its rows, sends them, says what became of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from msgspec import Struct, field, structs
from rich.console import Console

from segment_copilot.errors import InvalidInput
from segment_copilot.importing.columns import Columns
from segment_copilot.importing.files import FileFacts, look_at
from segment_copilot.importing.journal import Journal
from segment_copilot.importing.layout import Layout, presets
from segment_copilot.importing.records import BadRow, Table, read_records, read_table, see_object
from segment_copilot.importing.rejects import Rejects
from segment_copilot.importing.rows import Row, RowReader
from segment_copilot.importing.screen import Display, progress, show_file, show_preview, show_report
from segment_copilot.importing.sending import Refused, send_rows
from segment_copilot.importing.survey import RowSample, Survey, survey_rows
from segment_copilot.importing.times import make_reading

MAX_REASONS = 10
SHOWN_ROWS = 5


class ImportReport(Struct):
    """Counts what became of a file: rows read, events queued (seen before or not), rows skipped, and why.

    *rejects* is the file that the skipped rows are in; *notes* say what its owner may not have meant.
    """

    read: int = 0
    queued: int = 0
    skipped: int = 0
    reasons: list[str] = field(default_factory=list[str])  # the first ten
    notes: list[str] = field(default_factory=list[str])
    rejects: Path | None = None


class _Opened(Struct, frozen=True):
    """A file that can be read: what it is, and how its rows become events."""

    path: Path
    facts: FileFacts
    table: Table
    survey: Survey
    reader: RowReader

    def rows(self) -> Iterator[Row | BadRow]:
        layout = self.reader.layout
        return self.reader.read(read_records(self.path, facts=self.facts, layout=layout))


def read_rows(
    path: Path, *, layout: Layout, shift_to_now: bool = False, now: datetime | None = None
) -> Iterator[Row | BadRow]:
    """Yield every row of *path* as events, or as what is wrong with it; raises InvalidInput when none can be read."""
    yield from _open(path, layout, shift_to_now=shift_to_now, now=now or datetime.now(UTC)).rows()


def guess_preset(path: Path) -> str:
    """Return the preset by whose columns the file is known; "" where it is none of them, or cannot be read."""
    layout = Layout()
    try:
        facts = see_object(path, facts=look_at(path), layout=layout)
        header = read_table(path, facts=facts, layout=layout).header
        rows = islice(read_records(path, facts=facts, layout=layout), SHOWN_ROWS)
        records = [row for row in rows if not isinstance(row, BadRow)]
    except InvalidInput:
        return ""

    def has(name: str) -> bool:
        return name in header or any(record.cell(name) is not None for record in records)

    known = {name: len(preset.shows) for name, preset in presets().items() if all(map(has, preset.shows))}
    return max(known, key=lambda name: known[name], default="")


async def import_file(
    path: Path,
    *,
    layout: Layout,
    url: str = "",
    key: str = "",
    shift_to_now: bool = False,
    again: bool = False,
    dry_run: bool = False,
    journal_file: Path | None = None,
    console: Console | None = None,
) -> ImportReport:
    """Send every row of *path* to the service at *url*, wait until all can be queried, and say what happened.

    With *shift_to_now* all times move by the same amount, so that the newest is now. With *dry_run* nothing is sent, and
    the first rows are shown as they would be. *journal_file* is where imports are remembered: a newer version of a file
    that is in it is refused, unless *again* says that its rows are new events.
    Raises InvalidInput (the file, a column, the key), Conflict (another version), Unavailable (the service, its worker).
    """
    console = console or Console()
    opened = _open(path, layout, shift_to_now=shift_to_now, now=datetime.now(UTC))
    show_file(console, path, facts=opened.facts, table=opened.table, times=opened.survey.times)
    if dry_run:
        return _try(opened, console)
    journal = Journal(journal_file, url=url, key=key) if journal_file else None
    generation = int(again)
    if journal:
        generation = journal.choose_generation(
            path.name, digest=opened.facts.digest, sample=opened.survey.sample, again=again
        )
    start = opened.facts.digest[:24] + (f"-{generation}" if generation else "")
    opened = structs.replace(opened, reader=structs.replace(opened.reader, id_start=start))
    run = _Run(opened, Rejects(path, opened.table))
    with progress(console, path.name, lines=opened.facts.lines) as display:
        await send_rows(
            run.good_rows(display),
            url=url,
            key=key,
            queued=run.count_queued,
            refused=run.refuse,
            waiting=display.waiting,
        )
    run.finish()
    if journal and run.report.queued:
        rows = run.report.read - run.report.skipped
        sample = run.sample.smallest() if opened.survey.sample else ()
        journal.add(path.name, digest=opened.facts.digest, generation=generation, rows=rows, sample=sample)
    show_report(console, run.report, is_dry=False)
    return run.report


def _open(path: Path, layout: Layout, *, shift_to_now: bool, now: datetime) -> _Opened:
    times = make_reading(layout.time_format, layout.timezone)
    facts = see_object(path, facts=look_at(path, encoding=layout.encoding), layout=layout)
    table = read_table(path, facts=facts, layout=layout)
    survey = survey_rows(
        read_records(path, facts=facts, layout=layout),
        layout=layout,
        times=times,
        needs_newest=shift_to_now,
        needs_sample=not layout.id and not layout.traits_only,
    )
    shift = now - survey.newest if survey.newest else timedelta()
    reader = RowReader(layout=layout, times=survey.times, id_start=facts.digest[:24], now=now, shift=shift)
    return _Opened(path, facts, table, survey, reader)


class _Run:
    """One import under way: counts rows, keeps those that are wrong."""

    def __init__(self, opened: _Opened, rejects: Rejects | None) -> None:
        self.report = ImportReport()
        self.columns = Columns()
        self.sample = RowSample()
        self._opened = opened
        self._rejects = rejects
        self._refused: set[int] = set()

    def good_rows(self, display: Display) -> Iterator[Row]:
        for row in self._opened.rows():
            self.report.read += max(1, len(row.sources))
            display.advance(row.line)
            if isinstance(row, BadRow):
                self._skip(row)
                continue
            for event in row.events:
                self.columns.add(event)
            self.sample.add(row.mark)
            yield row

    def count_queued(self, events: int) -> None:
        self.report.queued += events

    def refuse(self, refused: Refused) -> None:
        """The service refused an event; its row is skipped once, though another event of it was taken."""
        if refused.row.line not in self._refused:
            self._refused.add(refused.row.line)
            self._skip(BadRow(refused.row.line, refused.reason, refused.row.sources))

    def finish(self) -> None:
        self.report.notes = self.columns.notes()
        if self._rejects:
            self.report.rejects = self._rejects.finish()
            if self._rejects.failure:
                self.report.notes.append(self._rejects.failure)

    def _skip(self, row: BadRow) -> None:
        self.report.skipped += max(1, len(row.sources))
        if len(self.report.reasons) < MAX_REASONS:
            self.report.reasons.append(f"{self._opened.facts.unit} {row.line}: {row.reason}")
        if self._rejects:
            self._rejects.add(row.reason, row.sources)


def _try(opened: _Opened, console: Console) -> ImportReport:
    """Read all rows and send none; show the first as they would be sent, and what was found in each column."""
    run = _Run(opened, None)
    with progress(console, opened.path.name, lines=opened.facts.lines) as display:
        rows = run.good_rows(display)
        first = [event for row in islice(rows, SHOWN_ROWS) for event in row.events]
        run.count_queued(len(first) + sum(len(row.events) for row in rows))
    run.finish()
    show_preview(console, first, run.columns)
    show_report(console, run.report, is_dry=True)
    return run.report
