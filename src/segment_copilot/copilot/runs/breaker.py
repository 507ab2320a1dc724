"""A circuit breaker in front of a model: while it does not answer, runs are refused before they begin.

Libraries exist; none can be asked apart from the call it guards, and lets one request through after the pause.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import structlog

from segment_copilot.errors import Unavailable
from segment_copilot.telemetry.metrics import BREAKER_OPEN, BREAKER_OPENED, UPSTREAM_FAILURES

log = structlog.get_logger()

_OUTAGES: Final = {
    "upstream_auth",
    "upstream_disconnected",
    "upstream_overloaded",
    "upstream_rate_limited",
    "upstream_spend_limit",
    "upstream_timeout",
}
"""Failures that the next request would meet as well. Any other answer shows that the model is there."""


class Breaker:
    """Opens after so many *failures* in a row, for so many *seconds* at a time; shared by the runs of a process."""

    def __init__(
        self, *, failures: int = 10, seconds: float = 15.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = failures
        self._seconds = seconds
        self._clock = clock
        self._failures = 0
        self._next = 0.0  # when the next run is let through

    def check(self) -> None:
        """Let a run begin, or refuse it.

        After each pause one run is let through and the next pause begins, so whatever becomes of that run, the model is
        tried once a pause until it answers.

        Raises:
            Unavailable: The model did not answer lately; the error says after how many seconds to ask again.
        """
        if self._failures < self._most:
            return
        now = self._clock()
        if now < self._next:
            raise Unavailable(
                "The language model does not answer at present. Ask again after the seconds that Retry-After says.",
                code="upstream_unavailable",
                context={"retry_after_seconds": math.ceil(self._next - now)},
            )
        self._next = now + self._seconds

    @contextmanager
    def watching(self) -> Generator[None]:
        """Watch one request to the model, which goes on inside. A request that is given up says nothing about the model."""
        try:
            yield
        except Unavailable as error:
            UPSTREAM_FAILURES.labels(error.code).inc()
            if error.code in _OUTAGES:
                self._note_failure(error.code)
            else:
                self._note_answer()
            raise
        self._note_answer()

    def _note_failure(self, code: str) -> None:
        self._failures += 1
        if self._failures >= self._most:
            self._next = self._clock() + self._seconds
        if self._failures == self._most:
            BREAKER_OPEN.set(1)
            BREAKER_OPENED.inc()
            log.warning("copilot.breaker_opened", code=code, failures=self._failures, seconds=self._seconds)

    def _note_answer(self) -> None:
        if self._failures >= self._most:
            BREAKER_OPEN.set(0)
            log.info("copilot.breaker_closed")
        self._failures = 0
