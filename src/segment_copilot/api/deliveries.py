"""Deliveries over HTTP: a client asks for a sync, reads what became of it, and has one sent again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import Controller, Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.deliveries import (
    Deliveries,
    Delivery,
    DeliveryStats,
    DeliveryStatus,
    RejectedUser,
)
from segment_copilot.activations.syncing import Syncing, SyncPlan
from segment_copilot.api.http.pages import LISTING, CursorPage, listing_of
from segment_copilot.api.http.routes import Route
from segment_copilot.errors import Conflict


class SyncRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The sync that is wanted; without it, what changed since the last."""

    full: Annotated[bool, Meta(description="Send all members, not only what changed")] = False
    allow_empty: Annotated[
        bool, Meta(description="Send it even if the destination is emptied, or loses more than it may, by it")
    ] = False
    dry_run: Annotated[bool, Meta(description="Send nothing; say what would be sent")] = False


class SyncAnswer(Struct, frozen=True):
    """The sync that was queued, or in *plan* what one would send."""

    status: Literal["queued", "dry_run"]
    delivery_id: Annotated[int | None, Meta(examples=[7])]
    plan: SyncPlan | None


class DeliveryList(CursorPage[Delivery], frozen=True):
    """A page of deliveries, newest first."""


class RejectedList(CursorPage[RejectedUser], frozen=True):
    """A page of users that a destination did not take."""


class ActivationDeliveryController(Controller):
    """Sends members on."""

    path = "/api/activations"
    tags = ("activations",)

    @post(
        "/{activation_id:int}/sync",
        status_code=202,
        opt=Route(problems=(Conflict,)).opt,
        response_description="Queued.",
    )
    async def sync_activation(
        self,
        activation_id: FromPath[int],
        deliveries: NamedDependency[Deliveries],
        syncing: NamedDependency[Syncing],
        tenant: NamedDependency[Tenant],
        data: JSONBody[SyncRequest | None] = None,
    ) -> SyncAnswer:
        """Send what changed since the last sync.

        In the background; `GET /api/deliveries/<id>/` says how far it is. One that waits already, after a failure or because
        it would empty the destination, is tried now. With `dry_run` nothing is sent, and the answer says what would be.
        """
        asked = data or SyncRequest()
        if asked.dry_run:
            plan = await syncing.plan(tenant, activation_id, full=asked.full, allow_empty=asked.allow_empty)
            return SyncAnswer("dry_run", None, plan)
        delivery = await deliveries.request(tenant, activation_id, full=asked.full, allow_empty=asked.allow_empty)
        return SyncAnswer("queued", delivery.id, None)

    @get("/{activation_id:int}/stats", response_description="The numbers.")
    async def get_activation_stats(
        self,
        activation_id: FromPath[int],
        deliveries: NamedDependency[Deliveries],
        tenant: NamedDependency[Tenant],
    ) -> DeliveryStats:
        """Count the deliveries of an activation.

        `sent` and `rejected` are users, `success_rate` a percentage of the last 30 deliveries that ended.
        """
        return await deliveries.stats(tenant, activation_id)

    @get("/{activation_id:int}/deliveries", opt=Route(parameters=LISTING).opt, response_description="A page of them.")
    async def list_deliveries(
        self,
        request: Request[Any, Any, State],
        activation_id: FromPath[int],
        deliveries: NamedDependency[Deliveries],
        tenant: NamedDependency[Tenant],
        status: Annotated[DeliveryStatus | None, QueryParameter(description="Only those of this status")] = None,
    ) -> Response[DeliveryList]:
        """List the deliveries of an activation, newest first.

        Each is one sync, from the first attempt to its end.
        """
        listing = listing_of(request)
        return listing.answer(await deliveries.page(tenant, activation_id, listing.window, status=status))


class DeliveryController(Controller):
    """Tells what became of a delivery."""

    path = "/api/deliveries"
    tags = ("activations",)

    @get("/{delivery_id:int}", response_description="The delivery.")
    async def get_delivery(
        self, delivery_id: FromPath[int], deliveries: NamedDependency[Deliveries], tenant: NamedDependency[Tenant]
    ) -> Delivery:
        """Read a delivery.

        `queued` with an error waits until `next_attempt_at`; `held` waits for a sync with allow_empty; `failed` was refused,
        `dead` was tried for a day: both may be replayed.
        """
        return await deliveries.get(tenant, delivery_id)

    @get("/{delivery_id:int}/rejected", opt=Route(parameters=LISTING).opt, response_description="A page of them.")
    async def list_rejected(
        self,
        request: Request[Any, Any, State],
        delivery_id: FromPath[int],
        deliveries: NamedDependency[Deliveries],
        tenant: NamedDependency[Tenant],
    ) -> Response[RejectedList]:
        """List users that the destination did not take.

        With its reasons; the first hundred of a delivery are kept. The others of the delivery arrived.
        """
        listing = listing_of(request)
        return listing.answer(await deliveries.rejected(tenant, delivery_id, listing.window))

    @post(
        "/{delivery_id:int}/replay",
        status_code=202,
        opt=Route(problems=(Conflict,)).opt,
        response_description="Queued.",
    )
    async def replay_delivery(
        self, delivery_id: FromPath[int], deliveries: NamedDependency[Deliveries], tenant: NamedDependency[Tenant]
    ) -> Delivery:
        """Send a delivery again.

        One that ended in vain goes on where it stopped; one that is done sends all members again. Only the last one of its
        activation can be replayed: an older one would undo what came after it.
        """
        return await deliveries.replay(tenant, delivery_id)
