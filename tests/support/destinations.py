"""Every connector beside a local server of its destination: what the shared suite of tests needs of each."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from segment_copilot.activations.addresses import LOOPBACK, read_networks
from segment_copilot.activations.connectors import Batch, Config, Connector, Outcome, Recipient
from segment_copilot.activations.connectors.braze import Braze, BrazeConfig
from segment_copilot.activations.connectors.klaviyo import Klaviyo, KlaviyoConfig
from segment_copilot.activations.connectors.webhook import Webhook, WebhookConfig
from segment_copilot.activations.outgoing import Outgoing
from tests.support.braze_server import BrazeServer
from tests.support.klaviyo_server import KlaviyoServer
from tests.support.service_server import ServiceServer, serving
from tests.support.webhook_server import PATH, WebhookServer

OUTGOING = Outgoing(read_networks(LOOPBACK))
SEGMENT = 7


class Destination(Struct, frozen=True):
    """A connector with its config, a server, and how to look into it."""

    connector: Connector
    config: Config
    secret: str
    server: ServiceServer
    members: Callable[[], set[str]]
    """Who is in the audience there."""
    state: Callable[[], Any]
    """Everything that is kept there."""
    size: int
    """So many users enter in a test, that the way under test is taken."""
    spoil: Callable[[Collection[Recipient]], tuple[Recipient, ...]] | None
    """Returns users that the destination will not take; None where it says nothing of single users."""
    misconfigured: Callable[[str], Config]
    """The config with what is named: a wrong key, a wrong place."""
    told: Mapping[str, str]
    """What a person reads of a wrong `key`, of a wrong `place`, and of a key without `rights`: a pattern of each."""
    required: tuple[str, ...]
    """The fields that a config must have."""
    secret_field: str = "api_key"

    async def send(self, batch: Batch, *, config: Config | None = None, outgoing: Outgoing = OUTGOING) -> Outcome:
        return await self.connector.send(batch, config or self.config, outgoing)


def crowd(size: int, start: int = 0) -> tuple[Recipient, ...]:
    """Users of whom most have an email."""
    numbers = range(start, start + size)
    return tuple(Recipient(f"u{one}", {"email": f"u{one}@example.com"} if one % 3 else {}) for one in numbers)


def batch(entered: Collection[Recipient] = (), left: Collection[Recipient] = (), *, key: str = "b1") -> Batch:
    return Batch(
        key=key,
        activation_id=3,
        delivery_id=4,
        number=1,
        segment_id=SEGMENT,
        segment_name="Churn Risk",
        tenant_slug="acme",
        sent_at=datetime(2026, 5, 2, 14, 32, tzinfo=UTC),
        entered=tuple(entered),
        left=tuple(left),
    )


@asynccontextmanager
async def klaviyo(size: int) -> AsyncGenerator[Destination]:
    async with serving(KlaviyoServer()) as server:
        right = {"list_id": server.list_id, "api_key": server.key}

        def wrong(what: str) -> Config:
            other = {"key": {"api_key": "pk_wrong_99887766"}, "place": {"list_id": "NoList"}}[what]
            return KlaviyoConfig(**(right | other))

        yield Destination(
            connector=Klaviyo(server.url, pauses=[timedelta(0)] * 4),
            config=KlaviyoConfig(**right),
            secret=server.key,
            server=server,
            members=lambda: server.members,
            state=server.state,
            size=size,
            spoil=lambda users: tuple(Recipient(user.user_id, {"email": "no email"}) for user in users),
            misconfigured=wrong,
            told={"key": "API key", "place": "has no list", "rights": "may not do this.*Give it"},
            required=("list_id", "api_key"),
        )


@asynccontextmanager
async def braze(*, group: bool) -> AsyncGenerator[Destination]:
    async with serving(BrazeServer()) as server:
        right = {"rest_endpoint": server.url, "api_key": server.key}
        right |= {"segment_id": server.group} if group else {}

        def wrong(what: str) -> Config:
            other = {"key": {"api_key": "0b5f-wrong"}, "place": {"rest_endpoint": f"{server.url}/dashboard/"}}[what]
            return BrazeConfig(**(right | other))

        def spoil(users: Collection[Recipient]) -> tuple[Recipient, ...]:
            server.refused_ids = {user.user_id for user in users}
            return tuple(users)

        yield Destination(
            connector=Braze(),
            config=BrazeConfig(**right),
            secret=server.key,
            server=server,
            members=lambda: server.groups[server.group] if group else server.marked(f"segops_segment_{SEGMENT}"),
            state=server.state,
            size=60,
            spoil=None if group else spoil,
            misconfigured=wrong,
            told={"key": "API key", "place": "looks like", "rights": "may not do this.*Give it"},
            required=("rest_endpoint", "api_key"),
        )


@asynccontextmanager
async def webhook() -> AsyncGenerator[Destination]:
    async with serving(WebhookServer()) as server:
        right = WebhookConfig(url=f"{server.url}{PATH}", secret=server.secret)

        def wrong(what: str) -> Config:
            if what == "key":
                return replace(right, secret="whsec_d3Jvbmc5OTg4Nzc2Ng==")
            return replace(right, url=f"{server.url}/nowhere")

        def spoil(users: Collection[Recipient]) -> tuple[Recipient, ...]:
            server.refused_ids = {user.user_id for user in users}
            return tuple(users)

        yield Destination(
            connector=Webhook(),
            config=right,
            secret=server.secret,
            server=server,
            members=lambda: set(server.members),
            state=lambda: server.members,
            size=60,
            spoil=spoil,
            misconfigured=wrong,
            told={"key": "does not take these credentials", "place": "answered 404", "rights": "these credentials"},
            required=("url",),
            secret_field="secret",
        )


DESTINATIONS = {
    "klaviyo, a few": lambda: klaviyo(4),
    "klaviyo, many": lambda: klaviyo(40),
    "braze, an attribute": lambda: braze(group=False),
    "braze, a group": lambda: braze(group=True),
    "webhook": webhook,
}
