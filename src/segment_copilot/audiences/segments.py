"""USE CASE: save segments: named, versioned definitions that are neither lost nor deleted while in use."""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.previews import PreparedDefinition, Previews
from segment_copilot.audiences.references import not_found
from segment_copilot.audiences.removals import leave_deleted
from segment_copilot.compiler import all_conditions, referenced_segments
from segment_copilot.errors import Conflict, Finding, InvalidInput, PreconditionFailed
from segment_copilot.events.discovery import Discovery
from segment_copilot.language import Definition, Tier, decode, encode, invalid, meaning, names_of
from segment_copilot.language.catalog import SegmentName
from segment_copilot.lists import FIRST_PAGE, Listed, Window
from segment_copilot.stores.pages import BY_ID, Rows, Sorting
from segment_copilot.stores.postgres import Connection, ForeignKeyViolation, Postgres, Record

SegmentType = Literal["rule", "ai", "static"]
Status = Literal["draft", "queued", "computing", "computed", "failed"]
Order = Literal[
    "id", "-id", "name", "-name", "created_at", "-created_at", "updated_at", "-updated_at",
    "member_count", "-member_count", "last_computed_at", "-last_computed_at", "largest", "newest",
]  # fmt: skip
MAX_NAME: Final = 200
_COMPARED: Final = 1_000  # of a tenant's newest segments
_SAME_ORDER: Final[dict[Order, Order]] = {"largest": "-member_count", "newest": "-created_at"}
_SORTINGS: Final = {
    "id": BY_ID,
    "name": Sorting("lower(name)", str, "text"),
    "created_at": Sorting("created_at", datetime, "timestamptz"),
    "updated_at": Sorting("updated_at", datetime, "timestamptz"),
    "member_count": Sorting("member_count", oldest_first=True),
    "last_computed_at": Sorting("last_computed_at", datetime, "timestamptz"),
}
_COLUMNS: Final = """id, name, description, segment_type, tier, status, definition, words, version, is_active,
    member_count, last_computed_at, last_error, created_at, updated_at"""


class LastError(Struct, frozen=True):
    """Why the last computation failed."""

    code: str
    detail: str


class Segment(Struct, frozen=True):
    """A saved, named, versioned definition."""

    id: int
    name: str
    description: str
    segment_type: SegmentType
    tier: Tier
    status: Status
    definition: Definition
    words: str
    version: int
    is_active: bool
    member_count: int | None
    last_computed_at: datetime | None
    last_error: LastError | None
    created_at: datetime
    updated_at: datetime

    @property
    def revision(self) -> str:
        """Changes with every write by a caller; a computation changes none."""
        return f"{self.version}-{self.updated_at:%Y%m%d%H%M%S%f}"


class SavedSegment(Struct, frozen=True):
    """A segment that was just written, and what is odd about its definition."""

    segment: Segment
    warnings: tuple[Finding, ...]


class Only(Struct, frozen=True, kw_only=True):
    """Says which segments are wanted; None asks for no such thing. *search* is part of a name, in any case."""

    status: Status | None = None
    tier: Tier | None = None
    segment_type: SegmentType | None = None
    is_active: bool | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    search: str | None = None


ALL: Final = Only()


