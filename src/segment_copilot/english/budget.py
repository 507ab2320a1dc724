"""Counts the work that one text may make, counted in steps and not in seconds: the same text always ends at the same place."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar


class TooInvolved(Exception):
    """A text takes more steps, or is nested deeper, than one may."""


class Budget:
    """Counts the steps of one reading, up to *most*."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.spent = 0


_current: ContextVar[Budget | None] = ContextVar("budget", default=None)


@contextmanager
def limited(most: int) -> Generator[Budget]:
    """Let what is read inside the block take at most so many steps; one more raises TooInvolved.

    A block around it is told of the steps, and not ended by them.
    """
    budget, around = Budget(most), _current.get()
    token = _current.set(budget)
    try:
        yield budget
    finally:
        _current.reset(token)
        if around is not None:
            around.spent += budget.spent


def spend(steps: int = 1) -> None:
    """Count work that is about to be done. A step is about a microsecond of it; outside of a block nothing is counted.

    Raises:
        TooInvolved: The budget is spent.
    """
    budget = _current.get()
    if budget is None:
        return
    budget.spent += steps
    if budget.spent > budget.most:
        raise TooInvolved
