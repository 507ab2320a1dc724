"""The demo's destination: what the copilot tells of activations has really been sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx2
import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.activations import Activation, ActivationChanges
from segment_copilot.activations.addresses import LOOPBACK
from segment_copilot.activations.secrets import new_key
from segment_copilot.commands.serving import catching
from segment_copilot.demo import Catcher, connect_demo, load_demo
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings


@pytest.fixture(scope="module")
async def sending(module_database_url: str, module_clickhouse_url: str) -> AsyncGenerator[Resources]:
    settings = Settings(
        database_url=module_database_url,
        clickhouse_url=module_clickhouse_url,
        outgoing_allow=LOOPBACK,
        secrets_keys=(new_key(),),
    )
    async with open_resources(settings) as opened:
        yield opened


@pytest.fixture(scope="module")
async def tenant(sending: Resources, ends_at) -> Tenant:
    return await load_demo(sending, ends_at=ends_at, users=400, history_days=1)


async def work(resources: Resources) -> None:
    await resources.syncing.notice()
    while await resources.syncing.send_next():
        pass


async def connected(resources: Resources, tenant: Tenant) -> dict[str, Activation]:
    return {one.connector_type: one for one in await resources.activations.list(tenant)}


async def members(resources: Resources, tenant: Tenant, segment_id: int) -> set[str]:
    page = await resources.members.page(tenant, segment_id, limit=1000)
    return {one.user_id for one in page.members}


async def test_what_is_told_of_the_demos_activations_was_sent(sending: Resources, tenant: Tenant):
    await sending.postgres.execute(  # as earlier versions made them up
        "INSERT INTO activations (tenant_id, segment_id, connector_type, config, status, last_synced_at) "
        """SELECT $1, min(id), 'klaviyo', '{"list_id": "DEMO01"}', 'active', now() FROM segments WHERE tenant_id = $1""",
        tenant.id,
    )
    catcher = Catcher()
    async with catching(catcher) as url:
        await connect_demo(sending, tenant, url)
        made = await connected(sending, tenant)
        assert {name: (one.segment_name, one.status, one.last_synced_at) for name, one in made.items()} == {
            "braze": ("High LTV", "active", None),
            "webhook": ("Churn Risk", "inactive", None),
        }
        for one in made.values():
            assert (await sending.activations.check(tenant, one.id)).ok
        assert catcher.audiences == {}

        await work(sending)
        await sending.activations.update(tenant, made["webhook"].id, ActivationChanges(status="active"))
        await work(sending)

        loyal, lost = [await members(sending, tenant, made[name].segment_id) for name in ("braze", "webhook")]
        assert loyal
        assert lost
        mark = f"braze segops_segment_{made['braze'].segment_id}"
        assert catcher.audiences == {mark: loyal, "webhook Churn Risk": lost}
        assert all(one.last_synced_at for one in (await connected(sending, tenant)).values())
        async with httpx2.AsyncClient(base_url=url) as client:
            told = (await client.get("/")).json()
            assert told["audiences"] == {mark: len(loyal), "webhook Churn Risk": len(lost)}
            assert (await client.post("/elsewhere")).status_code == 404
            assert (await client.post("/webhook", content=b"{")).status_code == 400


async def test_a_catcher_at_another_address_is_found_again_and_nothing_is_made_twice(
    sending: Resources, tenant: Tenant
):
    catcher = Catcher()
    async with catching(Catcher()) as url:
        await connect_demo(sending, tenant, url)
        await connect_demo(sending, tenant, url)
        port = int(url.rpartition(":")[2])
        async with catching(catcher, port=port) as other:  # the port is taken
            assert other != url
            await connect_demo(sending, tenant, other)
            made = await connected(sending, tenant)
            assert len(await sending.activations.list(tenant)) == 2
            assert made["braze"].config["rest_endpoint"] == f"{other}/braze"
            assert (await sending.activations.check(tenant, made["braze"].id)).ok
            await work(sending)

    assert catcher.audiences[f"braze segops_segment_{made['braze'].segment_id}"]
