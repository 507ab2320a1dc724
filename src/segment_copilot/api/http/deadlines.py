"""Bounds how long a person waits: a request that is not answered in its route's time is ended with a problem.

A store that is frozen keeps its sockets open and says nothing; its own limits are meant for work in the background.
"""

from __future__ import annotations

import asyncio

from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, HTTPReceiveMessage, Message, Receive, Scope, Send, WebSocketReceiveMessage

from segment_copilot.api.http.routes import route_of
from segment_copilot.errors import Unavailable
from segment_copilot.telemetry.work import silent_shards


def answered_in_time(app: ASGIApp) -> ASGIApp:
    """End a request whose answer has not begun after the seconds of its route, and what is being done for it."""

    async def bounded(scope: Scope, receive: Receive, send: Send) -> None:
        seconds = route_of(scope["route_handler"]).seconds if scope["type"] == "http" else None
        if seconds is None:
            await app(scope, receive, send)
            return
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                await app(scope, _Arriving(receive, limit), _until_begun(send, limit))
        except TimeoutError:
            if not limit.expired():
                raise
            raise _unanswered(seconds) from None

    return bounded


def _unanswered(seconds: float) -> Unavailable:
    """Return the refusal of what took too long, with the shard that was silent while others answered."""
    shards = silent_shards()
    if not shards:
        return Unavailable(f"No store answered this within {seconds:g} seconds.")
    detail = f"Shard {' and '.join(map(str, shards))} of ClickHouse did not answer this within {seconds:g} seconds."
    return Unavailable(detail, context={"shard": shards[0]})


def late_body(seconds: float) -> HTTPException:
    """Return the refusal of a body that took longer than *seconds* to arrive."""
    return HTTPException(
        status_code=408,
        detail=f"The body did not arrive within {seconds:g} seconds.",
        headers={"Connection": "close"},
    )


class _Arriving:
    """Receives the request. The time in which its body arrives is the client's own, and is not counted."""

    def __init__(self, receive: Receive, limit: asyncio.Timeout) -> None:
        self._receive = receive
        self._limit = limit
        self._arrived = False

    async def __call__(self) -> HTTPReceiveMessage | WebSocketReceiveMessage:
        """Receive the next message."""
        until = self._limit.when()
        if self._arrived or until is None:
            return await self._receive()
        loop = asyncio.get_running_loop()
        left = until - loop.time()
        self._limit.reschedule(None)
        try:
            message = await self._receive()
        finally:
            if not self._limit.expired():
                self._limit.reschedule(loop.time() + left)
        self._arrived = not (message["type"] == "http.request" and message["more_body"])
        return message


def _until_begun(send: Send, limit: asyncio.Timeout) -> Send:
    async def begin(message: Message) -> None:
        if message["type"] == "http.response.start" and not limit.expired():
            limit.reschedule(None)
        await send(message)

    return begin
