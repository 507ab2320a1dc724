"""A local HTTP receiver that takes what is sent to it, or fails in the way that it is told to."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress

from msgspec import Struct


class Received(Struct, frozen=True):
    """A request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Reply(Struct, frozen=True):
    """What is answered; *does* something else in place of an answer."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""
    does: str = "answer"
    """answer; stall (says nothing until the other side goes); reset (breaks off); half (breaks off in its body)."""


class Receiver:
    """Notes every connection and request; answers the next of *replies*, or 200 when none is left."""

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme
        self.port = 0
        self.connections = 0
        self.received: list[Received] = []
        self.replies = deque[Reply]()
        self.always: dict[str, Reply] = {}
        """Target → what it always answers."""
        self.came = asyncio.Event()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def bodies(self, target: str = "/") -> list[bytes]:
        return [one.body for one in self.received if one.target == target]

    def reply_to(self, received: Received) -> Reply:
        """Note a request, and return what it is answered."""
        self.received.append(received)
        return self.always.get(received.target) or (self.replies.popleft() if self.replies else Reply())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:]) if name}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        reply = self.reply_to(Received(method, target, headers, body))
        self.came.set()
        if reply.does == "stall":
            await reader.read()  # until the other side goes
            return
        if reply.does == "reset":
            writer.transport.abort()
            return
        length = len(reply.body) + (10 if reply.does == "half" else 0)
        lines = [f"HTTP/1.1 {reply.status} Said", f"content-length: {length}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode() + reply.body)
        await writer.drain()


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncGenerator[Receiver]:
    """A receiver on a free port of this loop."""
    receiver = Receiver("https" if tls else "http")
    async with listening(receiver, tls):
        yield receiver


@asynccontextmanager
async def listening(receiver: Receiver, tls: ssl.SSLContext | None = None) -> AsyncGenerator[None]:
    """Let *receiver* listen while the block runs."""
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()
