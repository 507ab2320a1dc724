"""Clients that talk to the copilot all the time. Whatever happens, a stream that began has an end that says how it went."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2

from tests.support import copilot_invariants
from tests.support.copilot_runs import payload
from tests.support.messages_server import Answer, MessagesServer, answer, text

_BODY: Final = {"messages": [{"role": "user", "content": "How are sales?"}]}
_CLIENTS: Final = 2
_LIMIT_SECONDS: Final = 60.0
_PAUSE: Final = 0.25


class EndlessScript(list[Answer]):
    """Answers every request alike."""

    def pop(self, _index: Any = 0) -> Answer:
        return answer(text("Sales ", "are ", "well."))


def answer_all(server: MessagesServer) -> None:
    """Let *server* answer whatever comes."""
    server.script = EndlessScript()


class Streams:
    """Streams that are read to their ends, and what came of them."""

    def __init__(self, url: str, key: str, *, may_hang_up: bool) -> None:
        self._client = httpx2.AsyncClient(
            base_url=url, headers={"Authorization": f"ApiKey {key}"}, timeout=_LIMIT_SECONDS
        )
        self._may_hang_up = may_hang_up
        self.ends = Counter[str]()
        self.slowest = 0.0
        self.broken = list[str]()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Read streams while the block runs; at its end those that began are read to theirs."""
        stop = asyncio.Event()

        async def repeat() -> None:
            while not stop.is_set():
                await self._read()
                await asyncio.sleep(_PAUSE)

        async with self._client, asyncio.TaskGroup() as group:
            for _ in range(_CLIENTS):
                group.create_task(repeat())
            try:
                yield
            finally:
                stop.set()

    async def _read(self) -> None:
        began, whole = time.monotonic(), b""
        try:
            async with self._client.stream("POST", "/api/copilot/stream/", json=_BODY) as response:
                async for piece in response.aiter_bytes():
                    whole += piece
        except httpx2.TransportError as error:
            self.ends["cut"] += 1
            if not self._may_hang_up:
                self.broken.append(f"a stream broke off after {len(whole)} bytes: {type(error).__name__}")
            return
        finally:
            self.slowest = max(self.slowest, time.monotonic() - began)
        if response.status_code != httpx2.codes.OK:
            self.ends[str(response.status_code)] += 1
            is_problem = response.headers["content-type"].startswith("application/problem+json")
            if response.status_code not in {429, 503, 504} or not is_problem:
                self.broken.append(f"a stream was refused by {response.status_code}: {whole[:200]!r}")
            return
        self._judge(whole)

    def _judge(self, whole: bytes) -> None:
        blocks = [block + b"\n\n" for block in whole.split(b"\n\n")[:-1]]
        try:
            frames = [payload(block) for block in blocks if not block.startswith(b":")]
            copilot_invariants.check(frames)
        except Exception as error:  # noqa: BLE001  # whatever it was, the protocol was broken
            self.ends["broken"] += 1
            self.broken.append(f"a stream broke the protocol: {type(error).__name__} {str(error)[:200]}")
            return
        last = frames[-1]
        self.ends["finished" if last["type"] == "run.finished" else str(last.get("code", last["type"]))] += 1