class Changes(Struct, frozen=True):
    """The fields that a PATCH may change; absent fields stay."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    definition: Any = UNSET
    segment_type: SegmentType | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


class Quota(Struct, frozen=True):
    """Holds how many of something a tenant has, and may have."""

    used: int
    limit: int


class Segments:
    """Manages the segments of all tenants; every method takes the tenant."""

    def __init__(self, postgres: Postgres, discovery: Discovery, previews: Previews) -> None:
        self._postgres = postgres
        self._discovery = discovery
        self._previews = previews

    # Read

    async def get(self, tenant: Tenant, segment_id: int) -> Segment:
        """Return one segment; raises NotFound."""
        sql = f"SELECT {_COLUMNS} FROM segments WHERE tenant_id = $1 AND id = $2"
        row = await self._postgres.fetchrow(sql, tenant.id, segment_id)
        if row is None:
            raise not_found(segment_id)
        return _segment(row)

    async def list(
        self, tenant: Tenant, window: Window = FIRST_PAGE, *, order: Order = "id", only: Only = ALL
    ) -> Listed[Segment]:
        """Return a page of the segments; those after *created_after* or *updated_after* begin at that instant."""
        conditions = (
            ("tenant_id = {}", tenant.id),
            ("status = {}", only.status),
            ("tier = {}", only.tier),
            ("segment_type = {}", only.segment_type),
            ("is_active = {}", only.is_active),
            ("created_at >= {}", only.created_after),
            ("created_at < {}", only.created_before),
            ("updated_at >= {}", only.updated_after),
            ("updated_at < {}", only.updated_before),
            ("position(lower({}) IN lower(name)) > 0", only.search or None),
        )
        rows = Rows(_COLUMNS, "segments", conditions, _SORTINGS)
        return await rows.page(self._postgres, window, _SAME_ORDER.get(order, order), _segment)

    async def find_equivalent(self, tenant: Tenant, definition: Definition, tier: Tier) -> tuple[SegmentName, ...]:
        """Return saved segments, newest first, that mean what *definition* means, in whatever order and spelling."""
        sql = """
            SELECT id, name, description, definition::text FROM segments
            WHERE tenant_id = $1 AND tier = $2 ORDER BY id DESC LIMIT $3"""
        stored = _encode_with_timezone(definition, tenant)
        written = [msgspec.json.encode(name).decode() for name in names_of(definition)]
        rows = await self._postgres.fetch(sql, tenant.id, tier, _COMPARED)
        alike = [
            row for row in rows if all(name in row["definition"] for name in written)
        ]  # the others are not decoded
        return tuple(
            SegmentName(row["id"], row["name"], row["description"])
            for row in alike
            if _meaning(row["definition"]) == _meaning(stored)
        )

    async def dynamic_plus_quota(self, tenant: Tenant) -> Quota | None:
        """Return how many Dynamic Plus segments the tenant has and may have; None where there is no limit."""
        sql = """
            SELECT dynamic_plus_limit, (SELECT count(*) FROM segments WHERE tenant_id = $1 AND tier = 'dynamic_plus')
            FROM tenants WHERE id = $1"""
        row = await self._postgres.fetchrow(sql, tenant.id)
        return None if row is None or row[0] is None else Quota(used=row[1], limit=row[0])

    # Write

    async def create(
        self,
        tenant: Tenant,
        *,
        name: str,
        definition: bytes | Mapping[str, Any],
        description: str = "",
        segment_type: SegmentType = "rule",
        saved_at: datetime | None = None,
    ) -> SavedSegment:
        """Save the first version of a segment, dated *saved_at* (default: now); nothing is computed yet."""
        _check_names(name, segment_type)
        prepared = await self._previews.prepare(tenant, definition, as_of=datetime.now(UTC))
        stored = _encode_with_timezone(prepared.definition, tenant)
        sql = f"""
            INSERT INTO segments
                (tenant_id, name, description, segment_type, tier, definition, words, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, coalesce($8, now()), coalesce($8, now())) RETURNING {_COLUMNS}"""
        async with self._postgres.transaction() as transaction:
            await _check_quota(transaction, tenant, prepared.tier, segment_id=None)
            row = await transaction.fetchrow(
                sql, tenant.id, name, description, segment_type, prepared.tier, stored, prepared.words, saved_at
            )
            segment = _segment(row)
            await _add_version(transaction, tenant, segment)
        self._discovery.forget(tenant)
        return SavedSegment(segment, prepared.warnings)

    async def update(
        self, tenant: Tenant, segment_id: int, changes: Changes, *, if_revision: Container[str] | None = None
    ) -> SavedSegment:
        """Change some fields of a segment; a new definition is a new version and is not computed by this.

        Raises:
            PreconditionFailed: *if_revision* does not hold the stored revision.
        """
        _check_names(changes.name, changes.segment_type)
        prepared: PreparedDefinition | None = None
        if changes.definition is not UNSET:
            prepared = await self._previews.prepare(
                tenant, changes.definition, as_of=datetime.now(UTC), own_id=segment_id
            )
        async with self._postgres.transaction() as transaction:
            sql = f"SELECT {_COLUMNS} FROM segments WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
            row = await transaction.fetchrow(sql, tenant.id, segment_id)
            if row is None:
                raise not_found(segment_id)
            current = _segment(row)
            _check_revision(current, if_revision)
            if prepared:
                await _check_quota(transaction, tenant, prepared.tier, segment_id=segment_id)
            segment = await _write_changes(transaction, tenant, current, changes, prepared)
        self._discovery.forget(tenant)
        return SavedSegment(segment, prepared.warnings if prepared else ())

    async def delete(self, tenant: Tenant, segment_id: int, *, if_revision: Container[str] | None = None) -> None:
        """Delete a segment and its versions, and leave its members to the worker to remove: nobody finds them any more.

        Raises:
            Conflict: Other segments or activations use it; the error names them.
            PreconditionFailed: *if_revision* does not hold the stored revision.
        """
        async with self._postgres.transaction() as transaction:
            sql = f"SELECT {_COLUMNS} FROM segments WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
            row = await transaction.fetchrow(sql, tenant.id, segment_id)
            if row is None:
                raise not_found(segment_id)
            _check_revision(_segment(row), if_revision)
            await _check_unused(transaction, tenant, segment_id)
            await leave_deleted(transaction, tenant.id, [segment_id])
            try:
                await transaction.execute(
                    "DELETE FROM segments WHERE tenant_id = $1 AND id = $2", tenant.id, segment_id
                )
            except ForeignKeyViolation as error:  # a reference was added meanwhile
                raise Conflict(f"Segment {segment_id} is in use.", code="segment_in_use") from error
        self._discovery.forget(tenant)

    async def delete_all(self, tenant: Tenant) -> None:
        """Delete every segment of the tenant, whichever of them refer to one another, and leave all members to remove.

        Raises:
            Conflict: Activations use some; they are deleted before.
        """
        own = "SELECT id FROM segments WHERE tenant_id = $1"
        try:
            async with self._postgres.transaction() as transaction:
                ids = [row["id"] for row in await transaction.fetch(f"{own} FOR UPDATE", tenant.id)]
                await leave_deleted(transaction, tenant.id, ids)
                await transaction.execute(f"DELETE FROM segment_references WHERE segment_id IN ({own})", tenant.id)
                await transaction.execute("DELETE FROM segments WHERE tenant_id = $1", tenant.id)
        except ForeignKeyViolation as error:
            raise Conflict("Activations use segments of this tenant.", code="segment_in_use") from error
        self._discovery.forget(tenant)


def _encode_with_timezone(definition: Definition, tenant: Tenant) -> str:
    """Encode a definition with the zone it is saved with, so that a later change of the tenant's alters nothing."""
    if definition.timezone is UNSET:
        definition = msgspec.structs.replace(definition, timezone=tenant.timezone)
    return encode(definition).decode()


