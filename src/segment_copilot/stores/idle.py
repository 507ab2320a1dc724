"""Keeps the connections of a pool that wait for their next query, and lets go of those whose server hangs up meanwhile."""

from __future__ import annotations

import asyncio
from typing import Final, Generic, Protocol, TypeVar

_LOOK_SECONDS: Final = 1.0


class Lost(Protocol):
    """A connection that knows whether its peer has gone."""

    def is_lost(self) -> bool:
        """Return whether the peer is known to have gone."""
        ...

    def cut(self) -> None:
        """Close it at once."""
        ...


C = TypeVar("C", bound=Lost)


class Idle(Generic[C]):
    """Holds idle connections, the last used first: the others may fade.

    A server that hangs up on a connection nobody uses would leave a half-closed socket until the next query, so
    they are looked at once a second for as long as there are any.
    """

    def __init__(self) -> None:
        self._waiting: list[C] = []
        self._next_look: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, connection: C) -> None:
        """Keep a connection that is not needed now."""
        self._waiting.append(connection)
        if self._next_look is None:
            self._next_look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def take(self) -> C:
        """Return the connection that was used last."""
        return self._waiting.pop()

    def drop(self) -> None:
        """Close all of them."""
        while self._waiting:
            self._waiting.pop().cut()
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None

    def _look(self) -> None:
        self._next_look = None
        kept = list[C]()
        for one in self._waiting:
            if one.is_lost():
                one.cut()
            else:
                kept.append(one)
        self._waiting[:] = kept
        if kept:
            self._next_look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)
