"""Does what waits in a queue of records, one at a time: it is claimed, worked on, and how that ended is written down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec
import structlog

from segment_copilot.audiences.failures import Failure
from segment_copilot.errors import SegmentCopilotError, Unavailable
from segment_copilot.stores.leases import MAX_ATTEMPTS, Lease, Leases
from segment_copilot.stores.postgres import Connection, Postgres, Record

log = structlog.get_logger()

_PAUSE: Final = timedelta(seconds=5)  # before what did not work is tried again
_AWAY_PAUSE: Final = timedelta(seconds=1)  # before a store that is away is


class Claimed(Protocol):
    """A claim holds a lease on a job, and what was read of the job."""

    @property
    def lease(self) -> Lease:
        """Return what it is held by."""
        ...


C = TypeVar("C", bound=Claimed)


class Jobs(Generic[C]):
    """Runs the jobs of one queue, of all tenants: *named* in its logs and in what is told of a failure.

    *claimed* is the SQL that reads a job by its id, and *read* makes a claim of that; *work* does it, to the end of its
    lease; *failed* writes what else is to be written, once it has failed or is to be tried again.
    """

    def __init__(
        self,
        postgres: Postgres,
        leases: Leases,
        *,
        named: str,
        claimed: str,
        read: Callable[[Record, Lease], C],
        work: Callable[[C], Awaitable[None]],
        failed: Callable[[Connection, C], Awaitable[None]],
    ) -> None:
        self._postgres = postgres
        self._leases = leases
        self._named = named
        self._claimed = claimed
        self._read = read
        self._work = work
        self._failed = failed

    async def run_next(self) -> bool:
        """Claim a job that waits (or whose worker died) and do it; False when there is none."""
        claim = await self._claim()
        if claim is None:
            return False
        async with self._leases.renewed([claim.lease]):
            await self._settle(claim)
        return True

    async def _claim(self) -> C | None:
        while leases := await self._leases.claim(self._postgres):
            (lease,) = leases
            row = await self._postgres.fetchrow(self._claimed, lease.id)
            if row is None:
                self._leases.forget(leases)
                continue
            claim = self._read(row, lease)
            if not lease.spent:
                return claim
            detail = f"The worker died {MAX_ATTEMPTS} times on this {self._named}."
            await self._fail(claim, Failure(f"{self._named}_crashed", detail), final=True)
        return None

    async def _settle(self, claim: C) -> None:
        """Do a job, and write down how that ended. If that cannot be written, its lease runs out."""
        try:
            await self._leases.begin([claim.lease])
            await self._work(claim)
        except Unavailable as error:
            log.warning("job.waits", **self._of(claim), code=error.code)
            await self._leases.release([claim.lease], pause=_AWAY_PAUSE)
        except SegmentCopilotError as error:
            await self._fail(claim, Failure(error.code, error.detail), final=True)
        except Exception as error:  # its message is for the log alone: ClickHouse quotes the data in it
            log.exception("job.stumbled", **self._of(claim))
            detail = f"The last of {MAX_ATTEMPTS} attempts met an error that nobody foresaw ({type(error).__name__}); the worker's log has it."
            await self._fail(claim, Failure(f"{self._named}_failed", detail), final=False)

    async def _fail(self, claim: C, error: Failure, *, final: bool) -> None:
        log.warning("job.failed", **self._of(claim), code=error.code)
        async with self._postgres.transaction() as transaction:
            text = msgspec.json.encode(error).decode()
            if await self._leases.fail(transaction, claim.lease, text, pause=_PAUSE, final=final):
                await self._failed(transaction, claim)

    def _of(self, claim: C) -> dict[str, Any]:
        return {f"{self._named}_id": claim.lease.id}
