"""Lets long queries be planned in turns: two at once, and of a tenant one, so that one tenant's are no outage for all.

ClickHouse plans a query on one core and looks for no kill and no time limit until it is done. What a plan takes grows
with the text of the query (a hundred conditions: 80,000 characters, about a second of CPU), so a long query waits for
its turn before it is sent, and gives it back when its planning is over: at the first sign of an answer, or, if nobody
waits for it any more, when the server has no such query.

In the same way connections are given out (`FairTurns`): of the queries that people wait for, a tenant's own wait for one another
before they wait for another tenant's.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

from segment_copilot.errors import Unavailable
from segment_copilot.stores.limits import LONG

AT_ONCE: Final = 2


class Turn:
    """A turn is the right to have a query planned; a short query has one without waiting."""

    def __init__(self, on_end: Callable[[], None] | None = None) -> None:
        self._on_end = on_end
        self._is_kept = False

    @property
    def is_held(self) -> bool:
        """Return whether others wait until this turn ends."""
        return self._on_end is not None

    def keep(self) -> None:
        """Leave the end of the turn to whoever kills the query."""
        self._is_kept = True

    def leave(self) -> None:
        """End the turn, unless it is kept."""
        if not self._is_kept:
            self.end()

    def end(self) -> None:
        """Give the turn to the next; a second time changes nothing."""
        on_end, self._on_end = self._on_end, None
        if on_end:
            on_end()


class PlanningTurns:
    """Gives out turns of planning long queries."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        detail = "Other long queries are being planned, and the turn of this one did not come. Ask again later."
        self.turns = FairTurns(at_once, of_one=1, late=detail)

    @asynccontextmanager
    async def turn(self, tenant: object, *, size: int, seconds: float) -> AsyncGenerator[Turn]:
        """Wait at most so many seconds for the turn of a query of *size* characters.

        Raises:
            Unavailable: It did not come.
        """
        turn = Turn() if size < LONG else await self.turns.next(tenant, seconds)
        try:
            yield turn
        finally:
            turn.leave()


class FairTurns:
    """Gives out turns: so many at once and *of_one* tenant, among tenants round and round, within one first come, first served.

    Of what is nobody's (None) there may be as many as there are turns. *late* is said to whom none came in time.
    """

    def __init__(self, at_once: int, *, of_one: int, late: str) -> None:
        self._free = at_once
        self._of_one = of_one
        self._late = late
        self._taken = Counter[object]()  # turns of each tenant
        self._waiting = dict[object, deque[asyncio.Future[Turn]]]()  # by tenant, the next to be served first

    @property
    def free(self) -> int:
        """The number of turns that nobody has."""
        return self._free

    @property
    def waiting(self) -> int:
        """The number of those that wait for one."""
        return sum(map(len, self._waiting.values()))

    async def next(self, tenant: object, seconds: float) -> Turn:
        """Wait at most so many seconds for a turn; whoever gets it ends it.

        Raises:
            Unavailable: It did not come.
        """
        mine = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(mine)
        self._serve()
        try:
            async with asyncio.timeout(seconds):
                return await mine
        except BaseException as error:
            self._forget(tenant, mine)
            if isinstance(error, TimeoutError):
                raise Unavailable(self._late) from None
            raise

    def _forget(self, tenant: object, mine: asyncio.Future[Turn]) -> None:
        """Take back a request for a turn, or the turn, if it came at the moment of giving up."""
        if mine.done() and not mine.cancelled():
            mine.result().end()
        elif mine in (queue := self._waiting.get(tenant, deque())):
            queue.remove(mine)
            if not queue:
                del self._waiting[tenant]

    def _serve(self) -> None:
        """Give what is free to the tenants that have waited longest since their last turn."""
        for tenant in [one for one in self._waiting if self._may(one)]:
            queue = self._waiting[tenant]
            while queue and self._free and self._may(tenant):
                mine = queue.popleft()
                if not mine.done():  # given up, and not yet forgotten
                    self._free -= 1
                    self._taken[tenant] += 1
                    mine.set_result(Turn(lambda tenant=tenant: self._end(tenant)))
            if not queue:
                del self._waiting[tenant]

    def _may(self, tenant: object) -> bool:
        return tenant is None or self._taken[tenant] < self._of_one

    def _end(self, tenant: object) -> None:
        self._free += 1
        self._taken[tenant] -= 1
        if not self._taken[tenant]:
            del self._taken[tenant]
        if queue := self._waiting.pop(tenant, None):
            self._waiting[tenant] = queue  # behind all others
        self._serve()
