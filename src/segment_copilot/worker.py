"""Works in the background: carries out what was decided in PostgreSQL, from forwarding events to erasing people.

Any number of workers may run. What each may do is leased in PostgreSQL (`stores/leases.py`), so the work of one that
dies goes to the others at once, or when its leases end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from msgspec import Struct

from segment_copilot.errors import Unavailable
from segment_copilot.resources import Resources
from segment_copilot.telemetry.metrics import begin_steps, count_step

log = structlog.get_logger()

IDLE_SECONDS = 0.2
"""Seconds between two looks for work. Polled, not notified: a NOTIFY in every ingesting transaction halves its rate."""

SYNC_SECONDS = 1.0
"""So late at most an activation follows its segment."""

DELIVERIES = 4
"""Deliveries that a worker sends at once: a destination that is slow holds up no other."""

REFRESH_SECONDS = 1.0
CLEAN_UP_SECONDS = 60.0
REMOVE_SECONDS = 10.0
"""Members that are due in this time are removed by one statement."""

MAX_BACKOFF_SECONDS = 2.0
"""So late at most is it noticed that a store is back."""

GRACE_SECONDS = 20.0
"""Seconds that work under way may take to end after a stop; then it is cancelled and left to another worker."""

_FULL_BLOCK = 1000  # events; after a smaller one, let more gather: each block is a part that ClickHouse has to merge

Take = Callable[[], Awaitable[bool]]
"""Does one piece of work; returns True when there may be more at once."""


class Step(Struct, frozen=True):
    """A step is one kind of work, and how long to wait before looking for it again when there was none."""

    name: str
    take: Take
    idle_seconds: float


def steps(resources: Resources) -> tuple[Step, ...]:
    """Return all that a worker does, side by side."""
    return (
        Step("forwarding", lambda: _forward(resources), IDLE_SECONDS),
        Step("linking", resources.identity_links.forward_next, IDLE_SECONDS),
        Step("refreshing", _by_one_clock(resources, resources.refreshing.refresh_due), REFRESH_SECONDS),
        Step("refreshing_live", _by_one_clock(resources, resources.refreshing.refresh_live), REFRESH_SECONDS),
        Step("retesting", _by_one_clock(resources, resources.refreshing.retest_dynamic), IDLE_SECONDS),
        Step("computing", resources.computations.run_next, IDLE_SECONDS),
        Step("computing_dynamic", lambda: resources.computations.run_next(only_traits=True), IDLE_SECONDS),
        Step("erasing", resources.erasures.run_next, IDLE_SECONDS),
        Step("freezing", resources.snapshots.run_next, IDLE_SECONDS),
        Step("exporting", resources.exports.run_next, IDLE_SECONDS),
        Step("syncing", resources.syncing.notice, SYNC_SECONDS),
        *(Step(f"delivering_{number}", resources.syncing.send_next, IDLE_SECONDS) for number in range(DELIVERIES)),
        Step("fanning_out", resources.webhook_queue.fan_out, IDLE_SECONDS),
        Step("telling", resources.webhook_queue.deliver_due, IDLE_SECONDS),
        Step("removing", resources.removals.remove_due, REMOVE_SECONDS),
        Step("removing_slots", resources.kept_slots.remove_unused, CLEAN_UP_SECONDS),
        Step("removing_snapshots", resources.snapshots.remove_due, REMOVE_SECONDS),
        Step("dropping_events", _by_one_clock(resources, resources.retention.drop_next), CLEAN_UP_SECONDS),
        Step("cleaning_up", lambda: _clean_up(resources), CLEAN_UP_SECONDS),
    )


async def run_worker(resources: Resources, *, stop: asyncio.Event) -> None:
    """Work until *stop* is set, then finish what is under way."""
    async with resources.presence.kept(), asyncio.TaskGroup() as group:
        log.info("worker.started")
        begin_steps(tuple(step.name for step in steps(resources)))
        loops = [group.create_task(_repeat(step, stop=stop), name=step.name) for step in steps(resources)]
        await stop.wait()
        _, late = await asyncio.wait(loops, timeout=GRACE_SECONDS)
        for task in late:
            task.cancel()
    log.info("worker.stopped", cancelled=sorted(task.get_name() for task in late))


async def _repeat(step: Step, *, stop: asyncio.Event) -> None:
    """Take a step again and again, at once while there is more to do, more slowly the more often it fails."""
    failures = 0
    while not stop.is_set():
        pause = step.idle_seconds
        try:
            if await step.take():
                pause = 0.0
            failures = 0
            count_step(step.name, failed=False)
        except Exception as error:  # the edge: whatever fails here is tried again
            failures += 1
            count_step(step.name, failed=True)
            pause = min(MAX_BACKOFF_SECONDS, IDLE_SECONDS * 2**failures)
            if isinstance(error, Unavailable):
                log.warning("worker.waiting", work=step.name, detail=error.detail, seconds=pause)
            else:
                log.exception("worker.failed", work=step.name, seconds=pause)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stop.wait()


class _Timed(Protocol):
    def __call__(self, *, now: datetime) -> Awaitable[bool]: ...


def _by_one_clock(resources: Resources, take: _Timed) -> Take:
    """Take a step at the instant of the store's clock: a worker whose own is wrong would plan for another time."""

    async def at_that_instant() -> bool:
        return await take(now=await resources.postgres.now())

    return at_that_instant


async def _forward(resources: Resources) -> bool:
    return await resources.forwarding.forward_next() >= _FULL_BLOCK


async def _clean_up(resources: Resources) -> bool:
    settings, now = resources.settings, await resources.postgres.now()
    await resources.idempotency.clean_up()
    more = await resources.forwarding.clean_up(
        now=now,
        recent=timedelta(hours=settings.recent_event_hours),
        remembered=timedelta(days=settings.event_id_days),
    )
    audited = now - timedelta(days=settings.audit_days)
    more = await resources.audit.clean_up(before=audited) or more
    more = await resources.key_uses.clean_up(before=audited) or more
    more = await resources.activations.reseal() or more
    more = await resources.webhooks.reseal() or more
    await resources.publications.clean_up(now=now)
    kept = timedelta(days=max(settings.computation_days, settings.history_days + 1))
    more = await resources.computation_records.clean_up(before=now - kept) or more
    return await resources.exports.clean_up(now=now) or more
