"""The clock and the tokens of one request to the model."""

from __future__ import annotations

import time

from msgspec import UNSET

from segment_copilot.copilot import events
from segment_copilot.copilot.models import Usage


class Turn:
    """One request to the model, from its start."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._started = time.monotonic()
        self._first: float | None = None

    def heard(self) -> None:
        """Something arrived."""
        self._first = self._first or time.monotonic()

    def finished(self, stop_reason: str, usage: Usage, upstream_request_id: str | None) -> events.TurnFinished:
        """The event that ends the turn."""
        return events.TurnFinished(
            turn=self._number,
            stop_reason=stop_reason,
            usage=usage,
            duration_ms=round((time.monotonic() - self._started) * 1000),
            ttft_ms=UNSET if self._first is None else round((self._first - self._started) * 1000),
            upstream_request_id=upstream_request_id or UNSET,
        )


def total(first: Usage, second: Usage) -> Usage:
    """The tokens of both."""
    return Usage(
        first.input_tokens + second.input_tokens,
        first.output_tokens + second.output_tokens,
        first.cache_read_tokens + second.cache_read_tokens,
        first.cache_write_tokens + second.cache_write_tokens,
    )
