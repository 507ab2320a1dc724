"""Usage over HTTP tells what a tenant uses of what it may."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from msgspec import Meta, Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.requests import run_while_connected
from segment_copilot.api.http.routes import COUNTING_SECONDS, Route
from segment_copilot.audiences.usage import Usage
from segment_copilot.errors import QueryTimeout

Limit = Annotated[int | None, Meta(description="null is none")]


class DynamicPlusUsage(Struct, frozen=True):
    """Dynamic Plus segments: how many there are, and how many may be."""

    used: int
    limit: Limit


class EventUsage(Struct, frozen=True):
    """Events that happened this month, by the tenant's time zone."""

    this_month: int
    limit: Limit


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

    @get(
        opt=Route(problems=(QueryTimeout,), seconds=COUNTING_SECONDS).opt,
        response_description="As of now.",
    )
    async def get_usage(
        self, request: Request[Any, Any, State], usage: NamedDependency[Usage], tenant: NamedDependency[Tenant]
    ) -> TenantUsage:
        """Read what is used, and the limits.

        Events are those that happened this month in the tenant's time zone, identifies among them, and can be queried.
        A limit of null is none.
        """
        used = await run_while_connected(request, usage.this_month(tenant))
        return TenantUsage(
            DynamicPlusUsage(used.dynamic_plus, used.dynamic_plus_limit),
            EventUsage(used.events, None),
            RequestUsage(used.requests_per_minute),
        )
