"""USE CASE: save segments: named, versioned definitions that are neither lost nor deleted while in use."""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from segment_copilot.access.keys import Caller
from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.dependencies import check_unused, make_users_due
from segment_copilot.audiences.failures import Failure
from segment_copilot.audiences.previews import PreparedDefinition, Previews
from segment_copilot.audiences.quotas import Quota, check_quota, read_quota
from segment_copilot.audiences.ranking import ranks_users_now
from segment_copilot.audiences.references import not_found
from segment_copilot.audiences.removals import leave_deleted
from segment_copilot.audiences.schedules import Defaults, Refresh, Wanted, choose
from segment_copilot.audiences.versions import Version, add_version, read_definition
from segment_copilot.compiler import ranks_users
from segment_copilot.errors import Conflict, Finding, InvalidInput, PreconditionFailed
from segment_copilot.events.discovery import Discovery
from segment_copilot.language import Definition, Tier, decode, encode, meaning, names_of, read_stored
from segment_copilot.language.catalog import SegmentName
from segment_copilot.language.lengths import MICROSECOND
from segment_copilot.lists import FIRST_PAGE, Listed, Window
from segment_copilot.stores.pages import BY_ID, Rows, Sorting
from segment_copilot.stores.postgres import Connection, Postgres, Record
from segment_copilot.stores.postgres_errors import ForeignKeyViolation

SegmentType = Literal["rule", "ai", "static"]
Status = Literal["draft", "queued", "computing", "computed", "failed"]
Order = Literal[
    "id", "-id", "name", "-name", "created_at", "-created_at", "updated_at", "-updated_at",
    "member_count", "-member_count", "last_computed_at", "-last_computed_at", "largest", "newest",
]  # fmt: skip
MAX_NAME: Final = 200
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STATIC_WORDS: Final = "Users of an uploaded list"
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
    member_count, last_computed_at, last_error, refresh_mode, refresh_every, paused_since, next_refresh_at,
    last_refreshed_at, created_at, updated_at"""
# Due at once, where something is to be refreshed: of the columns and parameters that these words stand for.
_DUE: Final = """CASE WHEN {mode} <> 'manual' AND {is_active} AND {definition} IS NOT NULL AND {paused} IS NULL
    THEN {due} END"""


class Segment(Struct, frozen=True):
    """A saved, named, versioned definition.

    A draft may have none yet: its version is 0, its words are empty, and its tier is dynamic, so that no quota counts it.
    *next_refresh_at* is None while nothing is due by the clock; *last_refreshed_at* is the latest instant that its members
    were computed for.
    """

    id: int
    name: str
    description: str
    segment_type: SegmentType
    tier: Tier
    status: Status
    definition: Definition | None
    words: str
    version: int
    is_active: bool
    member_count: int | None
    last_computed_at: datetime | None
    last_error: Failure | None
    refresh: Refresh
    next_refresh_at: datetime | None
    last_refreshed_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def revision(self) -> str:
        """Changes with every write by a caller; a computation changes none."""
        return f"{self.version}-{(self.updated_at - _EPOCH) // MICROSECOND}"  # strftime takes twenty times as long


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
    """The fields that a PATCH may change; absent fields stay, and so does a definition of None, which a draft has."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    definition: Any = UNSET
    segment_type: SegmentType | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    refresh: Wanted | UnsetType | None = UNSET
    """None: as is usual here."""


