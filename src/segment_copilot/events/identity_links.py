"""Links ids that are one person's: decided in PostgreSQL, forwarded to ClickHouse, and resolved when something is read.

An anonymous id belongs to the user it was first seen with; a merge says that one user is another, and overrides what
was said before. Links form chains, never circles, and every link keeps the end of its chain, the *person*: who reads
joins once. Events are never rewritten, so a link counts for all that ever happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal
from uuid import uuid4

import structlog
from msgspec import Struct

from segment_copilot.access.sessions import ANONYMOUS
from segment_copilot.access.tenants import Tenant
from segment_copilot.compiler import Person
from segment_copilot.errors import Conflict, Finding, InvalidInput
from segment_copilot.events.trait_changes import note_changed_tenants
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.cluster import Cluster
from segment_copilot.stores.moving import bring_home
from segment_copilot.stores.postgres import Connection, Postgres

log = structlog.get_logger()

MAX_ANONYMOUS_LENGTH: Final = 251
"""So that with the prefix it is as long as a user id may be."""

PERSON_KEY: Final = "if(links.person_key = 0, stored.user_key, links.person_key)"
"""Is the key of the person that a row of `with_links` is of."""

PERSON_ID: Final = "if(links.person_key = 0, stored.user_id, links.person_id)"
"""Is the person's id, in a row of `with_links` that has an id."""

_FORWARDED_TOGETHER: Final = 10_000
_COLUMNS: Final = ("tenant_id", "alias_id", "person_id", "version")
_LOCK_CLASS: Final = 0x1DE_7117  # of the advisory lock of a tenant: who decides is alone, so that chains stay whole

_LOCK: Final = "SELECT pg_advisory_xact_lock($1, $2)"
_LINK: Final = "SELECT user_id, person_id FROM identity_links WHERE tenant_id = $1 AND alias_id = $2"
_PERSON: Final = "SELECT coalesce((SELECT person_id FROM identity_links WHERE tenant_id = $1 AND alias_id = $2), $2)"
_IDS: Final = "SELECT alias_id FROM identity_links WHERE tenant_id = $1 AND person_id = $2 ORDER BY alias_id"
_PERSONS: Final = "SELECT alias_id, person_id FROM identity_links WHERE tenant_id = $1 AND alias_id = ANY ($2::text[])"
_IDS_OF_ALL: Final = """
SELECT person_id, alias_id FROM identity_links WHERE tenant_id = $1 AND person_id = ANY ($2::text[]) ORDER BY alias_id
"""
_UNKNOWN: Final = """
SELECT alias_id, user_id FROM unnest($2::text[], $3::text[]) AS said (alias_id, user_id)
WHERE NOT EXISTS (SELECT FROM identity_links AS link WHERE tenant_id = $1 AND link.alias_id = said.alias_id)
"""
# All at once, but for those to whom others lead. Whom they are linked to is never anonymous, so none leads to another.
_LINK_ALL: Final = """
INSERT INTO identity_links (tenant_id, alias_id, user_id, person_id, version)
SELECT $1, said.alias_id, said.user_id, coalesce(link.person_id, said.user_id), nextval('identity_link_versions')
FROM unnest($2::text[], $3::text[]) AS said (alias_id, user_id)
LEFT JOIN identity_links AS link ON link.tenant_id = $1 AND link.alias_id = said.user_id
WHERE NOT EXISTS (SELECT FROM identity_links AS other WHERE other.tenant_id = $1 AND other.user_id = said.alias_id)
ON CONFLICT DO NOTHING
"""
# Somebody whose id is linked to another takes along all whose chains lead through it.
_WRITE: Final = """
WITH RECURSIVE moved AS (
    SELECT $2::text AS id
    UNION
    SELECT alias_id FROM identity_links JOIN moved ON tenant_id = $1 AND user_id = moved.id
), written AS (
    INSERT INTO identity_links (tenant_id, alias_id, user_id, person_id, version)
    VALUES ($1, $2, $3, $4, nextval('identity_link_versions'))
    ON CONFLICT (tenant_id, alias_id) DO UPDATE SET
        user_id = excluded.user_id, person_id = excluded.person_id, version = excluded.version,
        status = 'pending', updated_at = now()
)
UPDATE identity_links SET
    person_id = $4, version = nextval('identity_link_versions'), status = 'pending', updated_at = now()
WHERE tenant_id = $1 AND alias_id IN (SELECT id FROM moved) AND alias_id <> $2
"""
_CHAIN: Final = """
WITH RECURSIVE chain AS (
    SELECT $2::text AS id
    UNION
    SELECT user_id FROM identity_links JOIN chain ON tenant_id = $1 AND alias_id = chain.id
)
SELECT EXISTS (SELECT FROM chain WHERE id = $3)
"""
_ALL_IDS: Final = """
WITH RECURSIVE theirs AS (
    SELECT unnest($2::text[]) AS id
    UNION
    SELECT CASE WHEN link.user_id = theirs.id THEN link.alias_id ELSE link.user_id END
    FROM theirs JOIN identity_links AS link ON link.tenant_id = $1 AND theirs.id IN (link.alias_id, link.user_id)
)
SELECT id FROM theirs
"""
_UNLINK: Final = """
DELETE FROM identity_links
WHERE tenant_id = $1 AND (alias_id = ANY ($2::text[]) OR user_id = ANY ($2::text[]) OR person_id = ANY ($2::text[]))
"""
# Rows stay locked until they have arrived: who erases them waits, so that none arrives afterwards. Those of a person who
# is being erased wait, as events do: they are of whoever the id is afterwards.
_PENDING: Final = """
SELECT tenant_id, alias_id, person_id, version FROM identity_links AS link WHERE status = 'pending'
    AND NOT EXISTS (SELECT FROM erasures WHERE erasures.tenant_id = link.tenant_id AND status IN ('queued', 'working')
        AND ids && ARRAY[alias_id, user_id, person_id])
ORDER BY version LIMIT $1 FOR UPDATE SKIP LOCKED
"""
_FORWARDED: Final = """
UPDATE identity_links AS link SET status = 'forwarded'
FROM unnest($1::int[], $2::text[]) AS done (tenant_id, alias_id)
WHERE link.tenant_id = done.tenant_id AND link.alias_id = done.alias_id
"""


