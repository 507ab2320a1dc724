"""The outermost layer does what is the same for every request and answer, whether a route was found or not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final
from urllib.parse import unquote

import structlog
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from uuid_utils import uuid7

from segment_copilot.api.http.problems import MEDIA_TYPE, PROBLEM_CODE, UNEXPECTED, problem_body
from segment_copilot.api.http.routes import is_probe, methods_of
from segment_copilot.telemetry import tracing
from segment_copilot.telemetry.metrics import OPEN_STREAMS, count_request
from segment_copilot.telemetry.work import Work, begin_work

log = structlog.get_logger()

REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9_-]{8,64}")
"""Which `X-Request-Id` of a caller is taken over."""

HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
"""On every answer that does not set them itself."""

ENCRYPTED_ONLY: Final = (b"strict-transport-security", b"max-age=31536000")
"""On every answer over TLS, as the proxy before us says: nobody goes back to http:// for a year."""

_NAMES: Final = frozenset(name for name, _ in HEADERS)

ANSWER_HEADERS: Final = "answer_headers"
"""Where, in a request's state, a middleware leaves headers for its answer, whoever gives it."""

_CLIENT_LEFT: Final = 499


class Edge:
    """Wraps the whole application: request id, paths, HEAD, headers, one log line and one count per request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and its answer back."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["without_body"] = scope["method"] == "HEAD"  # a handler sees a GET
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        work = begin_work()
        routed: Any = {
            **scope,
            "path": routed_path(scope),
            "method": "GET" if state["without_body"] else scope["method"],
        }
        answer = _Answer(send, routed, without_body=state["without_body"], work=work)
        started = perf_counter()
        with tracing.request(scope["method"], scope["headers"], scheme=scope["scheme"]) as span:
            if tracing.is_on():
                structlog.contextvars.bind_contextvars(**tracing.log_ids(span))
            try:
                await self.app(routed, receive, answer.send)
            except Exception as error:  # noqa: BLE001  # the last handler: the failure is logged and the answer ended
                await answer.fail(error)
            finally:
                answer.close(scope["method"], routed, span, seconds=perf_counter() - started)


def routed_path(scope: HTTPScope) -> str:
    """Decode the path segment by segment: a `%2F` in an id is no slash; `%` and `/` inside stay quoted."""
    raw = scope["raw_path"].decode("ascii", errors="replace")
    if "%" not in raw:
        return scope["path"]
    try:
        segments = [unquote(segment, errors="strict") for segment in raw.split("/")]
    except UnicodeDecodeError:
        return "/%"  # no route's path
    return "/".join(segment.replace("%", "%25").replace("/", "%2F").replace("\x00", "%00") for segment in segments)


def _request_id(scope: HTTPScope) -> str:
    sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return sent.decode() if REQUEST_ID.fullmatch(sent) else str(uuid7())


class _Answer:
    """One answer on its way out."""

    def __init__(self, send: Send, scope: HTTPScope, *, without_body: bool, work: Work) -> None:
        self._send = send
        self._work = work
        self._bytes = 0
        self._location = b""
        self._scope = scope
        self._request_id: str = scope["state"]["request_id"]
        self._without_body = without_body
        self._status = 0
        self._stream_response = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message["headers"] = self._finish(message["headers"])
            if self._stream_response:
                OPEN_STREAMS.inc()
        elif message["type"] == "http.response.body" and self._without_body:
            if message.get("more_body"):
                return
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        if message["type"] == "http.response.body":
            self._bytes += len(message.get("body", b""))
        await self._send(message)

    def _finish(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        lines = [*headers]
        names = {name.lower(): value for name, value in lines}
        self._stream_response = names.get(b"content-type", b"").startswith(b"text/event-stream")
        self._location = names.get(b"location", b"")
        if b"allow" in names:
            lines = [header for header in lines if header[0].lower() != b"allow"]
            lines.append((b"allow", ", ".join(sorted(methods_of(self._scope))).encode()))
        lines.append((b"x-request-id", self._request_id.encode()))
        lines += self._scope["state"].get(ANSWER_HEADERS, ())
        lines += HEADERS if names.keys().isdisjoint(_NAMES) else (line for line in HEADERS if line[0] not in names)
        if self._scope["scheme"] == "https":
            lines.append(ENCRYPTED_ONLY)
        return lines

    async def fail(self, error: Exception) -> None:
        """Say what can still be said after *error* got past every handler."""
        log.error("http.unexpected_error", error=type(error).__name__, exc_info=error)
        if self._status:
            return  # the server closes the connection, so that the answer is seen to be cut
        body = problem_body(500, code="internal_error", detail=UNEXPECTED, instance="", request_id=self._request_id)
        await self.send(
            {"type": "http.response.start", "status": 500, "headers": [(b"content-type", MEDIA_TYPE.encode())]}
        )
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    def close(self, method: str, scope: Mapping[str, Any], span: tracing.Span, *, seconds: float) -> None:
        """Count, log and trace, once. docs/operations/logs.md lists the fields of the line."""
        route: str = scope.get("path_template") or "unmatched"
        status = self._status or _CLIENT_LEFT
        if self._stream_response:
            OPEN_STREAMS.dec()
        count_request(method=method, route=route, status=status, seconds=seconds, streamed=self._stream_response)
        fields: dict[str, Any] = {
            "method": method,
            "route": route,
            "status": status,
            "duration_ms": round(seconds * 1000, 2),
            "bytes": self._bytes,
            **self._work.fields(),
        }
        if (code := scope["state"].get(PROBLEM_CODE)) is not None:
            fields["code"] = code
        if (tenant := scope.get("user")) is not None:
            fields["tenant_id"] = tenant.id
        if (key_id := getattr(scope.get("auth"), "key_id", None)) is not None:
            fields["key_id"] = key_id
        if tracing.is_on():
            self._trace(method, route, status, span, tenant_id=fields.get("tenant_id"))
        (log.debug if is_probe(scope) else log.info)("http.request", **fields)

    def _trace(self, method: str, route: str, status: int, span: tracing.Span, *, tenant_id: int | None) -> None:
        """Tell the span what is known at the end. No path: ids of people stand in it."""
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        span.set_attribute("segment_copilot.request.id", self._request_id)
        if tenant_id is not None:
            span.set_attribute("segment_copilot.tenant.id", tenant_id)
        if self._location.startswith(b"/api/"):  # of what was queued: the job's span has its id
            span.set_attribute("http.response.header.location", [self._location.decode("latin-1")])
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.fail(str(status))
