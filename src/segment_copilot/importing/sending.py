"""Sends events to the service by its batch endpoint, until all of them can be queried."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TypeVar

import httpx2
import msgspec
import stamina
from msgspec import Struct, field

from segment_copilot.errors import InvalidInput, Unavailable
from segment_copilot.importing.rows import Row

BATCH_EVENTS = 500
BATCH_BYTES = 4 * 2**20
SENDERS = 4
STATUS_SECONDS = 0.3
STALLED_SECONDS = 60.0
_TOO_MANY_REQUESTS = 429
PATIENCE_SECONDS = 60.0


class Sent(Struct, frozen=True):
    """One event as JSON, and the row it comes from."""

    row: Row
    text: bytes


class Refused(Struct, frozen=True):
    """A row that the service did not take, and why."""

    row: Row
    reason: str


def batches(rows: Iterator[Row]) -> Iterator[list[Sent]]:
    """Yield the events of *rows* in batches that the endpoint takes."""
    batch: list[Sent] = []
    size = 0
    for row in rows:
        for event in row.events:
            text = msgspec.json.encode(event)
            if batch and (len(batch) == BATCH_EVENTS or size + len(text) > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(Sent(row, text))
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


async def send_rows(
    rows: Iterator[Row],
    *,
    url: str,
    key: str,
    queued: Callable[[int], object],
    refused: Callable[[Refused], object],
    waiting: Callable[[int], object],
) -> None:
    """Send the events of *rows* to the service at *url*, and return when every one can be queried.

    *queued* hears how many events of a batch were taken, *refused* of each that was not, *waiting* how many wait.
    Raises InvalidInput (the key, the address) and Unavailable (no service, or no worker behind it).
    """
    headers = {"Authorization": f"ApiKey {key}", "Content-Type": "application/json"}
    async with httpx2.AsyncClient(base_url=url.rstrip("/"), headers=headers, timeout=60.0) as client:
        # A wrong key or address fails before the file is read, and at once: only a service that was there is waited for.
        await _request(client, "GET", "/api/ingestion/status/", _Status, patience=0.0)
        parts = batches(rows)
        try:
            async with asyncio.TaskGroup() as senders:
                for _ in range(SENDERS):
                    senders.create_task(_send(client, parts, queued, refused))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures  # what stopped the others tells why
        await _wait_until_forwarded(client, waiting)


async def _send(
    client: httpx2.AsyncClient,
    parts: Iterator[list[Sent]],
    queued: Callable[[int], object],
    refused: Callable[[Refused], object],
) -> None:
    """Send batches until none is left; several of these share one iterator. Every event has an id, so a retry is safe."""
    for batch in parts:
        answer = await _post(client, batch)
        queued(answer.queued)
        if answer.skipped > len(answer.errors):  # the service tells the first reasons only: ask for each by itself
            for event in batch:
                for error in (await _post(client, [event])).errors:
                    refused(Refused(event.row, error.detail))
        else:
            for error in answer.errors:
                refused(Refused(batch[error.index].row, error.detail))


async def _post(client: httpx2.AsyncClient, batch: list[Sent]) -> _Answer:
    body = b'{"events":[' + b",".join(event.text for event in batch) + b"]}"
    return await _request(client, "POST", "/api/ingestion/track/batch/", _Answer, body=body)


async def _request(
    client: httpx2.AsyncClient,
    method: str,
    path: str,
    shape: type[_Shape],
    *,
    body: bytes | None = None,
    patience: float = PATIENCE_SECONDS,
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
    if (response.status_code == _TOO_MANY_REQUESTS and not _waits_long(response)) or response.is_server_error:
        raise _TryAgainError(f"it answered {response.status_code}")
    detail = _detail(response)
    told = f": {detail}" if detail else "."
    raise InvalidInput(f"The service answered {response.status_code}{told}", code="refused")


def _waits_long(response: httpx2.Response) -> bool:
    """Return whether what the service asks to wait for is more than a moment: a month's quota, say."""
    after = response.headers.get("retry-after", "")
    return after.isdigit() and int(after) > PATIENCE_SECONDS


def _detail(response: httpx2.Response) -> str:
    """Return a problem's sentence; empty of what something else answered in our place."""
    try:
        return msgspec.json.decode(response.content, type=_Problem).detail
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


async def _wait_until_forwarded(client: httpx2.AsyncClient, waiting: Callable[[int], object]) -> None:
    """Return when nothing of the tenant is pending; give up when nothing moves, since then no worker runs."""
    loop = asyncio.get_running_loop()
    least, moved_at = None, loop.time()
    while True:
        status = await _request(client, "GET", "/api/ingestion/status/", _Status)
        if not status.pending:
            return
        waiting(status.pending)
        if least is None or status.pending < least:
            least, moved_at = status.pending, loop.time()
        elif loop.time() - moved_at > STALLED_SECONDS:
            raise Unavailable(
                f"The events are safe, but {status.pending} wait to be forwarded and nothing moves: is a worker running?"
            )
        await asyncio.sleep(STATUS_SECONDS)
