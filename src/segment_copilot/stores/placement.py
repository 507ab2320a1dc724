"""Says which shard of a ClickHouse cluster a user is on.

A user's id falls into one of 1024 buckets, for good; which shard has a bucket stands in PostgreSQL, so that another shard in
the cluster moves nobody. Every row about a user lies on the user's shard.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import siphashc

from segment_copilot.errors import Unavailable
from segment_copilot.stores.postgres import Connection, Postgres

BUCKETS: Final = 1024
_KEY: Final = b"\0" * 16  # ClickHouse's sipHash64 has no other
_FRESH_SECONDS: Final = 1.0

_LOCK: Final = 0x5E6_54A4D

_READ: Final = "SELECT shards FROM shard_placement"
# Where an id is another person's, as events/identity_links.py has decided.
_PERSONS: Final = """
SELECT tenant_id, alias_id, person_id FROM identity_links
JOIN unnest($1::int[], $2::text[]) AS asked (tenant_id, alias_id) USING (tenant_id, alias_id)
"""
_WRITE: Final = """
INSERT INTO shard_placement (shards) VALUES ($1) ON CONFLICT (one) DO UPDATE SET shards = excluded.shards
"""


def key_of(user_id: str) -> int:
    """Return the key of a user, as ClickHouse's `sipHash64` has it."""
    return siphashc.siphash(_KEY, user_id.encode())


def bucket_of(user_id: str) -> int:
    """Return the bucket that a user's id falls into."""
    return key_of(user_id) % BUCKETS


def spread(weights: Mapping[int, int]) -> list[int]:
    """Give every bucket to one of some shards, to each as many as its weight says."""
    shares = {shard: BUCKETS * weight / sum(weights.values()) for shard, weight in weights.items()}
    given = dict.fromkeys(weights, 0)
    placement = list[int]()
    for _ in range(BUCKETS):
        shard = max(shares, key=lambda one: (shares[one] - given[one], -one))
        given[shard] += 1
        placement.append(shard)
    return placement


def steps_to(placement: Sequence[int], weights: Mapping[int, int], *, at_once: int) -> list[list[int]]:
    """Return the placements that lead from one to what the weights say, *at_once* buckets a step, and moving no more than needed.

    A shard of weight 0 is left with nobody.
    """
    wanted = Counter(spread(weights))
    surplus, lacking = Counter(placement) - wanted, list((wanted - Counter(placement)).elements())
    leaving = list[int]()
    for bucket, shard in enumerate(placement):
        if surplus[shard] > 0:
            surplus[shard] -= 1
            leaving.append(bucket)
    now, steps = list(placement), list[list[int]]()
    for start in range(0, len(leaving), at_once):
        for bucket, shard in zip(leaving[start : start + at_once], lacking[start : start + at_once], strict=True):
            now[bucket] = shard
        steps.append(list(now))
    return steps


class Placement:
    """Knows which shard has which bucket, as it was a second ago at most."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._known: tuple[int, ...] = ()
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def shards(self) -> tuple[int, ...]:
        """Return the number of the shard of each bucket; raises Unavailable where none was given yet."""
        async with self._reading:
            if not self._known or time.monotonic() - self._read_at > _FRESH_SECONDS:
                found = await self._postgres.fetchval(_READ)
                if found is None:
                    detail = "The shards of ClickHouse have no users yet; run segment-copilot migrate."
                    raise Unavailable(detail, code="not_migrated")
                self._known, self._read_at = tuple(found), time.monotonic()
            return self._known

    async def homes(self, users: Sequence[tuple[Any, str]]) -> list[int]:
        """Return the number of the shard of each of some users, given as tenants' ids and their own: that of the person."""
        shards = await self.shards()
        distinct = list(dict.fromkeys(users))
        tenants, ids = [tenant for tenant, _ in distinct], [user for _, user in distinct]
        rows = await self._postgres.fetch(_PERSONS, tenants, ids)
        persons = {(row["tenant_id"], row["alias_id"]): row["person_id"] for row in rows}
        return [shards[bucket_of(persons.get(one, one[1]))] for one in users]

    @asynccontextmanager
    async def locked(self, *, alone: bool) -> AsyncGenerator[None]:
        """Hold the lock of who writes about users and who moves them, *alone* or with others."""
        kind = "" if alone else "_shared"
        async with self._postgres.transaction() as transaction:  # whose end, however it comes, gives the lock back
            for setting in ("lock_timeout", "idle_in_transaction_session_timeout"):
                await transaction.execute(f"SET LOCAL {setting} = 0")
            await transaction.execute(f"SELECT pg_advisory_xact_lock{kind}($1)", _LOCK)
            yield

    def forget(self) -> None:
        """Read it anew when it is needed next."""
        self._known = ()


async def read_placement(connection: Connection | Postgres) -> list[int] | None:
    """Return the number of the shard of each bucket; None where none was given yet."""
    return await connection.fetchval(_READ)


async def write_placement(connection: Connection | Postgres, shards: Sequence[int]) -> None:
    """Give every bucket to a shard."""
    await connection.execute(_WRITE, list(shards))
