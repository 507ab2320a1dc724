"""A demo shop that has grown old is moved to now by whole days, and whatever people put into its tenant stays."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime, timedelta

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.demo import OwnData, discard_demo, find_own_data, load_demo
from segment_copilot.demo.shop import generate_shop
from segment_copilot.events import Event, observe_names, write_block
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings

USERS = 100
LATER = timedelta(days=40, hours=5)
BY = timedelta(days=40)
BUYERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed", "window_days": 30}]}


@pytest.fixture
async def old(database_url: str, clickhouse_url: str) -> AsyncGenerator[Resources]:
    """Everything that a process opens, on databases of this test."""
    settings = Settings(database_url=database_url, clickhouse_url=clickhouse_url)
    async with open_resources(settings) as opened:
        yield opened


async def put_own(resources: Resources, tenant: Tenant, *, at: datetime) -> int:
    """A segment, and two events: of a user of the shop, and of one that the shop does not know."""
    mine = [
        Event(tenant_id=tenant.id, event_id="mine-1", user_id="user_00001", event_type="order_placed", occurred_at=at),
        Event(
            tenant_id=tenant.id,
            event_id="mine-2",
            user_id="ana",
            event_type="context_identified",
            occurred_at=at - timedelta(days=400),
            payload='{"country": "ES"}',
        ),
    ]
    await write_block(resources.clickhouse, mine, token="mine")
    await observe_names(resources.postgres, mine)
    segment = (await resources.segments.create(tenant, name="Mine", definition=BUYERS)).segment
    await resources.computations.request(tenant, segment.id, as_of=at)
    while await resources.computations.run_next():
        pass
    return segment.id


async def stored(resources: Resources, tenant: Tenant) -> dict[str, tuple[str, datetime]]:
    """User and instant of every event, by id."""
    sql = """
        SELECT event_id, known.user_id, occurred_at FROM events
        INNER JOIN (SELECT user_key, any(user_id) AS user_id FROM users WHERE tenant_id = {tenant:UInt32} GROUP BY user_key)
            AS known USING (user_key)
        WHERE tenant_id = {tenant:UInt32}"""
    rows = (await resources.clickhouse.fetch(sql, {"tenant": tenant.id}, purpose="ingest")).rows
    found = {event_id: (user_id, at) for event_id, user_id, at in rows}
    assert len(found) == len(rows)
    return found


async def seen(resources: Resources, tenant: Tenant) -> dict[str, tuple[datetime, datetime]]:
    """When each user was seen first and last."""
    sql = (
        "SELECT user_id, min(first_seen), max(last_seen) FROM users WHERE tenant_id = {tenant:UInt32} GROUP BY user_id"
    )
    rows = (await resources.clickhouse.fetch(sql, {"tenant": tenant.id}, purpose="ingest")).rows
    return {user_id: (first, last) for user_id, first, last in rows}


async def count(resources: Resources, tenant: Tenant, definition: object, as_of: datetime) -> int:
    return (await resources.previews.preview(tenant, definition, as_of=as_of)).matched_users  # type: ignore[arg-type]


async def test_an_old_shop_is_moved_by_whole_days_and_what_is_peoples_own_stays(old: Resources, ends_at: datetime):
    tenant = await load_demo(old, ends_at=ends_at, users=USERS, history_days=3)
    key, _ = await old.keys.create(tenant)
    at = ends_at + timedelta(hours=3)
    own = await put_own(old, tenant, at=at)
    before, told_before = await stored(old, tenant), await old.ingestion.status(tenant)
    segments = (await old.segments.list(tenant)).results
    trends = [await old.members.trend(tenant, each.id, days=3, as_of=ends_at) for each in segments]
    signups = {"logic": "AND", "conditions": [{"type": "user_property", "property": "signup_date", "operator": "after", "value": "2026-05-01"}]}  # fmt: skip
    signed_up = await count(old, tenant, signups, ends_at)

    told: list[str] = []
    moved = await load_demo(old, ends_at=ends_at + LATER, users=USERS, notice=told.append)

    assert len(told) == 1
    assert "40 days old" in told[0]
    assert (moved.id, moved.slug) == (tenant.id, "demo")
    assert await stored(old, moved) == {
        name: (user, at if name.startswith("mine") else at + BY) for name, (user, at) in before.items()
    }
    expected: dict[str, tuple[datetime, datetime]] = {}
    for user, happened in (await stored(old, moved)).values():
        first, last = expected.get(user, (happened, happened))
        expected[user] = min(first, happened), max(last, happened)
    assert await seen(old, moved) == expected
    assert await old.ingestion.status(moved) == told_before
    now = (await old.segments.list(moved)).results
    assert [each.id for each in now] == [each.id for each in segments]
    assert {each.last_computed_at for each in now} == {ends_at + LATER}
    for one, trend in zip(segments, trends, strict=True):
        later = await old.members.trend(moved, one.id, days=3, as_of=ends_at + BY)
        moved_trend = [(point.day + BY, point.count) for point in trend if one.id != own]
        assert [(point.day, point.count) for point in later] == moved_trend
    assert await count(old, moved, BUYERS, ends_at + BY - timedelta(days=2)) > 0
    signups["conditions"][0]["value"] = "2026-06-10"
    assert await count(old, moved, signups, ends_at + BY) == signed_up > 0
    recent = await old.recent_events.list(moved, limit=1)
    assert recent.events[0].occurred_at == max(at for _, at in before.values() if at <= ends_at) + BY
    assert (await old.keys.list(moved))[-1].id == key.id
    created = {each.id: each.created_at for each in segments}
    assert all(each.created_at - created[each.id] == (timedelta() if each.id == own else BY) for each in now)


async def test_a_shop_of_today_stays_and_a_move_that_died_is_carried_on(old: Resources, ends_at: datetime):
    tenant = await load_demo(old, ends_at=ends_at, users=USERS, history_days=1)
    before = await stored(old, tenant)
    await load_demo(old, ends_at=ends_at + timedelta(days=1), users=USERS)
    assert await stored(old, tenant) == before

    def die(told: str) -> None:
        if "events" in told:
            raise InterruptedError

    with pytest.raises(ExceptionGroup):
        await load_demo(old, ends_at=ends_at + LATER, users=USERS, progress=die)
    assert len(await stored(old, tenant)) < len(before)
    moved = await load_demo(old, ends_at=ends_at + LATER, users=USERS)

    assert moved == tenant
    assert await stored(old, moved) == {name: (user, at + BY) for name, (user, at) in before.items()}


async def test_a_reset_tells_what_is_peoples_own_and_makes_the_shop_anew(old: Resources, ends_at: datetime):
    tenant = await load_demo(old, ends_at=ends_at, users=30, history_days=1)
    untouched = await find_own_data(old)
    await put_own(old, tenant, at=ends_at)

    own = await find_own_data(old)
    await discard_demo(old)
    gone = await find_own_data(old)
    again = await load_demo(old, ends_at=ends_at + timedelta(hours=1), users=30, history_days=1)

    assert untouched == gone == OwnData()
    assert own == OwnData(segments=("Mine",), events=2)
    assert again.id != tenant.id
    made = generate_shop(users=30).events(again.id, ends_at=ends_at + timedelta(hours=1))
    assert {name: at for name, (_, at) in (await stored(old, again)).items()} == {
        event.event_id: event.occurred_at for event in made
    }
    assert not await stored(old, tenant)
