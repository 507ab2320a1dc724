"""One connection of the pool to PostgreSQL: what it has to be cleaned of, and whose rows its session may see."""
# asyncpg has neither stubs nor complete annotations.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from typing import Any, Final, cast

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


class PoolerFound(Exception):
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
