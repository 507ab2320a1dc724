"""USE CASE: read who is in a segment, as its last computation published it, and how many there were before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.references import not_found
from segment_copilot.errors import Finding, Gone, InvalidInput
from segment_copilot.events.analytics import DayCount
from segment_copilot.language.lengths import to_instant
from segment_copilot.lists import read_cursor, write_cursor
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
    """A segment that a user is in; *member_count* is null where it was never computed."""

    segment_id: int
    segment_name: str
    member_count: int | None
    computed_at: datetime


class _Cursor(Struct, frozen=True, array_like=True):
    run_id: UUID
    last: str


class _State(Struct, frozen=True):
    """Holds what one run found, and when."""

    run_id: UUID
    as_of: datetime
    member_count: int


_STATE: Final = """
SELECT published_run, previous_run, as_of, computations.member_count
FROM segments LEFT JOIN computations
    ON computations.tenant_id = segments.tenant_id AND segment_id = segments.id
    AND run_id = coalesce($3::uuid, published_run) AND computations.status = 'done'
WHERE segments.tenant_id = $1 AND segments.id = $2
"""
_IDS: Final = """
SELECT user_id FROM memberships
WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND run_id = {run:UUID} AND user_id > {last:String}
ORDER BY user_id LIMIT {limit:UInt32} OFFSET {offset:UInt64}
"""

_RUNS_OF_USERS: Final = """
SELECT DISTINCT indexOf(arrayMap(user_id -> sipHash64(user_id), {users:Array(String)}), user_key), run_id
FROM user_memberships
WHERE tenant_id = {tenant:UInt32} AND user_key IN (SELECT sipHash64(arrayJoin({users:Array(String)})))
    AND run_id IN {runs:Array(UUID)}
"""


class Members:
    """Reads the members of all tenants' segments; every method takes the tenant."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse

    async def page(
        self, tenant: Tenant, segment_id: int, *, limit: int = 100, offset: int = 0, cursor: str | None = None
    ) -> MemberPage:
        """Return a page of the published members, by user id. A *cursor* stays on the run it began with.

        Raises:
            InvalidInput: *cursor* is none of this segment's.
            Gone: The run it began with was removed, because two others were published since.

        """
        begun: _Cursor | None = read_cursor(_listed(tenant, segment_id), cursor, _Cursor) if cursor else None
        while True:
            state = await self._state(tenant, segment_id, begun.run_id if begun else None)
            if state is None:
                return MemberPage(0, (), None)
            last = begun.last if begun else ""
            ids = await self._ids(tenant, segment_id, state.run_id, last=last, limit=limit + 1, offset=offset)
            # A run is removed only after it can no longer be read, so what was read before this is whole.
            if await self._is_kept(tenant, segment_id, state.run_id):
                break
        members = tuple(Member(user_id, state.as_of) for user_id in ids[:limit])
        more = None
        if len(ids) > limit:
            more = write_cursor(_listed(tenant, segment_id), _Cursor(state.run_id, ids[limit - 1]))
        return MemberPage(state.member_count, members, more)

    async def _state(self, tenant: Tenant, segment_id: int, run_id: UUID | None) -> _State | None:
        """Return what *run_id* found (default: the published run), or None when nothing was published yet."""
        row = await self._postgres.fetchrow(_STATE, tenant.id, segment_id, run_id)
        if row is None:
            raise not_found(segment_id)
        if run_id is not None and run_id not in {row["published_run"], row["previous_run"]}:
            detail = "The members that this cursor goes through were replaced twice since; start again without it."
            raise Gone(detail, code="cursor_expired")
        wanted = run_id or row["published_run"]
        return _State(wanted, row["as_of"], row["member_count"]) if wanted else None

    async def _ids(
        self, tenant: Tenant, segment_id: int, run_id: UUID, *, last: str, limit: int, offset: int
    ) -> list[str]:
        params = {
            "tenant": tenant.id,
            "segment": segment_id,
            "run": run_id,
            "last": last,
            "limit": limit,
            "offset": offset,
        }
        return [user_id for (user_id,) in (await self._clickhouse.fetch(_IDS, params, purpose="members")).rows]

    async def _is_kept(self, tenant: Tenant, segment_id: int, run_id: UUID) -> bool:
        sql = """
            SELECT EXISTS (SELECT FROM segments
                WHERE tenant_id = $1 AND id = $2 AND $3::uuid IN (published_run, previous_run))"""
        return await self._postgres.fetchval(sql, tenant.id, segment_id, run_id)

    async def segments_of_user(self, tenant: Tenant, user_id: str) -> tuple[SegmentOfUser, ...]:
        """Return the active segments whose published members include the user."""
        return (await self.segments_of_users(tenant, [user_id]))[user_id]

    async def segments_of_users(
        self, tenant: Tenant, user_ids: Sequence[str], *, segment_ids: Sequence[int] | None = None
    ) -> dict[str, tuple[SegmentOfUser, ...]]:
        """Return, for each user, the active segments whose published members include them.

        Only the *segment_ids* are looked at where they are given, active or not.

        Raises:
            InvalidInput: Some of *segment_ids* do not exist.
        """
        sql = """
            SELECT id, name, published_run, member_count, last_computed_at FROM segments
            WHERE tenant_id = $1 AND CASE WHEN $2::bigint[] IS NULL THEN is_active ELSE id = ANY($2) END ORDER BY id"""
        segments = await self._postgres.fetch(sql, tenant.id, None if segment_ids is None else list(segment_ids))
        if segment_ids is not None:
            _check_known(segment_ids, {row["id"] for row in segments})
        published = {row["published_run"]: row for row in segments if row["published_run"]}
        found: dict[str, list[Record]] = {user_id: [] for user_id in user_ids}
        if published and found:
            users = list(found)
            params = {"tenant": tenant.id, "runs": list(published), "users": users}
            for number, run_id in (await self._clickhouse.fetch(_RUNS_OF_USERS, params, purpose="members")).rows:
                found[users[number - 1]].append(published[run_id])
        return {
            user_id: tuple(
                SegmentOfUser(row["id"], row["name"], row["member_count"], row["last_computed_at"])
                for row in sorted(rows, key=_id)
            )
            for user_id, rows in found.items()
        }

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


def _listed(tenant: Tenant, segment_id: int) -> object:
    return ["members", tenant.id, segment_id]


def _id(row: Record) -> int:
    return row["id"]


def _check_known(segment_ids: Sequence[int], known: Collection[int]) -> None:
    findings = [
        Finding(f"/segment_ids/{index}", "unknown_segment", f"There is no segment {segment_id}.")
        for index, segment_id in enumerate(segment_ids)
        if segment_id not in known
    ]
    if findings:
        raise InvalidInput(findings[0].detail, findings=findings)
