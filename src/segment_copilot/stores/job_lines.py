"""Tells of each attempt at a row of a queue once, when it is over: a line of the log, a count, a span.

The line is `job`: queue, job_id, tenant_id where the row is a tenant's, attempt (1 for the first), outcome, duration_ms
(from its claim) and what the stores were asked meanwhile. Lines that are written meanwhile carry `job`, and `job_id`
where it is one row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from segment_copilot.telemetry import tracing
from segment_copilot.telemetry.metrics import count_job
from segment_copilot.telemetry.work import Work, working

if TYPE_CHECKING:
    from segment_copilot.stores.leases import Lease

log = structlog.get_logger()


class JobLines:
    """Tells of the attempts at one *queue*, whose leases hold for *seconds*."""

    def __init__(self, queue: str, seconds: float) -> None:
        self._queue = queue
        self._seconds = seconds
        self._under_way = dict[UUID, tuple[str, float] | None]()  # key → how it ended last, and after how long

    def note(self, leases: Sequence[Lease], outcome: str) -> None:
        """Note how attempts ended: they are told of when the block around them is over, by then perhaps otherwise."""
        for one in leases:
            ended = (outcome, self._age(one))
            if one.key in self._under_way:
                self._under_way[one.key] = ended
            else:
                self._tell(one, *ended, work=Work())

    @contextmanager
    def around(self, leases: Sequence[Lease]) -> Generator[None]:
        """Tell of *leases* when the block is over, in which they are worked on; *left* are those of which nothing was noted."""
        alone = leases[0] if len(leases) == 1 else None
        names = {"job": self._queue} if alone is None else {"job": self._queue, "job_id": alone.id}
        self._under_way |= {one.key: None for one in leases}
        with (
            structlog.contextvars.bound_contextvars(**names),
            working() as work,
            tracing.job(self._queue, [one.id for one in leases], tenant_id=alone and alone.tenant_id) as span,
        ):
            try:
                yield
            finally:
                for one in leases:
                    outcome, seconds = self._under_way.pop(one.key, None) or ("left", self._age(one))
                    self._tell(one, outcome, seconds, work=work)
                    span.set_attribute("segment_copilot.job.outcome", outcome)

    def _age(self, lease: Lease) -> float:
        return asyncio.get_running_loop().time() - (lease.until - self._seconds)

    def _tell(self, lease: Lease, outcome: str, seconds: float, *, work: Work) -> None:
        count_job(self._queue, outcome, seconds)
        log.info(
            "job",
            queue=self._queue,
            job_id=lease.id,
            attempt=lease.begun + 1,
            outcome=outcome,
            duration_ms=round(seconds * 1000, 2),
            **({} if lease.tenant_id is None else {"tenant_id": lease.tenant_id}),
            **work.fields(),
        )
