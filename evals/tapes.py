"""Records and replays at the transport: the Messages API's own bytes, keyed by what was asked.

The service speaks to a proxy on the loopback (a base URL, nothing else changes). Recording, the proxy passes everything
on and writes it down; replaying, it answers from the tape, and a request that is not on the tape is refused and counted
as stale: never a silent pass.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import msgspec
import uvicorn
from msgspec import Struct

from evals.client import HarnessError

LIVE_HOST: Final = "api.anthropic.com"
NAME: Final = "tape.jsonl"

_IDS: Final = re.compile(r"\b(?:draft|component|clarification|run)_[0-9a-f]{12,32}(?:_\d+)?")
_VOLATILE: Final = frozenset(
    {"duration_ms", "received_at", "created_at", "updated_at", "last_synced_at", "computed_at"}
)
_KEPT_HEADERS: Final = frozenset({"content-type", "request-id", "retry-after", "x-should-retry"})
_SENT_HEADERS: Final = frozenset(
    {"authorization", "x-api-key", "anthropic-version", "anthropic-beta", "content-type", "accept"}
)

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class Exchange(Struct, frozen=True):
    """One request and its answer. No key, no header of the request, no text of it: only its fingerprint."""

    key: str
    origin: str  # live, or scripted and by whom
    recorded_at: str
    model: str
    ids: tuple[str, ...]  # of the run that was recorded, in the order of their appearance
    status: int
    headers: Mapping[str, str]
    body: str  # base64 of the raw bytes


def fingerprint(body: bytes) -> tuple[str, tuple[str, ...], str]:
    """Return the key of a request, the ids of its run in their order, and its model.

    Ids of runs and drafts, durations and the times of writing differ from run to run: they are not part of the key.
    """
    document = msgspec.json.decode(body, type=dict[str, Any])
    document.pop("metadata", None)
    canonical = msgspec.json.encode(_steady(document), order="deterministic").decode()
    ids = tuple(dict.fromkeys(_IDS.findall(canonical)))
    for place, one in enumerate(ids):
        canonical = canonical.replace(one, f"#{place}")
    return hashlib.sha256(canonical.encode()).hexdigest(), ids, str(document.get("model", ""))


def _steady(value: Any) -> Any:
    """Return *value* without what changes from run to run; tool results are JSON inside JSON, and read too."""
    match value:
        case dict():
            return {key: _steady(child) for key, child in value.items() if key not in _VOLATILE}
        case list():
            return [_steady(child) for child in value]
        case str() if value.startswith('{"'):
            try:
                return _steady(msgspec.json.decode(value))
            except msgspec.DecodeError:
                return value
        case _:
            return value


class Recorder:
    """Passes requests on to *upstream* and writes every answer down."""

    def __init__(self, upstream: str, folder: Path) -> None:
        host = urlsplit(upstream).hostname or ""
        self.origin = "live" if host == LIVE_HOST else f"scripted ({host})"
        self.recorded = 0
        self._upstream = upstream.rstrip("/")
        self._path = folder / NAME
        folder.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the proxy, as ASGI."""
        body = await _body(receive)
        key, ids, model = fingerprint(body)
        sent = {name.decode(): value.decode() for name, value in scope["headers"] if name.decode() in _SENT_HEADERS}
        url = self._upstream + scope["path"] + (f"?{scope['query_string'].decode()}" if scope["query_string"] else "")
        pieces: list[bytes] = []
        async with (
            httpx2.AsyncClient(timeout=httpx2.Timeout(10, read=120)) as client,
            client.stream("POST", url, content=body, headers=sent) as answer,
        ):
            headers = {name: value for name, value in answer.headers.items() if name in _KEPT_HEADERS}
            await _start(send, answer.status_code, headers)
            async for chunk in answer.aiter_bytes():
                pieces.append(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        now = datetime.now(UTC).isoformat(timespec="seconds")
        text = base64.b64encode(b"".join(pieces)).decode()
        self._write(Exchange(key, self.origin, now, model, ids, answer.status_code, headers, text))

    def _write(self, exchange: Exchange) -> None:
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(exchange) + b"\n")
        self.recorded += 1


class Replayer:
    """Answers from a tape. *stale* counts requests that are not on it."""

    def __init__(self, folder: Path) -> None:
        self._answers: dict[str, list[Exchange]] = {}
        self.origins: set[str] = set()
        self.model = ""
        for exchange in read_tape(folder):
            self._answers.setdefault(exchange.key, []).append(exchange)
            self.origins.add(exchange.origin)
            self.model = exchange.model
        self.stale = 0
        self.replayed = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the tape, as ASGI."""
        del scope
        key, ids, _model = fingerprint(await _body(receive))
        waiting = self._answers.get(key)
        if not waiting:
            self.stale += 1
            error = {"type": "invalid_request_error", "message": "This request is not on the tape."}
            await _start(send, 400, {"content-type": "application/json"})
            await send({"type": "http.response.body", "body": msgspec.json.encode({"type": "error", "error": error})})
            return
        exchange = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        body = base64.b64decode(exchange.body)
        for old, new in zip(exchange.ids, ids, strict=True):  # the model said the recorded run's ids
            body = body.replace(old.encode(), new.encode())
        self.replayed += 1
        await _start(send, exchange.status, exchange.headers)
        await send({"type": "http.response.body", "body": body})


def read_tape(folder: Path) -> Iterator[Exchange]:
    """Yield every exchange of a tape. Raises HarnessError."""
    path = folder / NAME
    try:
        yield from (msgspec.json.decode(line, type=Exchange) for line in path.read_bytes().splitlines())
    except (OSError, msgspec.DecodeError) as error:
        raise HarnessError(f"{path} is no tape: {error}") from error


async def _body(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


async def _start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


@asynccontextmanager
async def listening(app: Recorder | Replayer) -> AsyncGenerator[str]:
    """Serve *app* on a free port of the loopback; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")  # type: ignore[arg-type]
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve([listener]))  # noqa: SLF001  # `serve` would take the signals
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
