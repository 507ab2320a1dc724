"""A small demo shop, loaded once for all these tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.demo import load_demo
from segment_copilot.demo.shop import generate_shop
from segment_copilot.events import Event
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings

USERS = 4_000


@pytest.fixture(scope="package")
def ends_at() -> datetime:
    """A Wednesday afternoon."""
    return datetime(2026, 6, 10, 15, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
async def shop(module_database_url: str, module_clickhouse_url: str) -> AsyncGenerator[Resources]:
    """Everything that a process opens, on databases of this module."""
    settings = Settings(database_url=module_database_url, clickhouse_url=module_clickhouse_url)
    async with open_resources(settings) as opened:
        yield opened


@pytest.fixture(scope="module")
async def demo_tenant(shop: Resources, ends_at: datetime) -> Tenant:
    """The demo tenant with a fifth of its users and without a history."""
    return await load_demo(shop, ends_at=ends_at, users=USERS, history_days=1)


@pytest.fixture(scope="module")
def loaded(demo_tenant: Tenant, ends_at: datetime) -> list[Event]:
    """What the demo tenant must hold."""
    return list(generate_shop(users=USERS).events(demo_tenant.id, ends_at=ends_at))
