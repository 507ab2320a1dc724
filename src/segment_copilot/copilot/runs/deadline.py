"""Measures the time that a run has: until its deadline, or until somebody stops it before."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from segment_copilot.copilot.stream.run_events import ErrorCode


class Deadline:
    """A deadline ends a run's time, *seconds* after the time began to run; `stop` brings it forward."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._created = time.monotonic()
        self._timeout: asyncio.Timeout | None = None
        self._stop_code: ErrorCode | None = None

    @property
    def code(self) -> ErrorCode:
        """Return why the time is over."""
        return self._stop_code or "deadline_exceeded"

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Let the time run inside the block.

        Raises:
            TimeoutError: It is over.
        """
        try:
            async with asyncio.timeout(0 if self._stop_code else self._seconds) as self._timeout:
                yield
        finally:
            self._timeout = None

    def stop(self, code: ErrorCode) -> None:
        """End the time now, or as soon as it begins to run; the first *code* stands."""
        self._stop_code = self._stop_code or code
        if self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time())

    def seconds_left(self) -> float:
        """Return how long the time still runs; for ever outside of `running`."""
        end = self._timeout.when() if self._timeout is not None else None
        return math.inf if end is None else end - asyncio.get_running_loop().time()

    def elapsed_ms(self) -> int:
        """Return how long ago the run was prepared."""
        return round((time.monotonic() - self._created) * 1000)
