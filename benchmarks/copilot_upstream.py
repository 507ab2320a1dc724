"""A server that speaks just enough of the Messages API to be read from: `python benchmarks/copilot_upstream.py`.

Prints its port. What a request gets is said in its text: `bench:flow:2000:500` is 2,000 text deltas 500 µs apart,
`bench:hold` is one delta and then silence until the client leaves. Every delta is a write of its own.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import cast

import uvloop

COMMAND = re.compile(rb"bench:(flow:(\d+):(\d+)|hold)")

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nrequest-id: req_bench\r\n"
    b"transfer-encoding: chunked\r\nconnection: keep-alive\r\n\r\n"
)
USAGE = {"input_tokens": 9, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 9, "output_tokens": 1}


def event(name: str, **data: object) -> bytes:
    """One event as a chunk."""
    body = f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(body), body)


START = event(
    "message_start",
    message={
        "id": "msg_bench", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5", "content": [],
        "stop_reason": None, "stop_sequence": None, "stop_details": None, "usage": USAGE,
    },
) + event("content_block_start", index=0, content_block={"type": "text", "text": ""})  # fmt: skip
DELTA = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "buyers "})
STOP = (
    event("content_block_stop", index=0)
    + event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 25})
    + event("message_stop")
    + b"0\r\n\r\n"
)


class Upstream(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request."""
        self._transport = cast("asyncio.Transport", transport)
        self._received = bytearray()
        self._answering: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        """Answer once the request is whole."""
        self._received += data
        head, found, body = bytes(self._received).partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        if not found or length is None or len(body) < int(length[1]):
            return
        self._received.clear()
        command = COMMAND.search(body)
        self._answering = asyncio.create_task(self._answer(command))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's name
        """Stop."""
        if self._answering is not None:
            self._answering.cancel()

    async def _answer(self, command: re.Match[bytes] | None) -> None:
        self._transport.write(HEAD + START)
        if command is None or command[2] is None:
            self._transport.write(DELTA)
            return
        due = time.monotonic()
        for _ in range(int(command[2])):
            self._transport.write(DELTA)
            due += int(command[3]) / 1e6
            await asyncio.sleep(max(due - time.monotonic(), 0))
        self._transport.write(STOP)


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
