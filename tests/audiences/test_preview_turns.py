"""Previews of one tenant wait for one another, before anything is done for them; those of another do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from msgspec import structs

from segment_copilot.access.tenants import Tenant
from segment_copilot.resources import Resources, open_resources
from tests.support.resources import Remember

ORDERED = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "ordered"}]}


@pytest.fixture
async def one_at_a_time(resources: Resources) -> AsyncGenerator[Resources]:
    async with open_resources(structs.replace(resources.settings, clickhouse_tenant_queries=1)) as opened:
        yield opened


async def test_a_tenants_previews_come_one_after_the_other(
    one_at_a_time: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    for each in (tenant, other_tenant):
        await remember(each, [])
    previews, ended = one_at_a_time.previews, list[str]()

    async def ask(who: Tenant, name: str) -> None:
        await previews.preview(who, ORDERED)
        ended.append(name)

    turn = await previews._turns.next(tenant.id, 5)  # as if one were under way
    mine = [asyncio.create_task(ask(tenant, f"mine {number}")) for number in range(4)]
    await ask(other_tenant, "another's")
    assert (ended, previews._turns.waiting) == (["another's"], 4)

    turn.end()
    await asyncio.gather(*mine)
    assert ended == ["another's", "mine 0", "mine 1", "mine 2", "mine 3"]
    assert previews._turns.waiting == 0
