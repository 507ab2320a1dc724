"""Lends the connections of a pool: whoever comes gets the first that is free, whether it was given back or has just been opened.

The driver's own pool binds who waits to one connection that is being opened, and throws that connection away when the waiting
has lasted too long. On a busy machine, where opening takes longer than anyone waits, such a pool never grows: each request opens,
gives up and leaves nothing to the next, while the few connections that there are stand idle between short statements.
Here opening belongs to the pool. It goes on when nobody waits any more, and the connection is there for whoever comes next.
"""
# asyncpg has neither stubs nor complete annotations.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

import structlog

from segment_copilot.errors import Unavailable
from segment_copilot.telemetry.metrics import POOL_TIMEOUTS, WAIT_SECONDS
from segment_copilot.telemetry.pools import PoolState

log = structlog.get_logger()

_WAIT = WAIT_SECONDS.labels("postgres")

OPEN_SECONDS = 5.0
"""Until a connection that is being opened is given up."""


class Busy(Unavailable):
    """Every connection is lent for longer than was waited; the server may be well."""


class Lending:
    """Lends at most *size* connections of *pool*, first come, first served. All methods raise the driver's errors as they are."""

    def __init__(self, pool: Any, *, size: int) -> None:
        self._pool = pool
        self._size = size
        self._waiting = deque[asyncio.Future[None]]()
        self._called = 0  # who were told that a connection is free, and did not take it yet
        self._openings = set[asyncio.Task[None]]()

    async def take(self, seconds: float) -> Any:
        """Return a connection; whoever gets it gives it back.

        Raises:
            Unavailable: None became free within so many seconds.
        """
        if not self._waiting and self._pool.get_idle_size() > self._called:
            _WAIT.observe(0)
            return await self._pool.acquire()  # there is nothing to wait for, and no time to limit
        started = time.perf_counter()
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                while True:
                    await self._turn()
                    if self._pool.get_idle_size():  # it may have been lost meanwhile
                        _WAIT.observe(time.perf_counter() - started)
                        return await self._pool.acquire()
        except TimeoutError:
            if not limit.expired():
                raise
        if self._pool.get_size() < self._size:  # there is room, and none could be opened
            raise Unavailable("PostgreSQL does not answer.")
        POOL_TIMEOUTS.labels("postgres").inc()
        raise Busy("Every PostgreSQL connection is busy.")

    async def give(self, raw: Any, seconds: float) -> None:
        """Give a connection back, which is cleaned within so many seconds or else closed."""
        try:
            await self._pool.release(raw, timeout=seconds)
        except asyncio.CancelledError:  # the driver goes on cleaning without us
            asyncio.get_running_loop().call_later(seconds, self._go_on)
            raise
        finally:
            self._go_on()

    def state(self) -> PoolState:
        """Return how full the pool is now, and how many wait."""
        size, idle = self._pool.get_size(), self._pool.get_idle_size()
        return PoolState(used=size - idle, idle=idle, most=self._size, waiting=len(self._waiting))

    async def close(self) -> None:
        """Open no more. The pool is closed by whoever opened it."""
        for task in self._openings:
            task.cancel()
        await asyncio.gather(*self._openings, return_exceptions=True)

    async def _turn(self) -> None:
        """Wait until a connection is free and nobody who came before wants it."""
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        self._go_on()
        try:
            await mine
        except BaseException:
            if mine in self._waiting:
                self._waiting.remove(mine)
            elif not mine.cancelled() and mine.exception() is None:  # called at the moment of giving up
                self._called -= 1
                self._go_on()
            raise
        self._called -= 1

    def _go_on(self) -> None:
        """Call as many as there are free connections, and open more for the others."""
        while self._waiting and self._pool.get_idle_size() > self._called:
            mine = self._waiting.popleft()
            if not mine.done():
                self._called += 1
                mine.set_result(None)
        while len(self._openings) < min(len(self._waiting), self._size - self._pool.get_size()):
            task = asyncio.get_running_loop().create_task(self._open())
            self._openings.add(task)

    async def _open(self) -> None:
        failure: Exception | None = None
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                raw = await self._pool.acquire()
            raw.note_clean()
            await self._pool.release(raw)
        except Exception as error:  # noqa: BLE001  # whatever it was, whoever waits is told
            failure = error
        finally:
            if task := asyncio.current_task():
                self._openings.discard(task)
        if failure is None:
            self._go_on()
            return
        if not self._pool.get_size() and not self._openings:  # nothing will become free
            log.warning("postgres.not_opened", error=type(failure).__name__, waiting=len(self._waiting))
            while self._waiting:
                mine = self._waiting.popleft()
                if not mine.done():
                    mine.set_exception(failure)
