"""Presence: how the workers see which of them live.

A worker keeps a session open in which it holds a lock of its own number. When the process ends, however it ends, its
system closes the session and PostgreSQL frees the lock: nobody has to wait to know that it is dead. Where that news is
lost, because a whole machine or a network went, leases end by themselves.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final

from segment_copilot.stores.confinement import every_tenant
from segment_copilot.stores.postgres import Postgres

_WAIT_SECONDS: Final = 5.0
_LOCKS: Final = 0x5E6A11FE  # what the numbers of workers are the second half of

LIVING: Final = f"""
ARRAY(
    SELECT objid::bigint FROM pg_locks
    WHERE locktype = 'advisory' AND classid = {_LOCKS} AND objsubid = 2 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
"""SQL for the numbers of those that live."""


class Presence:
    """Shows the other workers that this process lives, by its *number*."""

    def __init__(self, postgres: Postgres) -> None:
        self.number = secrets.randbelow(2**31 - 1) + 1
        self._postgres = postgres
        self._held = asyncio.Event()

    @property
    def holder(self) -> int | None:
        """The number, while others can see that this process lives; else None."""
        return self.number if self._held.is_set() else None

    @asynccontextmanager
    async def kept(self) -> AsyncGenerator[None]:
        """Be seen by others from the start of the block to its end; after a lost session, as soon as there is another.

        Where PostgreSQL does not answer, the block starts unseen: what is claimed in it is then held by its lease alone.
        A worker does the work of every tenant, so the block sees the rows of all.
        """
        async with self._postgres.hold_lock(_LOCKS, self.number) as self._held:
            with suppress(TimeoutError):
                async with asyncio.timeout(_WAIT_SECONDS):
                    await self._held.wait()
            with every_tenant():
                yield
        self._held = asyncio.Event()
