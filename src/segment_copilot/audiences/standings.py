"""USE CASE: compare a tenant's segments as their last computations left them: how large, since when, how much they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import Unavailable
from segment_copilot.events.analytics import Analytics, DayCount, Span, local_midnight
from segment_copilot.language.describe.shares import percent
from segment_copilot.language.lengths import MICROSECOND
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import grouped
from segment_copilot.stores.postgres import Postgres

DAYS: Final = 30
PAIRS: Final = 20
_TRIES: Final = 3
_FEWEST_POINTS: Final = 2  # one point is no trend

_TOTALS: Final = """
SELECT count(*), coalesce(sum(member_count) FILTER (WHERE is_active), 0)::bigint FROM segments WHERE tenant_id = $1
"""
_ACTIVE: Final = """
SELECT id, name, member_count, last_computed_at FROM segments WHERE tenant_id = $1 AND is_active ORDER BY id
"""
# The last computation of each segment and local day; $2 are the instants at which the days begin.
_TREND: Final = """
SELECT DISTINCT ON (segment_id, day)
    segment_id, width_bucket(computations.as_of, $2::timestamptz[]) AS day, computations.member_count
FROM computations JOIN segments ON segments.id = segment_id AND segments.tenant_id = computations.tenant_id
WHERE computations.tenant_id = $1 AND is_active AND computations.status = 'done'
    AND computations.as_of >= $3 AND computations.as_of <= $4
ORDER BY segment_id, day, computations.as_of DESC, computations.id DESC
"""
_PUBLISHED: Final = """
SELECT id, name, published_run, member_count FROM segments
WHERE tenant_id = $1 AND is_active AND published_run IS NOT NULL AND member_count > 0 ORDER BY id
"""
_KEPT: Final = """
SELECT count(*) FROM segments
WHERE tenant_id = $1 AND (published_run = ANY($2::uuid[]) OR previous_run = ANY($2::uuid[]))
"""
_SETS: Final = """
CREATE TEMPORARY TABLE sets ENGINE = Memory AS
SELECT segment_id AS segment, groupBitmapMergeState(members) AS members FROM segment_states
WHERE tenant_id = {tenant:UInt32} AND segment_id IN {segments:Array(UInt64)} AND run_id IN {runs:Array(UUID)}
GROUP BY segment_id
"""
_PAIRS: Final = replace(grouped(2, "add", order=(-3, 0, 1)), params={"pairs": 10_000})
"""Pairs of several shards: each tells of many, since those who are first together need not be on any of them."""
_OVERLAPS: Final = """
SELECT first.segment, second.segment, bitmapAndCardinality(first.members, second.members) AS shared
FROM sets AS first CROSS JOIN sets AS second
WHERE first.segment < second.segment AND shared > 0
ORDER BY shared DESC, first.segment, second.segment LIMIT {pairs:UInt32}
SETTINGS max_joined_block_size_rows = 256 -- a block copies the sets of its pairs
"""


class Overview(Struct, frozen=True):
    """A tenant in numbers. *total_members* adds up those of active segments: a user in two of them counts twice."""

    segments: int
    total_members: int
    events: int


class Standing(Struct, frozen=True):
    """An active segment and how many members it had at the end of each local day, where it was computed on that day."""

    id: int
    name: str
    member_count: int | None
    last_computed_at: datetime | None
    trend: tuple[DayCount, ...]


class SharedMembers(Struct, frozen=True):
    """Two segments and how many members both have; *percent* is of the smaller one, to one decimal."""

    first_id: int
    first_name: str
    second_id: int
    second_name: str
    shared: int
    percent: float


class _Published(Struct, frozen=True):
    id: int
    name: str
    run_id: UUID
    member_count: int


class Standings:
    """Compares the segments of all tenants; every method takes the tenant."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse, analytics: Analytics) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._analytics = analytics

    async def overview(self, tenant: Tenant, *, as_of: datetime | None = None) -> Overview:
        """Count segments, members, and the events of the last 30 local days, today among them; no identify is one."""
        now = as_of or datetime.now(UTC)
        row = await self._postgres.fetchrow(_TOTALS, tenant.id)
        segments, members = row or (0, 0)
        span = Span(local_midnight(now, tenant.timezone, days_before=DAYS - 1), now + MICROSECOND, now)
        happened = await self._analytics.top_events(tenant, span, limit=1)
        return Overview(segments, members, happened.total)

    async def segments(self, tenant: Tenant, *, as_of: datetime | None = None) -> tuple[Standing, ...]:
        """Return every active segment with the trend of the last 30 local days; of fewer than two days there is none."""
        now = as_of or datetime.now(UTC)
        today = now.astimezone(ZoneInfo(tenant.timezone)).date()
        days = [today - timedelta(days=before) for before in reversed(range(DAYS))]
        starts = [local_midnight(now, tenant.timezone, days_before=before) for before in reversed(range(DAYS))]
        trends = await self._trends(tenant, days, starts, now)
        return tuple(
            Standing(row["id"], row["name"], row["member_count"], row["last_computed_at"], trends.get(row["id"], ()))
            for row in await self._postgres.fetch(_ACTIVE, tenant.id)
        )

    async def _trends(
        self, tenant: Tenant, days: Sequence[date], starts: Sequence[datetime], until: datetime
    ) -> Mapping[int, tuple[DayCount, ...]]:
        rows = await self._postgres.fetch(_TREND, tenant.id, starts, starts[0], until)
        points = {
            segment_id: tuple(DayCount(days[int(row["day"]) - 1], int(row["member_count"])) for row in of_segment)
            for segment_id, of_segment in groupby(rows, key=lambda row: int(row["segment_id"]))
        }
        return {segment_id: trend for segment_id, trend in points.items() if len(trend) >= _FEWEST_POINTS}

    async def overlaps(self, tenant: Tenant) -> tuple[SharedMembers, ...]:
        """Return the 20 pairs of active segments that share most members, the most first."""
        for _ in range(_TRIES):
            published = await self._published(tenant)
            if len(published) < 2:  # noqa: PLR2004  # a pair
                return ()
            runs = [one.run_id for one in published.values()]
            params = {"tenant": tenant.id, "segments": list(published), "runs": runs}
            async with self._clickhouse.session(purpose="preview") as session:
                await session.fetch(_SETS, params)
                rows = (await session.fetch(_OVERLAPS, {"pairs": PAIRS}, merge=_PAIRS)).rows[:PAIRS]
            # A run is removed only after it can no longer be read, so what was read before this is whole.
            if await self._postgres.fetchval(_KEPT, tenant.id, runs) == len(runs):
                return tuple(_shared(published[first], published[second], shared) for first, second, shared in rows)
        raise Unavailable("The segments are being recomputed faster than they can be compared; try again in a moment.")

    async def _published(self, tenant: Tenant) -> dict[int, _Published]:
        rows = await self._postgres.fetch(_PUBLISHED, tenant.id)
        return {
            row["id"]: _Published(row["id"], row["name"], row["published_run"], row["member_count"]) for row in rows
        }


def _shared(first: _Published, second: _Published, shared: int) -> SharedMembers:
    smaller = min(first.member_count, second.member_count)
    return SharedMembers(first.id, first.name, second.id, second.name, shared, percent(shared, smaller, decimals=1))
