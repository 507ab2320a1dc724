"""Measures the time, the tokens and the cost of a run's requests to the model."""

from __future__ import annotations

import time
from typing import Final

import msgspec
import structlog
from msgspec import UNSET, structs

from segment_copilot.copilot import models
from segment_copilot.copilot.runs.prices import Price
from segment_copilot.copilot.stream import run_events
from segment_copilot.copilot.stream.usage import Usage
from segment_copilot.telemetry.metrics import COST, count_turn

log = structlog.get_logger()

_TOLD: Final = ("turn", "stop_reason", "duration_ms", "ttft_ms", "upstream_request_id")
_CHARACTERS_PER_TOKEN: Final = 4  # about; only for an answer that was cut, whose tokens nobody told


class Attempt:
    """An attempt is one request to the model, measured from its start: a turn, or one more try of it."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._started = time.monotonic()
        self._first: float | None = None
        self._known = Usage()
        self._characters = 0
        self._complete = False  # whether the tokens are known for good

    def hear(self, event: models.ModelEvent) -> None:
        """Count what *event* tells or holds."""
        match event:
            case models.TokensCounted(usage):
                self._known = usage
                return
            case models.TextDelta() | models.ReasoningDelta() | models.ToolArgumentsDelta():
                self._characters += len(event.delta)
            case models.TurnEnded():
                self._known = event.usage
                self._complete = event.stop_reason != "truncated"
            case _:
                pass
        self._first = self._first or time.monotonic()

    @property
    def usage(self) -> Usage:
        """Return the tokens used; for an answer that did not end, what was told and about what was written."""
        if self._complete:
            return self._known
        written = max(self._known.output_tokens, self._characters // _CHARACTERS_PER_TOKEN)
        if not (self._known.input_tokens or written):
            return Usage()
        return structs.replace(self._known, output_tokens=written, estimated=True)

    @property
    def first_seconds(self) -> float | None:
        """Return how long it took until the model said something; None while it has said nothing."""
        return None if self._first is None else self._first - self._started

    def finish(self, stop_reason: str, usage: Usage, upstream_request_id: str | None) -> run_events.TurnFinished:
        """Return the event that ends the turn."""
        return run_events.TurnFinished(
            turn=self._number,
            stop_reason=stop_reason,
            usage=usage,
            duration_ms=round((time.monotonic() - self._started) * 1000),
            ttft_ms=UNSET if self._first is None else round((self._first - self._started) * 1000),
            upstream_request_id=upstream_request_id or UNSET,
        )


class Meter:
    """Adds up what a run uses. Without a *price* it knows no cost."""

    def __init__(self, price: Price | None, *, most_usd: float, model: str = "") -> None:
        self._price = price
        self._model = model
        self._most_usd = most_usd
        self._open: Attempt | None = None
        self.total = self.price(Usage())

    def price(self, usage: Usage) -> Usage:
        """Return *usage* with its cost."""
        return structs.replace(usage, cost_usd=UNSET if self._price is None else self._price.of(usage))

    def begin(self, turn: int) -> Attempt:
        """Measure a request to the model from now on, for the turn of that number."""
        self._open = Attempt(turn)
        return self._open

    def end(
        self, stop_reason: str, upstream_request_id: str | None = None
    ) -> tuple[run_events.TurnFinished, run_events.UsageTotal] | tuple[()]:
        """Count what the open request used; return the events that tell it. Nothing when none is open."""
        attempt, self._open = self._open, None
        if attempt is None:
            return ()
        usage = attempt.usage
        self.total = self.price(_sum(self.total, usage))
        finished = attempt.finish(stop_reason, self.price(usage), upstream_request_id)
        self._tell(finished, attempt.first_seconds)
        return finished, run_events.UsageTotal(**structs.asdict(self.total))

    def _tell(self, finished: run_events.TurnFinished, first: float | None) -> None:
        """Write the turn's line and count it. docs/operations/logs.md lists the fields."""
        usage = finished.usage
        tokens = {
            "input": usage.input_tokens,
            "output": usage.output_tokens,
            "cache_read": usage.cache_read_tokens,
            "cache_write": usage.cache_write_tokens,
            "reasoning": usage.reasoning_tokens,
        }
        seconds = finished.duration_ms / 1000
        count_turn(model=self._model, stop_reason=finished.stop_reason, seconds=seconds, first=first, tokens=tokens)
        if usage.cost_usd is not UNSET:
            COST.labels(self._model).inc(usage.cost_usd)
        fields = msgspec.to_builtins(finished)
        log.info(
            "copilot.turn",
            model=self._model,
            **{name: fields[name] for name in _TOLD if name in fields},
            **fields["usage"],
        )

    @property
    def exhausted(self) -> bool:
        """Return whether the run has cost as much as one may."""
        return self.total.cost_usd is not UNSET and self.total.cost_usd >= self._most_usd


def _sum(total: Usage, usage: Usage) -> Usage:
    return Usage(
        input_tokens=total.input_tokens + usage.input_tokens,
        output_tokens=total.output_tokens + usage.output_tokens,
        cache_read_tokens=total.cache_read_tokens + usage.cache_read_tokens,
        cache_write_tokens=total.cache_write_tokens + usage.cache_write_tokens,
        long_cache_write_tokens=total.long_cache_write_tokens + usage.long_cache_write_tokens,
        reasoning_tokens=total.reasoning_tokens + usage.reasoning_tokens,
        estimated=True if usage.estimated is True else total.estimated,
    )
