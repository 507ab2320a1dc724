"""What the local servers of foreign services share: HTTP on a real socket, and ways to fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct


class Request(Struct, frozen=True):
    """A request as it came; *document* is what its body says."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    document: Any
    body: bytes = b""


class Answer(Struct, frozen=True):
    """What is answered; *does* something else in place of an answer, before (`drop`) or after the work (`lose`)."""

    status: int = 200
    document: Any = None
    headers: Mapping[str, str] = {}
    does: str = "answer"
    """answer; stall; drop (breaks off, nothing done); lose (does it, then breaks off); html (a page, no JSON)."""


class ServiceServer:
    """Answers as `handle` says, but for the requests that are to fail."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self.faults: dict[int, Answer] = {}
        """Number of a request, from 0 → what happens to it."""
        self.always: Answer | None = None

    def handle(self, request: Request) -> Answer:
        raise NotImplementedError

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:]) if name}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        url = urlsplit(target)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        request = Request(method, url.path, query, headers, json.loads(body) if body else None, body)
        answer = self.always or self.faults.get(len(self.requests))
        self.requests.append(request)
        if answer is None:
            answer = self.handle(request)
        elif answer.does == "lose":
            self.handle(request)
        if answer.does == "stall":
            await reader.read()  # until the other side goes
        elif answer.does in {"drop", "lose"}:
            writer.transport.abort()
        else:
            content = b"<html>Bad gateway</html>" if answer.does == "html" else json.dumps(answer.document).encode()
            lines = [f"HTTP/1.1 {answer.status} Said", f"content-length: {len(content)}", "connection: close"]
            lines += [f"{name}: {value}" for name, value in answer.headers.items()]
            writer.write("\r\n".join([*lines, "", ""]).encode() + content)
            await writer.drain()


Server = TypeVar("Server", bound=ServiceServer)


@asynccontextmanager
async def serving(service: Server) -> AsyncGenerator[Server]:
    """*service* on a free port of this loop."""
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0, limit=2**20)
    service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield service
    finally:
        server.close()
        await server.wait_closed()
