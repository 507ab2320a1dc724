"""Deliveries of webhooks over HTTP: a client sees what became of each, and has them sent again."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.webhooks.bodies import Event
from segment_copilot.activations.webhooks.log import (
    LoggedDelivery,
    Order,
    Recovery,
    Status,
    WebhookDeliveries,
    WebhookDelivery,
)
from segment_copilot.api.http.pages import AFTER, BEFORE, FIELDS, LISTING, ORDER, CursorPage, listing_of
from segment_copilot.api.http.parameters import Names
from segment_copilot.api.http.routes import Route
from segment_copilot.errors import Conflict, NotFound
from segment_copilot.language.lengths import Instant


class WebhookDeliveryList(CursorPage[WebhookDelivery], frozen=True):
    """A page of deliveries."""


class WebhookRecovery(Struct, frozen=True, forbid_unknown_fields=True):
    """The time whose publications are to be sent, as far as they did not arrive."""

    since: Annotated[
        Instant, Meta(description="Publications are kept for 30 days: the answer says since when there were any")
    ]
    until: Annotated[Instant | None, Meta(description="Left out or null: until now")] = None


class WebhookDeliveryController(Controller):
    """Reads and repeats what webhooks were sent."""

    path = "/api/webhooks"
    tags = ("webhooks",)

    @get("/{webhook_id:int}/deliveries", opt=Route(parameters=LISTING).opt, response_description="A page of them.")
    async def list_webhook_deliveries(  # filters
        self,
        request: Request[Any, Any, State],
        webhook_id: FromPath[int],
        webhook_deliveries: NamedDependency[WebhookDeliveries],
        tenant: NamedDependency[Tenant],
        order: Annotated[Order, ORDER] = "-id",
        fields: Annotated[str | None, FIELDS, Names(WebhookDelivery)] = None,
        status: Annotated[Status | None, QueryParameter(description="Only those of this status")] = None,
        event: Annotated[Event | None, QueryParameter(description="Only those of this event")] = None,
        created_after: Annotated[Instant | None, AFTER] = None,
        created_before: Annotated[Instant | None, BEFORE] = None,
    ) -> Response[WebhookDeliveryList]:
        """List what a webhook was sent, and is to be sent.

        The newest first. They are kept for thirty days.
        """
        listing = listing_of(request)
        found = await webhook_deliveries.page(
            tenant,
            webhook_id,
            listing.window,
            order=order,
            status=status,
            event=event,
            created_after=created_after,
            created_before=created_before,
        )
        return listing.answer(found, fields)

    @get(
        "/{webhook_id:int}/deliveries/{webhook_delivery_id:int}",
        response_description="The delivery, with every attempt.",
    )
    async def get_webhook_delivery(
        self,
        webhook_id: FromPath[int],
        webhook_delivery_id: FromPath[int],
        webhook_deliveries: NamedDependency[WebhookDeliveries],
        tenant: NamedDependency[Tenant],
    ) -> LoggedDelivery:
        """Read a delivery.

        With the status, the beginning of the answer and the duration of every attempt.
        """
        return await webhook_deliveries.get(tenant, webhook_id, webhook_delivery_id)

    @post(
        "/{webhook_id:int}/deliveries/{webhook_delivery_id:int}/replay",
        status_code=202,
        opt=Route(problems=(NotFound, Conflict)).opt,
        response_description="Queued.",
    )
    async def replay_webhook_delivery(
        self,
        webhook_id: FromPath[int],
        webhook_delivery_id: FromPath[int],
        webhook_deliveries: NamedDependency[WebhookDeliveries],
        tenant: NamedDependency[Tenant],
    ) -> WebhookDelivery:
        """Send a delivery again.

        Under the `webhook-id` that it had, with all attempts anew, whatever became of it before.
        """
        return await webhook_deliveries.replay(tenant, webhook_id, webhook_delivery_id)

    @post(
        "/{webhook_id:int}/recover",
        status_code=202,
        opt=Route(problems=(NotFound, Conflict)).opt,
        response_description="Queued; what had arrived is left alone.",
    )
    async def recover_webhook(
        self,
        webhook_id: FromPath[int],
        data: JSONBody[WebhookRecovery],
        webhook_deliveries: NamedDependency[WebhookDeliveries],
        tenant: NamedDependency[Tenant],
    ) -> Recovery:
        """Send all that did not arrive since an instant.

        What was given up, and what was published while the webhook was off or before it was registered. In order.
        """
        return await webhook_deliveries.recover(tenant, webhook_id, since=data.since, until=data.until)