def with_links(table: str, *, final: bool = False) -> str:
    """Return what stands after FROM, in SQL for ClickHouse that counts persons; its parameter `tenant` says whose."""
    return f"""{table} AS stored{" FINAL" if final else ""} LEFT ANY JOIN (
    SELECT alias_key, person_key, person_id FROM identity_links FINAL WHERE tenant_id = {{tenant:UInt32}}
) AS links ON stored.user_key = links.alias_key"""


class Alias(Struct, frozen=True):
    """Says whose an anonymous id is: `linked` to the user that was asked for, or `kept` by the one it was linked to first."""

    status: Literal["linked", "kept"]
    user_id: str


class IdentityLinks:
    """Decides, forwards and reads the links of all tenants; what a caller asks takes the tenant."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._linked = set[int]()  # tenants that have links: that they had some once is enough

    # Read

    async def has_any(self, tenant: Tenant) -> bool:
        """Return whether queries of the tenant have to resolve ids."""
        if tenant.id not in self._linked:
            sql = "SELECT EXISTS (SELECT FROM identity_links WHERE tenant_id = $1)"
            if not await self._postgres.fetchval(sql, tenant.id):
                return False
            self._linked.add(tenant.id)
        return True

    async def person(self, tenant: Tenant, user_id: str) -> Person:
        """Return who an id is, with all ids that are theirs; somebody nobody has heard of is one person with one id."""
        if not await self.has_any(tenant):
            return Person(user_id)
        async with self._postgres.connection() as connection:
            person_id: str = await connection.fetchval(_PERSON, tenant.id, user_id)
            rows = await connection.fetch(_IDS, tenant.id, person_id)
        return Person(person_id, tuple(row["alias_id"] for row in rows))

    async def persons(self, tenant: Tenant, user_ids: Sequence[str]) -> dict[str, Person]:
        """Return who each of some ids is, like `person`."""
        found = {user_id: user_id for user_id in user_ids}
        others = dict[str, list[str]]()
        if await self.has_any(tenant):
            async with self._postgres.connection() as connection:
                rows = await connection.fetch(_PERSONS, tenant.id, list(found))
                found |= {row["alias_id"]: row["person_id"] for row in rows}
                for row in await connection.fetch(_IDS_OF_ALL, tenant.id, sorted(set(found.values()))):
                    others.setdefault(row["person_id"], []).append(row["alias_id"])
        return {user_id: Person(person, tuple(others.get(person, ()))) for user_id, person in found.items()}

    # Decide

    async def alias(self, tenant: Tenant, alias_id: str, user_id: str) -> Alias:
        """Link an anonymous id to a user, unless it is another's already: the first stays."""
        async with self._postgres.transaction() as transaction:
            await transaction.execute(_LOCK, _LOCK_CLASS, tenant.id)
            alias = await _alias(transaction, tenant.id, alias_id, user_id)
        if alias.status == "kept":
            log.info("identity.kept")
        return alias

    async def merge(self, tenant: Tenant, from_id: str, into_id: str) -> None:
        """Link one user to another, whatever was said of the first before.

        Raises:
            InvalidInput: They are the same id.
            Conflict: The second is the first already, by links that were made before.
        """
        if from_id == into_id:
            detail = "A user cannot be merged into itself; from_user_id and into_user_id are two ids."
            raise InvalidInput(
                detail, code="identity_self", findings=[Finding("/into_user_id", "identity_self", detail)]
            )
        async with self._postgres.transaction() as transaction:
            await transaction.execute(_LOCK, _LOCK_CLASS, tenant.id)
            if await transaction.fetchval(_CHAIN, tenant.id, into_id, from_id):
                detail = (
                    "into_user_id was merged into from_user_id before, so this would be a circle; "
                    "they are one person already, known by the id at the end of the chain."
                )
                raise Conflict(
                    detail, code="identity_cycle", findings=[Finding("/into_user_id", "identity_cycle", detail)]
                )
            person_id = await transaction.fetchval(_PERSON, tenant.id, into_id)
            link = await transaction.fetchrow(_LINK, tenant.id, from_id)
            if link is None or link["user_id"] != into_id:
                await transaction.execute(_WRITE, tenant.id, from_id, into_id, person_id)

    # Forward

    async def forward_next(self) -> bool:
        """Take decided links to ClickHouse; True if more may wait. The same may arrive twice: the version tells."""
        async with self._postgres.transaction() as transaction:
            rows = await transaction.fetch(_PENDING, _FORWARDED_TOGETHER)
            if not rows:
                return False
            links = [(row["tenant_id"], row["alias_id"], row["person_id"], row["version"]) for row in rows]
            if isinstance(self._clickhouse, Cluster):
                async with self._clickhouse.users_move():
                    await bring_home(self._clickhouse, [(tenant_id, alias) for tenant_id, alias, _, _ in links])
            await self._clickhouse.insert("identity_links", _COLUMNS, links, token=f"links-{uuid4().hex}")
            await transaction.execute(_FORWARDED, [one[0] for one in links], [one[1] for one in links])
            await note_changed_tenants(transaction, {one[0] for one in links})
        log.info("identity.forwarded", links=len(links))
        return len(links) == _FORWARDED_TOGETHER


