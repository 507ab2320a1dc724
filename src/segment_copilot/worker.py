"""Background work: events to ClickHouse, computations, and the deleting of what is no longer needed.

Any number of workers may run. What each may do is leased in PostgreSQL (docs/decisions/0002), so one that dies is
replaced by the others when its lease ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog

from segment_copilot import events
from segment_copilot.errors import Unavailable
from segment_copilot.events import ObservedNames
from segment_copilot.resources import Resources

log = structlog.get_logger()

IDLE_SECONDS = 0.2
"""Between two looks for work. Polled, not notified: a NOTIFY in every ingesting transaction halves their rate."""

CLEAN_UP_SECONDS = 60.0
MAX_BACKOFF_SECONDS = 10.0
GRACE_SECONDS = 20.0
"""How long work under way may take to end after a stop; then it is cancelled and left to another worker."""

_FULL_BLOCK = 1000  # events; after a smaller one, let more gather: each block is a part that ClickHouse has to merge

Step = Callable[[], Awaitable[bool]]
"""Does one piece of work. True: there may be more at once."""


async def run_worker(resources: Resources, *, stop: asyncio.Event) -> None:
    """Work until *stop* is set, then finish what is under way."""
    log.info("worker.started")
    steps: dict[str, tuple[Step, float]] = {
        "forwarding": (_forwarding(resources), IDLE_SECONDS),
        "computing": (resources.memberships.run_next, IDLE_SECONDS),
        "cleaning_up": (lambda: _clean_up(resources), CLEAN_UP_SECONDS),
    }
    async with asyncio.TaskGroup() as group:
        loops = [
            group.create_task(_repeat(name, step, idle_seconds=idle_seconds, stop=stop), name=name)
            for name, (step, idle_seconds) in steps.items()
        ]
        await stop.wait()
        _, late = await asyncio.wait(loops, timeout=GRACE_SECONDS)
        for task in late:
            task.cancel()
    log.info("worker.stopped", cancelled=sorted(task.get_name() for task in late))


async def _repeat(name: str, step: Step, *, idle_seconds: float, stop: asyncio.Event) -> None:
    """Take steps, at once while there is more to do, more slowly the more often they fail."""
    failures = 0
    while not stop.is_set():
        pause = idle_seconds
        try:
            if await step():
                pause = 0.0
            failures = 0
        except Exception as error:  # the edge: whatever fails here is tried again
            failures += 1
            pause = min(MAX_BACKOFF_SECONDS, IDLE_SECONDS * 2**failures)
            if isinstance(error, Unavailable):
                log.warning("worker.waiting", work=name, detail=error.detail, seconds=pause)
            else:
                log.exception("worker.failed", work=name, seconds=pause)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stop.wait()


def _forwarding(resources: Resources) -> Step:
    known = ObservedNames()

    async def forward() -> bool:
        return await events.forward_next_block(resources.postgres, resources.clickhouse, known=known) >= _FULL_BLOCK

    return forward


async def _clean_up(resources: Resources) -> bool:
    settings = resources.settings
    return await events.clean_up(
        resources.postgres,
        now=datetime.now(UTC),
        recent=timedelta(hours=settings.recent_event_hours),
        remembered=timedelta(days=settings.event_id_days),
    )
