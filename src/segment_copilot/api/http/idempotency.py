"""Makes a repeated POST harmless: one with an `Idempotency-Key` is done once, and answered alike for a day.

Two kinds keep a way of their own. Events are told apart one by one, by id or by key and place, in the statement that
stores them. A stream is not repeated: it saves nothing, and its end cannot be kept before it is there.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final, cast

import anyio
import structlog
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.types import ASGIApp, HTTPRequestEvent, HTTPScope, Message, Receive, ReceiveMessage, Scope, Send

from segment_copilot.access.idempotency import MAX_ANSWER_BYTES, Answer, Claim, Idempotency
from segment_copilot.access.keys import Caller
from segment_copilot.api.http.deadlines import late_body
from segment_copilot.api.http.problems import ProblemError
from segment_copilot.api.http.routes import route_of
from segment_copilot.errors import InvalidInput, SegmentCopilotError

log = structlog.get_logger()

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
MAX_KEY_LENGTH: Final = 255

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_LONGEST_SECONDS: Final = 150.0  # of a route without a limit of its own: a run of the copilot has two minutes
_LEASE_MARGIN_SECONDS: Final = 15.0
_OK: Final = range(200, 300)
_OF_THE_REQUEST: Final = frozenset({b"x-request-id", b"date", b"content-length"})


def repeats(handler: BaseRouteHandler, method: str) -> bool:
    """Return whether *method* of a route keeps its answers under an Idempotency-Key."""
    route = route_of(handler)
    return method == "POST" and not route.public and route.stream is None and not route.tells_repetitions


def idempotent(app: ASGIApp) -> ASGIApp:
    """Do the work of requests with one Idempotency-Key once, and give each the answer of the first."""

    async def once(scope: Scope, receive: Receive, send: Send) -> None:
        key = _key(scope) if scope["type"] == "http" and repeats(scope["route_handler"], scope["method"]) else None
        if key is None:
            await app(scope, receive, send)
            return
        http = cast("HTTPScope", scope)
        caller: Caller = scope["auth"]
        handler = cast("HTTPRouteHandler", scope["route_handler"])
        request_class = cast("Any", handler).resolve_request_class()
        body, receive_again = await _read(
            receive, most=handler.resolve_request_max_body_size() or 0, seconds=request_class.body_seconds
        )
        if body is None:  # too large, or the client left: refused where every body is
            await app(scope, receive_again, send)
            return
        kept: Idempotency = scope["litestar_app"].state.idempotency
        route = route_of(handler)
        begun = await kept.begin(
            caller.tenant,
            key,
            _fingerprint(http, caller, body),
            lease=_lease(handler),
            kept_for=route.repeated_for,
            asks=route.asks,
        )
        if isinstance(begun, Answer):
            await _send(send, begun, replayed=True)
            return
        await _work(app, scope, receive_again, send, kept, begun)

    return once


async def _work(app: ASGIApp, scope: Scope, receive: Receive, send: Send, kept: Idempotency, claim: Claim) -> None:
    """Let the request be done; keep its answer before it is given, so that one that is lost on its way is there."""
    held = _Held()
    done: Answer | None = None
    try:
        await app(scope, receive, held.take)
        done = held.answer if held.answer is not None and held.answer.status in _OK else None
    finally:
        with anyio.CancelScope(shield=True):
            await _settle(kept, claim, done, asks=route_of(scope["route_handler"]).asks)
    if held.answer is not None:
        await _send(send, held.answer)


async def _settle(kept: Idempotency, claim: Claim, done: Answer | None, *, asks: bool) -> None:
    """Keep the answer of what was done. What was refused may be sent again, and so may what is large and only asks."""
    try:
        if done is None or (asks and len(done.body) > MAX_ANSWER_BYTES):
            await kept.release(claim)
        else:
            await kept.keep(claim, done)
    except SegmentCopilotError as error:  # the lease ends by itself
        log.warning("idempotency.not_settled", detail=error.detail)


class _Held:
    """Holds an answer back until it is whole."""

    def __init__(self) -> None:
        self._start: Mapping[str, Any] | None = None
        self._body = bytearray()
        self.answer: Answer | None = None

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = cast("Mapping[str, Any]", message)
        elif message["type"] == "http.response.body" and self._start is not None:
            self._body += message["body"]
            if not message.get("more_body"):
                headers = tuple(
                    (bytes(name), bytes(value))
                    for name, value in self._start["headers"]
                    if name.lower() not in _OF_THE_REQUEST
                )
                self.answer = Answer(self._start["status"], headers, bytes(self._body))


async def _send(send: Send, answer: Answer, *, replayed: bool = False) -> None:
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
    headers += [(REPLAYED.lower().encode(), b"true")] if replayed else []
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


def _key(scope: Scope) -> str | None:
    """Return the request's key; None when it has none.

    Raises:
        InvalidInput: It has one that is none, or several.

    """
    sent = [value.decode("latin-1") for name, value in scope["headers"] if name == HEADER.lower().encode()]
    if not sent:
        return None
    if len(sent) == 1 and _KEY.fullmatch(sent[0]):
        return sent[0]
    detail = f"{HEADER} is one text of 1 to {MAX_KEY_LENGTH} visible ASCII characters, such as a UUID."
    raise InvalidInput(
        detail, code="invalid_parameter", findings=[ProblemError("", "invalid_parameter", detail, parameter=HEADER)]
    )


async def _read(receive: Receive, *, most: int, seconds: float) -> tuple[bytes | None, Receive]:
    """Return the whole body, None where it is not to be had, and what receives it once more.

    Raises:
        HTTPException: 408.

    """
    read: list[ReceiveMessage] = []
    body = bytearray()
    whole = False
    try:
        async with asyncio.timeout(seconds):
            while not whole and len(body) <= most:
                message = await receive()
                read.append(message)
                if message["type"] != "http.request":
                    break
                body += message["body"]
                whole = not message["more_body"]
    except TimeoutError:
        raise late_body(seconds) from None

    async def again() -> Any:
        return read.pop(0) if read else await receive()

    if whole:
        read[:] = [HTTPRequestEvent(type="http.request", body=bytes(body), more_body=False)]
    return (bytes(body) if whole and len(body) <= most else None), again


def _fingerprint(scope: HTTPScope, caller: Caller, body: bytes) -> bytes:
    """Digest what makes a request another one: what it asks, and who asks it with which rights."""
    who = (caller.kind, caller.session or "", caller.session_user or "", ",".join(sorted(caller.scopes)))
    parts = [scope["method"], scope["path"].rstrip("/"), scope["query_string"].decode("latin-1"), *who]
    digest = sha256("\0".join(parts).encode("utf-8", "surrogatepass"))
    digest.update(b"\0" + body)
    return digest.digest()


def _lease(handler: BaseRouteHandler) -> timedelta:
    seconds = route_of(handler).seconds or _LONGEST_SECONDS
    return timedelta(seconds=seconds + _LEASE_MARGIN_SECONDS)
