"""Collects a whole run into one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from msgspec import Struct

from segment_copilot.copilot.runs.run import Run
from segment_copilot.copilot.stream import run_events
from segment_copilot.copilot.stream.components import Component, Draft


class RunResult(Struct, frozen=True):
    """Holds what a run said that still counts at its end. *checkpoint* is the thread's token."""

    end: run_events.Terminal
    text: str
    draft: Draft | None
    clarification: run_events.Clarification | None
    warnings: tuple[run_events.Warned, ...] = ()
    components: tuple[Component, ...] = ()
    checkpoint: str | None = None


async def collect(
    run: Run,
    *,
    draining: asyncio.Event | None = None,
    listen: Callable[[run_events.Event], Awaitable[None]] | None = None,
) -> RunResult:
    """Drive *run* to its end, and let *listen* hear each event as it comes. Of several drafts the last one stands."""
    answer = _Collector()
    async with run.drive(draining=draining):
        while batch := await run.events.take():
            for event in batch:
                answer.hear(event)
                if listen is not None:
                    await listen(event)
    return answer.result()


class _Collector:
    """Collects what was said so far."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._draft: Draft | None = None
        self._clarification: run_events.Clarification | None = None
        self._warnings = list[run_events.Warned]()
        self._components = list[Component]()
        self._checkpoint: str | None = None
        self._end: run_events.Terminal | None = None

    def hear(self, event: run_events.Event) -> None:
        match event:
            case run_events.TextDelta(text_id, delta):
                self._texts.setdefault(text_id, []).append(delta)
            case run_events.TurnReset():
                for discarded in event.discard:
                    self._texts.pop(discarded, None)
            case run_events.SegmentDraft():
                self._draft = Draft(**{name: getattr(event, name) for name in Draft.__struct_fields__})
            case run_events.Clarification():
                self._clarification = event
            case run_events.Warned():
                self._warnings.append(event)
            case run_events.ComponentShown():
                self._components.append(event.props)
            case run_events.Checkpointed():
                self._checkpoint = event.token
            case run_events.RunFinished() | run_events.RunError():
                self._end = event
            case _:
                pass

    def result(self) -> RunResult:
        assert self._end is not None  # noqa: S101  # a run's last event is its end
        texts = [text for pieces in self._texts.values() if (text := "".join(pieces).strip())]
        text = "\n\n".join(texts)
        return RunResult(
            self._end,
            text,
            self._draft,
            self._clarification,
            tuple(self._warnings),
            tuple(self._components),
            self._checkpoint,
        )
