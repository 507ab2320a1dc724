"""Adds up what a request, a run or a job asked the stores, for the one line that tells of it."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar


class Work:
    """Counts the questions to each store, and the seconds they took together: more than passed, where some ran at once."""

    __slots__ = ("clickhouse_queries", "clickhouse_seconds", "postgres_seconds", "postgres_statements", "silent_shards")

    def __init__(self) -> None:
        self.clickhouse_queries = 0
        self.clickhouse_seconds = 0.0
        self.postgres_statements = 0
        self.postgres_seconds = 0.0
        self.silent_shards = set[int]()
        """The shards that had not answered when it was given up, where others had."""

    def fields(self) -> dict[str, int | float]:
        """Return what was asked as fields of a line; a store that was not asked has none."""
        found: dict[str, int | float] = {}
        if self.postgres_statements:
            found["postgres_statements"] = self.postgres_statements
            found["postgres_ms"] = round(self.postgres_seconds * 1000, 2)
        if self.clickhouse_queries:
            found["clickhouse_queries"] = self.clickhouse_queries
            found["clickhouse_ms"] = round(self.clickhouse_seconds * 1000, 2)
        return found


_work: ContextVar[Work | None] = ContextVar("work", default=None)


def begin_work() -> Work:
    """Count from now on what this task, and those that it starts, ask."""
    work = Work()
    _work.set(work)
    return work


@contextmanager
def working() -> Generator[Work]:
    """Count what the block asks, apart from what is around it."""
    work = Work()
    token = _work.set(work)
    try:
        yield work
    finally:
        _work.reset(token)


def note_question(system: str, seconds: float) -> None:
    """Count a question to the store *system*, if somebody counts."""
    if (work := _work.get()) is None:
        return
    if system == "clickhouse":
        work.clickhouse_queries += 1
        work.clickhouse_seconds += seconds
    else:
        work.postgres_statements += 1
        work.postgres_seconds += seconds


def note_silent_shards(numbers: Iterable[int]) -> None:
    """Keep which shards are waited for when a question is given up, if somebody counts."""
    if (work := _work.get()) is not None:
        work.silent_shards.update(numbers)


def silent_shards() -> list[int]:
    """Return the shards for which what this task asked was given up."""
    work = _work.get()
    return sorted(work.silent_shards) if work is not None else []
