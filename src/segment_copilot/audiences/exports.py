"""USE CASE: export members: a worker writes those of one published state to a file, which anybody may fetch for a day.

The rows are read from ClickHouse page by page and kept in PostgreSQL chunk by chunk (`chunks.py`), so that memory does not
grow with them. An attempt writes under a file id of its own, and its file is the export's in one transaction at its end:
nobody ever sees half of one, or two. What it reads stays what it was, however often the segment is computed meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.chunks import Chunks, StoredFile, read_range
from segment_copilot.audiences.failures import Failure
from segment_copilot.audiences.jobs import Jobs
from segment_copilot.audiences.kept_states import KeptStates
from segment_copilot.audiences.member_files import Format, Row, member_file
from segment_copilot.audiences.references import no_members, not_found
from segment_copilot.audiences.states import KEPT, State
from segment_copilot.errors import (
    Conflict,
    Finding,
    Gone,
    InvalidInput,
    NotFound,
    TooManyRequests,
)
from segment_copilot.events.discovery import Discovery
from segment_copilot.events.identity_links import PERSON_KEY, with_links
from segment_copilot.language.catalog import nearest
from segment_copilot.language.paths import parse_path
from segment_copilot.lists import FIRST_PAGE, Listed, Window
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.leases import LENGTH, Lease, Leases, Queue
from segment_copilot.stores.merging import ROWS, ordered
from segment_copilot.stores.pages import BY_ID, Rows
from segment_copilot.stores.postgres import Connection, Postgres, Record
from segment_copilot.stores.presence import Presence

log = structlog.get_logger()

MAX_TRAITS: Final = 20
MAX_OPEN: Final = 20
"""Exports of a tenant that wait or are written."""

_QUEUE: Final = Queue("exports", waiting="pending", working="running", failed="failed", key="file_id", of_tenants=True)
_PAGE: Final = 50_000  # rows read at once
_TRAIT: Final = "traits."
_KEPT_FOR: Final = timedelta(days=30)
"""So long an export is listed after its file is gone."""
_CUT_AFTER: Final = timedelta(hours=1)
"""So long after its expiry a file that somebody is fetching stays."""
_CLEANED: Final = 200  # chunks that are removed at once

_COLUMNS: Final = """id, segment_id, snapshot_id, format, traits, status, computed_at, row_count, byte_count, sha256, error,
    created_at, finished_at, expires_at"""
_CLAIMED: Final = (
    "SELECT tenant_id, segment_id, snapshot_id, run_id, computed_at, format, traits FROM exports WHERE id = $1"
)

_PUBLISHED: Final = """
SELECT published_run AS run_id, last_computed_at AS computed_at FROM segments WHERE tenant_id = $1 AND id = $2 FOR SHARE
"""
_FROZEN: Final = """
SELECT CASE status WHEN 'complete' THEN run_id END AS run_id, as_of AS computed_at FROM snapshots
WHERE tenant_id = $1 AND id = $2 AND status NOT IN ('deleted', 'removing') FOR SHARE
"""
_EXISTS: Final = {
    "segment": "SELECT EXISTS (SELECT FROM segments WHERE tenant_id = $1 AND id = $2)",
    "snapshot": "SELECT EXISTS (SELECT FROM snapshots WHERE tenant_id = $1 AND id = $2 AND status NOT IN ('deleted', 'removing'))",
}
_FROZEN_USERS: Final = (
    "snapshot_members WHERE tenant_id = {tenant:UInt32} AND snapshot_id = {owner:UInt64} AND run_id = {run:UUID}"
)
"""The members of a snapshot, in the order in which they are stored: by user id."""


class Source(Struct, frozen=True):
    """A source is what has the members: a segment, or a snapshot."""

    kind: Literal["segment", "snapshot"]
    id: int


class Export(Struct, frozen=True):
    """An export: a file of members that is waited for, can be fetched until *expires_at*, or failed."""

    id: int
    source: Source
    format: Format
    include: tuple[str, ...]
    status: Literal["pending", "complete", "failed"]
    computed_at: datetime
    rows: int | None
    bytes: int | None
    sha256: str | None
    error: Failure | None
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None


class ExportLimits(Struct, frozen=True):
    """Holds how long a file is kept, and how many bytes a tenant's files may take together."""

    kept: timedelta
    bytes: int


