"""Leases: the one queue of rows that are pieces of work, for any number of workers.

A worker claims rows that wait. It renews its lease on them while it works, so nobody else gets them however long that
takes. Rows of a worker that is seen to be dead (`presence.py`) are claimed by the others at once, and where that cannot be
seen, when its lease ends. Why a queue of our own: docs/decisions/0002-lease-rows-instead-of-a-queue.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from msgspec import Struct

from segment_copilot.errors import Unavailable
from segment_copilot.stores.job_lines import JobLines
from segment_copilot.stores.postgres import Connection, Postgres
from segment_copilot.stores.presence import LIVING, Presence

log = structlog.get_logger()

MAX_ATTEMPTS: Final = 3
LENGTH: Final = timedelta(seconds=20)
"""How long a lease holds without being renewed; so long rows wait for a worker of which nobody knows whether it lives."""

_LEAVE_SECONDS: Final = 2.0
_RENEWALS: Final = 4  # in the length of a lease; work is cancelled one such part before its lease ends


class Queue(Struct, frozen=True):
    """A table whose rows are pieces of work, and its words for their states.

    The table has the columns id, status, attempts, begun, lease_until, holder, error, and *key*: a uuid that is new with
    each claim.
    """

    table: str
    waiting: str
    """The status of a row that may be claimed."""
    working: str
    """The status of a row that a worker holds; it may be the same word."""
    failed: str | None = None
    """The status after the last attempt failed. None: the row goes on waiting, and is *spent* when it is claimed."""
    key: str = "lease_id"
    order: str = "id"
    """In which rows are claimed, the oldest first: what stands after ORDER BY."""
    of_tenants: bool = False
    """Whether a row is one tenant's, as its column tenant_id says."""


class Lease(Struct, frozen=True):
    """A row that this worker alone may work on, until the lease ends or is lost."""

    id: int
    key: UUID
    attempts: int
    """How many were begun before, by workers that failed or died."""
    until: float
    """When it ends if it is not renewed, by the clock of the event loop."""
    begun: int = 0
    """How many attempts were begun before, those that were given back included: what they did may be there."""
    tenant_id: int | None = None

    @property
    def spent(self) -> bool:
        """True when the row had all its attempts: it must not be tried again as it is."""
        return self.attempts >= MAX_ATTEMPTS


class LeaseLost(Unavailable):
    """The work was cancelled: its rows were gone, or could not be kept from other workers any longer."""

    code = "lease_lost"


