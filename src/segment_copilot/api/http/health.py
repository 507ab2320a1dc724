"""Probes say whether the process is alive, and whether it may be sent requests."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType
from typing import Final

from litestar import Router, get
from litestar.di import NamedDependency
from msgspec import Struct

from segment_copilot.api.http.routes import Route
from segment_copilot.errors import Unavailable

PING_SECONDS: Final = 2.0


class Health(Struct, frozen=True):
    """The answer of a probe that is content."""

    status: str = "ok"


class Readiness:
    """Knows whether a process can do its work.

    It cannot once it is *draining*, while a store is silent, nor on stores that lack what this version needs.
    """

    def __init__(
        self,
        pings: Mapping[str, Callable[[], Awaitable[None]]],
        lacking: Callable[[], Awaitable[list[str]]],
        draining: asyncio.Event,
    ) -> None:
        self._pings = pings
        self._lacking = lacking
        self._draining = draining

    async def check(self) -> None:
        """Raises Unavailable when it cannot; *context* then names the stores that are silent, or what they lack."""
        if self._draining.is_set():
            raise Unavailable("This process is being stopped.", code="server_draining")
        answers = await asyncio.gather(*(_answers(ping()) for ping in self._pings.values()))
        if silent := [name for name, answered in zip(self._pings, answers, strict=True) if not answered]:
            raise Unavailable(f"No answer from {' and '.join(silent)}.", code="not_ready", context={"silent": silent})
        try:
            async with asyncio.timeout(PING_SECONDS):
                lacking = await self._lacking()
        except TimeoutError:
            raise Unavailable("The stores answer too slowly.", code="not_ready") from None
        if lacking:
            detail = f"The stores lack {', '.join(lacking)}; run `segment-copilot migrate`."
            raise Unavailable(detail, code="not_migrated", context={"lacking": lacking})


@get(
    "/live",
    operation_id="live",
    summary="Whether the process answers",
    opt=Route(public=True, probe=True).opt,
    sync_to_thread=False,
)
def live() -> Health:
    """200 as long as the process serves requests at all; it asks nothing of the stores."""
    return Health()


@get(
    "/ready",
    operation_id="ready",
    summary="Whether requests may be sent here",
    opt=Route(public=True, probe=True, problems=(Unavailable,)).opt,
)
async def ready(readiness: NamedDependency[Readiness]) -> Health:
    """200 when both stores answer and are migrated to this version; 503 otherwise, or once the process is being stopped."""
    await readiness.check()
    return Health()


async def _answers(ping: Awaitable[None]) -> bool:
    try:
        async with asyncio.timeout(PING_SECONDS):
            await ping
    except (Unavailable, TimeoutError):
        return False
    return True


HealthRouter = Router("/health", route_handlers=[live, ready], tags=["health"])


@contextmanager
def drain_on_signals(draining: asyncio.Event) -> Generator[None]:
    """Set *draining* on SIGTERM and SIGINT, before the server's own handler: it waits for open streams to end themselves."""
    if current_thread() is not main_thread():
        yield  # signals reach the main thread only
        return
    loop = asyncio.get_running_loop()
    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def drain(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(draining.set)
        if callable(handler := previous[signal.Signals(number)]):
            handler(number, frame)

    for number in previous:
        signal.signal(number, drain)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
