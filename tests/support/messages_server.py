"""A server that speaks the Messages API on a real socket: stricter than the real one, and able to fail in every way.

It answers as its script says, one answer a request. A request that breaks a rule gets a 400, whatever the script.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.support.messages_cache import PromptCache
from tests.support.messages_rules import Prefixes, Signatures, violation

Events = list[tuple[str, dict[str, Any]]]
Answer = Callable[["Exchange"], Awaitable[None]]

_STATUS_TEXT = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 429: "Too Many Requests", 529: "Overloaded"}


class Exchange:
    """One request and its answer on the wire."""

    def __init__(self, body: dict[str, Any], headers: Mapping[str, str], writer: asyncio.StreamWriter) -> None:
        self.body = body
        self.headers = headers
        self.closed = asyncio.Event()  # the client hung up
        self.signature = ""
        self.usage: dict[str, int] = {}
        self.sent = 0  # bytes of the answer
        self.keeps_alive = False
        self._writer = writer

    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        connection = "keep-alive" if self.keeps_alive else "close"
        lines = [f"HTTP/1.1 {status} {_STATUS_TEXT.get(status, 'Error')}", f"connection: {connection}"]
        lines.append("request-id: req_test")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        await self._writer.drain()

    async def begin(self) -> None:
        await self.head(200, {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"})

    async def send(self, data: bytes) -> None:
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self._writer.drain()
        self.sent += len(data)

    async def event(self, name: str, data: Mapping[str, Any]) -> None:
        await self.send(framed(name, data))

    async def end(self) -> None:
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def refuse(self, status: int, kind: str, message: str, *, details: Any = None, **headers: str) -> None:
        error = {"type": kind, "message": message} | ({"details": details} if details else {})
        document = {"type": "error", "error": error, "request_id": "req_test"}
        body = json.dumps(document).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        await self.head(status, {"content-type": "application/json", "content-length": str(len(body)), **names})
        self._writer.write(body)
        await self._writer.drain()

    def write(self, data: bytes) -> None:
        """Bytes as they are."""
        self._writer.write(data)

    def tear(self, data: bytes) -> None:
        """The beginning of a chunk, and no more."""
        self._writer.write(b"%x\r\n%b" % (len(data) + 100, data))
        self._writer.close()

    def cut(self) -> None:
        self._writer.transport.abort()


def framed(name: str, data: Mapping[str, Any]) -> bytes:
    """An event; characters as they are, but for halves of one."""
    document = json.dumps(data, ensure_ascii=False)
    document = re.sub(r"[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):x}", document)
    return f"event: {name}\ndata: {document}\n\n".encode()


class MessagesServer:
    """Answers from a script. *exchanges* holds every request that came, *open* counts connections."""

    def __init__(self) -> None:
        self.url = ""
        self.open = 0
        self.script: list[Answer] = []
        self.exchanges: list[Exchange] = []
        self._signatures = Signatures()
        self._prefixes = Prefixes()
        self.cache = PromptCache()

    def answers(self, *script: Answer) -> None:
        """What the next requests get."""
        self.script = list(script)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [exchange.body for exchange in self.exchanges]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        self.open += 1
        try:
            exchange = await read_exchange(reader, writer)
            self.exchanges.append(exchange)
            left = asyncio.create_task(_until_closed(reader, exchange.closed))
            try:
                await self._answer(exchange)
            finally:
                left.cancel()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left; the test sees it by `closed`
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self.open -= 1

    async def _answer(self, exchange: Exchange) -> None:
        if broken := violation(exchange.body, exchange.headers, self._signatures, self._prefixes):
            await exchange.refuse(400, "invalid_request_error", broken)
            return
        exchange.signature = self._signatures.sign(exchange.body)
        exchange.usage = self.cache.usage(exchange.body)
        await self.script.pop(0)(exchange)


@asynccontextmanager
async def run_messages_server() -> AsyncGenerator[MessagesServer]:
    """A server on a free port of the loopback."""
    server = MessagesServer()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        yield server


async def read_exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange:
    """The next request of a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    if not re.fullmatch(r"POST /v1/messages(\?.*)? HTTP/1\.1", head[0]):
        raise ConnectionError(head[0])
    body = await reader.readexactly(int(headers["content-length"]))
    return Exchange(json.loads(body), headers, writer)


async def _until_closed(reader: asyncio.StreamReader, closed: asyncio.Event) -> None:
    with suppress(ConnectionError):
        await reader.read()
    closed.set()


# What a message is made of


def text(*pieces: str) -> Callable[[int, str], Events]:
    """A text block in so many deltas."""
    return lambda index, _signature: _block(
        index, {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces]
    )


def thinking(*pieces: str) -> Callable[[int, str], Events]:
    """A thinking block; its signature is bound to the conversation before it."""

    def build(index: int, signature: str) -> Events:
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
        deltas.append({"type": "signature_delta", "signature": signature})
        return _block(index, {"type": "thinking", "thinking": "", "signature": ""}, deltas)

    return build


def tool_use(call_id: str, name: str, *pieces: str) -> Callable[[int, str], Events]:
    """A call whose arguments arrive as *pieces* of JSON text."""
    start = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *pieces)]
    return lambda index, _signature: _block(index, start, deltas)


def hidden_thinking(index: int, _signature: str) -> Events:
    """Thinking that only the API can read; it has no deltas."""
    return _block(index, {"type": "redacted_thinking", "data": "c2VjcmV0"}, [])


def unknown_block(index: int, _signature: str) -> Events:
    """A block of a kind that came after this was written, with deltas of its own."""
    return _block(index, {"type": "hologram", "scene": ""}, [{"type": "hologram_delta", "points": [1, 2]}])


