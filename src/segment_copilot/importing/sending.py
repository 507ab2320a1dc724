"""Sends rows to the service, with progress, until all of them can be queried."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import httpx2
import msgspec
import stamina
from msgspec import Struct, field
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from segment_copilot.errors import InvalidInput, Unavailable
from segment_copilot.importing.reading import BadRow, Columns, Row, check_file, newest_time, read_rows, survey

BATCH_EVENTS = 500
BATCH_BYTES = 4 * 2**20
SENDERS = 4
MAX_REASONS = 10
LINE_EVERY_ROWS = 50_000  # without a terminal
STATUS_SECONDS = 0.3
STALLED_SECONDS = 60.0
_TOO_MANY_REQUESTS = 429


class ImportReport(Struct):
    """Counts what became of a file: rows read, events queued (seen before or not), rows or events skipped, and why."""

    read: int = 0
    queued: int = 0
    skipped: int = 0
    reasons: list[str] = field(default_factory=list[str])  # the first ten

    def skip(self, reason: str) -> None:
        """Count a row or event that is not sent, for *reason*."""
        self.skipped += 1
        if len(self.reasons) < MAX_REASONS:
            self.reasons.append(reason)


async def import_file(
    path: Path,
    *,
    columns: Columns,
    url: str = "",
    key: str = "",
    timezone: str = "UTC",
    shift_to_now: bool = False,
    dry_run: bool = False,
    console: Console | None = None,
) -> ImportReport:
    """Send every row of *path* to the service at *url*, wait until all can be queried, and say what happened.

    With *shift_to_now* all times move by the same amount, so that the newest is now. With *dry_run* nothing is sent.
    Raises InvalidInput (the file, a column, the key), Unavailable (the service, or no worker behind it).
    """
    console = console or Console()
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise InvalidInput(f"{timezone!r} is no IANA time zone.", code="unknown_timezone") from None
    check_file(path, columns=columns)
    facts = survey(path)
    shift = _shift(newest_time(path, columns=columns, zone=zone)) if shift_to_now else timedelta()
    rows = read_rows(path, columns=columns, zone=zone, digest=facts.digest, shift=shift)
    report = ImportReport()
    with _progress(console, path.name, lines=facts.lines) as display:
        if dry_run:
            for batch in _batches(rows, report, display):
                report.queued += len(batch)
        else:
            await _send_all(_batches(rows, report, display), report, display, url=url, key=key)
    _say(console, report, dry_run=dry_run)
    return report


def _shift(newest: datetime | None) -> timedelta:
    return timedelta() if newest is None else datetime.now(UTC) - newest


def _say(console: Console, report: ImportReport, *, dry_run: bool) -> None:
    verb = "would queue" if dry_run else "queued"
    console.print(f"read {report.read} rows, {verb} {report.queued} events, skipped {report.skipped}", highlight=False)
    for reason in report.reasons:
        console.print(f"  {reason}", highlight=False, markup=False)


class _Event(Struct, frozen=True):
    """One event as JSON, and the line it comes from."""

    line: int
    text: bytes


def _batches(rows: Iterable[Row | BadRow], report: ImportReport, display: _Display) -> Iterator[list[_Event]]:
    """Yield the events of the good rows, in batches that the endpoint takes; the others are noted in *report*."""
    batch: list[_Event] = []
    size = 0
    for row in rows:
        report.read += 1
        display.advance(row.line)
        if isinstance(row, BadRow):
            report.skip(f"line {row.line}: {row.reason}")
            continue
        for event in row.events:
            text = msgspec.json.encode(event)
            if batch and (len(batch) == BATCH_EVENTS or size + len(text) > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(_Event(row.line, text=text))
            size += len(text)
    if batch:
        yield batch


# The service


class _BatchError(Struct):
    index: int
    detail: str


class _Answer(Struct):
    queued: int
    skipped: int
    errors: list[_BatchError] = field(default_factory=list[_BatchError])


class _Status(Struct):
    pending: int


class _Problem(Struct):
    detail: str = ""


_Shape = TypeVar("_Shape")


class _TryAgainError(Exception):
    """An answer that another attempt may change."""


async def _send_all(
    batches: Iterator[list[_Event]], report: ImportReport, display: _Display, *, url: str, key: str
) -> None:
    headers = {"Authorization": f"ApiKey {key}", "Content-Type": "application/json"}
    async with httpx2.AsyncClient(base_url=url.rstrip("/"), headers=headers, timeout=60.0) as client:
        # A wrong key or address fails before the file is read, and at once: only a service that was there is waited for.
        await _request(client, "GET", "/api/ingestion/status/", _Status, patience=0.0)
        try:
            async with asyncio.TaskGroup() as senders:
                for _ in range(SENDERS):
                    senders.create_task(_send(client, batches, report))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures  # what stopped the others tells why
        await _wait_until_forwarded(client, display)


async def _send(client: httpx2.AsyncClient, batches: Iterator[list[_Event]], report: ImportReport) -> None:
    """Send batches until none is left; several of these share one iterator. Every event has an id, so a retry is safe."""
    for batch in batches:
        body = b'{"events":[' + b",".join(event.text for event in batch) + b"]}"
        answer = await _request(client, "POST", "/api/ingestion/track/batch/", _Answer, body=body)
        report.queued += answer.queued
        for error in answer.errors:
            report.skip(f"line {batch[error.index].line}: {error.detail}")
        report.skipped += answer.skipped - len(answer.errors)


async def _request(
    client: httpx2.AsyncClient,
    method: str,
    path: str,
    shape: type[_Shape],
    *,
    body: bytes | None = None,
    patience: float = 60.0,
) -> _Shape:
    """Return a good answer. A service that is busy or away is tried again for *patience* seconds."""
    try:
        async for attempt in stamina.retry_context(
            on=(httpx2.TransportError, _TryAgainError), attempts=None if patience else 1, timeout=patience or None
        ):
            with attempt:
                content = _content(await client.request(method, path, content=body))
                return msgspec.json.decode(content, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError):
        detail = f"What answers at {client.base_url} is not segment-copilot. Check --url."
        raise InvalidInput(detail, code="not_the_service") from None
    except (httpx2.TransportError, _TryAgainError) as error:
        raise Unavailable(f"The service at {client.base_url} cannot be used: {error}.") from error
    raise AssertionError


def _content(response: httpx2.Response) -> bytes:
    if response.is_success:
        return response.content
    if response.status_code == _TOO_MANY_REQUESTS or response.is_server_error:
        raise _TryAgainError(f"it answered {response.status_code}")
    raise InvalidInput(f"The service answered {response.status_code}: {_detail(response)}", code="refused")


def _detail(response: httpx2.Response) -> str:
    try:
        return msgspec.json.decode(response.content, type=_Problem).detail or response.reason_phrase
    except msgspec.DecodeError:
        return response.reason_phrase


async def _wait_until_forwarded(client: httpx2.AsyncClient, display: _Display) -> None:
    """Return when nothing of the tenant is pending; give up when nothing moves, since then no worker runs."""
    loop = asyncio.get_running_loop()
    least, moved_at = None, loop.time()
    while True:
        status = await _request(client, "GET", "/api/ingestion/status/", _Status)
        if not status.pending:
            return
        display.waiting(status.pending)
        if least is None or status.pending < least:
            least, moved_at = status.pending, loop.time()
        elif loop.time() - moved_at > STALLED_SECONDS:
            raise Unavailable(
                f"The events are safe, but {status.pending} wait to be forwarded and nothing moves: is a worker running?"
            )
        await asyncio.sleep(STATUS_SECONDS)


# Progress


class _Display:
    """Lines read and events waiting: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, bar: Progress, task: TaskID) -> None:
        self._console = console
        self._bar = bar
        self._task = task
        self._next_line = LINE_EVERY_ROWS

    def advance(self, line: int) -> None:
        if self._console.is_terminal:
            self._bar.update(self._task, completed=line)
        elif line >= self._next_line:
            self._console.print(f"{line} lines read", highlight=False)
            self._next_line = line + LINE_EVERY_ROWS

    def waiting(self, pending: int) -> None:
        if self._console.is_terminal:
            self._bar.update(self._task, description=f"{pending} events on their way")


@contextmanager
def _progress(console: Console, name: str, *, lines: int) -> Generator[_Display]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with bar:
        yield _Display(console, bar, bar.add_task(name, total=lines))
