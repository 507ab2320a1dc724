"""A whole run as one answer."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from segment_copilot.copilot import events
from segment_copilot.copilot.components import Draft
from segment_copilot.copilot.loop import Run


class Collected(Struct, frozen=True):
    """What a run said that still counts at its end."""

    end: events.Terminal
    text: str
    draft: Draft | None
    clarification: events.Clarification | None


async def collect(run: Run, *, draining: asyncio.Event | None = None) -> Collected:
    """Drive *run* to its end. Of several drafts the last one stands."""
    texts: dict[str, list[str]] = {}
    draft: Draft | None = None
    clarification: events.Clarification | None = None
    end: events.Terminal | None = None
    async with run.driven(draining=draining):
        while (event := await run.events.get()) is not None:
            match event:
                case events.TextDelta(text_id, delta):
                    texts.setdefault(text_id, []).append(delta)
                case events.TurnReset():
                    for discarded in event.discard:
                        texts.pop(discarded, None)
                case events.SegmentDraft():
                    draft = Draft(**{name: getattr(event, name) for name in Draft.__struct_fields__})
                case events.Clarification():
                    clarification = event
                case events.RunFinished() | events.RunError():
                    end = event
                case _:
                    pass
    assert end is not None  # noqa: S101  # a run's last event is its end
    text = "\n\n".join(said for pieces in texts.values() if (said := "".join(pieces).strip()))
    return Collected(end, text, draft, clarification)