@lru_cache(maxsize=10_000)  # by text, so that each version of a segment is read once
def _meaning(stored: str) -> str:
    return meaning(decode(stored.encode()))


def _check_names(name: str | UnsetType, segment_type: SegmentType | UnsetType) -> None:
    findings = list[Finding]()
    if name is not UNSET and not 0 < len(name.strip()) <= MAX_NAME:
        findings.append(Finding("/name", "out_of_range", f"A name has 1 to {MAX_NAME} characters."))
    if segment_type == "static":
        findings.append(
            Finding("/segment_type", "not_supported", "Static segments cannot be made yet: use rule or ai.")
        )
    if findings:
        raise InvalidInput(findings[0].detail, findings=findings)


def _check_revision(current: Segment, wanted: Container[str] | None) -> None:
    if wanted is not None and current.revision not in wanted:
        detail = f"Segment {current.id} was changed since; it is at version {current.version}. Read it again."
        raise PreconditionFailed(detail, context={"version": current.version})


async def _check_quota(transaction: Connection, tenant: Tenant, tier: Tier, *, segment_id: int | None) -> None:
    """Count Dynamic Plus segments under a lock, so that two saves cannot both be the last one allowed."""
    if tier != "dynamic_plus":
        return
    limit = await transaction.fetchval("SELECT dynamic_plus_limit FROM tenants WHERE id = $1 FOR UPDATE", tenant.id)
    if limit is None:
        return
    sql = """
        SELECT id, name FROM segments
        WHERE tenant_id = $1 AND tier = 'dynamic_plus' AND id IS DISTINCT FROM $2
        ORDER BY last_computed_at NULLS FIRST, id"""
    others = await transaction.fetch(sql, tenant.id, segment_id)
    if len(others) < limit:
        return
    free = [dict(id=row["id"], name=row["name"]) for row in others[:10]]  # noqa: C408
    named = ", ".join(f"{item['name']} ({item['id']})" for item in free)
    raise Conflict(
        f"This tenant may have {limit} Dynamic Plus segments and has {len(others)}. "
        f"Delete one of these first, or use trait conditions only: {named}.",
        code="dynamic_plus_limit_reached",
        context={"limit": limit, "segments": free},
    )


