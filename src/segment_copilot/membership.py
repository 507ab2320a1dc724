"""USE CASE: who is in a segment: compute it, publish it, read it back.

Members are written inside ClickHouse under a run id of their own; PostgreSQL then names the run that is published,
in one transaction. A run that fails or is overtaken is never seen, and the last good members stay.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import structlog
import uuid_utils
from msgspec import Struct

from segment_copilot import compiler
from segment_copilot.clickhouse import ClickHouse
from segment_copilot.conditions.lengths import to_instant
from segment_copilot.errors import Finding, InvalidInput, SegmentCopilotError, Unavailable
from segment_copilot.postgres import Postgres, Record
from segment_copilot.previews import Previews
from segment_copilot.segments import Segments, not_found
from segment_copilot.tenants import Tenant

log = structlog.get_logger()

MAX_ATTEMPTS: Final = 3
_LEASE: Final = timedelta(seconds=360)  # longer than a compute query may run, so a live worker is never overtaken
_WAIT_FOR_STORE: Final = timedelta(seconds=5)


class Computation(Struct, frozen=True):
    """One run that produces members, as it was requested."""

    id: int
    status: str
    as_of: datetime


class Member(Struct, frozen=True):
    """A user in a segment, since which computation."""

    user_id: str
    computed_at: datetime


class Members(Struct, frozen=True):
    """A page of members by user id; *cursor* continues it and stays on the same computation."""

    count: int
    members: tuple[Member, ...]
    cursor: str | None


class SegmentOfUser(Struct, frozen=True):
    """A segment that a user is in."""

    segment_id: int
    segment_name: str
    computed_at: datetime


class DayCount(Struct, frozen=True):
    """How many members a segment had at the last computation of a local day."""

    day: date
    count: int


class _Claimed(Struct, frozen=True):
    """A computation that this worker holds, for as long as its lease."""

    id: int
    tenant: Tenant
    segment_id: int
    definition: str
    as_of: datetime
    attempts: int
    run_id: UUID
    previous_run: UUID | None


class _Cursor(Struct, frozen=True, array_like=True):
    run_id: str
    last: str


class Memberships:
    """Members of all tenants' segments; every method is told whose."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse, segments: Segments, previews: Previews) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._segments = segments
        self._previews = previews

    # Compute

    async def request(self, tenant: Tenant, segment_id: int, *, as_of: datetime | None = None) -> Computation:
        """Queue a computation; without *as_of* (default: now), one that is still queued is taken instead."""
        async with self._postgres.transaction() as transaction:
            sql = "SELECT version FROM segments WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
            version = await transaction.fetchval(sql, tenant.id, segment_id)
            if version is None:
                raise not_found(segment_id)
            sql = """
                SELECT id, status, as_of FROM computations
                WHERE segment_id = $1 AND version = $2 AND status = 'queued' AND $3::timestamptz IS NULL"""
            row = await transaction.fetchrow(sql, segment_id, version, as_of)
            if row is None:
                sql = """
                    INSERT INTO computations (tenant_id, segment_id, version, as_of) VALUES ($1, $2, $3, $4)
                    RETURNING id, status, as_of"""
                row = await transaction.fetchrow(sql, tenant.id, segment_id, version, as_of or datetime.now(UTC))
                await transaction.execute("UPDATE segments SET status = 'queued' WHERE id = $1", segment_id)
        assert row is not None  # noqa: S101  # RETURNING gives a row
        return Computation(row["id"], row["status"], row["as_of"])

    async def run_next(self) -> bool:
        """Claim one queued computation (or one whose worker died) and run it; False when there is none."""
        claimed = await self._claim()
        if claimed is None:
            return False
        try:
            await self._run(claimed)
        except Unavailable as error:
            log.warning("computation.waits", computation_id=claimed.id, code=error.code)
            await self._release(claimed)
        except SegmentCopilotError as error:
            await self._fail(claimed, error.code, error.detail)
        return True

    async def _claim(self) -> _Claimed | None:
        sql = """
            UPDATE computations SET status = 'running', attempts = attempts + 1, run_id = $1,
                lease_until = now() + $2::interval
            WHERE id = (
                SELECT id FROM computations
                WHERE (status = 'queued' AND coalesce(lease_until, now()) <= now())
                   OR (status = 'running' AND lease_until < now())
                ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1)
            RETURNING id, tenant_id, segment_id, version, as_of, attempts"""  # nothing is put in
        run_id = UUID(str(uuid_utils.uuid7()))
        async with self._postgres.transaction() as transaction:
            row = await transaction.fetchrow(sql, run_id, _LEASE)
            if row is None:
                return None
            sql = """
                UPDATE segments SET status = 'computing' FROM segment_versions, tenants
                WHERE segments.id = $1 AND segment_versions.segment_id = $1 AND segment_versions.version = $2
                  AND tenants.id = segments.tenant_id
                RETURNING segment_versions.definition, published_run, slug, timezone, dynamic_plus_limit"""
            found = await transaction.fetchrow(sql, row["segment_id"], row["version"])
        assert found is not None  # noqa: S101  # a computation goes with its segment
        tenant = Tenant(row["tenant_id"], found["slug"], found["timezone"], found["dynamic_plus_limit"])
        claimed = _Claimed(
            id=row["id"],
            tenant=tenant,
            segment_id=row["segment_id"],
            definition=found["definition"],
            as_of=row["as_of"],
            attempts=row["attempts"],
            run_id=run_id,
            previous_run=found["published_run"],
        )
        if claimed.attempts > MAX_ATTEMPTS:
            await self._fail(
                claimed, "computation_crashed", f"The worker died {MAX_ATTEMPTS} times on this computation."
            )
            return await self._claim()
        return claimed

    async def _run(self, claimed: _Claimed) -> None:
        prepared = await self._previews.prepare(claimed.tenant, claimed.definition.encode(), as_of=claimed.as_of)
        plan = prepared.compiled.plan
        query = compiler.render_membership_insert(plan, segment_id=claimed.segment_id, run_id=claimed.run_id)
        await self._clickhouse.execute(query.sql, query.params, purpose="compute")
        count, entered, left = await self._differences(claimed)
        published = await self._publish(claimed, count, entered, left)
        log.info(
            "computation.done" if published else "computation.overtaken",
            computation_id=claimed.id,
            segment_id=claimed.segment_id,
            member_count=count,
            entered=entered,
            left=left,
        )
        if claimed.previous_run is not None or claimed.attempts > 1:  # a first computation has nothing behind it
            await self._drop_other_runs(claimed)

    async def _differences(self, claimed: _Claimed) -> tuple[int, int, int]:
        """Members of this run, and how many entered and left since the published one."""
        sql = """
            SELECT countIf(is_new), countIf(is_new AND NOT was_old), countIf(was_old AND NOT is_new) FROM (
              SELECT user_key, max(run_id = {run:UUID}) AS is_new, max(run_id = {previous:UUID}) AS was_old
              FROM memberships
              WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64}
                AND run_id IN ({run:UUID}, {previous:UUID})
              GROUP BY user_key)"""
        params = {
            "tenant": claimed.tenant.id,
            "segment": claimed.segment_id,
            "run": claimed.run_id,
            "previous": claimed.previous_run or UUID(int=0),
        }
        result = await self._clickhouse.fetch(sql, params, purpose="compute")
        count, entered, left = result.rows[0]
        return count, entered, left

    async def _publish(self, claimed: _Claimed, count: int, entered: int, left: int) -> bool:
        """Name the run as the segment's members, unless a later computation already did."""
        async with self._postgres.transaction() as transaction:
            sql = """
                UPDATE computations SET status = 'done', member_count = $3, entered = $4, left_count = $5,
                    lease_until = NULL, finished_at = now()
                WHERE id = $1 AND run_id = $2 AND status = 'running'"""
            if not await transaction.execute(sql, claimed.id, claimed.run_id, count, entered, left):
                return False  # the lease ran out and another worker holds it
            sql = """
                UPDATE segments SET published_run = $2, member_count = $3, last_computed_at = $4, last_error = NULL,
                    status = CASE WHEN EXISTS (
                        SELECT FROM computations WHERE segment_id = $1 AND status = 'queued') THEN 'queued'
                        ELSE 'computed' END
                WHERE id = $1 AND NOT EXISTS (
                    SELECT FROM computations WHERE segment_id = $1 AND status = 'done' AND id > $5)"""
            args = (claimed.segment_id, claimed.run_id, count, claimed.as_of, claimed.id)
            return bool(await transaction.execute(sql, *args))

    async def _drop_other_runs(self, claimed: _Claimed) -> None:
        """Keep this run and the one before it, which a reader may still be paging through."""
        sql = """
            DELETE FROM memberships
            WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND run_id NOT IN {kept:Array(UUID)}"""
        running = "SELECT run_id FROM computations WHERE segment_id = $1 AND status = 'running' AND run_id IS NOT NULL"
        published = "SELECT published_run FROM segments WHERE id = $1"
        async with self._postgres.connection() as connection:
            kept = {row["run_id"] for row in await connection.fetch(running, claimed.segment_id)}
            kept |= {await connection.fetchval(published, claimed.segment_id), claimed.run_id, claimed.previous_run}
        params = {"tenant": claimed.tenant.id, "segment": claimed.segment_id, "kept": sorted(kept - {None}, key=str)}
        await self._clickhouse.execute(sql, params, purpose="compute")

    async def _release(self, claimed: _Claimed) -> None:
        """Back to the queue: the store was away, which is not the computation's fault and not an attempt."""
        sql = """
            UPDATE computations SET status = 'queued', attempts = attempts - 1, run_id = NULL,
                lease_until = now() + $3::interval
            WHERE id = $1 AND run_id = $2 AND status = 'running'"""
        await self._postgres.execute(sql, claimed.id, claimed.run_id, _WAIT_FOR_STORE)

    async def _fail(self, claimed: _Claimed, code: str, detail: str) -> None:
        """The computation is over; the segment keeps its last good members and says why."""
        error = msgspec.json.encode({"code": code, "detail": detail}).decode()
        log.warning("computation.failed", computation_id=claimed.id, segment_id=claimed.segment_id, code=code)
        async with self._postgres.transaction() as transaction:
            sql = """
                UPDATE computations SET status = 'failed', error = $3, lease_until = NULL, finished_at = now()
                WHERE id = $1 AND run_id = $2"""
            await transaction.execute(sql, claimed.id, claimed.run_id, error)
            sql = "UPDATE segments SET status = 'failed', last_error = $2 WHERE id = $1"
            await transaction.execute(sql, claimed.segment_id, error)

    async def backfill(self, tenant: Tenant, segment_id: int, instants: Sequence[datetime]) -> None:
        """Record how many members the segment had at each of *instants*, without keeping who they were."""
        segment = await self._segments.get(tenant, segment_id)
        counts = await self._previews.count_over_time(tenant, segment.definition, instants)
        rows = [
            (tenant.id, segment_id, segment.version, instant, "done", count, instant, instant)
            for instant, count in zip(instants, counts, strict=True)
        ]
        columns = ("tenant_id", "segment_id", "version", "as_of", "status", "member_count", "created_at", "finished_at")
        await self._postgres.copy("computations", columns=columns, rows=rows)

    # Read

    async def members(
        self, tenant: Tenant, segment_id: int, *, limit: int = 100, offset: int = 0, cursor: str | None = None
    ) -> Members:
        """A page of the published members, by user id. A *cursor* stays on the run it began with."""
        sql = "SELECT published_run, member_count, last_computed_at FROM segments WHERE tenant_id = $1 AND id = $2"
        row = await self._postgres.fetchrow(sql, tenant.id, segment_id)
        if row is None:
            raise not_found(segment_id)
        at = _read_cursor(cursor) if cursor else _Cursor(str(row["published_run"] or UUID(int=0)), "")
        query = """
            SELECT user_id FROM memberships
            WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND run_id = {run:UUID}
              AND user_id > {last:String}
            ORDER BY user_id LIMIT {limit:UInt32} OFFSET {offset:UInt64}"""
        params = {
            "tenant": tenant.id,
            "segment": segment_id,
            "run": UUID(at.run_id),
            "last": at.last,
            "limit": limit + 1,
            "offset": offset,
        }
        result = await self._clickhouse.fetch(query, params, purpose="delivery")
        ids = [user_id for (user_id,) in result.rows]
        more = _write_cursor(_Cursor(at.run_id, ids[limit - 1])) if len(ids) > limit else None
        computed_at = row["last_computed_at"]
        return Members(row["member_count"] or 0, tuple(Member(user_id, computed_at) for user_id in ids[:limit]), more)

    async def of_user(self, tenant: Tenant, user_id: str) -> tuple[SegmentOfUser, ...]:
        """The segments whose published members include the user."""
        sql = """
            SELECT id, name, published_run, last_computed_at FROM segments
            WHERE tenant_id = $1 AND published_run IS NOT NULL AND is_active ORDER BY id"""
        published = {row["published_run"]: row for row in await self._postgres.fetch(sql, tenant.id)}
        if not published:
            return ()
        query = """
            SELECT run_id FROM memberships
            WHERE tenant_id = {tenant:UInt32} AND segment_id IN {segments:Array(UInt64)} AND run_id IN {runs:Array(UUID)}
              AND user_id = {user:String}"""
        segments = [row["id"] for row in published.values()]
        params = {"tenant": tenant.id, "segments": segments, "runs": list(published), "user": user_id}
        result = await self._clickhouse.fetch(query, params, purpose="delivery")
        found = sorted((published[run_id] for (run_id,) in result.rows), key=_id)
        return tuple(SegmentOfUser(row["id"], row["name"], row["last_computed_at"]) for row in found)

    async def trend(self, tenant: Tenant, segment_id: int, *, days: int, as_of: datetime) -> tuple[DayCount, ...]:
        """Members at the last computation of each local day, for the *days* up to *as_of*; days without one are absent."""
        zone = ZoneInfo(tenant.timezone)
        today = as_of.astimezone(zone).date()
        first = today - timedelta(days=days - 1)
        start = to_instant(datetime(first.year, first.month, first.day), zone)  # noqa: DTZ001  # a wall time
        sql = """
            SELECT as_of, member_count FROM computations
            WHERE tenant_id = $1 AND segment_id = $2 AND status = 'done' AND as_of >= $3 AND as_of <= $4
            ORDER BY as_of, id"""
        rows = await self._postgres.fetch(sql, tenant.id, segment_id, start, as_of)
        last: Mapping[date, int] = {row["as_of"].astimezone(zone).date(): row["member_count"] for row in rows}
        return tuple(DayCount(day, count) for day, count in last.items())


def _id(row: Record) -> int:
    return row["id"]


def _write_cursor(cursor: _Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _read_cursor(text: str) -> _Cursor:
    try:
        cursor = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Cursor)
        UUID(cursor.run_id)
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        finding = Finding("/cursor", "bad_cursor", "This cursor was not made here; start again without one.")
        raise InvalidInput(finding.detail, findings=[finding]) from error
    return cursor
