"""The SDK alone, reading one stream for each line on stdin: `python benchmarks/copilot_reader.py BASE_URL`.

For each line (the text to send) prints one JSON line: seconds to the first delta, CPU seconds, deltas.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import uvloop
from anthropic import AsyncAnthropic


async def read_helper(client: AsyncAnthropic, text: str) -> tuple[float, int]:
    """By `messages.stream`: what the SDK's documentation shows."""
    first, deltas, started = 0.0, 0, time.perf_counter()
    async with client.messages.stream(**parameters(text)) as stream:
        async for event in stream:
            if event.type == "text":
                deltas += 1
                first = first or time.perf_counter() - started
        await stream.get_final_message()
    return first, deltas


async def read_raw(client: AsyncAnthropic, text: str) -> tuple[float, int]:
    """By `messages.create(stream=True)`: the SDK's least."""
    first, deltas, started = 0.0, 0, time.perf_counter()
    async with await client.messages.create(**parameters(text), stream=True) as stream:
        async for event in stream:
            if event.type == "content_block_delta":
                deltas += 1
                first = first or time.perf_counter() - started
    return first, deltas


def parameters(text: str) -> dict[str, Any]:
    """A small request."""
    return {"model": "claude-sonnet-5-5", "max_tokens": 8000, "messages": [{"role": "user", "content": text}]}


READERS = {"helper": read_helper, "raw": read_raw}


async def main() -> None:
    """Answer lines until there are none: `helper TEXT` or `raw TEXT`."""
    loop = asyncio.get_running_loop()
    async with AsyncAnthropic(api_key="sk-bench", base_url=sys.argv[1], max_retries=0) as client:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            kind, _, text = line.strip().partition(" ")
            before = time.process_time()
            first, deltas = await READERS[kind](client, text)
            cpu = time.process_time() - before
            print(json.dumps({"first": first, "cpu": cpu, "deltas": deltas}), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
