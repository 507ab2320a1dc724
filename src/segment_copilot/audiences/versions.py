"""USE CASE: read the versions of segments: each definition as it was saved, by whom, and what changed between two."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from segment_copilot.access.keys import Caller
from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.references import References, not_found
from segment_copilot.compiler import all_conditions, referenced_segments
from segment_copilot.errors import Finding, NotFound
from segment_copilot.language import Definition, Tier, edits, encode, invalid, read_stored
from segment_copilot.language.changes import Change, changes
from segment_copilot.lists import FIRST_PAGE, Listed, Window
from segment_copilot.stores.pages import Rows, Sorting
from segment_copilot.stores.postgres import Connection, Postgres, Record

VersionOrder = Literal["version", "-version"]


class Author(Struct, frozen=True):
    """Names who saved a version: a key, by its id and its name now, and the user whose session it was, if it was one's."""

    key_id: int
    key_name: str | None
    user_id: str | None


class Version(Struct, frozen=True):
    """A definition as it was saved, under the name that the segment had. *created_by* is null where no key was used."""

    version: int
    name: str
    definition: Definition
    words: str
    tier: Tier
    created_at: datetime
    created_by: Author | None


class Difference(Struct, frozen=True):
    """Holds what makes one version of another: a JSON Patch (RFC 6902) of the definition, and the same told in words."""

    patch: tuple[Mapping[str, Any], ...]
    changes: tuple[Change, ...]


_TABLE: Final = """(
    SELECT versions.version AS id, tenant_id, segment_id, versions.version, versions.name, versions.definition,
        versions.words, versions.tier, versions.created_at, key_id, session_user_id,
        (SELECT api_keys.name FROM api_keys
            WHERE api_keys.tenant_id = segments.tenant_id AND api_keys.id = key_id) AS key_name
    FROM segment_versions AS versions JOIN segments ON segments.id = segment_id) AS versions"""
_COLUMNS: Final = """id, version, name, definition, words, tier, created_at, key_id, session_user_id, key_name"""


class Versions:
    """Reads the versions of all tenants' segments; every method takes the tenant."""

    def __init__(self, postgres: Postgres, references: References) -> None:
        self._postgres = postgres
        self._references = references

    async def list(
        self, tenant: Tenant, segment_id: int, window: Window = FIRST_PAGE, *, order: VersionOrder = "-version"
    ) -> Listed[Version]:
        """Return a page of the segment's versions; a draft without a definition has none. Raises NotFound."""
        await self._check_exists(tenant, segment_id)
        conditions = (("tenant_id = {}", tenant.id), ("segment_id = {}", segment_id))
        rows = Rows(_COLUMNS, _TABLE, conditions, {"version": Sorting("version", cast="integer")})
        return await rows.page(self._postgres, window, order, _version)

    async def get(self, tenant: Tenant, segment_id: int, version: int) -> Version:
        """Return one version; raises NotFound."""
        sql = f"SELECT {_COLUMNS} FROM {_TABLE} WHERE tenant_id = $1 AND segment_id = $2 AND version = $3::bigint"
        row = await self._postgres.fetchrow(sql, tenant.id, segment_id, version)
        if row is None:
            await self._check_exists(tenant, segment_id)
            raise _version_not_found(segment_id, version)
        return _version(row)

    async def difference(self, tenant: Tenant, segment_id: int, before: int, after: int) -> Difference:
        """Return what makes version *after* of version *before*; raises NotFound."""
        old = (await self.get(tenant, segment_id, before)).definition
        new = (await self.get(tenant, segment_id, after)).definition
        named = referenced_segments([*all_conditions(old), *all_conditions(new)])
        names = await self._references.names(tenant, named)
        patch = edits.difference(msgspec.json.decode(encode(old)), msgspec.json.decode(encode(new)))
        return Difference(patch, changes(old, new, names))

    async def _check_exists(self, tenant: Tenant, segment_id: int) -> None:
        sql = "SELECT EXISTS (SELECT FROM segments WHERE tenant_id = $1 AND id = $2)"
        if not await self._postgres.fetchval(sql, tenant.id, segment_id):
            raise not_found(segment_id)


async def read_definition(postgres: Postgres, tenant: Tenant, segment_id: int, version: int) -> bytes:
    """Return the definition of one version as it was saved; raises NotFound."""
    sql = """
        SELECT versions.definition FROM segments
        LEFT JOIN segment_versions AS versions ON segment_id = segments.id AND versions.version = $3::bigint
        WHERE tenant_id = $1 AND segments.id = $2"""
    row = await postgres.fetchrow(sql, tenant.id, segment_id, version)
    if row is None:
        raise not_found(segment_id)
    if row["definition"] is None:
        raise _version_not_found(segment_id, version)
    return row["definition"].encode()


async def add_version(
    transaction: Connection, tenant: Tenant, segment_id: int, version: Version, caller: Caller | None
) -> None:
    """Write down a version of a segment, and what it refers to."""
    sql = """
        INSERT INTO segment_versions
            (segment_id, version, name, definition, words, tier, created_at, key_id, session_user_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"""
    await transaction.execute(
        sql,
        segment_id,
        version.version,
        version.name,
        encode(version.definition).decode(),
        version.words,
        version.tier,
        version.created_at,
        caller and caller.key_id,
        caller and caller.session_user,
    )
    sql = """
        DELETE FROM segment_references USING segments
        WHERE segments.tenant_id = $1 AND segments.id = $2 AND segment_id = segments.id"""
    await transaction.execute(sql, tenant.id, segment_id)
    targets = sorted(set(referenced_segments(all_conditions(version.definition))))
    # Only what exists in this tenant, locked, so that a target deleted meanwhile is an error and not a dangling id.
    sql = "SELECT id FROM segments WHERE tenant_id = $1 AND id = ANY($2::bigint[]) FOR SHARE"
    present = {row["id"] for row in await transaction.fetch(sql, tenant.id, targets)} if targets else set[int]()
    if missing := [target for target in targets if target not in present]:
        raise invalid([Finding("", "unknown_segment", f"There is no segment {missing[0]}.")])
    await transaction.executemany(
        "INSERT INTO segment_references (segment_id, refers_to) VALUES ($1, $2)",
        [(segment_id, target) for target in targets],
    )


def _version(row: Record) -> Version:
    author = None if row["key_id"] is None else Author(row["key_id"], row["key_name"], row["session_user_id"])
    definition = read_stored(row["definition"])
    return Version(
        row["version"], row["name"], definition, row["words"], row["tier"], row["created_at"], created_by=author
    )


def _version_not_found(segment_id: int, version: int) -> NotFound:
    return NotFound(f"Segment {segment_id} has no version {version}.", code="version_not_found")
