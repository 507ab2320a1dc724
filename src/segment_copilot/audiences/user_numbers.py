"""Gives every user of a tenant a number, dense and for good, so that many of them are a small bitmap.

Numbers are given in ClickHouse, where the users are, before members are written. Whoever gives them holds the tenant's row
in PostgreSQL, and the statement has a name of its own that the server runs once at a time: so two never give one number,
also when one of them died and left its statement running.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from segment_copilot.access.tenants import Tenant
from segment_copilot.stores.clickhouse import ClickHouse, Session
from segment_copilot.stores.merging import grouped
from segment_copilot.stores.postgres import Connection, Postgres

_LISTED: Final = "CREATE TEMPORARY TABLE listed_users (user_id String) ENGINE = Memory"
_BLOCK: Final = 50_000  # users in one INSERT

_BEGIN: Final = """
INSERT INTO user_numbering (tenant_id, next) SELECT id, 1 FROM tenants WHERE id = $1 ON CONFLICT DO NOTHING
"""
_NEXT: Final = "SELECT next FROM user_numbering WHERE tenant_id = $1 FOR UPDATE"
_GIVEN: Final = "UPDATE user_numbering SET next = greatest(next, $2) WHERE tenant_id = $1"
_LAST: Final = "SELECT max(number) FROM user_numbers WHERE tenant_id = {tenant:UInt32}"

_EVERYBODY: Final = """
    SELECT user_id, user_key FROM users WHERE tenant_id = {tenant:UInt32}
    UNION ALL SELECT person_id, person_key FROM identity_links
    WHERE tenant_id = {tenant:UInt32} AND alias_key IN (SELECT user_key FROM users WHERE tenant_id = {tenant:UInt32})"""
_OF_LIST: Final = "SELECT user_id, sipHash64(user_id) AS user_key FROM listed_users"
_GIVE: Final = """
INSERT INTO user_numbers (tenant_id, user_id, user_key, number)
SELECT {tenant:UInt32}, user_id, user_key, toUInt32({next:UInt64} + row_number() OVER () - 1)
FROM (
    SELECT any(user_id) AS user_id, user_key FROM (__SOURCE__)
    WHERE user_key NOT IN (SELECT user_key FROM user_numbers WHERE tenant_id = {tenant:UInt32})
    GROUP BY user_key)
"""


class UserNumbers:
    """Gives the users of all tenants their numbers; every method takes the tenant."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse

    async def give(self, tenant: Tenant) -> None:
        """Number all users who were seen or linked and have no number yet."""
        sql = _GIVE.replace("__SOURCE__", _EVERYBODY)
        async with self._numbering(tenant) as first:
            for server in await self._clickhouse.servers():  # one after another: no two have one number
                params = {"tenant": tenant.id, "next": max(first, await self._last(tenant) + 1)}
                await server.execute(sql, params, purpose="compute", query_id=self._name(tenant))

    @asynccontextmanager
    async def listed(self, tenant: Tenant, user_ids: Sequence[str]) -> AsyncGenerator[Session]:
        """Number these users, seen or not, and lend a session in which the table `listed_users` has their `user_id`."""
        async with self._clickhouse.session(purpose="compute") as session:
            await session.fetch(_LISTED)
            for start in range(0, len(user_ids), _BLOCK):
                rows = [(user_id,) for user_id in user_ids[start : start + _BLOCK]]
                await session.insert("listed_users", ("user_id",), rows, tenant=tenant.id)
            sql = _GIVE.replace("__SOURCE__", _OF_LIST)
            async with self._numbering(tenant) as first:
                for part in session.parts:
                    params = {"tenant": tenant.id, "next": max(first, await self._last(tenant) + 1)}
                    await part.fetch(sql, params, query_id=self._name(tenant))
            yield session

    async def delete_all(self, tenant: Tenant) -> None:
        """Delete the numbers of a tenant that is about to go."""
        sql = "DELETE FROM user_numbers WHERE tenant_id = {tenant:UInt32}"
        await self._clickhouse.execute(sql, {"tenant": tenant.id}, purpose="compute")

    @asynccontextmanager
    async def _numbering(self, tenant: Tenant) -> AsyncGenerator[int]:
        """Lend the right to give numbers, and the first that is free; all that were given are noted at the end."""
        async with self._postgres.transaction() as transaction:
            await transaction.execute(_BEGIN, tenant.id)
            noted: int = await transaction.fetchval(_NEXT, tenant.id) or 1
            yield max(noted, await self._last(tenant) + 1)
            await self._note(transaction, tenant)

    async def _note(self, transaction: Connection, tenant: Tenant) -> None:
        await transaction.execute(_GIVEN, tenant.id, await self._last(tenant) + 1)

    async def _last(self, tenant: Tenant) -> int:
        found = await self._clickhouse.fetch(_LAST, {"tenant": tenant.id}, purpose="compute", merge=grouped(0, "max"))
        return int(found.rows[0][0])

    def _name(self, tenant: Tenant) -> str:
        return f"user-numbers-{self._clickhouse.database}-{tenant.id}"
