from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from segment_copilot.demo import load_demo
from segment_copilot.demo.segments import SEGMENTS
from segment_copilot.language import encode

_COUNTS = """
SELECT count(), uniqExact(event_id), countIf(tenant_id != {tenant:UInt32}),
    (SELECT uniqExact(user_key) FROM users WHERE tenant_id = {tenant:UInt32})
FROM events
"""


async def counts(resources, tenant_id):
    return (await resources.clickhouse.fetch(_COUNTS, {"tenant": tenant_id}, purpose="catalog")).rows[0]


async def test_every_generated_event_is_there_exactly_once(shop, demo_tenant, loaded):
    assert await counts(shop, demo_tenant.id) == (len(loaded), len(loaded), 0, 4_000)
    status = await shop.ingestion.status(demo_tenant)
    assert (status.pending, status.forwarded, status.failed) == (0, len(loaded), 0)


async def test_loading_again_changes_nothing(shop, demo_tenant, loaded, ends_at):
    assert await load_demo(shop, ends_at=ends_at + timedelta(days=1), users=10) == demo_tenant
    assert (await counts(shop, demo_tenant.id))[0] == len(loaded)


async def test_every_segment_has_members(shop, demo_tenant, ends_at):
    page = await shop.segments.list(demo_tenant)
    assert [segment.name for segment in page.results] == [segment.name for segment in SEGMENTS]
    for segment in page.results:
        assert segment.status == "computed"
        assert segment.last_computed_at == ends_at
        assert 0 < segment.member_count < 4_000
        members = await shop.members.page(demo_tenant, segment.id, limit=1)
        assert members.count == segment.member_count
        assert len(members.members) == 1


async def test_the_history_has_30_days_and_says_what_a_preview_of_the_day_says(resources, ends_at):
    tenant = await load_demo(resources, ends_at=ends_at, users=600)
    then = ends_at - timedelta(days=17)
    for segment in (await resources.segments.list(tenant)).results:
        trend = await resources.members.trend(tenant, segment.id, days=30, as_of=ends_at)
        assert [point.day for point in trend] == [(ends_at - timedelta(days=ago)).date() for ago in range(29, -1, -1)]
        assert trend[-1].count == segment.member_count
        preview = await resources.previews.preview(tenant, encode(segment.definition), as_of=then)
        assert preview.matched_users == next(point.count for point in trend if point.day == then.date())
        assert not preview.warnings


async def test_events_of_today_and_no_older_ones_than_are_kept_are_recent(shop, demo_tenant, loaded, ends_at):
    midnight = ends_at.replace(hour=0, minute=0)
    today = Counter(event.event_type for event in loaded if event.occurred_at >= midnight)
    recent = await shop.recent_events.list(demo_tenant, since=midnight)
    assert {kind.event_type: kind.count for kind in recent.by_type} == today
    assert recent.events[0].occurred_at == loaded[-1].occurred_at
    kept = timedelta(hours=shop.settings.recent_event_hours)
    everything = await shop.recent_events.list(demo_tenant)
    assert everything.total == sum(event.occurred_at > ends_at - kept for event in loaded)


async def test_the_worker_deletes_recent_events_when_they_are_old(shop, demo_tenant, loaded, ends_at):
    kept = timedelta(hours=shop.settings.recent_event_hours)
    later = ends_at + timedelta(hours=24)
    while await shop.forwarding.clean_up(now=later, recent=kept, remembered=timedelta(days=90)):
        pass
    left = (await shop.recent_events.list(demo_tenant)).total
    at_least = sum(event.occurred_at > later - kept for event in loaded)
    assert at_least <= left < at_least + sum(
        later - kept - timedelta(hours=1) < event.occurred_at <= later - kept for event in loaded
    ) + 1  # fmt: skip


async def test_the_catalog_describes_everything_that_happens(shop, demo_tenant, loaded):
    catalog = await shop.discovery.catalog(demo_tenant, fresh=True)
    count = Counter(event.event_type for event in loaded)
    count.pop("context_identified")
    assert {name: kind.event_count for name, kind in catalog.event_types.items()} == count
    last = {event.event_type: event.occurred_at for event in loaded}
    for name, kind in catalog.event_types.items():
        assert kind.description
        assert kind.last_seen == last[name]
        assert all(item.description and item.declared and item.types for item in kind.properties.values())
    assert {name: trait.declared for name, trait in catalog.traits.items()} == {
        "country": "string", "city": "string", "plan": "string", "loyalty_tier": "string", "email_opt_in": "boolean",
        "age": "number", "tags": "list", "signup_date": "datetime",
    }  # fmt: skip
    assert "staff" in catalog.traits["tags"].samples
    assert "/pricing" in catalog.event_types["page_viewed"].properties["path"].samples


async def test_schemas_are_registered_and_nothing_is_connected_by_itself(shop, demo_tenant):
    assert len(await shop.schemas.list(demo_tenant)) == 13
    assert await shop.activations.list(demo_tenant) == ()


async def test_two_processes_that_load_at_once_load_one_tenant(resources, ends_at):
    first, second = await asyncio.gather(
        *(load_demo(resources, ends_at=ends_at + timedelta(days=days), users=100, history_days=1) for days in (0, 1))
    )
    assert first == second
    assert await resources.postgres.fetchval("SELECT count(*) FROM tenants") == 1


@pytest.mark.parametrize("dies_at", [" events", " segments"])
async def test_a_loading_that_died_is_cleared_away_and_begun_again(dies_at, resources, ends_at):
    class DiedError(Exception):
        pass

    def die(told: str) -> None:
        if dies_at in told:
            raise DiedError

    with pytest.raises(ExceptionGroup) as raised:
        await load_demo(resources, ends_at=ends_at, users=1_000, history_days=2, progress=die)
    assert raised.group_contains(DiedError)
    tenant = await load_demo(resources, ends_at=ends_at, users=200, history_days=1)
    assert tenant == await resources.tenants.get("demo")
    assert await resources.postgres.fetchval("SELECT count(*) FROM tenants") == 1
    for table in ("events", "blocks"):
        assert await resources.postgres.fetchval(f"SELECT count(*) FROM {table}") < 200
    total, _, others, users = await counts(resources, tenant.id)
    assert 0 < total < 10_000
    assert (others, users) == (0, 200)
