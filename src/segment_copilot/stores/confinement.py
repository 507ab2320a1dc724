"""Says whose rows the work of a task may see where PostgreSQL confines the service to one tenant at a time (`roles.py`).

It is said once, where it is known: for a request when its credential has been read, for a worker when it starts, for a
look-up that finds a tenant out around that look-up alone. Whoever says nothing sees nothing. A task that is started
sees what the one that started it did. It is a second wall: every statement names its tenant all the same.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

SETTING: Final = "segment_copilot.tenant"
"""Where the server finds it: the id of a tenant, EVERY, or nothing."""

EVERY: Final = "every"

_whose: ContextVar[str] = ContextVar("whose", default="")


def whose() -> str:
    """Return whose rows this task may see, as the server is told."""
    return _whose.get()


def confine(tenant_id: int) -> None:
    """Let this task see the rows of one tenant, from now on."""
    _whose.set(str(tenant_id))


@contextmanager
def every_tenant() -> Generator[None]:
    """Let the block see the rows of every tenant: it finds out whose something is, or does the work of all of them."""
    token = _whose.set(EVERY)
    try:
        yield
    finally:
        _whose.reset(token)