async def link_anonymous(transaction: Connection, tenant: Tenant, users: Mapping[str, str]) -> None:
    """Link each anonymous user to the one it was seen with, where it is nobody's yet; the last thing of a transaction."""
    said = tenant.id, list(users), list(users.values())
    if not await transaction.fetch(_UNKNOWN, *said):
        return
    await transaction.execute(_LOCK, _LOCK_CLASS, tenant.id)
    await transaction.execute(_LINK_ALL, *said)
    for row in await transaction.fetch(_UNKNOWN, *said):
        await _alias(transaction, tenant.id, row["alias_id"], row["user_id"])


async def unlink(transaction: Connection, tenant_id: int, ids: Sequence[str]) -> list[str]:
    """Remove every link of a person who is to be forgotten; return all their ids, those that were linked since as well."""
    await transaction.execute(_LOCK, _LOCK_CLASS, tenant_id)
    rows = await transaction.fetch(_ALL_IDS, tenant_id, list(ids))
    found = [row["id"] for row in rows]
    await transaction.execute(_UNLINK, tenant_id, found)
    return found


async def _alias(transaction: Connection, tenant_id: int, alias_id: str, user_id: str) -> Alias:
    person_id = await transaction.fetchval(_PERSON, tenant_id, user_id)
    link = await transaction.fetchrow(_LINK, tenant_id, alias_id)
    if link is not None and link["user_id"] != user_id and link["person_id"] != person_id:
        return Alias("kept", link["user_id"])
    if link is None and person_id != alias_id:  # else the user was merged into the anonymous one: they are one already
        await transaction.execute(_WRITE, tenant_id, alias_id, user_id, person_id)
    return Alias("linked", user_id)


def seen_together(pairs: Sequence[tuple[str, str | None]]) -> dict[str, str]:
    """Return, of events' user ids and anonymous ids, whose each anonymous user is: the first it was seen with.

    Somebody who is anonymous as well identifies nobody.
    """
    users = dict[str, str]()
    for user_id, anonymous_id in pairs:
        if anonymous_id is not None and not user_id.startswith(ANONYMOUS):
            users.setdefault(ANONYMOUS + anonymous_id, user_id)
    return users
