"""A clock that a test moves, in place of the one that a module reads."""

from __future__ import annotations


class Clock:
    """Tells *now*, in seconds; called as `time.monotonic` is."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    monotonic = __call__