class Segments:
    """Manages the segments of all tenants; every method takes the tenant."""

    def __init__(
        self, postgres: Postgres, discovery: Discovery, previews: Previews, defaults: Defaults | None = None
    ) -> None:
        self._postgres = postgres
        self._discovery = discovery
        self._previews = previews
        self._defaults = defaults or Defaults()

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
            WHERE tenant_id = $1 AND tier = $2 AND definition IS NOT NULL ORDER BY id DESC LIMIT $3"""
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
        return await read_quota(self._postgres, tenant)

    # Write

    async def create(
        self,
        tenant: Tenant,
        *,
        name: str,
        definition: bytes | Mapping[str, Any] | None = None,
        description: str = "",
        segment_type: SegmentType = "rule",
        is_active: bool = True,
        refresh: Wanted | None = None,
        saved_at: datetime | None = None,
        caller: Caller | None = None,
    ) -> SavedSegment:
        """Save a segment, dated *saved_at* (default: now): its first version, or a draft without a *definition*.

        Nothing is computed by this; unless its *refresh* (default: as is usual here) is manual, it is due from then on.
        The version remembers the *caller*.
        """
        _check_names(name)
        _check_static(segment_type, segment_type, definition)
        prepared = None
        if definition is not None:
            prepared = await self._previews.prepare(tenant, definition, as_of=datetime.now(UTC), purpose=None)
        ranks = prepared is not None and ranks_users(prepared.compiled.plan.root)
        chosen = choose(refresh, self._defaults.mode, is_static=segment_type == "static", ranks_users=ranks)
        due = _DUE.format(
            mode="$11", is_active="$9", definition="$6::json", paused="NULL::timestamptz", due="coalesce($10, now())"
        )
        sql = f"""
            INSERT INTO segments (tenant_id, name, description, segment_type, tier, definition, words, version,
                is_active, created_at, updated_at, refresh_mode, refresh_every, next_refresh_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, coalesce($10, now()), coalesce($10, now()), $11, $12, {due})
            RETURNING {_COLUMNS}"""
        async with self._postgres.transaction() as transaction:
            if prepared:
                await check_quota(transaction, tenant, prepared.tier, segment_id=None)
            row = await transaction.fetchrow(
                sql,
                tenant.id,
                name,
                description,
                segment_type,
                prepared.tier if prepared else "dynamic",
                _encode_with_timezone(prepared.definition, tenant) if prepared else None,
                prepared.words if prepared else _STATIC_WORDS if segment_type == "static" else "",
                1 if prepared else 0,
                is_active,
                saved_at,
                chosen.mode,
                chosen.every,
            )
            segment = _segment(row)
            await _keep_version(transaction, tenant, segment, caller)
        self._discovery.forget(tenant)
        return SavedSegment(segment, prepared.warnings if prepared else ())

    async def copy(
        self, tenant: Tenant, segment_id: int, *, name: str | None = None, caller: Caller | None = None
    ) -> SavedSegment:
        """Save another segment with the definition that this one has now, refreshed as it is; raises NotFound."""
        found = await self.get(tenant, segment_id)
        return await self.create(
            tenant,
            name=name or f"Copy of {found.name}"[:MAX_NAME],
            definition=found.definition and encode(found.definition),
            description=found.description,
            segment_type=found.segment_type,
            is_active=found.is_active,
            refresh=Wanted(found.refresh.mode, found.refresh.every),
            caller=caller,
        )

    async def update(
        self,
        tenant: Tenant,
        segment_id: int,
        changes: Changes,
        *,
        if_revision: Container[str] | None = None,
        caller: Caller | None = None,
    ) -> SavedSegment:
        """Change some fields of a segment; another definition is a new version and is not computed by this.

        Raises:
            PreconditionFailed: *if_revision* does not hold the stored revision.
            InvalidInput: The definition would be taken away.
        """
        _check_names(changes.name)
        prepared: PreparedDefinition | None = None
        if changes.definition is not UNSET and changes.definition is not None:
            prepared = await self._previews.prepare(
                tenant, changes.definition, as_of=datetime.now(UTC), own_id=segment_id, purpose=None
            )
        ranks = prepared is not None and ranks_users(prepared.compiled.plan.root)
        if prepared is None and isinstance(changes.refresh, Wanted) and changes.refresh.mode == "live":
            ranks = await ranks_users_now(self._postgres, self._previews, tenant, segment_id)
        async with self._postgres.transaction() as transaction:
            sql = f"SELECT {_COLUMNS} FROM segments WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
            row = await transaction.fetchrow(sql, tenant.id, segment_id)
            if row is None:
                raise not_found(segment_id)
            current = _segment(row)
            _check_revision(current, if_revision)
            _check_static(current.segment_type, changes.segment_type, changes.definition)
            if changes.definition is None and current.definition is not None:
                raise _taken_away()
            is_new = prepared is not None and not _is_definition_of(current, prepared, tenant)
            if prepared and is_new:
                await check_quota(transaction, tenant, prepared.tier, segment_id=segment_id)
            refresh = current.refresh
            if changes.refresh is not UNSET or (is_new and ranks and refresh.mode == "live"):
                asked = Wanted("live") if changes.refresh is UNSET else changes.refresh
                is_static = current.segment_type == "static"
                wanted = choose(asked, self._defaults.mode, is_static=is_static, ranks_users=ranks)
                refresh = Refresh(wanted.mode, wanted.every, refresh.paused_since)
            segment = await _write_changes(transaction, tenant, current, changes, prepared if is_new else None, refresh)
            if is_new:
                await _keep_version(transaction, tenant, segment, caller)
        if is_new:
            await make_users_due(self._postgres, tenant, segment_id)
        self._discovery.forget(tenant)
        return SavedSegment(segment, prepared.warnings if prepared else ())

    async def restore(
        self,
        tenant: Tenant,
        segment_id: int,
        version: int,
        *,
        if_revision: Container[str] | None = None,
        caller: Caller | None = None,
    ) -> SavedSegment:
        """Give a segment the definition of one of its versions again, as a new version; its name stays.

        Raises:
            NotFound: There is no such segment or version.
            InvalidDefinition: It refers to what is not there any more.
            PreconditionFailed: *if_revision* does not hold the stored revision.
        """
        changes = Changes(definition=await read_definition(self._postgres, tenant, segment_id, version))
        return await self.update(tenant, segment_id, changes, if_revision=if_revision, caller=caller)

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
            await check_unused(transaction, tenant, segment_id)
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


def _check_names(name: str | UnsetType) -> None:
    if name is not UNSET and not 0 < len(name.strip()) <= MAX_NAME:
        finding = Finding("/name", "out_of_range", f"A name has 1 to {MAX_NAME} characters, and not only blanks.")
        raise InvalidInput(finding.detail, findings=[finding])


def _check_static(current: SegmentType, wanted: SegmentType | UnsetType, definition: object) -> None:
    """Refuse a definition for a static segment, and to make one of another or another of one."""
    if wanted is not UNSET and "static" in {current, wanted} and current != wanted:
        detail = f"This segment is {current} and stays that: a static one has uploaded members, any other a definition."
        raise InvalidInput(detail, findings=[Finding("/segment_type", "type_is_fixed", detail)])
    if current == "static" and definition is not UNSET and definition is not None:
        detail = "A static segment has no definition: leave it out, and upload its members."
        raise InvalidInput(detail, findings=[Finding("/definition", "static_definition", detail)])


def _is_definition_of(current: Segment, prepared: PreparedDefinition, tenant: Tenant) -> bool:
    """Return whether the segment says this already: what was read and is sent back is no new version."""
    stored = current.definition and encode(current.definition).decode()
    return stored == _encode_with_timezone(prepared.definition, tenant)


def _taken_away() -> InvalidInput:
    detail = "This segment has a definition, and null would take it away; leave definition out to keep it."
    return InvalidInput(detail, findings=[Finding("/definition", "definition_required", detail)])


def _check_revision(current: Segment, wanted: Container[str] | None) -> None:
    if wanted is not None and current.revision not in wanted:
        detail = f"Segment {current.id} was changed since; it is at version {current.version}. Read it again."
        raise PreconditionFailed(detail, context={"version": current.version})


async def _write_changes(
    transaction: Connection,
    tenant: Tenant,
    current: Segment,
    changes: Changes,
    prepared: PreparedDefinition | None,
    refresh: Refresh,
) -> Segment:
    """Write what is new; another definition, or another way to refresh it, is due at once."""

    def kept(new: Any, old: Any) -> Any:
        return old if new is UNSET else new

    is_renewed = prepared is not None or refresh != current.refresh
    due = _DUE.format(
        mode="$11",
        is_active="$6",
        definition="$8::json",
        paused="paused_since",
        due="CASE WHEN $13 THEN now() ELSE coalesce(next_refresh_at, now()) END",
    )
    sql = f"""
        UPDATE segments SET name = $3, description = $4, segment_type = $5, is_active = $6, tier = $7,
            definition = $8, words = $9, version = $10, refresh_mode = $11, refresh_every = $12, next_refresh_at = {due},
            refresh_failures = CASE WHEN $13 THEN 0 ELSE refresh_failures END,
            updated_at = greatest(now(), updated_at + interval '1 microsecond') -- no two writes have one revision
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
        _encode_with_timezone(prepared.definition, tenant)
        if prepared
        else current.definition and encode(current.definition).decode(),
        prepared.words if prepared else current.words,
        current.version + 1 if prepared else current.version,
        refresh.mode,
        refresh.every,
        is_renewed,
    )
    return _segment(row)


async def _keep_version(transaction: Connection, tenant: Tenant, segment: Segment, caller: Caller | None) -> None:
    """Write down the definition that the segment has now as a version; a draft without one has none."""
    if segment.definition is not None:
        version = Version(
            segment.version,
            segment.name,
            segment.definition,
            segment.words,
            segment.tier,
            created_at=segment.updated_at,
            created_by=None,
        )
        await add_version(transaction, tenant, segment.id, version, caller)


def _segment(row: Record | None) -> Segment:
    assert row is not None  # noqa: S101  # RETURNING gives a row
    refresh = Refresh(row["refresh_mode"], row["refresh_every"], row["paused_since"])
    fields: dict[str, Any] = {name: row[name] for name in Segment.__struct_fields__ if name != "refresh"}
    fields["refresh"] = refresh
    if fields["definition"] is not None:
        fields["definition"] = read_stored(fields["definition"])
    if fields["last_error"]:
        fields["last_error"] = msgspec.json.decode(fields["last_error"], type=Failure)
    return Segment(**fields)
