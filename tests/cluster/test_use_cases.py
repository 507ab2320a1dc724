"""The same story told to one server and to two shards: every use case answers the same."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.exports import Source
from segment_copilot.embedded import Engines
from segment_copilot.events.analytics import Span
from segment_copilot.language import decode
from segment_copilot.lists import Window
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.cluster import Cluster
from segment_copilot.stores.migrations import migrate
from tests.cluster.story import (
    BOUGHT,
    DAY,
    IN_MADRID,
    NOW,
    RAREST,
    SPENT,
    TOP,
    USERS,
    compute,
    definition,
    happened,
    send,
)
from tests.support.databases import clickhouse_database, postgres_database

pytestmark = pytest.mark.cluster


async def tell(resources: Resources) -> dict[str, Any]:
    """The story; what every use case answered."""
    tenant = await resources.tenants.create("acme")
    answers = dict[str, Any]()

    async def members(segment: int, **more: Any) -> list[str]:
        page = await resources.members.page(tenant, segment, limit=1000, **more)
        assert page.count == len(page.members)
        return [one.user_id for one in page.members]

    await send(resources, tenant, happened(range(20)))
    names = ("bought", "madrid", "spent")
    bought, madrid, spent = [
        (await resources.segments.create(tenant, name=name, definition=definition(condition))).segment.id
        for name, condition in zip(names, (BOUGHT, IN_MADRID, SPENT), strict=True)
    ]
    within = {"type": "segment_membership", "segment_id": bought, "operator": "in"}
    both = (await resources.segments.create(tenant, name="both", definition=definition(within, IN_MADRID))).segment.id
    listed = (await resources.segments.create(tenant, name="listed", segment_type="static")).segment.id
    upload = await resources.uploads.receive(
        tenant, listed, ["user-01", "user-02", "user-03", "anon_4", "stranger"], mode="replace"
    )
    answers["upload"] = (upload.accepted, upload.unknown)
    await compute(resources, tenant, as_of=NOW)
    in_list = {"type": "segment_membership", "segment_id": listed, "operator": "in"}
    of_list = (
        await resources.segments.create(tenant, name="of list", definition=definition(in_list, BOUGHT))
    ).segment.id
    top = (await resources.segments.create(tenant, name="top", definition=definition(TOP))).segment.id
    of_top = {"type": "segment_membership", "segment_id": top, "operator": "not_in"}
    rarest = (await resources.segments.create(tenant, name="rarest", definition=definition(RAREST, of_top))).segment.id
    rules = (bought, madrid, spent, both, of_list, top, rarest)
    await compute(resources, tenant, rarest, as_of=NOW - 26 * DAY)  # by itself, and what it refers to not at all
    await compute(resources, tenant, bought, as_of=NOW - 25 * DAY)  # one by itself
    await compute(resources, tenant, *rules, as_of=NOW - 24 * DAY)  # together
    answers["first members"] = [await members(one) for one in (*rules, listed)]

    for number in range(0, USERS, 8):  # visitors of whom it turns out who they are
        await resources.identity.alias(tenant, str(number), f"user-{(number + 1) % USERS:02}")
    await resources.identity.merge(tenant, "user-02", "user-03")
    await resources.identity.merge(tenant, "user-03", "user-05")
    await send(resources, tenant, happened(range(20, 40)))
    first_state = datetime.now(UTC)
    await compute(resources, tenant, *rules, as_of=NOW)
    answers["members"] = [await members(one) for one in (*rules, listed)]
    answers["members before"] = [await members(one, as_of=first_state) for one in rules]
    page = await resources.members.page(tenant, bought, limit=7)
    rest = await resources.members.page(tenant, bought, limit=7, cursor=page.cursor)
    skipped = await resources.members.page(tenant, bought, limit=7, offset=11)
    answers["pages"] = [[one.user_id for one in each.members] for each in (page, rest, skipped)]
    changes = await resources.changes.page(tenant, bought, Window(500))
    answers["changes"] = [(one.user_id, one.change) for one in changes.results]
    paged = await resources.changes.page(tenant, bought, Window(5, 9))
    answers["changes paged"] = [(one.user_id, one.change) for one in paged.results]
    moved = await resources.movements.between(tenant, bought, first_state - DAY, datetime.now(UTC) + DAY, limit=6)
    answers["movements"] = (moved.entered, moved.left, [one.user_id for one in moved.entered_users])
    await compute(resources, tenant, *rules, as_of=NOW + DAY)  # goes on from what is kept
    answers["members next"] = [await members(one) for one in rules]

    await ask(resources, tenant, answers, bought, madrid)
    await ask_ranks(resources, tenant, answers, rarest)
    await forget(resources, tenant, answers, [*rules, listed])
    return answers


async def forget(resources: Resources, tenant: Tenant, answers: dict[str, Any], segments: list[int]) -> None:
    """Copy a list, erase a person, and then everybody."""

    async def members(segment: int) -> list[str]:
        return [one.user_id for one in (await resources.members.page(tenant, segment, limit=1000)).members]

    *_, listed = segments
    again_listed = await resources.copies.copy(tenant, listed)
    await compute(resources, tenant, as_of=NOW)
    answers["copy"] = await members(again_listed.segment.id)

    erasure = await resources.erasures.request(tenant, "user-05")
    while (await resources.erasures.get(tenant, erasure.id)).status not in ("done", "failed"):
        await resources.erasures.run_next()
    answers["erased"] = (await resources.erasures.get(tenant, erasure.id)).status
    answers["members without"] = [await members(one) for one in segments]
    asked = definition(BOUGHT, IN_MADRID, SPENT, logic="OR")
    answers["universe without"] = (await resources.previews.preview(tenant, asked, as_of=NOW)).universe
    await resources.removals.remove_due()
    await resources.history.delete(tenant)
    answers["nobody"] = (await resources.previews.preview(tenant, asked, as_of=NOW)).universe


async def ask(resources: Resources, tenant: Tenant, answers: dict[str, Any], bought: int, madrid: int) -> None:
    """Ask every use case that changes nothing."""
    users = [f"user-{number:02}" for number in range(12)] + ["anon_8", "anon_12", "stranger"]
    found = await resources.members.segments_of_users(tenant, users)
    again = await resources.members.segments_of_users(tenant, users)  # of those held in memory
    assert again == found
    answers["look-ups"] = {user: [one.segment_name for one in segments] for user, segments in found.items()}
    live = [await resources.live_memberships.segments_of_user(tenant, user, as_of=NOW) for user in users]
    answers["live"] = [[one.segment_name for one in each.segments] for each in live]

    asked = definition(BOUGHT, IN_MADRID, SPENT, logic="OR")
    preview = await resources.previews.preview(tenant, asked, as_of=NOW, limit=9, breakdown=True)
    answers["preview"] = (preview.universe, preview.matched_users, preview.sample_user_ids, preview.conditions)
    explained = await resources.explanations.definition(tenant, asked, as_of=NOW, user_id="user-05")
    answers["explanation"] = (explained.stages, explained.conditions, explained.user)
    warned = await resources.previews.preview(tenant, definition({**IN_MADRID, "value": "madrid"}), as_of=NOW, limit=0)
    answers["warnings"] = warned.warnings
    snapshot = await resources.snapshots.request(tenant, bought, name="kept")
    past = await resources.snapshots.request(tenant, madrid, name="past", as_of=NOW - 30 * DAY)
    while await resources.snapshots.run_next():
        pass
    compared = await resources.snapshots.compare(tenant, snapshot.id, past.id, Window(10, 2))
    answers["snapshots"] = (compared.only_in_a, compared.only_in_b, compared.in_both, compared.users.results)
    export = await resources.exports.request(tenant, Source("segment", bought), "csv", ["traits.city"])
    while await resources.exports.run_next():
        pass
    answers["export"] = (await resources.exports.get(tenant, export.id)).rows
    span = Span(NOW - 60 * DAY, NOW, NOW)
    answers["top events"] = await resources.analytics.top_events(tenant, span)
    answers["volume"] = await resources.analytics.volume(tenant, span, timezone="Europe/Madrid")
    for event_type, path in (("order_placed", "total"), (None, "city"), (None, "plan.seats")):
        answers[f"values of {path}"] = await resources.analytics.property_values(
            tenant, path, event_type=event_type, as_of=NOW, limit=8
        )
    answers["search"] = [await resources.profiles.search(tenant, "er-1", Window(4, at)) for at in (0, 4, 8)]
    answers["profile"] = [await resources.profiles.profile(tenant, user) for user in ("user-05", "anon_8", "user-07")]
    answers["history"] = await resources.profiles.events(tenant, "user-05", window=Window(10, 3))
    answers["usage"] = await resources.usage.this_month(tenant, as_of=NOW)
    answers["inferred"] = await resources.inference.from_stored(tenant, ["order_placed"])
    tried = {"user_id": "user-07", "event_type": "context_identified", "payload": {"city": "Madrid"}}
    outcome = await resources.sandbox.publish(tenant, tried, as_of=NOW + DAY)
    answers["sandbox"] = (outcome.entered, outcome.exited)
    overlaps = await resources.standings.overlaps(tenant)
    answers["overlaps"] = [(one.first_name, one.second_name, one.shared) for one in overlaps]


async def ask_ranks(resources: Resources, tenant: Tenant, answers: dict[str, Any], rarest: int) -> None:
    """Ask for places among all users in every way in which a plan is run."""
    either = {"type": "group", "logic": "OR", "conditions": [TOP, IN_MADRID]}
    ranking = definition({**RAREST, "negate": True}, either)
    preview = await resources.previews.preview(tenant, ranking, as_of=NOW, limit=9, breakdown=True)
    answers["ranks"] = (preview.universe, preview.matched_users, preview.sample_user_ids, preview.conditions)
    preview = await resources.previews.preview(tenant, ranking, as_of=NOW, sensitivity=True)
    answers["ranks and neighbours"] = (preview.matched_users, preview.conditions)
    for user in ("user-05", "user-59", "anon_8", "stranger"):
        explained = await resources.explanations.definition(tenant, ranking, as_of=NOW, user_id=user)
        answers[f"explained place of {user}"] = (explained.stages, explained.conditions, explained.user)
    first, second = [await resources.previews.prepare(tenant, definition(one), as_of=NOW) for one in (TOP, RAREST)]
    answers["overlap of ranks"] = await resources.previews.overlap(first, second)
    instants = [NOW - days * DAY for days in (30, 20, 10, 0)]
    answers["ranks over time"] = await resources.previews.count_over_time(tenant, decode(ranking), instants)
    past = await resources.snapshots.request(tenant, rarest, name="past ranks", as_of=NOW - 30 * DAY)
    while await resources.snapshots.run_next():
        pass
    page = await resources.snapshots.members(tenant, past.id, Window(100))
    answers["snapshot of ranks"] = [one.user_id for one in page.results]


@pytest.fixture
async def alone(cluster_engines: Engines) -> AsyncGenerator[Resources]:
    """Everything that a process opens, on one of the servers by itself."""
    async with (
        postgres_database(cluster_engines.database_url, template="template1") as database_url,
        clickhouse_database(cluster_engines.clickhouse_url) as clickhouse_url,
        open_resources(
            Settings(database_url=database_url, clickhouse_url=clickhouse_url, refresh_default="manual")
        ) as opened,
    ):
        await migrate(opened.postgres, opened.clickhouse)
        yield opened


async def test_every_use_case_answers_as_on_one_server(resources: Resources, cluster: Cluster, alone: Resources):
    wanted, found = await tell(alone), await tell(resources)

    for subject, answer in wanted.items():
        assert found[subject] == answer, subject
    assert all(any(told) for told in (wanted["members"], wanted["changes"], wanted["look-ups"].values()))
    assert 0 < wanted["ranks"][1] < wanted["ranks"][0]
    assert any(one.measured["place"] for one in wanted["explained place of user-05"][2].conditions[:2])
    assert len(await cluster.shards()) == 2