async def _check_unused(transaction: Connection, tenant: Tenant, segment_id: int) -> None:
    sql = """
        SELECT segments.id, segments.name FROM segment_references JOIN segments ON segments.id = segment_id
        WHERE refers_to = $2 AND tenant_id = $1 AND segment_id <> $2 ORDER BY segments.id"""
    users = [f"segment {row['name']} ({row['id']})" for row in await transaction.fetch(sql, tenant.id, segment_id)]
    sql = "SELECT id, connector_type FROM activations WHERE tenant_id = $1 AND segment_id = $2 ORDER BY id"
    users += [
        f"activation {row['connector_type']} ({row['id']})"
        for row in await transaction.fetch(sql, tenant.id, segment_id)
    ]
    if users:
        detail = f"Segment {segment_id} is used by {', '.join(users)}; change or delete those first."
        raise Conflict(detail, code="segment_in_use", context={"used_by": users})


async def _write_changes(
    transaction: Connection, tenant: Tenant, current: Segment, changes: Changes, prepared: PreparedDefinition | None
) -> Segment:
    def kept(new: Any, old: Any) -> Any:
        return old if new is UNSET else new

    sql = f"""
        UPDATE segments SET name = $3, description = $4, segment_type = $5, is_active = $6, tier = $7,
            definition = $8, words = $9, version = $10, updated_at = now()
        WHERE tenant_id = $1 AND id = $2 RETURNING {_COLUMNS}"""
    row = await transaction.fetchrow(
        sql,
        tenant.id,
        current.id,
        kept(changes.name, current.name),
        kept(changes.description, current.description),
        kept(changes.segment_type, current.segment_type),
        kept(changes.is_active, current.is_active),
        prepared.tier if prepared else current.tier,
        _encode_with_timezone(prepared.definition, tenant) if prepared else encode(current.definition).decode(),
        prepared.words if prepared else current.words,
        current.version + 1 if prepared else current.version,
    )
    segment = _segment(row)
    if prepared:
        sql = """
            DELETE FROM segment_references USING segments
            WHERE segments.tenant_id = $1 AND segments.id = $2 AND segment_id = segments.id"""
        await transaction.execute(sql, tenant.id, segment.id)
        await _add_version(transaction, tenant, segment)
    return segment


async def _add_version(transaction: Connection, tenant: Tenant, segment: Segment) -> None:
    await transaction.execute(
        "INSERT INTO segment_versions (segment_id, version, definition, words, tier, created_at) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        segment.id,
        segment.version,
        encode(segment.definition).decode(),
        segment.words,
        segment.tier,
        segment.updated_at,
    )
    targets = sorted(set(referenced_segments(all_conditions(segment.definition))))
    # Only what exists in this tenant, locked, so that a target deleted meanwhile is an error and not a dangling id.
    sql = "SELECT id FROM segments WHERE tenant_id = $1 AND id = ANY($2::bigint[]) FOR SHARE"
    present = {row["id"] for row in await transaction.fetch(sql, tenant.id, targets)} if targets else set[int]()
    if missing := [target for target in targets if target not in present]:
        raise invalid([Finding("", "unknown_segment", f"There is no segment {missing[0]}.")])
    await transaction.executemany(
        "INSERT INTO segment_references (segment_id, refers_to) VALUES ($1, $2)",
        [(segment.id, target) for target in targets],
    )


def _segment(row: Record | None) -> Segment:
    assert row is not None  # noqa: S101  # RETURNING gives a row
    fields = {name: row[name] for name in Segment.__struct_fields__}
    fields["definition"] = decode(fields["definition"].encode())
    if fields["last_error"]:
        fields["last_error"] = msgspec.json.decode(fields["last_error"], type=LastError)
    return Segment(**fields)
