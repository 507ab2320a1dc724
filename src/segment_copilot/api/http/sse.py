"""Sends server-sent events that end well: one owner, a heartbeat, a limit on slow readers, and a clean stop.

What Litestar's own stream lacks, each seen to matter: a close of the source whatever happens, a limit on a send that
hangs, LF framing, heartbeats, and an end when the process is stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Final, Protocol, cast

import structlog
from anyio import CancelScope, create_task_group, move_on_after
from litestar import Litestar
from litestar.background_tasks import BackgroundTask, BackgroundTasks
from litestar.datastructures import Cookie
from litestar.response.base import ASGIResponse, Response
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import Receive, Send

from segment_copilot.copilot.runs.run import Run
from segment_copilot.copilot.stream.encoders.native import CONTENT_TYPE
from segment_copilot.copilot.stream.run_events import Event
from segment_copilot.telemetry.metrics import STALLED_STREAMS

log = structlog.get_logger()

SEND_SECONDS: Final = 20.0
_CLOSE_SECONDS: Final = 10.0  # more than a run takes to close what it holds

HEADERS: Final = {
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",  # proxies that read it do not collect the stream
}


class Encoder(Protocol):
    """One wire protocol that turns events into bytes."""

    opening: bytes
    heartbeat: bytes

    def frame(self, event: Event) -> bytes:
        """Encode *event*; no bytes when this protocol has no word for it."""
        ...


async def frames(
    run: Run, encoder: Encoder, *, heartbeat_seconds: float, draining: asyncio.Event
) -> AsyncGenerator[bytes]:
    """Yield the run as bytes, and a comment in every silence. Closing the generator ends the run."""
    yield encoder.opening
    async with run.drive(draining=draining):
        while True:
            try:
                async with asyncio.timeout(heartbeat_seconds):  # never around a yield
                    batch = await run.events.take()
            except TimeoutError:
                yield encoder.heartbeat
                continue
            if not batch:
                return
            yield b"".join([encoder.frame(event) for event in batch]) or encoder.heartbeat


class EventStream(Response[bytes]):
    """A response that sends what a generator yields and always closes it."""

    def __init__(self, source: AsyncGenerator[bytes], *, headers: dict[str, str]) -> None:
        super().__init__(b"", headers={**HEADERS, **headers}, media_type=CONTENT_TYPE, status_code=200)
        self.source = source

    def to_asgi_response(
        self,
        app: Litestar | None,  # noqa: ARG002  # the signature is Litestar's
        request: Any,  # noqa: ARG002
        *,
        background: BackgroundTask | BackgroundTasks | None = None,
        cookies: Iterable[Cookie] | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,  # noqa: ARG002  # a stream has its own status and media type
    ) -> ASGIResponse:
        """Return what sends the stream; of its own headers and those of the application, its own are kept."""
        return _GuardedResponse(
            iterator=self.source,
            background=self.background or background,
            cookies=[*self.cookies, *(cookies or ())],
            headers={**(headers or {}), **self.headers},
            media_type=CONTENT_TYPE,
            status_code=self.status_code,
        )


class _GuardedResponse(ASGIStreamingResponse):
    __slots__ = ()

    async def send_body(self, send: Send, receive: Receive) -> None:
        """Send until the source ends, the client leaves or stops reading; then close the source."""
        try:
            async with create_task_group() as group:
                group.start_soon(_cancel_when_left, receive, group.cancel_scope)
                await self._send_all(send)
                group.cancel_scope.cancel()
        finally:
            with CancelScope(shield=True), move_on_after(_CLOSE_SECONDS):
                await cast("AsyncGenerator[bytes]", self.iterator).aclose()

    async def _send_all(self, send: Send) -> None:
        try:
            async for chunk in self.iterator:
                body = chunk if isinstance(chunk, bytes) else chunk.encode()
                async with asyncio.timeout(SEND_SECONDS):
                    await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            STALLED_STREAMS.inc()
            log.warning("http.reader_stalled", seconds=SEND_SECONDS)


async def _cancel_when_left(receive: Receive, scope: CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
