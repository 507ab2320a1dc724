"""The production wiring on the test's own databases, a tenant, and a short way to give it a history."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.addresses import LOOPBACK
from segment_copilot.activations.secrets import new_key
from segment_copilot.events import Event, observe_names, write_block
from segment_copilot.events.arrivals import note_rewritten
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.migrations import migrate
from tests.support.databases import shares_databases
from tests.support.engines import TEST_CLUSTER

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
"""The instant that tests ask about."""

SECRETS_KEY = new_key()

Happened = tuple[str, str, timedelta | datetime, dict[str, Any]]
"""User id, event type, how long before NOW (or when), payload."""

Remember = Callable[[Tenant, Iterable[Happened]], Awaitable[None]]


@pytest.fixture
async def resources(database_url: str, clickhouse_url: str) -> AsyncGenerator[Resources]:
    """Everything that a process opens, on fresh migrated databases."""
    settings = Settings(
        database_url=database_url,
        clickhouse_url=clickhouse_url,
        clickhouse_cluster=TEST_CLUSTER,
        outgoing_allow=LOOPBACK,
        secrets_keys=(SECRETS_KEY,),
        refresh_default="manual",
    )
    async with open_resources(settings) as opened:
        await migrate(opened.postgres, opened.clickhouse)
        yield opened


@pytest.fixture(scope="module")
async def module_resources(module_database_url: str, module_clickhouse_url: str) -> AsyncGenerator[Resources]:
    """The same on this module's databases."""
    settings = Settings(
        database_url=module_database_url,
        clickhouse_url=module_clickhouse_url,
        clickhouse_cluster=TEST_CLUSTER,
        outgoing_allow=LOOPBACK,
        secrets_keys=(SECRETS_KEY,),
        refresh_default="manual",
    )
    async with open_resources(settings) as opened:
        yield opened


@pytest.fixture
async def tenant(request: pytest.FixtureRequest, resources: Resources) -> Tenant:
    return await resources.tenants.create(slug_of(request, "acme"))


@pytest.fixture
async def other_tenant(request: pytest.FixtureRequest, resources: Resources) -> Tenant:
    """Somebody else, whose ids must answer as if they did not exist."""
    return await resources.tenants.create(slug_of(request, "rival"))


def slug_of(request: pytest.FixtureRequest, name: str) -> str:
    """A slug that no other test of the same databases has."""
    return f"{name}-{uuid4().hex[:12]}" if shares_databases(request) else name


@pytest.fixture
def remember(resources: Resources) -> Remember:
    """Write events straight to ClickHouse, with what the worker would note about their names."""
    return remembering(resources)


def remembering(resources: Resources) -> Remember:
    """What `remember` is; one for all tests that share their databases."""
    blocks = 0

    async def write(tenant: Tenant, happened: Iterable[Happened]) -> None:
        nonlocal blocks
        blocks += 1
        events = [
            Event(
                tenant_id=tenant.id,
                event_id=f"{blocks}-{index}",
                user_id=user_id,
                event_type=event_type,
                occurred_at=when if isinstance(when, datetime) else NOW - when,
                payload=msgspec.json.encode(payload).decode(),
            )
            for index, (user_id, event_type, when, payload) in enumerate(happened)
        ]
        await write_block(resources.clickhouse, events, token=f"{tenant.id}-{blocks}")
        await observe_names(resources.postgres, events)
        await note_rewritten(resources.postgres, tenant.id)  # no block says so

    return write