def _block(index: int, start: dict[str, Any], deltas: list[dict[str, Any]]) -> Events:
    return [
        ("content_block_start", {"type": "content_block_start", "index": index, "content_block": start}),
        *(("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas),
        ("content_block_stop", {"type": "content_block_stop", "index": index}),
    ]


def message_events(exchange: Exchange, *blocks: Any, stop_reason: str, stop_details: Any = None) -> Events:
    """A whole message as the API streams it."""
    usage = exchange.usage or {"input_tokens": 40}
    message = {
        "id": f"msg_{hashlib.sha256(json.dumps(exchange.body).encode()).hexdigest()[:12]}",
        "type": "message",
        "role": "assistant",
        "model": exchange.body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": {**usage, "output_tokens": 1},
    }
    body = [event for index, block in enumerate(blocks) for event in block(index, exchange.signature)]
    delta = {"stop_reason": stop_reason, "stop_sequence": None, "stop_details": stop_details}
    return [
        ("message_start", {"type": "message_start", "message": message}),
        ("ping", {"type": "ping"}),
        *body,
        ("message_delta", {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 25}}),
        ("message_stop", {"type": "message_stop"}),
    ]


# Answers


def answer(*blocks: Any, stop_reason: str = "end_turn", stop_details: Any = None) -> Answer:
    """A message that arrives whole."""

    async def give(exchange: Exchange) -> None:
        await exchange.begin()
        for name, data in message_events(exchange, *blocks, stop_reason=stop_reason, stop_details=stop_details):
            await exchange.event(name, data)
        await exchange.end()

    return give


def answer_in_single_bytes(*blocks: Any, stop_reason: str = "end_turn") -> Answer:
    """A message whose every byte is a chunk of its own: characters are split too."""

    async def give(exchange: Exchange) -> None:
        await exchange.begin()
        for name, data in message_events(exchange, *blocks, stop_reason=stop_reason):
            for byte in framed(name, data):
                await exchange.send(bytes([byte]))
        await exchange.end()

    return give


def broken_off(*blocks: Any, then: Answer, keep: int = -2) -> Answer:
    """The beginning of a message (without its last *keep* events), and then a fault."""

    async def give(exchange: Exchange) -> None:
        await exchange.begin()
        for name, data in message_events(exchange, *blocks, stop_reason="end_turn")[:keep]:
            await exchange.event(name, data)
        await then(exchange)

    return give


def refusal(status: int, kind: str, message: str = "No.", *, details: Any = None, **headers: str) -> Answer:
    """An HTTP error."""

    async def give(exchange: Exchange) -> None:
        await exchange.refuse(status, kind, message, details=details, **headers)

    return give


def error_event(kind: str, message: str = "Sorry.") -> Answer:
    """An error inside a stream that began well."""

    async def give(exchange: Exchange) -> None:
        await exchange.event("error", {"type": "error", "error": {"type": kind, "message": message}})
        await exchange.end()

    return give


async def clean_end(exchange: Exchange) -> None:
    """The stream ends as if all were well, without message_stop."""
    await exchange.end()


async def cut(exchange: Exchange) -> None:
    """The connection is gone."""
    exchange.cut()


async def stall(exchange: Exchange) -> None:
    """Silence until the client hangs up."""
    await exchange.closed.wait()


async def only_pings(exchange: Exchange) -> None:
    """Signs of life and nothing else, until the client hangs up."""
    while not exchange.closed.is_set():
        await exchange.event("ping", {"type": "ping"})
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await exchange.closed.wait()


async def garbage(exchange: Exchange) -> None:
    """An event whose data is no JSON."""
    await exchange.send(b"event: content_block_delta\ndata: {nope\n\n")
    await exchange.end()


async def delta_of_nothing(exchange: Exchange) -> None:
    """A delta of a block that never began."""
    delta = {"type": "text_delta", "text": "?"}
    await exchange.event("content_block_delta", {"type": "content_block_delta", "index": 7, "delta": delta})
    await exchange.end()


async def cut_inside_a_chunk(exchange: Exchange) -> None:
    """The connection is gone in the middle of an event whose length was told."""
    exchange.tear(b'event: content_block_delta\ndata: {"type": "content_bl')


async def no_http(exchange: Exchange) -> None:
    """Something answers, and it is no web server."""
    exchange.write(b"220 mail.example.com ESMTP\r\n")


async def page(exchange: Exchange) -> None:
    """Something on the way answers for the API, and is content."""
    await exchange.head(200, {"content-type": "text/html", "content-length": "15"})
    exchange.write(b"<p>Log in.</p>\n")


async def pings_before_the_head(exchange: Exchange) -> None:
    """The answer begins, and nothing but signs of life follows."""
    await exchange.begin()
    await only_pings(exchange)


async def unknown_event(exchange: Exchange) -> None:
    """An event of a kind that came after this was written."""
    await exchange.event("constellation", {"type": "constellation", "stars": [1, 2]})


def flood(size: int) -> Answer:
    """*size* bytes of text, as fast as they are taken."""

    async def give(exchange: Exchange) -> None:
        delta = {"type": "text_delta", "text": "and on " * 1000}
        await exchange.begin()
        for name, data in message_events(exchange, text(), stop_reason="end_turn")[:3]:
            await exchange.event(name, data)
        while exchange.sent < size:
            await exchange.event("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta})

    return give


def after(gate: asyncio.Event, then: Answer) -> Answer:
    """Nothing, until *gate* is set."""

    async def give(exchange: Exchange) -> None:
        await gate.wait()
        await then(exchange)

    return give
