"""USE CASE: limit how many requests a minute a key and a tenant may send.

Each process counts for itself, in memory, with the library `limits`: over *n* processes a tenant may send up to *n*
times as many. A window slides, so that no minute has more than the limit, estimated from the counts of two fixed ones.
"""

from __future__ import annotations

import time
from math import ceil

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from msgspec import Struct

from segment_copilot.access.keys import Caller

WINDOW_SECONDS = 60


class Allowance(Struct, frozen=True):
    """Tells how many more requests a minute are left of a limit, and after how many seconds it is whole again."""

    name: str
    limit: int
    remaining: int
    reset_seconds: int
    spent: bool = False  # this very request was one too many


class RateLimits:
    """Counts the requests of keys and tenants."""

    def __init__(self, *, per_key: int, per_tenant: int) -> None:
        self._per_key = per_key
        self._per_tenant = per_tenant
        self._counter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def take(self, caller: Caller) -> tuple[Allowance, ...]:
        """Count one request; return what is left to its key and its tenant. One that is too many is counted for neither."""
        tenant = caller.tenant
        most = tenant.requests_per_minute or self._per_tenant
        of_tenant, of_key = RateLimitItemPerMinute(most), RateLimitItemPerMinute(min(self._per_key, most))
        counted = ((("tenant", str(tenant.id)), of_tenant), (("key", _name(caller)), of_key))
        full = [item for key, item in counted if not await self._counter.test(item, *key)]
        if not full:
            for key, item in counted:
                await self._counter.hit(item, *key)
        return tuple([await self._allowance(key, item, spent=item in full) for key, item in counted])

    async def _allowance(self, key: tuple[str, str], item: RateLimitItemPerMinute, *, spent: bool) -> Allowance:
        found = await self._counter.get_window_stats(item, *key)
        reset = min(max(ceil(found.reset_time - time.time()), 1), WINDOW_SECONDS)
        return Allowance(key[0], item.amount, max(int(found.remaining), 0), reset, spent=spent)


def _name(caller: Caller) -> str:
    """Return whose limit it is: a key's, of a track session each user's own, of a login each person's."""
    return f"{caller.key_id or ''}/{caller.session_user or ''}"