class _Claim(Struct, frozen=True):
    """An export that this worker holds; the lease's key is the id of its file."""

    lease: Lease
    tenant_id: int
    source: Source
    run_id: UUID
    computed_at: datetime
    format: Format
    traits: tuple[str, ...]


class _Users(Struct, frozen=True):
    """What stands after FROM to read members, its parameters, and the state where it is a segment's."""

    sql: str
    params: Mapping[str, object]
    state: State | None


class Exports:
    """Requests and writes exports of all tenants; a caller's methods take the tenant, a worker's none."""

    def __init__(
        self,
        postgres: Postgres,
        clickhouse: ClickHouse,
        discovery: Discovery,
        *,
        limits: ExportLimits,
        kept: timedelta = KEPT,
        lease: timedelta = LENGTH,
        presence: Presence | None = None,
    ) -> None:
        self._states = KeptStates(postgres, kept=kept)
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._discovery = discovery
        self._limits = limits
        self._leases = Leases(postgres, _QUEUE, length=lease, presence=presence)
        self._jobs = Jobs(
            postgres,
            self._leases,
            named="export",
            claimed=_CLAIMED,
            read=_read_claim,
            work=self._write,
            failed=self._note_failure,
        )

    # Ask for them

    async def request(self, tenant: Tenant, source: Source, form: Format, include: Sequence[str] = ()) -> Export:
        """Queue an export of what the source's members are now, with the traits named in *include* ("traits.email").

        Raises:
            InvalidInput: *include* names what is no trait of the tenant.
            Conflict: There are no members yet, or the tenant's files take all the space that they may.
            TooManyRequests: Many exports of the tenant wait already.

        """
        traits = await self._check_traits(tenant, include)
        async with self._postgres.transaction() as transaction:
            found = await transaction.fetchrow(
                _PUBLISHED if source.kind == "segment" else _FROZEN, tenant.id, source.id
            )
            if found is None:
                raise _no_source(source)
            if found["run_id"] is None:
                raise await _no_members(transaction, tenant, source)
            await self._check_room(transaction, tenant)
            sql = f"""
                INSERT INTO exports (tenant_id, segment_id, snapshot_id, run_id, computed_at, format, traits)
                VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {_COLUMNS}"""
            ids = (source.id, None) if source.kind == "segment" else (None, source.id)
            row = await transaction.fetchrow(
                sql, tenant.id, *ids, found["run_id"], found["computed_at"], form, list(traits)
            )
        assert row is not None  # noqa: S101  # RETURNING gives a row
        return _export(row)

    async def _check_traits(self, tenant: Tenant, include: Sequence[str]) -> tuple[str, ...]:
        """Return the paths of traits, each once. A name that the remembered catalog lacks is looked for in a fresh one."""
        paths = tuple(dict.fromkeys(name.removeprefix(_TRAIT) for name in include))
        known = (await self._discovery.catalog(tenant)).traits
        if any(path not in known for path in paths):
            known = (await self._discovery.catalog(tenant, fresh=True)).traits
        findings = list[Finding]()
        for place, name in enumerate(include):
            if not name.startswith(_TRAIT):
                detail = f"Write the trait as traits.NAME; {name[:64]!r} does not begin with traits."
                findings.append(Finding(f"/include/{place}", "unknown_trait", detail))
            elif (path := name.removeprefix(_TRAIT)) not in known:
                detail = f"There is no trait {path[:64]!r}."
                near = tuple(_TRAIT + one for one in nearest(path, known))
                findings.append(Finding(f"/include/{place}", "unknown_trait", detail, near))
        if findings:
            raise InvalidInput(findings[0].detail, findings=findings)
        return paths

    async def _check_room(self, transaction: Connection, tenant: Tenant) -> None:
        sql = """
            SELECT count(*) FILTER (WHERE status IN ('pending', 'running')) AS open,
                coalesce(sum(byte_count) FILTER (WHERE expires_at > now()), 0)::bigint AS bytes
            FROM exports WHERE tenant_id = $1"""
        row = await transaction.fetchrow(sql, tenant.id)
        if row is None or row["open"] >= MAX_OPEN:
            detail = f"{MAX_OPEN} exports of this tenant are not finished yet; ask again when one is."
            raise TooManyRequests(detail, code="too_many_exports", context={"retry_after_seconds": 10})
        if row["bytes"] >= self._limits.bytes:
            detail = f"The exports of this tenant take {row['bytes']:,} bytes, and may take {self._limits.bytes:,}. Delete some, or wait until they expire."
            raise Conflict(detail, code="export_space_full")

    # Read and remove them

    async def get(self, tenant: Tenant, export_id: int, *, source: Source | None = None) -> Export:
        """Return one export, of *source* where it is given; raises NotFound."""
        row = await self._postgres.fetchrow(
            f"SELECT {_COLUMNS} FROM exports WHERE tenant_id = $1 AND id = $2", tenant.id, export_id
        )
        if row is None or (source is not None and _source(row) != source):
            raise _not_found(export_id)
        return _export(row)

    async def list(self, tenant: Tenant, source: Source, window: Window = FIRST_PAGE) -> Listed[Export]:
        """Return the exports of a segment or snapshot, newest first; raises NotFound when that does not exist."""
        if not await self._postgres.fetchval(_EXISTS[source.kind], tenant.id, source.id):
            raise _no_source(source)
        conditions = (("tenant_id = {}", tenant.id), (f"{source.kind}_id = {{}}", source.id))
        return await Rows(_COLUMNS, "exports", conditions, {"id": BY_ID}).page(self._postgres, window, "-id", _export)

    async def file(self, tenant_id: int, export_id: int, *, now: datetime) -> tuple[Export, StoredFile]:
        """Return an export and its file, which `read` reads.

        Raises:
            NotFound: The tenant has no such export.
            Conflict: It has no file, because it is not finished or failed.
            Gone: Its time is over.

        """
        sql = f"SELECT {_COLUMNS}, file_id FROM exports WHERE tenant_id = $1 AND id = $2"
        row = await self._postgres.fetchrow(sql, tenant_id, export_id)
        if row is None:
            raise _not_found(export_id)
        export = _export(row)
        if export.status != "complete" or export.expires_at is None:
            detail = "It failed." if export.status == "failed" else "It is not finished yet: ask for its status first."
            raise Conflict(f"Export {export_id} has no file. {detail}", code="export_not_complete")
        if export.expires_at <= now:
            raise Gone(
                f"The file of export {export_id} was kept until {export.expires_at:%Y-%m-%dT%H:%M:%SZ}. Export again.",
                code="export_expired",
            )
        return export, StoredFile(tenant_id, export_id, row["file_id"], row["byte_count"])

    def read(self, file: StoredFile, start: int, stop: int) -> AsyncGenerator[bytes]:
        """Yield the bytes of a file from *start* up to, not including, *stop*."""
        return read_range(self._postgres, file, start, stop)

    async def delete(self, tenant: Tenant, export_id: int) -> None:
        """Delete an export and its file; its links open nothing any more."""
        sql = "DELETE FROM exports WHERE tenant_id = $1 AND id = $2"
        if not await self._postgres.execute(sql, tenant.id, export_id):
            raise _not_found(export_id)

    async def remove_with(self, tenant_id: int, user_ids: Sequence[str]) -> int:
        """Remove every file of the tenant that may hold one of these users, and return how many exports that ends.

        A file cannot be searched for an id, and members change after it was written: so all of the tenant's files go,
        unfinished ones too. The exports stay, as failed, and say why. Called once these users are members no more, it
        leaves nothing that could bring their ids back.
        """
        if not user_ids:
            return 0
        error = Failure("user_erased", "A user was erased, whom this file may have held. Export again.")
        async with self._postgres.transaction() as transaction:
            sql = """
                UPDATE exports SET status = 'failed', error = $2, lease_until = NULL, row_count = NULL, byte_count = NULL,
                    sha256 = NULL, expires_at = NULL, finished_at = coalesce(finished_at, now())
                WHERE tenant_id = $1 AND status <> 'failed' RETURNING id"""
            rows = await transaction.fetch(sql, tenant_id, msgspec.json.encode(error).decode())
            ids = [row["id"] for row in rows]
            await transaction.execute("DELETE FROM export_chunks WHERE export_id = ANY ($1::bigint[])", ids)
        log.info("exports.removed", tenant_id=tenant_id, exports=len(ids))
        return len(ids)

    # Write them

    async def run_next(self) -> bool:
        """Claim an export that waits (or whose worker died) and write it; False when there is none."""
        return await self._jobs.run_next()

    async def _write(self, claim: _Claim) -> None:
        room = await self._room(claim)
        chunks, count = Chunks(self._postgres, claim.lease), 0
        with member_file(claim.format, computed_at=claim.computed_at, traits=claim.traits) as file:
            async for rows in self._rows(claim):
                await chunks.add(await asyncio.to_thread(file.write, rows))
                count += len(rows)
                if chunks.size > room:
                    detail = f"The file is larger than the {room:,} bytes that are left of the tenant's {self._limits.bytes:,}. Delete other exports first."
                    raise Conflict(detail, code="export_too_large")
            await chunks.add(await asyncio.to_thread(file.end))
        digest = await chunks.end()
        if await self._publish(claim, rows=count, size=chunks.size, digest=digest):
            log.info("export.complete", export_id=claim.lease.id, rows=count, bytes=chunks.size)

    async def _room(self, claim: _Claim) -> int:
        sql = "SELECT coalesce(sum(byte_count), 0)::bigint FROM exports WHERE tenant_id = $1 AND expires_at > now()"
        return max(self._limits.bytes - await self._postgres.fetchval(sql, claim.tenant_id), 0)

    async def _rows(self, claim: _Claim) -> AsyncGenerator[list[Row]]:
        """Yield all members by user id, a page at a time, with their newest traits."""
        after = ""
        while True:
            users = await self._users(claim)
            sql = f"""
                SELECT user_id, user_key FROM {users.sql} AND user_id > {{after:String}}
                ORDER BY user_id LIMIT {{limit:UInt32}}"""
            params = {**users.params, "after": after, "limit": _PAGE}
            found = await self._clickhouse.fetch(sql, params, purpose="transfer", merge=ordered(0, limit=_PAGE))
            members: list[tuple[Any, ...]] = found.rows
            page = {"after": after, "last": members[-1][0] if members else after}
            columns = [await self._values(path, users, page) for path in claim.traits] if members else []
            if users.state is not None and not await self._states.is_there(users.state):
                continue
            if members:
                yield [(user, tuple(column.get(key) for column in columns)) for user, key in members]
                after = members[-1][0]
            if len(members) < _PAGE:
                return

    async def _users(self, claim: _Claim) -> _Users:
        """Find where the members are by now; raises Gone when they are kept no more."""
        if claim.source.kind == "snapshot":
            params = {"tenant": claim.tenant_id, "owner": claim.source.id, "run": claim.run_id}
            return _Users(_FROZEN_USERS, params, None)
        kept = await self._states.of_run(claim.tenant_id, claim.source.id, claim.run_id)
        if kept is None:
            raise Gone("The members that were to be exported are kept no more. Export again.", code="export_expired")
        return _Users(kept.state.users, kept.state.params, kept.state)

    async def _values(self, path: str, users: _Users, page: dict[str, Any]) -> dict[int, Any]:
        """Return the newest value of a trait, of all their ids, by the user's key, for those of a page who have one."""
        name, *inside = parse_path(path)
        steps = ".".join(("v", *(step.replace(".", "%2E") for step in inside)))
        sql = f"""
            WITH page AS (
                SELECT user_key FROM {users.sql} AND user_id > {{after:String}} AND user_id <= {{last:String}})
            SELECT {PERSON_KEY} AS person, argMax(ifNull(toJSONString(value.{{path:Identifier}}), ''), version) AS text
            FROM {with_links("traits_current")}
            WHERE tenant_id = {{tenant:UInt32}} AND property = {{property:String}} AND stored.user_key IN (
              SELECT user_key FROM page UNION ALL
              SELECT alias_key FROM identity_links FINAL
              WHERE tenant_id = {{tenant:UInt32}} AND person_key IN (SELECT user_key FROM page))
            GROUP BY person HAVING text != ''"""
        params = {**users.params, **page, "property": name, "path": steps}
        rows = (await self._clickhouse.fetch(sql, params, purpose="transfer", merge=ROWS)).rows
        return {key: msgspec.json.decode(text) for key, text in rows}

    async def _publish(self, claim: _Claim, *, rows: int, size: int, digest: bytes) -> bool:
        """Make the file of this attempt the export's, unless it is not ours any more."""
        async with self._postgres.transaction() as transaction:
            if not await self._leases.end(transaction, claim.lease, "complete"):
                return False
            sql = """
                UPDATE exports SET row_count = $3, byte_count = $4, sha256 = $5, error = NULL, finished_at = now(),
                    expires_at = date_trunc('second', now() + $6::interval)
                WHERE tenant_id = $1 AND id = $2"""
            args = (rows, size, digest, self._limits.kept)
            await transaction.execute(sql, claim.tenant_id, claim.lease.id, *args)
            await self._drop_others(transaction, claim, keep=claim.lease.key)
        return True

    async def _note_failure(self, transaction: Connection, claim: _Claim) -> None:
        sql = "UPDATE exports SET finished_at = now() WHERE tenant_id = $1 AND id = $2"
        await transaction.execute(sql, claim.tenant_id, claim.lease.id)
        await self._drop_others(transaction, claim, keep=None)

    async def _drop_others(self, transaction: Connection, claim: _Claim, *, keep: UUID | None) -> None:
        """Remove what other attempts have written."""
        sql = "DELETE FROM export_chunks WHERE export_id = $1 AND file_id IS DISTINCT FROM $2::uuid"
        await transaction.execute(sql, claim.lease.id, keep)

    async def clean_up(self, *, now: datetime) -> bool:
        """Remove files whose time is over, and later the exports themselves; True if more may be due."""
        sql = """
            DELETE FROM export_chunks WHERE ctid = ANY (ARRAY(
                SELECT export_chunks.ctid FROM export_chunks JOIN exports ON exports.id = export_id
                WHERE expires_at <= $1 LIMIT $2))"""
        removed = await self._postgres.execute(sql, now - _CUT_AFTER, _CLEANED)
        sql = "DELETE FROM exports WHERE status IN ('complete', 'failed') AND coalesce(expires_at, finished_at) <= $1"
        await self._postgres.execute(sql, now - _KEPT_FOR)
        return removed == _CLEANED


