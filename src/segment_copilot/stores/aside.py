"""Does long work of the process itself beside the event loop, in turns round the tenants, so that others are served meanwhile.

A definition of 500 conditions takes a sixth of a second of this process before ClickHouse is asked anything: to be read, bound, planned,
looked through for oddities, put into words, and written as SQL. On the loop nobody else would be answered for as long.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Final, TypeVar

from segment_copilot.stores.turns import FairTurns

SWITCH_SECONDS: Final = 0.001
"""For how long a thread may keep the interpreter while another wants it; Python's own 5 ms would be lost at each wait of the loop."""

_SECONDS: Final = 10.0  # for a turn

T = TypeVar("T")


class Aside:
    """Does work on a thread of its own, one piece at a time: more threads would gain nothing, and take more from the loop.

    The work is a pure function; it goes on to its end where nobody waits for it any more.
    """

    def __init__(self) -> None:
        self._turns = FairTurns(1, of_one=1, late="Other long definitions are being read. Ask again later.")

    async def do(self, tenant: object, work: Callable[[], T], *, is_long: bool = True) -> T:
        """Return what *work* returns, or raise what it raises; what is not long is done at once, where it stands.

        Raises:
            Unavailable: The turn of this tenant did not come within ten seconds.
        """
        if not is_long:
            return work()
        turn = await self._turns.next(tenant, _SECONDS)
        working = asyncio.get_running_loop().run_in_executor(None, contextvars.copy_context().run, work)
        working.add_done_callback(lambda _: turn.end())  # not when its caller gives up: the thread does not
        return await asyncio.shield(working)
