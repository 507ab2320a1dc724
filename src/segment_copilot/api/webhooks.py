"""Webhooks over HTTP: a tenant says which of its servers are told of its segments, tries them, and reads along without one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.datastructures import ResponseHeader, State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from segment_copilot.access.keys import Caller
from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.addresses import MAX_URL
from segment_copilot.activations.webhooks.bodies import EVENTS, Event
from segment_copilot.activations.webhooks.endpoints import (
    DEFAULT_EVENTS,
    IssuedWebhook,
    Order,
    WebhookEndpoint,
    Webhooks,
)
from segment_copilot.activations.webhooks.feed import MAX_MESSAGES, MAX_WAIT, Messages, WebhookFeed
from segment_copilot.activations.webhooks.log import TestResult, WebhookDeliveries
from segment_copilot.activations.webhooks.signatures import MAX_SECRET, MIN_SECRET, Signature
from segment_copilot.api.http.bodies import ReadOnly
from segment_copilot.api.http.pages import FIELDS, LISTING, MAX_CURSOR, ORDER, CursorPage, listing_of
from segment_copilot.api.http.parameters import Names
from segment_copilot.api.http.routes import Route
from segment_copilot.errors import Conflict, NotFound
from segment_copilot.lists import Listed

Url = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_URL,
        description="https:// and a host on the public internet",
        examples=["https://hooks.example.com/segments"],
    ),
]
Description = Annotated[str, Meta(max_length=1_000)]
Events = Annotated[
    tuple[Event, ...],
    Meta(
        min_length=1,
        max_length=len(EVENTS),
        description="What it is told of; users who entered or left need members:read",
    ),
]
GivenSecret = Annotated[
    str,
    Meta(
        min_length=MIN_SECRET,
        max_length=MAX_SECRET,
        description="What is signed with; never returned. whsec_ and base64 as Standard Webhooks have it, or any text",
        extra_json_schema={"pattern": r"^[ -~]+$", "writeOnly": True},
    ),
]


class _AsRead(Struct, frozen=True, kw_only=True):
    """Fields that only the server writes."""

    id: ReadOnly = None
    public_key: ReadOnly = None
    previous_secret_until: ReadOnly = None
    failing_since: ReadOnly = None
    notice: ReadOnly = None
    disabled_at: ReadOnly = None
    disabled_reason: ReadOnly = None
    created_at: ReadOnly = None
    updated_at: ReadOnly = None


class WebhookCreate(_AsRead, frozen=True, forbid_unknown_fields=True):
    """A webhook to register."""

    url: Url
    description: Description = ""
    events: Events = DEFAULT_EVENTS
    is_active: bool = True
    secret: Annotated[GivenSecret | None, Meta(description="Left out or null: one is made")] = None
    signature: Annotated[
        Signature, Meta(description="hmac: by a shared secret; ed25519: by a key of which you get the public half")
    ] = "hmac"


class WebhookPatch(_AsRead, frozen=True, forbid_unknown_fields=True):
    """Some changes of a webhook; what is left out stays."""

    url: Url | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    signature: Annotated[Signature, Meta(description="As it is: it cannot be changed")] | UnsetType = UNSET


class SecretRotation(Struct, frozen=True, forbid_unknown_fields=True):
    """A secret for the place of the one there is; left out, one is made."""

    secret: GivenSecret | None = None


class WebhookTest(Struct, frozen=True, forbid_unknown_fields=True):
    """Names the event to make up; left out: the first that the webhook is told of."""

    event: Event | None = None


class WebhookRecord(Struct, frozen=True):
    """A webhook without its secret.

    While its attempts fail, *failing_since* says since when, and *notice* when that switches it off. *public_key* verifies
    the signatures of one that signs by ed25519. Until *previous_secret_until* an old secret signs too.
    """

    id: int
    url: str
    description: str
    events: tuple[Event, ...]
    is_active: bool
    signature: Signature
    public_key: str | None
    previous_secret_until: datetime | None
    failing_since: datetime | None
    notice: str | None
    disabled_at: datetime | None
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, webhook: WebhookEndpoint) -> Self:
        """Return the record of *webhook*."""
        return cls(**structs.asdict(webhook))


class IssuedWebhookRecord(WebhookRecord, frozen=True):
    """A webhook with the secret that was made for it, shown this once; null where it was given, or signs by ed25519."""

    secret: str | None


class WebhookList(CursorPage[WebhookRecord], frozen=True):
    """A page of webhooks."""


class WebhookController(Controller):
    """Manages the webhooks of a tenant."""

    path = "/api/webhooks"
    tags = ("webhooks",)

    @get(opt=Route(parameters=LISTING).opt, response_description="A page of them.")
    async def list_webhooks(
        self,
        request: Request[Any, Any, State],
        webhooks: NamedDependency[Webhooks],
        tenant: NamedDependency[Tenant],
        order: Annotated[Order, ORDER] = "id",
        fields: Annotated[str | None, FIELDS, Names(WebhookRecord)] = None,
        is_active: Annotated[bool | None, QueryParameter(description="Only those that are switched on, or off")] = None,
    ) -> Response[WebhookList]:
        """List the webhooks.

        Never their secrets.
        """
        listing = listing_of(request)
        found = await webhooks.page(tenant, listing.window, order=order, is_active=is_active)
        shown = Listed(tuple(WebhookRecord.of(one) for one in found.results), found.count, found.cursor)
        return listing.answer(shown, fields)

    @post(
        opt=Route(problems=(Conflict,)).opt,
        response_headers=(ResponseHeader(name="Location", description="Where it is read", documentation_only=True),),
        response_description="Registered. A secret that was made is shown this once.",
    )
    async def create_webhook(
        self, data: JSONBody[WebhookCreate], webhooks: NamedDependency[Webhooks], caller: NamedDependency[Caller]
    ) -> Response[IssuedWebhookRecord]:
        """Register a webhook.

        What is published from now on is sent to it; `recover` sends what was published before.
        """
        issued = await webhooks.create(
            caller.tenant,
            data.url,
            description=data.description,
            events=data.events,
            is_active=data.is_active,
            secret=data.secret,
            signature=data.signature,
            by=caller,
        )
        return _issued(issued, created=True)

    @get("/messages", opt=Route(scope="members:read").opt, response_description="Some messages, and where to go on.")
    async def list_webhook_messages(
        self,
        webhook_feed: NamedDependency[WebhookFeed],
        tenant: NamedDependency[Tenant],
        cursor: Annotated[
            str | None,
            QueryParameter(
                max_length=MAX_CURSOR, description="next_cursor of the answer before; left out: from now on"
            ),
        ] = None,
        event: Annotated[Event | None, QueryParameter(description="Only this event")] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_MESSAGES, description="Messages at most")] = MAX_MESSAGES,
        wait: Annotated[
            int, QueryParameter(ge=0, le=MAX_WAIT, description="Seconds to wait for a message where there is none yet")
        ] = 0,
    ) -> Messages:
        """Read what webhooks are sent, without having one.

        Oldest first. Ask again with the `next_cursor` of each answer; nothing is left out or told twice.
        """
        events = (event,) if event else EVENTS
        return await webhook_feed.read(tenant, cursor, events=events, limit=limit, wait=wait)

    @get("/{webhook_id:int}", response_description="The webhook.")
    async def get_webhook(
        self, webhook_id: FromPath[int], webhooks: NamedDependency[Webhooks], tenant: NamedDependency[Tenant]
    ) -> WebhookRecord:
        """Read a webhook.

        Never its secret.
        """
        return WebhookRecord.of(await webhooks.get(tenant, webhook_id))

    @patch("/{webhook_id:int}", response_description="Changed.")
    async def update_webhook(
        self,
        webhook_id: FromPath[int],
        data: JSONBody[WebhookPatch],
        webhooks: NamedDependency[Webhooks],
        caller: NamedDependency[Caller],
    ) -> WebhookRecord:
        """Change a webhook, or switch it on or off.

        A webhook as it was read may be sent: what only the server writes is ignored. Its secret is changed by `rotate-secret/`.

        Switched off, what waits for it is given up, and can be recovered once it is on again. One that was switched off
        for its failures begins anew.
        """
        changed = await webhooks.change(
            caller.tenant,
            webhook_id,
            url=data.url,
            description=data.description,
            events=data.events,
            is_active=data.is_active,
            signature=data.signature,
            by=caller,
        )
        return WebhookRecord.of(changed)

    @delete("/{webhook_id:int}", response_description="It is gone.")
    async def delete_webhook(
        self, webhook_id: FromPath[int], webhooks: NamedDependency[Webhooks], tenant: NamedDependency[Tenant]
    ) -> None:
        """Delete a webhook.

        What waits for it is not sent; its log goes too.
        """
        await webhooks.delete(tenant, webhook_id)

    @post(
        "/{webhook_id:int}/rotate-secret",
        status_code=200,
        opt=Route(problems=(NotFound, Conflict)).opt,
        response_description="The webhook with its new secret, shown this once.",
    )
    async def rotate_webhook_secret(
        self,
        webhook_id: FromPath[int],
        webhooks: NamedDependency[Webhooks],
        tenant: NamedDependency[Tenant],
        data: JSONBody[SecretRotation | None] = None,
    ) -> Response[IssuedWebhookRecord]:
        """Change the secret of a webhook.

        For a day `webhook-signature` holds the signatures of both; `X-SegOps-Signature` is by the new one at once.
        """
        return _issued(await webhooks.rotate(tenant, webhook_id, secret=data.secret if data else None), created=False)

    @post(
        "/{webhook_id:int}/test",
        status_code=200,
        opt=Route(problems=(NotFound, Conflict)).opt,
        response_description="What came back; delivered is false where that was no success.",
    )
    async def test_webhook(
        self,
        webhook_id: FromPath[int],
        webhook_deliveries: NamedDependency[WebhookDeliveries],
        tenant: NamedDependency[Tenant],
        data: JSONBody[WebhookTest | None] = None,
    ) -> TestResult:
        """Send a made-up event now, and see what comes back.

        Its body has `"test": true`. One attempt of five seconds; it is neither logged nor counted.
        """
        return await webhook_deliveries.test(tenant, webhook_id, event=data.event if data else None)


def _issued(issued: IssuedWebhook, *, created: bool) -> Response[IssuedWebhookRecord]:
    record = IssuedWebhookRecord(**structs.asdict(issued.webhook), secret=issued.secret)
    headers = {"Location": f"/api/webhooks/{record.id}/"} if created else {}
    return Response(record, status_code=201 if created else 200, headers=headers)