def _read_claim(row: Record, lease: Lease) -> _Claim:
    source, traits = _source(row), tuple(row["traits"])
    return _Claim(lease, row["tenant_id"], source, row["run_id"], row["computed_at"], row["format"], traits)


def _source(row: Record) -> Source:
    segment_id = row["segment_id"]
    return Source("snapshot", row["snapshot_id"]) if segment_id is None else Source("segment", segment_id)


def _export(row: Record) -> Export:
    status = row["status"]
    return Export(
        id=row["id"],
        source=_source(row),
        format=row["format"],
        include=tuple(_TRAIT + path for path in row["traits"]),
        status="pending" if status == "running" else status,
        computed_at=row["computed_at"],
        rows=row["row_count"],
        bytes=row["byte_count"],
        sha256=row["sha256"].hex() if row["sha256"] else None,
        error=msgspec.json.decode(row["error"], type=Failure) if row["error"] and status == "failed" else None,
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        expires_at=row["expires_at"],
    )


def _not_found(export_id: int) -> NotFound:
    return NotFound(f"There is no export {export_id}.", code="export_not_found")


def _no_source(source: Source) -> NotFound:
    if source.kind == "segment":
        return not_found(source.id)
    return NotFound(f"There is no snapshot {source.id}.", code="snapshot_not_found")


async def _no_members(transaction: Connection, tenant: Tenant, source: Source) -> Conflict:
    if source.kind == "segment":
        return await no_members(transaction, tenant, source.id)
    return Conflict(f"Snapshot {source.id} is not complete.", code="snapshot_not_complete")
