"""Writes down every request that changes something before it is done, refused ones too, and counts the requests of keys.

Two kinds are counted and not written down one by one, because they come by the thousand: events, and sessions that are opened.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final, Self, TypeVar, cast

import anyio
import structlog
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from msgspec import Struct

from segment_copilot.access.audit import Audit, Deed
from segment_copilot.access.key_uses import KeyUses
from segment_copilot.access.keys import Caller
from segment_copilot.api.http.idempotency import REPLAYED
from segment_copilot.api.http.problems import status_for
from segment_copilot.api.http.routes import route_of
from segment_copilot.api.http.scopes import scope_of
from segment_copilot.errors import SegmentCopilotError

log = structlog.get_logger()

T = TypeVar("T")
Headers = Iterable[tuple[bytes, bytes]]

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_COUNTED: Final = frozenset({"events:write", "sessions:open"})
_REFUSALS: Final = frozenset({403, 429})
_MADE: Final = re.compile(r"(/[a-z-]+|/[0-9]+)+/?")  # what holds no text of anybody's
_END_SECONDS: Final = 2.0


def counted(app: ASGIApp) -> ASGIApp:
    """Count a request of a key by what becomes of it."""

    async def count(scope: Scope, receive: Receive, send: Send) -> None:
        caller = cast("Caller | None", cast("Any", scope).get("auth"))
        if caller is None:
            await app(scope, receive, send)
            return
        uses: KeyUses = scope["litestar_app"].state.resources.key_uses

        async def note(status: int, _headers: Headers) -> None:
            uses.note(caller, _address(scope), refused=status in _REFUSALS, now=datetime.now(UTC))

        await _pass_on(app, scope, receive, send, note)

    return count


def audited(app: ASGIApp) -> ASGIApp:
    """Let a request that changes something pass once it is written down; add how it was answered before the answer goes."""

    async def write_down(scope: Scope, receive: Receive, send: Send) -> None:
        caller = cast("Caller | None", cast("Any", scope).get("auth"))
        http = cast("HTTPScope", scope)
        if caller is None or not is_audited(http["route_handler"], http["path_template"], http["method"]):
            await app(scope, receive, send)
            return
        audit: Audit = scope["litestar_app"].state.resources.audit
        entry_id = await audit.begin(caller, _deed(http))

        async def end(status: int, headers: Headers) -> None:
            await _end(audit, caller, entry_id, status=status, headers=headers)

        await _pass_on(app, scope, receive, send, end)

    return write_down


async def _pass_on(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, note: Callable[[int, Headers], Awaitable[None]]
) -> None:
    """Pass a request on; *note* its answer before that goes, be it given by a handler or made of an error further out."""

    async def noted(message: Message) -> None:
        if message["type"] == "http.response.start":
            await note(message["status"], message["headers"])
        await send(message)

    try:
        await app(scope, receive, noted)
    except Exception as error:
        await note(status_for(error), ())
        raise


class Deeds(Struct, frozen=True):
    """Writes down what is done within a request that by itself only asks, such as a tool that saves."""

    audit: Audit
    caller: Caller
    request_id: str
    address: str

    @classmethod
    def of(cls, scope: HTTPScope) -> Self:
        """Return what writes down the deeds of a request."""
        audit: Audit = scope["litestar_app"].state.resources.audit
        return cls(audit, cast("Caller", scope["auth"]), cast("str", scope["state"]["request_id"]), _address(scope))

    async def do(self, operation: str, path: str, work: Callable[[], Awaitable[T]], *, made: Callable[[T], str]) -> T:
        """Do *work* once it is written down; add how it ended."""
        deed = Deed(operation, "POST", path, self.request_id, self.address)
        entry_id = await self.audit.begin(self.caller, deed)
        try:
            done = await work()
        except Exception as error:
            await _end(self.audit, self.caller, entry_id, status=status_for(error), headers=())
            raise
        headers = [(b"location", made(done).encode())]
        await _end(self.audit, self.caller, entry_id, status=200, headers=headers)
        return done


def is_audited(handler: BaseRouteHandler, path: str, method: str) -> bool:
    """Return whether a request changes something, and is not one of those that are only counted."""
    if method in _READS or route_of(handler).asks:
        return False
    return scope_of(handler, path, method) not in _COUNTED


def _deed(scope: HTTPScope) -> Deed:
    handler = cast("HTTPRouteHandler", scope["route_handler"])
    ids = cast("dict[str, object]", scope["path_params"])
    path = scope["path_template"]
    for name, value in ids.items():
        if isinstance(value, int):
            path = path.replace(f"{{{name}}}", str(value))
    return Deed(
        operation=handler.handler_name,
        method=scope["method"],
        path=f"{path.rstrip('/')}/",
        request_id=cast("str", scope["state"]["request_id"]),
        address=_address(scope),
    )


def _address(scope: Scope) -> str:
    client = cast("Any", scope).get("client")
    return client[0] if client else ""


async def _end(audit: Audit, caller: Caller, entry_id: int, *, status: int, headers: Headers) -> None:
    """Add the answer. What was done is done: that it cannot be written down takes nothing back."""
    sent = {name.lower(): value.decode("latin-1") for name, value in headers}
    made = sent.get(b"location", "")
    try:
        with anyio.CancelScope(shield=True), anyio.fail_after(_END_SECONDS):
            await audit.end(
                caller.tenant,
                entry_id,
                status=status,
                made=made if _MADE.fullmatch(made) else None,
                replayed=REPLAYED.lower().encode() in sent,
            )
    except (SegmentCopilotError, TimeoutError) as error:
        log.warning("audit.not_ended", entry_id=entry_id, status=status, error=type(error).__name__)
