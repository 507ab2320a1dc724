"""An outbox holds events on their way from a run to its one reader.

Putting one in never waits, so a run that is cancelled has said exactly what it remembers saying; before it goes on it
waits for room, so a slow reader slows the run down.
"""

from __future__ import annotations

import asyncio
from typing import Final

from segment_copilot.copilot.stream.run_events import Event

_ENOUGH: Final = 64


class Outbox:
    """Queues events; the queue is emptied as a whole."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._something = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False

    def put(self, event: Event) -> None:
        """Add one more event."""
        self._events.append(event)
        self._something.set()
        if len(self._events) >= _ENOUGH:
            self._room.clear()

    def close(self) -> None:
        """Say that nothing follows."""
        self._closed = True
        self._something.set()

    async def room(self) -> None:
        """Wait until the reader has kept up."""
        await self._room.wait()

    async def take(self) -> list[Event]:
        """Return all that is there, as soon as there is something; empty once nothing follows."""
        await self._something.wait()
        taken, self._events = self._events, []
        self._room.set()
        if not self._closed:
            self._something.clear()
        return taken
