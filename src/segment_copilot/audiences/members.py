"""USE CASE: read who is in a segment, as its last computation published it or an earlier one did, and how many there were before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.kept_states import Kept, KeptStates
from segment_copilot.audiences.look_ups import LookUps, SegmentOfUser
from segment_copilot.audiences.states import KEPT, State
from segment_copilot.errors import Finding, Gone, InvalidInput
from segment_copilot.events.analytics import DayCount
from segment_copilot.events.identity_links import IdentityLinks
from segment_copilot.language.lengths import to_instant
from segment_copilot.lists import read_cursor, write_cursor
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import SUMS, ordered
from segment_copilot.stores.postgres import Postgres


class Member(Struct, frozen=True):
    """A user in a segment, since which computation."""

    user_id: str
    computed_at: datetime


class MemberPage(Struct, frozen=True):
    """A page of members by user id; *cursor* continues it and stays on the same computation."""

    count: int
    members: tuple[Member, ...]
    cursor: str | None


class _Cursor(Struct, frozen=True, array_like=True):
    run_id: UUID
    last: str


_IDS: Final = """
SELECT user_id FROM __USERS__ AND user_id > {last:String}
ORDER BY user_id LIMIT {limit:UInt32} OFFSET {offset:UInt64}
"""


class Members:
    """Reads the members of all tenants' segments; every method takes the tenant."""

    def __init__(
        self, postgres: Postgres, clickhouse: ClickHouse, links: IdentityLinks, *, kept: timedelta = KEPT
    ) -> None:
        self._look_ups = LookUps(postgres, clickhouse, links)
        self._states = KeptStates(postgres, kept=kept)
        self._postgres = postgres
        self._clickhouse = clickhouse

    async def page(
        self,
        tenant: Tenant,
        segment_id: int,
        *,
        limit: int = 100,
        offset: int = 0,
        cursor: str | None = None,
        as_of: datetime | None = None,
    ) -> MemberPage:
        """Return a page of the members that are published, or were at *as_of*, by user id.

        A *cursor* stays on the run it began with, whatever is published meanwhile.

        Raises:
            InvalidInput: *cursor* is none of this listing, or nothing was published by *as_of*.
            Gone: What is asked for was replaced longer ago than members are kept.

        """
        listed = _listed(tenant, segment_id, as_of)
        begun: _Cursor | None = read_cursor(listed, cursor, _Cursor) if cursor else None
        while True:
            kept = await self._kept(tenant, segment_id, begun, as_of)
            if kept is None:
                return MemberPage(0, (), None)
            last = begun.last if begun else ""
            ids = await self._ids(kept.state, last=last, limit=limit + 1, offset=offset)
            count = await self._count(kept)
            if await self._states.is_there(kept.state):
                break
        members = tuple(Member(user_id, kept.as_of) for user_id in ids[:limit])
        more = None
        if len(ids) > limit:
            more = write_cursor(listed, _Cursor(kept.run_id, ids[limit - 1]))
        return MemberPage(count, members, more)

    async def _kept(
        self, tenant: Tenant, segment_id: int, begun: _Cursor | None, as_of: datetime | None
    ) -> Kept | None:
        if begun is not None:
            found = await self._states.of_run(tenant.id, segment_id, begun.run_id)
            if found is None:
                detail = "The members that this cursor goes through are kept no more; start again without it."
                raise Gone(detail, code="cursor_expired")
            return found
        if as_of is not None:
            return await self._states.at(tenant.id, segment_id, as_of)
        return await self._states.newest(tenant.id, segment_id)

    async def _ids(self, state: State, *, last: str, limit: int, offset: int) -> list[str]:
        params = {**state.params, "last": last, "limit": limit, "offset": offset}
        sql = _IDS.replace("__USERS__", state.users)
        pages = ordered(0, limit=limit, offset=offset)
        rows = (await self._clickhouse.fetch(sql, params, purpose="members", merge=pages)).rows
        return [user_id for (user_id,) in rows]

    async def _count(self, kept: Kept) -> int:
        """Return how many there are: of a state that is not stored whole, without those who were erased since."""
        if not kept.state.undone:
            return kept.member_count
        sql = f"SELECT bitmapCardinality({kept.state.sql})"
        found = await self._clickhouse.fetch(sql, kept.state.params, purpose="members", merge=SUMS)
        return int(found.rows[0][0])

    async def segments_of_user(self, tenant: Tenant, user_id: str) -> tuple[SegmentOfUser, ...]:
        """Return the active segments whose published members include the user, under whichever of their ids."""
        return await self._look_ups.one(tenant, user_id)

    async def segments_of_users(
        self, tenant: Tenant, user_ids: Sequence[str], *, segment_ids: Sequence[int] | None = None
    ) -> dict[str, tuple[SegmentOfUser, ...]]:
        """Return, for each user, the active segments whose published members include them.

        Only the *segment_ids* are looked at where they are given, active or not.

        Raises:
            InvalidInput: Some of *segment_ids* do not exist.
        """
        segments = await self._look_ups.segments(tenant, segment_ids)
        if segment_ids is not None:
            _check_known(segment_ids, {row["id"] for row in segments})
        return await self._look_ups.many(tenant, list(dict.fromkeys(user_ids)), segments=segments)

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


def _listed(tenant: Tenant, segment_id: int, as_of: datetime | None) -> object:
    return ["members", tenant.id, segment_id, *([as_of] if as_of else [])]


def _check_known(segment_ids: Sequence[int], known: Collection[int]) -> None:
    findings = [
        Finding(f"/segment_ids/{index}", "unknown_segment", f"There is no segment {segment_id}.")
        for index, segment_id in enumerate(segment_ids)
        if segment_id not in known
    ]
    if findings:
        raise InvalidInput(findings[0].detail, findings=findings)
