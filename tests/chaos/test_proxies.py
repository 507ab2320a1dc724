"""What the proxy does to a connection, as its client sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from tests.support.proxies import Proxy, run_proxy

WORDS = b"said and heard " * 400


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.fixture
async def echo() -> AsyncGenerator[tuple[Proxy, str]]:
    """A proxy before a server that says what it hears, and its URL."""
    async with await asyncio.start_server(_echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with run_proxy(f"tcp://127.0.0.1:{port}") as found:
            yield found


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def test_what_is_late_or_slow_arrives_whole_and_in_order(echo: tuple[Proxy, str]) -> None:
    proxy, url = echo
    proxy.delay, proxy.bytes_per_second = 0.001, 10_000_000
    async with connected(url) as (reader, writer):
        writer.write(WORDS)
        assert await reader.readexactly(len(WORDS)) == WORDS
        assert proxy.open == 1


async def test_a_reset_is_seen_as_one_by_who_is_connected_and_by_who_comes(echo: tuple[Proxy, str]) -> None:
    proxy, url = echo
    async with connected(url) as (reader, writer):
        writer.write(b"?")
        assert await reader.readexactly(1) == b"?"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await reader.read()
    async with connected(url) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.read()


async def test_what_is_swallowed_never_arrives_and_ends_in_a_reset(echo: tuple[Proxy, str]) -> None:
    proxy, url = echo
    async with connected(url) as (reader, writer), connected(url) as (other_reader, other_writer):
        for each, end in ((reader, writer), (other_reader, other_writer)):
            end.write(b"?")
            assert await each.readexactly(1) == b"?"
        proxy.swallow()
        writer.write(WORDS)
        while not proxy.deaf:  # noqa: ASYNC110  # it has not heard it yet
            await asyncio.sleep(0)
        proxy.speak()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        other_writer.write(b"!")  # of whom nothing was lost
        assert await other_reader.readexactly(1) == b"!"
