"""A tenant of a test's own on the module's databases, with what publishes for it, and a receiver."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.webhooks.bodies import EVENTS, Event
from segment_copilot.activations.webhooks.endpoints import IssuedWebhook
from segment_copilot.activations.webhooks.queue import WebhookQueue
from segment_copilot.audiences.changes import Comparison
from segment_copilot.audiences.publications import announce
from segment_copilot.resources import Resources
from tests.support.receiver import Receiver, receiving

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
PATIENCE = timedelta(seconds=2)
"""How long the queue waits for an answer in tests."""


class Shop(Struct):
    """A tenant with webhooks; what it publishes without a computation has no users."""

    resources: Resources
    tenant: Tenant
    queue: WebhookQueue
    published: int = 0

    async def segment(self, name: str = "Buyers") -> int:
        return (await self.resources.segments.create(self.tenant, name=name, segment_type="static")).segment.id

    async def publish(self, segment_id: int, times: int = 1) -> None:
        """Announce states of a segment, whose member counts go up one by one, and queue them."""
        for _ in range(times):
            self.published += 1
            async with self.resources.postgres.transaction() as transaction:
                await announce(
                    transaction,
                    self.tenant,
                    segment_id,
                    computation_id=self.published,
                    found=Comparison(uuid4(), self.published, 0, 0),
                    computed_at=NOW,
                )
        await self.queue.fan_out(now=NOW)

    async def webhook(
        self, receiver: Receiver, target: str = "/", *, events: Sequence[Event] = EVENTS, secret: str | None = None
    ) -> IssuedWebhook:
        return await self.resources.webhooks.create(
            self.tenant, f"{receiver.url}{target}", events=events, secret=secret
        )

    async def statuses(self, webhook_id: int) -> list[str]:
        found = await self.resources.webhook_deliveries.page(self.tenant, webhook_id, order="id")
        return [one.status for one in found.results]


def counts(receiver: Receiver, target: str = "/") -> list[int]:
    """The member counts that came, in their order."""
    return [msgspec.json.decode(body)["member_count"] for body in receiver.bodies(target)]


@pytest.fixture
async def shop(module_resources: Resources) -> AsyncGenerator[Shop]:
    resources = module_resources
    tenant = await resources.tenants.create(f"shop-{uuid4().hex[:8]}")
    queue = WebhookQueue(
        resources.postgres, resources.webhooks, resources.publications, resources.outgoing, timeout=PATIENCE
    )
    yield Shop(resources, tenant, queue)
    await resources.postgres.execute("DELETE FROM webhooks")  # what waits is no other test's


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with receiving() as opened:
        yield opened