class Leases:
    """The leases on one queue's rows, for the tasks of this process. Its SQL asks for no tenant: a queue serves them all."""

    def __init__(
        self, postgres: Postgres, queue: Queue, *, length: timedelta = LENGTH, presence: Presence | None = None
    ) -> None:
        self._postgres = postgres
        self._queue = queue
        self._length = length
        self._presence = presence
        self._held = set[UUID]()  # keys that are claimed: neither given back nor lost
        self._told = JobLines(queue.table, length.total_seconds())
        self._claiming = asyncio.Lock()  # one at a time: each must know what the others of this process have claimed
        statuses = ", ".join(f"'{status}'" for status in dict.fromkeys((queue.waiting, queue.working)))
        self._open = f"status IN ({statuses})"

    async def claim(
        self, connection: Connection | Postgres, condition: str = "true", *args: object, limit: int = 1
    ) -> list[Lease]:
        """Take the oldest rows that wait, or whose worker died, and for which *condition* holds; its args are $1 and on.

        No attempt is counted: that is `begin`. One that this process began and could not write down, because PostgreSQL
        was away, is counted no longer: it did not die of it.
        """
        queue, now = self._queue, asyncio.get_running_loop().time()
        number, holder = (self._presence.number, self._presence.holder) if self._presence else (0, None)
        n = len(args)
        mine = f"holder = ${n + 3}::int"
        sql = f"""
            UPDATE {queue.table} SET status = '{queue.working}', {queue.key} = gen_random_uuid(), holder = ${n + 5}::int,
                lease_until = clock_timestamp() + ${n + 1}::interval,
                attempts = CASE WHEN {mine} THEN greatest(attempts - 1, 0) ELSE attempts END
            WHERE id = ANY (ARRAY(
                SELECT id FROM {queue.table}
                WHERE {self._open} AND ({condition}) AND (coalesce(lease_until, now()) <= now() OR {queue.key} IS NOT NULL AND holder IS NOT NULL AND
                    CASE WHEN {mine} THEN {queue.key} <> ALL (${n + 4}::uuid[]) ELSE holder <> ALL ({LIVING}) END)
                ORDER BY {queue.order} LIMIT ${n + 2}::int FOR UPDATE SKIP LOCKED))
            RETURNING id, {queue.key} AS key, attempts, begun, {"tenant_id" if queue.of_tenants else "NULL::int AS tenant_id"}"""  # names and conditions are our code's, never a caller's
        async with self._claiming:
            rows = await connection.fetch(sql, *args, self._length, limit, number, list(self._held), holder)
            self._held |= {row["key"] for row in rows}
        until = now + self._length.total_seconds()
        leases = (Lease(row["id"], row["key"], row["attempts"], until, row["begun"], row["tenant_id"]) for row in rows)
        return sorted(leases, key=_id)

    def forget(self, leases: Sequence[Lease]) -> None:
        """Say that this process does nothing for *leases* after all: what was claimed is claimed again."""
        self._held -= {lease.key for lease in leases}

    @asynccontextmanager
    async def renewed(self, leases: Sequence[Lease]) -> AsyncGenerator[None]:
        """Renew *leases* together while the block runs. One that is released, failed or ended in it is left alone.

        Raises:
            LeaseLost: No lease is left that is ours, or they could not be renewed in time. The block was cancelled
                before anybody else could claim the rows.
        """
        keys = {lease.key for lease in leases}
        self._held |= keys
        limit = asyncio.timeout_at(self._limit(min(lease.until for lease in leases)))
        try:
            async with limit:
                renewing = asyncio.create_task(self._renew(leases, limit))
                try:
                    with self._told.around(leases):
                        yield
                finally:
                    renewing.cancel()
                    await asyncio.wait([renewing])
        except TimeoutError as error:
            if not limit.expired():
                raise  # the block's own
            raise LeaseLost(f"A lease on {self._queue.table} was lost; the work was cancelled.") from error
        except asyncio.CancelledError:  # this process is stopped: that is no fault of the rows, and others may go on
            await self._leave(leases)
            raise
        finally:
            self._held -= keys

    async def _leave(self, leases: Sequence[Lease]) -> None:
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self.release([one for one in leases if one.key in self._held], pause=timedelta(0))
        except Exception as error:  # noqa: BLE001  # then they are seen to be a dead worker's
            log.warning("lease.not_left", queue=self._queue.table, error=type(error).__name__)

    async def begin(self, leases: Sequence[Lease]) -> None:
        """Count an attempt of each, before anything is tried, so that one that kills its worker counts too."""
        await self._write(self._postgres, leases, "attempts = lease.attempts + 1, begun = begun + 1")

    async def take_back(self, leases: Sequence[Lease]) -> None:
        """Count the attempt that was begun no longer, and keep the lease."""
        await self._write(self._postgres, leases, "attempts = lease.attempts")

    async def release(self, leases: Sequence[Lease], *, pause: timedelta) -> None:
        """Let the rows wait again, for *pause* at least: that a store is away is no fault of theirs and no attempt."""
        await self._give_back(self._postgres, leases, "attempts = lease.attempts", pause)
        self._told.note(leases, "released")

    async def fail(
        self, connection: Connection | Postgres, lease: Lease, error: str, *, pause: timedelta, final: bool = False
    ) -> bool:
        """Note that an attempt failed, and why. The row waits again, for *pause* at least, while it has attempts left.

        Returns True if it is over: its attempts are spent, or this failure is *final*, and the queue has a status for that.
        """
        over = final or lease.attempts + 1 >= MAX_ATTEMPTS
        if over and self._queue.failed:
            return await self.end(connection, lease, self._queue.failed, error=error)
        await self._give_back(connection, [lease], "error = $4", pause, error)
        self._told.note([lease], "retry")
        return False

    async def end(
        self, connection: Connection | Postgres, lease: Lease, status: str, *, error: str | None = None
    ) -> bool:
        """Give the row its last status; False if it was not ours any more, and then nothing of this work may be published."""
        self._held.discard(lease.key)
        changes = "status = $4, lease_until = NULL, error = coalesce($5, error)"
        is_ours = bool(await self._write(connection, [lease], changes, status, error))
        self._told.note([lease], status if is_ours else "lost")
        return is_ours

    async def remove(self, leases: Sequence[Lease]) -> int:
        """Delete the rows that are still ours, as done; return their number."""
        self._held -= {lease.key for lease in leases}
        sql = f"""
            DELETE FROM {self._queue.table} AS piece USING unnest($1::bigint[], $2::uuid[]) AS lease (id, key)
            WHERE piece.id = lease.id AND piece.{self._queue.key} = lease.key"""
        removed = await self._postgres.execute(sql, [one.id for one in leases], [one.key for one in leases])
        self._told.note(leases, "done")
        return removed

    async def _give_back(
        self, connection: Connection | Postgres, leases: Sequence[Lease], changes: str, pause: timedelta, *args: object
    ) -> None:
        self._held -= {lease.key for lease in leases}  # first: what was given back was not lost
        waiting = f"status = '{self._queue.waiting}', {self._queue.key} = NULL, holder = NULL"
        until = f"lease_until = now() + ${len(args) + 4}::interval"
        await self._write(connection, leases, f"{changes}, {waiting}, {until}", *args, pause)

    async def _write(
        self, connection: Connection | Postgres, leases: Sequence[Lease], changes: str, *args: object
    ) -> int:
        """Change rows that are still ours, and return their number."""
        sql = f"""
            UPDATE {self._queue.table} AS piece SET {changes}
            FROM unnest($1::bigint[], $2::uuid[], $3::int[]) AS lease (id, key, attempts)
            WHERE piece.id = lease.id AND piece.{self._queue.key} = lease.key AND piece.status = '{self._queue.working}'"""
        columns = [[one.id for one in leases], [one.key for one in leases], [one.attempts for one in leases]]
        return await connection.execute(sql, *columns, *args)

    def _limit(self, until: float) -> float:
        return until - self._length.total_seconds() / _RENEWALS

    async def _renew(self, leases: Sequence[Lease], limit: asyncio.Timeout) -> None:
        """Renew the leases that are held, and push *limit*, where the work is cancelled, ahead of us."""
        loop, seconds, key = asyncio.get_running_loop(), self._length.total_seconds(), self._queue.key
        sql = f"""
            UPDATE {self._queue.table} SET lease_until = clock_timestamp() + $3::interval
            WHERE id = ANY ($1::bigint[]) AND {key} = ANY ($2::uuid[]) AND status = '{self._queue.working}'
            RETURNING {key}"""
        while held := {lease.key: lease.id for lease in leases if lease.key in self._held}:
            await asyncio.sleep(seconds / _RENEWALS)
            now = loop.time()
            try:
                rows = await self._postgres.fetch(sql, list(held.values()), list(held), self._length)
            except Exception as error:  # noqa: BLE001  # whatever it is, until the limit there is time to try again
                log.warning("lease.not_renewed", queue=self._queue.table, error=type(error).__name__)
                continue
            lost = (held.keys() & self._held) - {row[0] for row in rows}
            self._held -= lost
            if lost:
                log.warning("lease.lost", queue=self._queue.table, ids=sorted(held[one] for one in lost))
            if limit.expired():
                return
            if rows or not lost:
                limit.reschedule(self._limit(now + seconds))
            else:
                limit.reschedule(now)
                return
        if not limit.expired():
            limit.reschedule(None)  # all are given back: nothing can be lost any more


def _id(lease: Lease) -> int:
    return lease.id
