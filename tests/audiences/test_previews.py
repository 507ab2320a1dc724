"""A count is of one instant, of the tenant's own users, within limits, and nothing is saved for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from msgspec import structs

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.previews import MAX_SAMPLE, ConditionCount, Overlap, Previews, conditions_in_words
from segment_copilot.audiences.segments import Changes
from segment_copilot.errors import InvalidInput, NotFound, QueryTimeout
from segment_copilot.language import decode
from segment_copilot.resources import Resources
from segment_copilot.stores import clickhouse as store
from segment_copilot.stores.clickhouse import ClickHouse
from tests.support.proxies import eventually
from tests.support.resources import NOW, Remember

pytestmark = pytest.mark.shared

DAY = timedelta(days=1)
HISTORY = [
    ("ana", "order_placed", 2 * DAY, {"total": 90}),
    ("ben", "order_placed", 20 * DAY, {"total": 20}),
    ("ben", "wishlist_add", 3 * DAY, {}),
    ("cai", "wishlist_add", 1 * DAY, {}),
    ("dot", "context_identified", 5 * DAY, {"country": "ES"}),
]
BOUGHT = {"type": "event_count", "event_type": "order_placed", "window_days": 7}
EVER_BOUGHT = {"type": "event_count", "event_type": "order_placed"}
WISHED = {"type": "event_count", "event_type": "wishlist_add"}
SPANISH = {"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}


def definition(*conditions: Any, logic: str = "AND", **more: Any) -> dict[str, Any]:
    return {"logic": logic, "conditions": list(conditions), **more}


EVERYBODY = definition({**EVER_BOUGHT, "operator": "gte", "value": 0})


@pytest.fixture
async def told(resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember) -> Tenant:
    await remember(tenant, HISTORY)
    await remember(other_tenant, [("eve", "order_placed", DAY, {}), ("eve", "wishlist_add", DAY, {})])
    return tenant


@pytest.fixture
def previews(resources: Resources) -> Previews:
    return resources.previews


async def save(resources: Resources, tenant: Tenant, name: str, *conditions: Any) -> int:
    return (await resources.segments.create(tenant, name=name, definition=definition(*conditions))).segment.id


def inside(segment_id: int) -> dict[str, Any]:
    return {"type": "segment_membership", "segment_id": segment_id}


# The instant


async def test_what_happened_after_the_instant_is_not_known_at_it(previews: Previews, told: Tenant):
    days = [20, 3, 2, 0]
    asked = [await previews.preview(told, definition(EVER_BOUGHT), as_of=NOW - ago * DAY) for ago in days]

    assert [one.sample_user_ids for one in asked] == [("ben",), ("ben",), ("ana", "ben"), ("ana", "ben")]
    assert [one.universe for one in asked] == [1, 2, 3, 4]
    assert [one.as_of for one in asked] == [NOW - ago * DAY for ago in days]


async def test_a_window_ends_at_the_instant(previews: Previews, told: Tenant):
    asked = [await previews.preview(told, definition(BOUGHT), as_of=NOW + ahead * DAY) for ahead in (-15, 0, 5, 6)]

    assert [one.sample_user_ids for one in asked] == [("ben",), ("ana",), ("ana",), ()]


async def test_the_instant_is_now_unless_it_is_said(previews: Previews, told: Tenant):
    before = datetime.now(UTC)
    asked = await previews.preview(told, definition(WISHED))

    assert before <= asked.as_of <= datetime.now(UTC)


async def test_segments_referred_to_are_asked_at_the_same_instant(
    resources: Resources, previews: Previews, told: Tenant
):
    buyers = await save(resources, told, "Buyers", BOUGHT)
    nested = await save(resources, told, "Nested", inside(buyers))
    await resources.computations.request(told, buyers, as_of=NOW)  # members of today, which nobody asks about
    assert await resources.computations.run_next()

    then, now = [await previews.preview(told, definition(inside(nested)), as_of=NOW - ago * DAY) for ago in (15, 0)]

    assert (then.sample_user_ids, now.sample_user_ids) == (("ben",), ("ana",))


# The users that are shown


async def test_the_first_by_id_are_shown_and_all_are_counted(previews: Previews, tenant: Tenant, remember: Remember):
    await remember(tenant, [(name, "order_placed", DAY, {}) for name in ("é", "b", "Z", "10", "a", "9", "🦀", "ﬀ")])

    shown = [(await previews.preview(tenant, definition(BOUGHT), as_of=NOW, limit=limit)) for limit in (3, 0, 1_000)]

    assert [one.matched_users for one in shown] == [8, 8, 8]
    assert shown[0].sample_user_ids == ("10", "9", "Z")
    assert shown[1].sample_user_ids == ()
    assert shown[2].sample_user_ids == ("10", "9", "Z", "a", "b", "é", "ﬀ", "🦀")  # the order of their bytes


async def test_ten_are_shown_unless_more_are_wanted(previews: Previews, tenant: Tenant, remember: Remember):
    await remember(tenant, [(f"user {number:02}", "order_placed", DAY, {}) for number in range(12)])

    found = await previews.preview(tenant, definition(BOUGHT), as_of=NOW)

    assert found.sample_user_ids == tuple(f"user {number:02}" for number in range(10))
    assert found.matched_users == 12


@pytest.mark.parametrize("limit", [-1, MAX_SAMPLE + 1])
async def test_a_limit_out_of_range_is_refused_where_it_is_written(previews: Previews, tenant: Tenant, limit):
    with pytest.raises(InvalidInput) as raised:
        await previews.preview(tenant, definition(BOUGHT), limit=limit)

    assert [(one.pointer, one.code) for one in raised.value.findings] == [("/limit", "out_of_range")]


# What is said beside the count


async def test_each_condition_is_counted_by_itself_where_that_is_asked_for(previews: Previews, told: Tenant):
    group = {"type": "group", "logic": "OR", "conditions": [BOUGHT, SPANISH], "negate": True}
    asked = definition(EVER_BOUGHT, group, exclude=definition(WISHED))

    counted = await previews.preview(told, asked, as_of=NOW, breakdown=True)

    assert counted.conditions == (
        ConditionCount("/conditions/0", "who placed an order", 2),
        ConditionCount("/conditions/1/conditions/0", "who placed an order in the last 7 days", 1),
        ConditionCount("/conditions/1/conditions/1", "whose country is “ES”", 1),
        ConditionCount("/exclude/conditions/0", "who did “wishlist_add”", 2),
    )
    assert not (await previews.preview(told, asked, as_of=NOW)).conditions


async def test_the_query_it_shows_is_the_one_that_was_asked(resources: Resources, previews: Previews, told: Tenant):
    found = await previews.preview(told, definition(EVER_BOUGHT), as_of=NOW, limit=1)

    again = await resources.clickhouse.fetch(found.sql, found.params, purpose="preview")

    assert again.rows == [(found.universe, found.matched_users, ["ana"])]


async def test_words_tier_and_names_are_of_the_definition_as_it_stands(
    resources: Resources, previews: Previews, told: Tenant
):
    buyers = await save(resources, told, "Buyers", EVER_BOUGHT)
    before = await previews.preview(told, definition(inside(buyers)), as_of=NOW)
    await resources.segments.update(told, buyers, Changes(name="Clients", definition=definition(SPANISH)))

    after = await previews.preview(told, definition(inside(buyers)), as_of=NOW)

    assert (before.words, after.words) == (
        "Users who are in the segment “Buyers”.",
        "Users who are in the segment “Clients”.",
    )
    assert (before.sample_user_ids, after.sample_user_ids) == (("ana", "ben"), ("dot",))
    tiers = [(await previews.preview(told, definition(one), as_of=NOW)).tier for one in (SPANISH, BOUGHT)]
    assert tiers == ["dynamic", "dynamic_plus"]


async def test_a_name_of_nothing_and_a_contradiction_are_warned_of_and_counted(previews: Previews, told: Tenant):
    asked = definition({**EVER_BOUGHT, "event_type": "order_plced"}, SPANISH, {**SPANISH, "value": "FR"})

    found = await previews.preview(told, asked, as_of=NOW)

    assert found.matched_users == 0
    assert [(one.pointer, one.code) for one in found.warnings] == [
        ("/conditions/0/event_type", "unknown_name"),
        ("/conditions/2/value", "unseen_value"),
        ("", "contradiction"),
    ]


async def test_a_name_of_a_moment_ago_is_no_warning_and_a_known_one_reads_no_catalog(
    resources: Resources, previews: Previews, tenant: Tenant, remember: Remember
):
    empty = await resources.discovery.catalog(tenant)
    await remember(tenant, HISTORY)

    found = await previews.preview(tenant, definition(WISHED), as_of=NOW)
    read = await resources.discovery.catalog(tenant)
    await previews.preview(tenant, definition(BOUGHT), as_of=NOW)

    assert found.warnings == ()
    assert read is not empty
    assert await resources.discovery.catalog(tenant) is read


# A saved segment


async def test_an_estimate_counts_a_saved_definition_and_leaves_its_members(
    resources: Resources, previews: Previews, told: Tenant
):
    buyers = await save(resources, told, "Buyers", EVER_BOUGHT)
    before = await resources.segments.get(told, buyers)

    then = await previews.estimate(told, buyers, as_of=NOW - 5 * DAY, limit=1, breakdown=True)
    now = await previews.estimate(told, buyers, as_of=NOW)

    assert (then.matched_users, then.sample_user_ids, now.sample_user_ids) == (1, ("ben",), ("ana", "ben"))
    assert [one.matched_users for one in then.conditions or ()] == [1]
    assert await resources.segments.get(told, buyers) == before
    assert (await resources.members.page(told, buyers)).members == ()


async def test_another_tenants_segment_is_not_estimated(
    resources: Resources, previews: Previews, told: Tenant, other_tenant: Tenant
):
    buyers = await save(resources, told, "Buyers", EVER_BOUGHT)

    for tenant, segment_id in ((other_tenant, buyers), (told, buyers + 100)):
        with pytest.raises(NotFound):
            await previews.estimate(tenant, segment_id)


async def test_counts_over_time_are_what_previews_of_those_instants_say(
    resources: Resources, previews: Previews, told: Tenant
):
    buyers = await save(resources, told, "Buyers", BOUGHT)
    asked = definition(inside(buyers), SPANISH, WISHED, logic="OR")
    instants = [NOW - ago * DAY for ago in (30, 18, 5, 2, 0)]

    counts = await previews.count_over_time(told, decode(asked), instants)

    one_by_one = [await previews.preview(told, asked, as_of=instant) for instant in instants]
    assert counts == [one.matched_users for one in one_by_one] == [0, 1, 1, 3, 4]


# Two audiences


async def test_an_overlap_counts_both_audiences_and_who_is_in_both(previews: Previews, told: Tenant):
    first = await previews.prepare(told, definition(EVER_BOUGHT), as_of=NOW)
    second = await previews.prepare(told, definition(WISHED), as_of=NOW)
    nobody = await previews.prepare(told, definition(SPANISH, BOUGHT), as_of=NOW)

    assert await previews.overlap(first, second) == Overlap(universe=4, first=2, second=2, intersection=1)
    assert await previews.overlap(first, nobody) == Overlap(universe=4, first=2, second=0, intersection=0)
    assert await previews.overlap(first, first) == Overlap(universe=4, first=2, second=2, intersection=2)


async def test_audiences_of_two_instants_or_tenants_are_not_compared(
    previews: Previews, told: Tenant, other_tenant: Tenant
):
    first = await previews.prepare(told, definition(WISHED), as_of=NOW)

    for tenant, instant in ((told, NOW - DAY), (other_tenant, NOW)):
        other = await previews.prepare(tenant, definition(WISHED), as_of=instant)
        with pytest.raises(AssertionError):
            await previews.overlap(first, other)


# What it costs


async def test_every_query_runs_under_the_limits_of_its_callers_purpose(previews: Previews, told: Tenant):
    first = await previews.prepare(told, definition(EVER_BOUGHT), as_of=NOW)

    with structlog.testing.capture_logs() as logs:
        await previews.preview(told, definition(WISHED), as_of=NOW, breakdown=True)
        await previews.preview(told, definition(WISHED), as_of=NOW, breakdown=True, purpose="copilot")
        await previews.overlap(first, first, purpose="copilot")
        await previews.count_over_time(told, first.definition, [NOW])

    purposes = [log["purpose"] for log in logs if log["event"] == "clickhouse.query"]
    assert purposes == ["preview", "preview", "copilot", "copilot", "copilot", "history"]


@pytest.fixture
async def slowed(resources: Resources, told: Tenant) -> AsyncGenerator[None]:  # what is told is there before
    """Every read of the events waits for a set that is not whole for minutes."""
    clickhouse = resources.clickhouse
    waits = "SELECT toString(number) FROM numbers(10000) WHERE sleepEachRow(0.05) SETTINGS max_block_size = 1"
    view = f"CREATE VIEW events AS SELECT * FROM happened WHERE event_id NOT IN ({waits})"
    for sql in ("RENAME TABLE events TO happened", view):
        await clickhouse.execute(sql, purpose="migrate")
    yield
    for sql in ("DROP VIEW events", "RENAME TABLE happened TO events"):
        await clickhouse.execute(sql, purpose="migrate")


async def running(clickhouse: ClickHouse) -> bool:
    sql = "SELECT count() FROM system.processes WHERE current_database = currentDatabase()"
    return (await clickhouse.fetch(sql, purpose="catalog")).rows[0][0] > 1  # itself


@pytest.mark.usefixtures("slowed")
async def test_who_goes_away_leaves_no_query_behind(resources: Resources, previews: Previews, told: Tenant):
    asking = asyncio.create_task(previews.preview(told, definition(WISHED), as_of=NOW))
    await eventually(lambda: running(resources.clickhouse))

    with structlog.testing.capture_logs() as logs:
        asking.cancel()
        await asyncio.wait([asking])
        await asyncio.wait(resources.reading._kills)

    async def gone() -> bool:
        return not await running(resources.clickhouse)

    assert asking.cancelled()
    assert [log["found"] for log in logs if log["event"] == "clickhouse.kill"] == [True]
    await eventually(gone)


@pytest.mark.usefixtures("slowed")
async def test_a_count_that_takes_too_long_is_given_up(
    resources: Resources, previews: Previews, told: Tenant, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(store.LIMITS, "preview", structs.replace(store.LIMITS["preview"], seconds=1))

    with pytest.raises(QueryTimeout):
        await previews.preview(told, definition(WISHED), as_of=NOW)


def test_top_level_conditions_are_said_one_by_one():
    group = {"type": "group", "logic": "OR", "conditions": [BOUGHT, SPANISH]}
    asked = decode(definition(group, inside(7), exclude=definition(WISHED)))

    included, excluded = conditions_in_words(asked, {7: "Staff"})

    assert included == [
        "(who placed an order in the last 7 days, or whose country is “ES”)",
        "who are in the segment “Staff”",
    ]
    assert excluded == ["who did “wishlist_add”"]
    assert conditions_in_words(decode(definition(BOUGHT)), {})[1] == []
