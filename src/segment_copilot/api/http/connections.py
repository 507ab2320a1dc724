"""Bounds what a connection may hold before there is a request: uvicorn has no such setting for httptools.

Without it one header of 300 MiB is kept in memory, and a head that is sent a byte at a time stays open for ever.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, cast

import structlog
from uuid_utils import uuid7
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from segment_copilot.api.http.edge import HEADERS
from segment_copilot.api.http.problems import MEDIA_TYPE, problem_body

log = structlog.get_logger()

MAX_HEAD_BYTES: Final = 64 * 1024  # of the request line and all headers together


class _Refusal(NamedTuple):
    status: int
    code: str
    detail: str


_TOO_LARGE: Final = _Refusal(
    431, "head_too_large", f"The request line and the headers together hold at most {MAX_HEAD_BYTES // 1024} KiB."
)
_TOO_SLOW: Final = _Refusal(408, "request_timeout", "The request line and the headers did not arrive in time.")
_MALFORMED: Final = _Refusal(400, "malformed_request", "This is no HTTP/1.1 request.")


class BoundedHttp(HttpToolsProtocol):
    """One connection, whose next request has so much time, and so many bytes, for its head.

    The clock starts when the connection is made and when an answer has been sent, whatever arrives; what is left of
    the body of a request that was answered early falls under it too. A connection that has sent nothing is closed in
    silence, one in the middle of a head is answered with a problem.
    """

    head_seconds = 10.0
    linger_seconds = 1.0  # to read and drop what a refused client still sends: a reset would lose it the answer

    _deadline: asyncio.TimerHandle | None = None
    _in_head = False
    _refused = False
    _head_bytes = 0
    _idle_bytes = 0  # read since the last that was of use: a request's head as a whole, a piece of a body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse *data*, unless this connection has been refused."""
        if self._refused:
            return
        self._idle_bytes += len(data)
        super().data_received(data)
        if self._idle_bytes > MAX_HEAD_BYTES:  # a header, a trailer or a chunk's extension that does not end
            self._refuse(_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        self._head_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header; trailers, which come after the body, are of no use to us and dropped."""
        if self._in_head:
            self._head_bytes += len(name) + len(value) + 4
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer, unless the head was too large."""
        self._in_head = False
        self._idle_bytes = 0
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)
        if not self._refused:
            self._expect_nothing()
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass a piece of a body on."""
        self._idle_bytes = 0
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is whole."""
        self._idle_bytes = 0
        if not self._refused:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Start the clock of the next request."""
        super().on_response_complete()
        if not self.pipeline and not self.transport.is_closing():
            self._expect_head()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that idles; one in the middle of a head has its own clock."""
        if not self._in_head:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's own sentence
        """Answer what is no HTTP as everything else is answered: by a problem."""
        self._refuse(_MALFORMED)

    def _expect_head(self) -> None:
        self._expect_nothing()
        self._deadline = self.loop.call_later(self.head_seconds, self._late)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        if self._in_head:
            self._refuse(_TOO_SLOW)
        elif not self.transport.is_closing():
            self.transport.close()

    def _is_answering(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # uvicorn says it never is None; before a request it is
        return cycle is not None and not cycle.response_complete

    def _refuse(self, refusal: _Refusal) -> None:
        """Read no further, and end the connection: with a problem, or after the answer that is under way."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._expect_nothing()
        if self._is_answering():
            self.cycle.keep_alive = False
            return
        status, code, detail = refusal
        request_id = str(uuid7())
        log.info("http.refused", status=status, code=code, request_id=request_id)
        body = problem_body(status, code=code, detail=detail, instance="", request_id=request_id)
        headers = [
            *self.server_state.default_headers,
            *HEADERS,
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            (b"x-request-id", request_id.encode()),
        ]
        head = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[status] + head + b"\r\n" + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(self.linger_seconds, self.transport.abort)
