"""USE CASE: limit how many requests a minute a key and a tenant may send.

Each process counts for itself, in memory: over *n* processes a tenant may send up to *n* times as many. Counts are kept of
this minute and of the one before, and the window slides over both: of the minute before counts the part that still lies in
the window, as if its requests had come evenly. (The library `limits` does the same with a fifth of a small request's CPU.)
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from math import ceil
from typing import Final

from msgspec import Struct

from segment_copilot.access.keys import Caller

WINDOW_SECONDS: Final = 60


class Allowance(Struct, frozen=True):
    """Tells how many more requests a minute are left of a limit, and after how many seconds there are more."""

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
        self._window = 0
        self._now: dict[str, int] = {}
        self._before: Mapping[str, int] = {}

    def take(self, caller: Caller) -> tuple[Allowance, Allowance]:
        """Count one request; return what is left to its tenant and its key. One that is too many is counted for neither."""
        elapsed = self._turn(time.time())
        tenant = caller.tenant
        most = tenant.requests_per_minute or self._per_tenant
        of_tenant = (f"tenant/{tenant.id}", most)
        of_key = (f"key/{caller.key_id or ''}/{caller.session_user or ''}", min(self._per_key, most))
        tenant_spent, key_spent = self._is_spent(of_tenant, elapsed), self._is_spent(of_key, elapsed)
        if not (tenant_spent or key_spent):
            for name, _ in (of_tenant, of_key):
                self._now[name] = self._now.get(name, 0) + 1
        return (
            self._allowance("tenant", *of_tenant, elapsed, spent=tenant_spent),
            self._allowance("key", *of_key, elapsed, spent=key_spent),
        )

    def _is_spent(self, counted: tuple[str, int], elapsed: float) -> bool:
        name, limit = counted
        return self._sent(name, elapsed) >= limit

    def _allowance(self, kind: str, name: str, limit: int, elapsed: float, *, spent: bool) -> Allowance:
        left = max(limit - ceil(self._sent(name, elapsed)), 0)
        return Allowance(kind, limit, left, self._seconds(name, limit, elapsed), spent=spent)

    def _turn(self, now: float) -> float:
        """Begin another window if it is time; return which part of the window has passed."""
        window, seconds = divmod(now, WINDOW_SECONDS)
        if window != self._window:
            self._before = self._now if window == self._window + 1 else {}
            self._window, self._now = int(window), {}
        return seconds / WINDOW_SECONDS

    def _sent(self, name: str, elapsed: float) -> float:
        return self._before.get(name, 0) * (1 - elapsed) + self._now.get(name, 0)

    def _seconds(self, name: str, limit: int, elapsed: float) -> int:
        """Return the seconds until the next window, or, where the one before weighs too much, until it does no more."""
        before, now = self._before.get(name, 0), self._now.get(name, 0)
        part = 1.0 - elapsed
        if now < limit <= before * part + now:
            part = 1 - (limit - now) / before - elapsed
        return min(max(ceil(part * WINDOW_SECONDS), 1), WINDOW_SECONDS)
