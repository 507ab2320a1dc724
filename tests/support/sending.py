"""A segment whose members are as a test says, and an activation of it that posts to a local receiver."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.activations import Activation, ActivationChanges
from segment_copilot.activations.addresses import LOOPBACK
from segment_copilot.activations.deliveries import Delivery
from segment_copilot.activations.secrets import new_key
from segment_copilot.lists import Window
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from tests.support.engines import TEST_CLUSTER
from tests.support.receiver import Receiver, receiving
from tests.support.resources import NOW, remembering

DEFINITION: dict[str, Any] = {
    "logic": "AND",
    "conditions": [
        {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 1, "window_days": 1}
    ],
}
KEYS = (new_key(), new_key())

_numbers = count(1)


class Sent(Struct, frozen=True):
    """A batch as the receiver got it."""

    key: str
    entered: list[str]
    left: list[str]
    full: bool


class Sending:
    """A tenant with one segment. Each state of it is an instant of its own, at which those are members who bought then."""

    def __init__(self, resources: Resources, tenant: Tenant, receiver: Receiver) -> None:
        self.resources = resources
        self.tenant = tenant
        self.receiver = receiver
        self.segment_id = 0
        self.at = NOW
        self.remember = remembering(resources)

    async def publish(self, members: Iterable[str]) -> None:
        """Make these the members, by a computation."""
        self.at += timedelta(days=2)
        await self.remember(self.tenant, [(user, "order_placed", self.at - timedelta(hours=1), {}) for user in members])
        await self.resources.computations.request(self.tenant, self.segment_id, as_of=self.at)
        while await self.resources.computations.run_next():
            pass

    async def activate(self, **config: Any) -> Activation:
        """Send the segment to the receiver, from now on."""
        made = await self.resources.activations.create(
            self.tenant,
            self.segment_id,
            connector_type="webhook",
            config={"url": f"{self.receiver.url}/", "secret": "whsec_test"} | config,
        )
        return await self.resources.activations.update(self.tenant, made.id, ActivationChanges(status="active"))

    async def work(self) -> None:
        """Do what a worker does, until nothing is left that may be done now."""
        await self.resources.syncing.notice()
        while await self.resources.syncing.send_next():
            pass

    async def deliveries(self, activation: Activation) -> list[Delivery]:
        """Return the deliveries, oldest first."""
        page = await self.resources.deliveries.page(self.tenant, activation.id, Window(limit=100))
        return list(reversed(page.results))

    async def read(self, activation: Activation) -> Activation:
        return await self.resources.activations.get(self.tenant, activation.id)

    def sent(self) -> list[Sent]:
        """Return what the receiver got."""
        found = list[Sent]()
        for one in self.receiver.received:
            body = json.loads(one.body)
            entered, left = (sorted(user["user_id"] for user in body[name]) for name in ("entered", "left"))
            found.append(Sent(one.headers["idempotency-key"], entered, left, body["full"]))
        return found


@pytest.fixture(scope="module")
async def sending_resources(
    module_database_url: str, module_clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Resources]:
    """Everything that a process opens, with keys for secrets and a directory for files."""
    settings = Settings(
        database_url=module_database_url,
        clickhouse_url=module_clickhouse_url,
        clickhouse_cluster=TEST_CLUSTER,
        outgoing_allow=LOOPBACK,
        secrets_keys=KEYS[:1],
        files_directory=str(tmp_path_factory.mktemp("files")),
    )
    async with open_resources(settings) as opened:
        yield opened


@pytest.fixture
async def sending(sending_resources: Resources) -> AsyncGenerator[Sending]:
    """A shop of a tenant of its own."""
    tenant = await sending_resources.tenants.create(f"shop-{next(_numbers)}")
    async with receiving() as receiver:
        made = Sending(sending_resources, tenant, receiver)
        saved = await sending_resources.segments.create(tenant, name="Buyers", definition=DEFINITION)
        made.segment_id = saved.segment.id
        yield made
