"""USE CASE: limit how many requests a minute a key and a tenant may send.

Each process counts for itself, in memory: over *n* processes a tenant may send up to *n* times as many. Counts are kept of
this minute and of the one before, and the window slides over both: of the minute before counts the part that still lies in
the window, as if its requests had come evenly. (The library `limits` does the same with a fifth of a small request's CPU.)
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from math import ceil
from typing import Final, Literal

from msgspec import Struct

from segment_copilot.access.keys import Caller

WINDOW_SECONDS: Final = 60

Limit = Literal["tenant", "key"]


class Allowance(Struct, frozen=True):
    """Tells what is left of the nearer of a caller's two limits, and after how many seconds there is more.

    *spent* names the limit that this very request was one too many for.
    """

    of_tenant: int
    of_key: int
    nearest: Limit
    remaining: int
    reset_seconds: int
    spent: Limit | None = None


class RateLimits:
    """Counts the requests of keys and tenants."""

    def __init__(self, *, per_key: int, per_tenant: int) -> None:
        self._per_key = per_key
        self._per_tenant = per_tenant
        self._ends = 0.0  # when this minute does
        self._now: dict[object, int] = {}  # by a tenant's id, and by what makes a key's own
        self._before: Mapping[object, int] = {}

    def take(self, caller: Caller) -> Allowance:
        """Count one request, and return what is left. One that is too many for its key or its tenant is counted for neither."""
        now = time.time()
        if not 0 < self._ends - now <= WINDOW_SECONDS:
            self._turn(now)
        part = (self._ends - now) / WINDOW_SECONDS  # of the minute before that still lies in the window
        tenant = caller.tenant
        of_tenant = tenant.requests_per_minute or self._per_tenant
        of_key = min(self._per_key, of_tenant)
        key = (caller.key_id, caller.session_user, tenant.id)  # a track session's users, and people, have their own
        sent_by_tenant, sent_by_key = self._sent(tenant.id, part), self._sent(key, part)
        left_to_tenant, left_to_key = of_tenant - sent_by_tenant, of_key - sent_by_key
        spent: Limit | None = "tenant" if left_to_tenant <= 0 else "key" if left_to_key <= 0 else None
        if spent is None:
            self._now[tenant.id] = self._now.get(tenant.id, 0) + 1
            self._now[key] = self._now.get(key, 0) + 1
            left_to_tenant, left_to_key = left_to_tenant - 1, left_to_key - 1
        if spent == "key" or (spent is None and left_to_key < left_to_tenant):
            return Allowance(of_tenant, of_key, "key", max(int(left_to_key), 0), self._wait(key, of_key, part), spent)
        left = max(int(left_to_tenant), 0)
        return Allowance(of_tenant, of_key, "tenant", left, self._wait(tenant.id, of_tenant, part), spent)

    def _turn(self, now: float) -> None:
        """Begin the minute that *now* lies in; the one that has ended is the one before, unless it is longer ago."""
        ends = (now // WINDOW_SECONDS + 1) * WINDOW_SECONDS
        self._before = self._now if ends == self._ends + WINDOW_SECONDS else {}
        self._ends, self._now = ends, {}

    def _sent(self, whose: object, part: float) -> float:
        return self._before.get(whose, 0) * part + self._now.get(whose, 0)

    def _wait(self, whose: object, limit: int, part: float) -> int:
        """Return the seconds until the next minute, or, where the one before weighs too much, until it does no more."""
        before, now = self._before.get(whose, 0), self._now.get(whose, 0)
        if now < limit <= before * part + now:
            part -= (limit - now) / before
        return min(max(ceil(part * WINDOW_SECONDS), 1), WINDOW_SECONDS)
