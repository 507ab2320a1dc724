"""Where members are sent: whose, and what is shown of it."""

from __future__ import annotations

from typing import Any

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import Conflict, NotFound
from segment_copilot.resources import Resources

DEFINITION: dict[str, Any] = {
    "logic": "AND",
    "conditions": [{"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 1}],
}


async def test_an_activation_is_its_tenants_alone_and_shows_no_secret(
    resources: Resources, tenant: Tenant, other_tenant: Tenant
):
    segment = (await resources.segments.create(tenant, name="Buyers", definition=DEFINITION)).segment
    config = {"api_key": "sk-live", "list": "buyers", "auth": [{"token": "t"}]}

    await resources.activations.create(tenant, segment.id, connector_type="klaviyo", config=config)
    with pytest.raises(NotFound):
        await resources.activations.create(other_tenant, segment.id, connector_type="braze", config={})

    (listed,) = await resources.activations.list(tenant)
    assert (listed.segment_name, listed.status) == ("Buyers", "inactive")
    assert listed.config == {"api_key": "***", "list": "buyers", "auth": [{"token": "***"}]}
    assert await resources.activations.list(other_tenant) == ()


async def test_segments_that_refer_to_one_another_go_together_once_no_activation_uses_them(
    resources: Resources, tenant: Tenant, other_tenant: Tenant
):
    segments = resources.segments
    first = (await segments.create(tenant, name="Buyers", definition=DEFINITION)).segment
    refers: dict[str, Any] = {"type": "segment_membership", "segment_id": first.id}
    await segments.create(tenant, name="Again", definition={"logic": "AND", "conditions": [refers]})
    await segments.create(other_tenant, name="Theirs", definition=DEFINITION)
    await resources.activations.create(tenant, first.id, connector_type="klaviyo", config={})

    with pytest.raises(Conflict):
        await segments.delete_all(tenant)
    assert (await segments.list(tenant)).count == 2
    await resources.activations.delete_all(tenant)
    await segments.delete_all(tenant)

    assert [(await segments.list(one)).count for one in (tenant, other_tenant)] == [0, 1]
