"""A TCP proxy that delays, throttles, cuts, resets or falls silent in front of a server, and a way to wait for what a server does."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: to close says RST, and what was not sent is thrown away
_PIECE = 1024  # bytes that a throttled connection passes on at once


class Proxy:
    """A TCP proxy in front of one server. `silence` keeps connections open and passes nothing on."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.delay = 0.0
        """Seconds by which each piece is late, in each direction."""
        self.bytes_per_second = 0.0
        """What a connection passes on in each direction; 0: as much as there is."""
        self._passing = asyncio.Event()
        self._passing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._left: int | None = None
        self._refusing = False
        self._swallowing = False
        self._deaf: set[asyncio.StreamWriter] = set()
        self._stalled_text: bytes | None = None
        self._stalls_arrived = False
        self.accepted = 0

    def silence(self) -> None:
        self._passing.clear()

    def swallow(self) -> None:
        """Take what is said and pass nothing on, ever: a host that vanished. Who was heard so is reset at the end."""
        self._swallowing = True

    def refuse(self) -> None:
        """Cut every connection there is, and each that comes."""
        self._refusing = True
        self.hang_up()

    def reset(self) -> None:
        """Answer every connection there is, and each that comes, with RST."""
        self._refusing = True
        for writer in self._writers:
            _say_reset(writer)
        self.hang_up()

    def stall_answers_to(self, text: bytes, *, arrived: bool) -> None:
        """Hold back what the server answers to a client that sent *text*; *arrived*: only once it has sent more."""
        self._passing.clear()
        self._stalled_text, self._stalls_arrived = text, arrived

    def speak(self) -> None:
        """Pass everything on again, at once."""
        self.delay = self.bytes_per_second = 0.0
        self._refusing = self._swallowing = False
        for writer in self._deaf:
            _say_reset(writer)
            writer.transport.abort()
        self._deaf.clear()
        self._stalled_text = None
        self._passing.set()

    def hang_up_after(self, size: int) -> None:
        """Pass *size* more bytes of the server's answers on, then cut every connection there is."""
        self._left = size

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    @property
    def deaf(self) -> int:
        """The number of connections that lost what was said."""
        return len(self._deaf) // 2

    @property
    def open(self) -> int:
        """The number of connections through it."""
        return len(self._writers) // 2

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._refusing:
            _say_reset(writer)
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, server_writer}
        talk = _Talk(pair)
        self._writers |= pair
        await asyncio.gather(
            self._pump(reader, server_writer, talk), self._pump(server_reader, writer, talk, answers=True)
        )
        self._writers -= pair
        self._deaf -= pair

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, talk: _Talk, *, answers: bool = False
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(_PIECE if self.bytes_per_second else 65536):
                if self._swallowing:
                    self._deaf |= talk.pair
                    continue
                await self._dawdle(len(data))
                talk.hear(data, self._stalled_text, answers=answers)
                if self._stalled_text is None or (answers and talk.is_over(arrived=self._stalls_arrived)):
                    await self._passing.wait()
                if answers and self._left is not None and self._left < len(data):
                    writer.write(data[: self._left])
                    await writer.drain()
                    self._left = None
                    break
                if answers and self._left is not None:
                    self._left -= len(data)
                writer.write(data)
                await writer.drain()
        writer.close()  # passes on what was written first

    async def _dawdle(self, size: int) -> None:
        seconds = self.delay + (size / self.bytes_per_second if self.bytes_per_second else 0.0)
        if seconds:
            await asyncio.sleep(seconds)


def _say_reset(writer: asyncio.StreamWriter) -> None:
    connected: socket.socket | None = writer.get_extra_info("socket")
    if connected is not None:
        with suppress(OSError):
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


class _Talk:
    """What was said over one connection, which has an end on each side, since the client sent a text."""

    def __init__(self, pair: set[asyncio.StreamWriter]) -> None:
        self.pair = pair
        self._heard: list[bool] = []  # True: by the server

    def hear(self, data: bytes, text: bytes | None, *, answers: bool) -> None:
        if text is not None and not answers and text in data:
            self._heard = [False]
        elif self._heard:
            self._heard.append(answers)

    def is_over(self, *, arrived: bool) -> bool:
        """True once the client has sent the text; *arrived*: and was answered, and sent what follows."""
        if not arrived:
            return bool(self._heard)
        return True in self._heard and False in self._heard[self._heard.index(True) :]


@asynccontextmanager
async def run_proxy(url: str) -> AsyncGenerator[tuple[Proxy, str]]:
    """A proxy in front of the server of *url*, and the URL that goes through it."""
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname or "", parts.port or 0)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    account, at, _ = parts.netloc.rpartition("@")
    port = server.sockets[0].getsockname()[1]
    try:
        yield proxy, parts._replace(netloc=f"{account}{at}127.0.0.1:{port}").geturl()
    finally:
        server.close()
        proxy.speak()
        proxy.hang_up()
        await asyncio.sleep(0)


async def eventually(condition: Callable[[], Awaitable[bool]], *, seconds: float = 10) -> None:
    """Return once *condition* holds; fail after *seconds*."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - of a server, which sets no event here
            await asyncio.sleep(0.02)
