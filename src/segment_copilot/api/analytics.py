"""Analytics over HTTP: a tenant in numbers, as SegOps' clients ask for them. A limit of -1 is none."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Final

from litestar import Controller, Request, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from msgspec import Meta, Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.deliveries import Deliveries, SyncLog, success_rate
from segment_copilot.api.http.requests import run_while_connected
from segment_copilot.api.http.routes import COUNTING_SECONDS, Route
from segment_copilot.audiences.standings import SharedMembers, Standing, Standings
from segment_copilot.audiences.usage import Usage
from segment_copilot.errors import QueryTimeout

_UNLIMITED: Final = -1
_COUNTS: Final = Route(problems=(QueryTimeout,), seconds=COUNTING_SECONDS)

Limit = Annotated[int, Meta(description="-1 is none")]
Day = Annotated[date, Meta(description="In the tenant's time zone")]


class OverviewNumbers(Struct, frozen=True):
    """A tenant in numbers. There are no credits here, so none are used and none are wanting."""

    segment_count: int
    total_members: int
    events_30d: int
    ai_credits_used: int = 0
    ai_credits_limit: Limit = _UNLIMITED


class TrendPoint(Struct, frozen=True):
    """A point of a trend: how many members the segment had at the end of a day."""

    day: Day
    count: int


class SegmentTrend(Struct, frozen=True):
    """An active segment and how it grew."""

    id: int
    name: str
    member_count: int | None
    last_computed_at: datetime | None
    trend: tuple[TrendPoint, ...]


class SegmentOverlap(Struct, frozen=True):
    """Two segments and how many users are in both; *overlap_pct* is of the smaller one."""

    seg_a_id: int
    seg_a_name: str
    seg_b_id: int
    seg_b_name: str
    overlap: int
    overlap_pct: float


class ActivationHealth(Struct, frozen=True):
    """An activation and how it fares: its newest deliveries that ended, and how many of the last 30 arrived, in percent."""

    id: int
    segment_id: int
    segment_name: str
    connector_type: str
    status: str
    last_synced_at: datetime | None
    last_error: str
    member_count: int | None
    success_rate: int | None = None
    sync_logs: tuple[SyncLog, ...] = ()


class MonthlyUsage(Struct, frozen=True):
    """A month's usage so far, by the tenant's time zone; *mtu_computed* are users who did something in it."""

    period_start: datetime
    events: int
    events_accepted: int
    events_limit: Limit
    mtu_computed: int
    dynamic_plus: int
    dynamic_plus_limit: Limit
    ai_credits_used: int = 0
    ai_credits_limit: Limit = _UNLIMITED


class AnalyticsController(Controller):
    """Tells how segments and events stand; read only."""

    path = "/api/analytics"
    tags = ("analytics",)

    @get("/overview", opt=_COUNTS.opt, response_description="As of now.")
    async def get_overview(
        self, request: Request[Any, Any, State], standings: NamedDependency[Standings], tenant: NamedDependency[Tenant]
    ) -> OverviewNumbers:
        """Read the tenant in numbers.

        `segment_count` counts all segments, `total_members` adds up the members of active ones (a user in two of them
        counts twice), `events_30d` counts the last 30 days by the tenant's time zone, today among them and identifies not.
        """
        told = await run_while_connected(request, standings.overview(tenant))
        return OverviewNumbers(told.segments, told.total_members, told.events)

    @get("/segments", response_description="One entry for each active segment.")
    async def list_segment_trends(
        self, standings: NamedDependency[Standings], tenant: NamedDependency[Tenant]
    ) -> list[SegmentTrend]:
        """List the active segments with their trends.

        `trend` has the last count of every day of the last 30 on which the segment was computed, and is empty while that is
        one day or none.
        """
        return [_trend(one) for one in await standings.segments(tenant)]

    @get("/overlap", opt=_COUNTS.opt, response_description="The pairs that share most, the most first.")
    async def list_overlaps(
        self, request: Request[Any, Any, State], standings: NamedDependency[Standings], tenant: NamedDependency[Tenant]
    ) -> list[SegmentOverlap]:
        """List the segments that share members.

        The 20 pairs of active segments with most members in both, as the last computations left them; none that share
        nobody. `overlap_pct` is of the smaller segment.
        """
        return [_overlap(one) for one in await run_while_connected(request, standings.overlaps(tenant))]

    @get("/activations", response_description="One entry for each activation.")
    async def list_activation_health(
        self, deliveries: NamedDependency[Deliveries], tenant: NamedDependency[Tenant]
    ) -> list[ActivationHealth]:
        """List the activations and how they fare.

        `success_rate` is a percentage of the last 30 deliveries that ended, null without any; `sync_logs` are the 5 newest.
        """
        return [
            ActivationHealth(
                id=one.id,
                segment_id=one.segment_id,
                segment_name=one.segment_name,
                connector_type=one.connector_type,
                status=one.status,
                last_synced_at=one.last_synced_at,
                last_error=one.last_error or "",
                member_count=one.member_count,
                success_rate=success_rate(one.logs),
                sync_logs=one.logs[:5],
            )
            for one in await deliveries.standings(tenant)
        ]

    @get("/usage", opt=_COUNTS.opt, response_description="As of now.")
    async def get_monthly_usage(
        self, request: Request[Any, Any, State], usage: NamedDependency[Usage], tenant: NamedDependency[Tenant]
    ) -> MonthlyUsage:
        """Read what was used this month.

        `events` happened in it, identifies among them, and can be queried; `events_accepted` were sent in it, whenever they
        happened, and are what is limited. A limit of -1 is none.
        """
        used = await run_while_connected(request, usage.this_month(tenant))
        limited = used.limited
        return MonthlyUsage(
            period_start=used.since,
            events=used.events,
            events_accepted=limited.events,
            events_limit=_or_unlimited(limited.events_limit),
            mtu_computed=used.users,
            dynamic_plus=limited.dynamic_plus,
            dynamic_plus_limit=_or_unlimited(limited.dynamic_plus_limit),
        )


def _trend(one: Standing) -> SegmentTrend:
    points = tuple(TrendPoint(point.day, point.count) for point in one.trend)
    return SegmentTrend(one.id, one.name, one.member_count, one.last_computed_at, points)


def _overlap(one: SharedMembers) -> SegmentOverlap:
    return SegmentOverlap(one.first_id, one.first_name, one.second_id, one.second_name, one.shared, one.percent)


def _or_unlimited(limit: int | None) -> int:
    return _UNLIMITED if limit is None else limit
