"""One connection of the pool to PostgreSQL: what it has to be cleaned of, and whose rows its session may see."""
# asyncpg has neither stubs nor complete annotations.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, Final, cast
from uuid import UUID

import asyncpg

from segment_copilot.stores.confinement import SETTING

# Asked without preparing anything: behind a pooler that would stay in a session which is another's next.
# The answer is the number of rows, which is told even so: 1 for being confined, 2 for a pooler.
_ABOUT: Final = """
SELECT FROM generate_series(1, (pg_backend_pid() <> {pid:d})::int * 2 + EXISTS (
    SELECT FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relrowsecurity AND row_security_active(oid))::int)
"""
_TELL: Final = f"SELECT set_config('{SETTING}', $1, false)"
TELL_IN_TRANSACTION: Final = f"SELECT set_config('{SETTING}', $1, true)"


_STATEMENTS: Final = 100  # that a connection keeps prepared; asyncpg's default


class _PoolerFound(Exception):
    """A pooler is between us and the server, where no statement may stay prepared."""


class Pooled(asyncpg.Connection):
    """A connection of the pool. Cleaning it for its next user is a trip to the server: one SELECT leaves nothing to clean.

    Where the server confines us, a session is told whose rows it may see when it is lent to somebody else's work than
    before. A pooler between us and the server may give our next statement to another session, so there it is told in
    each transaction, and forgets it at the end; that there is one shows by the server's process being another than the
    one that greeted us.
    """

    is_confined = False
    is_behind_pooler = False

    _is_clean = False
    _whose: str | None = ""  # what the session was told; None: not known

    async def look(self) -> None:
        """Find out whether the server confines us, and whether a pooler is between."""
        pid: int = cast("Any", self).get_server_pid()
        status: str = await self.execute(_ABOUT.format(pid=pid))
        pooled, confined = divmod(int(status.rpartition(" ")[2]), 2)
        self.is_behind_pooler, self.is_confined = bool(pooled), bool(confined)

    def note_clean(self) -> None:
        """Say that nothing of the session was set, locked or opened, and nothing will be."""
        self._is_clean = True

    async def tell(self, whose: str, *, timeout: float) -> None:  # noqa: ASYNC109  # asyncpg's
        """Tell the session whose rows it may see, unless it knows."""
        if self._whose != whose:
            self._whose = None  # until the server has answered
            await self.fetchval(_TELL, whose, timeout=timeout)
            self._whose = whose

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncpg says how
        """Clean the session, which then knows of no tenant."""
        is_clean, self._is_clean = self._is_clean and not self.is_in_transaction(), False
        if not is_clean:
            self._whose = None
            await super().reset(timeout=timeout)
            self._whose = ""


async def open_pool(
    url: str, *, size: int, seconds: float, settings: Mapping[str, str], statements: int = _STATEMENTS
) -> Any:
    """Open a pool of at most *size* connections with these settings of the server; raises what the driver raises.

    What is sent without a limit of its own may take so many *seconds*. A connection keeps so many *statements* prepared:
    none, once a pooler is found.
    """

    async def prepare(raw: Any) -> None:
        await raw.look()
        if raw.is_behind_pooler and statements:
            raise _PoolerFound
        async with raw.transaction() if raw.is_behind_pooler else nullcontext():
            # asyncpg's own UUID is a subclass, which not every encoder takes for one.
            await raw.set_type_codec("uuid", schema="pg_catalog", encoder=_uuid_bytes, decoder=_uuid, format="binary")

    try:
        return await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            timeout=seconds,  # of an opening; whoever opens has a limit of their own
            command_timeout=seconds,
            init=prepare,
            server_settings=dict(settings),
            connection_class=Pooled,
            statement_cache_size=statements,
        )
    except _PoolerFound:
        return await open_pool(url, size=size, seconds=seconds, settings=settings, statements=0)


def _uuid_bytes(value: object) -> bytes:
    return (value if isinstance(value, UUID) else UUID(str(value))).bytes


def _uuid(data: bytes) -> UUID:
    return UUID(bytes=bytes(data))
