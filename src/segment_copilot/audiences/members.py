"""USE CASE: read who is in a segment, as its last computation published it, and how many there were before."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.references import not_found
from segment_copilot.errors import Finding, InvalidInput
from segment_copilot.events.analytics import DayCount
from segment_copilot.language.lengths import to_instant
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.postgres import Postgres, Record


class Member(Struct, frozen=True):
    """A user in a segment, since which computation."""

    user_id: str
    computed_at: datetime


class MemberPage(Struct, frozen=True):
    """A page of members by user id; *cursor* continues it and stays on the same computation."""

    count: int
    members: tuple[Member, ...]
    cursor: str | None


class SegmentOfUser(Struct, frozen=True):
    """A segment that a user is in."""

    segment_id: int
    segment_name: str
    computed_at: datetime


class _Cursor(Struct, frozen=True, array_like=True):
    run_id: str
    last: str


class Members:
    """Reads the members of all tenants' segments; every method takes the tenant."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse

    async def page(
        self, tenant: Tenant, segment_id: int, *, limit: int = 100, offset: int = 0, cursor: str | None = None
    ) -> MemberPage:
        """Return a page of the published members, by user id. A *cursor* stays on the run it began with."""
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
        return MemberPage(
            row["member_count"] or 0, tuple(Member(user_id, computed_at) for user_id in ids[:limit]), more
        )

    async def segments_of_user(self, tenant: Tenant, user_id: str) -> tuple[SegmentOfUser, ...]:
        """Return the segments whose published members include the user."""
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
        """Count members at the last computation of each local day, for the *days* up to *as_of*; some may be absent."""
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
