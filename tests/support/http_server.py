"""The application behind a real socket, in this loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
import uvicorn
from litestar import Litestar
from msgspec import Struct

from segment_copilot.commands.serving import server_config
from segment_copilot.resources import Resources
from segment_copilot.worker import run_worker


class Server(Struct, frozen=True):
    """What a test needs of the running server."""

    url: str
    app: Litestar
    key: str
    other_key: str

    @property
    def resources(self) -> Resources:
        return self.app.state.resources

    def client(self, key: str | None = None) -> httpx2.AsyncClient:
        """A client that speaks for the first tenant, or with *key*."""
        return httpx2.AsyncClient(base_url=self.url, headers={"Authorization": f"ApiKey {key or self.key}"}, timeout=30)


@asynccontextmanager
async def served(app: Litestar) -> AsyncGenerator[str]:
    """*app* on a free port of this loop; the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = uvicorn.Server(server_config(app))
        serving = asyncio.create_task(server._serve([listener]))
        try:
            async with asyncio.timeout(30):
                while not server.started and not serving.done():  # noqa: ASYNC110  # nothing to be woken by
                    await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@asynccontextmanager
async def worked(resources: Resources) -> AsyncGenerator[None]:
    """A worker beside the server."""
    stop = asyncio.Event()
    working = asyncio.create_task(run_worker(resources, stop=stop))
    try:
        yield
    finally:
        stop.set()
        await working
