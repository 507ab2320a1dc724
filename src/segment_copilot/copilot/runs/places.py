"""Limits how many runs go on at once, in this process and for one tenant: one more is refused before it begins."""

from __future__ import annotations

from collections import Counter
from typing import Final

from segment_copilot.errors import TooManyRequests, Unavailable

_SECONDS: Final = 5  # a guess at when a place is free: runs take from a second to two minutes


class Place:
    """A place is held by one run; leaving it twice is leaving it once."""

    def __init__(self, taken: Counter[int], tenant_id: int) -> None:
        self._taken = taken
        self._tenant_id = tenant_id
        self._left = False

    def leave(self) -> None:
        """Make room for the next run."""
        if not self._left:
            self._left = True
            self._taken[self._tenant_id] -= 1
            if not self._taken[self._tenant_id]:
                del self._taken[self._tenant_id]


class Places:
    """Holds the places of a process."""

    def __init__(self) -> None:
        self._taken: Counter[int] = Counter()

    @property
    def count(self) -> int:
        """Return how many runs go on."""
        return self._taken.total()

    def take(self, tenant_id: int, *, most: int, most_of_tenant: int) -> Place:
        """Take a place for a run of that tenant.

        Raises:
            TooManyRequests: The tenant has as many runs as it may.
            Unavailable: The process has as many as it may.
        """
        after = {"retry_after_seconds": _SECONDS}
        if self._taken[tenant_id] >= most_of_tenant:
            detail = f"{most_of_tenant} answers are being made for you at once. Wait until one of them is done."
            raise TooManyRequests(detail, code="too_many_runs", context=after)
        if self.count >= most:
            detail = "This process makes as many answers as it can. Ask again after the seconds that Retry-After says."
            raise Unavailable(detail, code="service_full", context=after)
        self._taken[tenant_id] += 1
        return Place(self._taken, tenant_id)
