"""Usage over HTTP tells what a tenant uses of what it may."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from msgspec import Meta, Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.usage import Usage

Limit = Annotated[int | None, Meta(description="null is none")]


class DynamicPlusUsage(Struct, frozen=True):
    """Dynamic Plus segments: how many there are, and how many may be."""

    used: int
    limit: Limit


class EventUsage(Struct, frozen=True):
    """Events that were sent this month, by the tenant's time zone, whenever they happened."""

    this_month: Annotated[int, Meta(description="Identifies among them; an event whose id was seen before is none")]
    limit: Limit
    resets_at: Annotated[datetime, Meta(description="When the next month begins")]


class RequestUsage(Struct, frozen=True):
    """Requests that the tenant may send in a minute."""

    limit_per_minute: int


class TenantUsage(Struct, frozen=True):
    """A tenant's usage, and its limits."""

    dynamic_plus: DynamicPlusUsage
    events: EventUsage
    requests: RequestUsage


class UsageController(Controller):
    """Tells what a tenant uses of what it may."""

    path = "/api/usage"
    tags = ("analytics",)

    @get(response_description="As of now.")
    async def get_usage(self, usage: NamedDependency[Usage], tenant: NamedDependency[Tenant]) -> TenantUsage:
        """Read what is used, and the limits.

        Events are counted as they are accepted, in the month of the tenant's time zone. More than the limit are refused
        (429 `event_quota_reached`) until `resets_at`. A limit of null is none.
        """
        used = await usage.limited(tenant)
        return TenantUsage(
            DynamicPlusUsage(used.dynamic_plus, used.dynamic_plus_limit),
            EventUsage(used.events, used.events_limit, used.resets_at),
            RequestUsage(used.requests_per_minute),
        )
