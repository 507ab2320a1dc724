"""What an event would change, against what it then changes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.segments import Changes, Segment
from segment_copilot.errors import InvalidInput
from segment_copilot.events.shapes import SchemaProperty
from segment_copilot.language import encode
from segment_copilot.resources import Resources
from tests.support.language.data_sets import SEGMENT_IDS, deliver, draw_world, sent_event
from tests.support.language.strategies import Draw
from tests.support.resources import NOW, Remember
from tests.support.slot_sets import written_together

DAY = timedelta(days=1)
SEEDS = int(os.environ.get("SANDBOX_SEEDS", "1"))
WHOLE, LEAVES, EVENTS = 1, 24, 3
USERS = ("u1", "u2", "ñ🙂", "it's")
TABLES = ("events", "traits", "traits_current", "users", "segment_states", "user_numbers")

BUYERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed", "window_days": 7}]}
NEVER = {
    "logic": "AND",
    "conditions": [{"type": "event_count", "event_type": "order_placed", "operator": "eq", "value": 0}],
}
SPANISH = {
    "logic": "AND",
    "conditions": [{"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}],
}


async def saved(resources: Resources, tenant: Tenant, definitions: Sequence[Any]) -> list[Segment]:
    return [
        (await resources.segments.create(tenant, name=f"Segment {number}", definition=definition)).segment
        for number, definition in enumerate(definitions)
    ]


async def memberships(
    resources: Resources, tenant: Tenant, segments: Sequence[Segment], user_id: str, as_of: datetime
) -> set[int]:
    """The segments that the user is in, computed as a worker does it, over the tables that there are."""
    plans = [
        (await resources.previews.prepare(tenant, encode(one.definition), as_of=as_of, is_warned=False)).compiled.plan
        for one in segments
        if one.definition
    ]
    run = uuid4()
    await resources.user_numbers.give(tenant)
    statements = written_together(plans, segment_ids=[one.id for one in segments], run_ids=[run] * len(plans))
    await resources.clickhouse.script([(query.sql, query.params) for query in statements], purpose="compute")
    sql = """
        SELECT segment_id FROM segment_states WHERE run_id = {run:UUID} AND bitmapHasAny(members, (
            SELECT groupBitmapState(number) FROM user_numbers WHERE user_id = {user:String}))"""
    found = await resources.clickhouse.fetch(sql, {"run": run, "user": user_id}, purpose="members")
    return {segment_id for (segment_id,) in found.rows}


async def rows_stored(resources: Resources) -> list[int]:
    counts = [await resources.clickhouse.fetch(f"SELECT count() FROM {table}", purpose="catalog") for table in TABLES]
    return [count.rows[0][0] for count in counts] + [await resources.postgres.fetchval("SELECT count(*) FROM events")]


@pytest.mark.timeout(60 + 60 * SEEDS)
@pytest.mark.parametrize("seed", range(12, 12 + SEEDS))
async def test_what_is_told_is_what_happens(resources: Resources, tenant: Tenant, seed: int):
    """Random segments, histories and events; some events of the user wait still when the next one is tried.

    `SANDBOX_SEEDS=50` searches longer.
    """
    draw, changed = Draw(seed, draw_world(seed)), 0
    other = await resources.tenants.create("decoy")
    for one in (tenant, other):  # with the same ids, and other events
        deliveries = [event for user_id in USERS for event in draw.history(user_id)]
        await deliver(resources.postgres, resources.clickhouse, one, deliveries=deliveries)
    references = [unranked(lambda: {"logic": "AND", "conditions": [draw.leaf()]}) for _ in SEGMENT_IDS]
    leaves = [unranked(lambda: {"logic": "AND", "conditions": [draw.leaf(SEGMENT_IDS)]}) for _ in range(LEAVES)]
    whole = [unranked(lambda: draw.definition(SEGMENT_IDS)) for _ in range(WHOLE)]
    segments = await saved(resources, tenant, [*references, *leaves, *whole])
    assert [one.id for one in segments[: len(SEGMENT_IDS)]] == list(SEGMENT_IDS)
    for number in range(EVENTS):
        user_id, as_of = draw.one([*USERS, f"nobody-{number}"]), draw.one(draw.world.as_ofs)
        waiting, event = (sent_event(draw.event(user_id, as_of)) | {"event_id": None} for _ in range(2))
        if not draw.chance(4):  # as most are: it has happened already
            event["occurred_at"] = min(event["occurred_at"], as_of.isoformat())
        if has_waiting := draw.chance(2):
            await resources.ingestion.accept(tenant, [waiting], received_at=as_of)
        told = await resources.sandbox.publish(tenant, event, as_of=as_of)
        if has_waiting:
            assert await resources.forwarding.forward_next()
        before = await memberships(resources, tenant, segments, user_id, as_of)
        await resources.ingestion.accept(tenant, [event], received_at=as_of)
        assert await resources.forwarding.forward_next()
        after = await memberships(resources, tenant, segments, user_id, as_of)

        assert {one.id for one in told.entered} == after - before
        assert {one.id for one in told.exited} == before - after
        assert told.not_evaluated == ()
        assert told.unchanged_count == len(segments) - len(after ^ before)
        changed += len(after ^ before)
    assert changed or SEEDS > 1  # of some seeds nothing moves anybody


def unranked(draw: Callable[[], Any]) -> Any:
    """The first that ranks nobody: what the sandbox evaluates."""
    while '"rank"' in json.dumps(found := draw()):
        pass
    return found


async def test_a_segment_that_ranks_users_is_not_evaluated(resources: Resources, tenant: Tenant, remember: Remember):
    rank = {"type": "rank", "by": {"measure": "count", "event_type": "order_placed"}, "top": 1}
    ranking, buyers = await saved(resources, tenant, [{"logic": "AND", "conditions": [rank]}, BUYERS])
    await remember(tenant, [("ben", "order_placed", DAY, {})])

    told = await resources.sandbox.publish(tenant, {"user_id": "ana", "event_type": "order_placed"}, as_of=NOW)

    assert [(one.segment_id, one.code) for one in told.not_evaluated] == [(ranking.id, "ranks_users")]
    assert [one.id for one in told.entered] == [buyers.id]


async def test_an_event_is_tried_and_nothing_is_stored(resources: Resources, tenant: Tenant, remember: Remember):
    buyers, never, spanish = await saved(resources, tenant, [BUYERS, NEVER, SPANISH])
    await remember(tenant, [("ana", "page_viewed", DAY, {})])
    stored = await rows_stored(resources)
    order = {"user_id": "ana", "event_type": "order_placed"}

    told = await resources.sandbox.publish(tenant, order, as_of=NOW)
    again = await resources.sandbox.publish(tenant, order, as_of=NOW)

    assert told == again
    assert [(one.id, one.name) for one in told.entered] == [(buyers.id, buyers.name)]
    assert [one.id for one in told.exited] == [never.id]
    assert (told.unchanged_count, told.as_of) == (1, NOW)
    assert spanish.id not in {one.id for one in (*told.entered, *told.exited)}
    assert await rows_stored(resources) == stored


async def test_a_user_whom_nobody_has_seen_has_an_empty_history(resources: Resources, tenant: Tenant):
    buyers, never, spanish = await saved(resources, tenant, [BUYERS, NEVER, SPANISH])
    identify = {"user_id": "new", "event_type": "context_identified", "payload": {"country": "ES"}}

    ordered = await resources.sandbox.publish(tenant, {"user_id": "new", "event_type": "order_placed"}, as_of=NOW)
    identified = await resources.sandbox.publish(tenant, identify, as_of=NOW)

    assert [one.id for one in ordered.entered] == [buyers.id]
    assert [one.id for one in identified.entered] == [never.id, spanish.id]
    assert ordered.exited == identified.exited == ()


async def test_conditions_that_the_event_cannot_change_decide_as_well(
    resources: Resources, tenant: Tenant, remember: Remember
):
    ordered, in_spain = BUYERS["conditions"][0], SPANISH["conditions"][0]
    sampled = {"type": "sample", "salt": "s", "from": 0, "to": 100}
    both, neither, drawn = await saved(
        resources,
        tenant,
        [
            {"logic": "AND", "conditions": [ordered, in_spain]},
            {"logic": "AND", "conditions": [NEVER["conditions"][0], in_spain | {"negate": True}]},
            {"logic": "AND", "conditions": [ordered, sampled]},
        ],
    )
    await remember(tenant, [("ana", "context_identified", DAY, {"country": "ES"}), ("rui", "page_viewed", DAY, {})])

    async def moved(user_id: str) -> tuple[list[int], list[int]]:
        told = await resources.sandbox.publish(tenant, {"user_id": user_id, "event_type": "order_placed"}, as_of=NOW)
        return [one.id for one in told.entered], [one.id for one in told.exited]

    assert await moved("ana") == ([both.id, drawn.id], [])
    assert await moved("rui") == ([drawn.id], [neither.id])
    assert await moved("nobody") == ([drawn.id], [])


async def test_events_that_wait_to_be_forwarded_are_a_part_of_the_history(resources: Resources, tenant: Tenant):
    often = {"logic": "AND", "conditions": [BUYERS["conditions"][0] | {"operator": "gte", "value": 4}]}
    loyal, _ = await saved(resources, tenant, [often, NEVER])
    order = {"user_id": "ana", "event_type": "order_placed"}
    for _ in range(2):
        await resources.ingestion.accept(tenant, [order], received_at=NOW - DAY)
        await resources.forwarding.forward_next()
    await resources.ingestion.accept(tenant, [order], received_at=NOW - DAY)

    told = await resources.sandbox.publish(tenant, order, as_of=NOW)

    assert ([one.id for one in told.entered], told.exited) == ([loyal.id], ())


async def test_an_event_later_than_the_instant_changes_nothing_yet(
    resources: Resources, tenant: Tenant, remember: Remember
):
    await saved(resources, tenant, [BUYERS])
    await remember(tenant, [("ana", "page_viewed", DAY, {})])
    order = {"user_id": "ana", "event_type": "order_placed", "occurred_at": (NOW + DAY).isoformat()}

    told = await resources.sandbox.publish(tenant, order, as_of=NOW)

    assert (told.entered, told.exited, told.unchanged_count) == ((), (), 1)


async def test_segments_that_are_not_active_are_left_out_and_others_are_not_of_this_tenant(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    (buyers,) = await saved(resources, tenant, [BUYERS])
    await saved(resources, other_tenant, [BUYERS, NEVER])
    await resources.segments.update(tenant, buyers.id, Changes(is_active=False))
    await remember(other_tenant, [("ana", "order_placed", DAY, {})])

    here = await resources.sandbox.publish(tenant, {"user_id": "ana", "event_type": "order_placed"}, as_of=NOW)
    there = await resources.sandbox.publish(other_tenant, {"user_id": "ana", "event_type": "order_placed"}, as_of=NOW)

    assert (here.entered, here.exited, here.unchanged_count) == ((), (), 0)
    assert (there.entered, there.exited, there.unchanged_count) == ((), (), 2)  # its ana has an order already


async def test_an_event_that_would_not_be_accepted_is_refused(resources: Resources, tenant: Tenant):
    with pytest.raises(InvalidInput) as refused:
        await resources.sandbox.publish(tenant, {"user_id": "", "event_type": "order_placed"}, as_of=NOW)

    assert [(one.pointer, one.code) for one in refused.value.findings] == [("/user_id", "empty_string")]


async def test_an_event_that_violates_a_strict_schema_is_refused_as_ingestion_would(
    resources: Resources, tenant: Tenant
):
    await saved(resources, tenant, [BUYERS])
    total = SchemaProperty("total", "number", required=True)
    await resources.schemas.create(tenant, event_type="order_placed", properties=[total], strict=True)
    wrong, right = ({"user_id": "ana", "event_type": "order_placed", "payload": {"total": sum_}} for sum_ in ("5", 5))

    with pytest.raises(InvalidInput) as refused:
        await resources.sandbox.publish(tenant, wrong, as_of=NOW)
    told = await resources.sandbox.publish(tenant, right, as_of=NOW)

    (skipped,) = (await resources.ingestion.accept(tenant, [wrong], received_at=NOW)).skipped
    assert [(one.pointer, one.code) for one in refused.value.findings] == [(skipped.pointer, skipped.code)]
    assert len(told.entered) == 1


async def test_a_draft_without_a_definition_stays_as_it_is(resources: Resources, tenant: Tenant):
    await resources.segments.create(tenant, name="Draft")

    told = await resources.sandbox.publish(tenant, {"user_id": "ana", "event_type": "order_placed"}, as_of=NOW)

    assert (told.entered, told.exited, told.not_evaluated, told.unchanged_count) == ((), (), (), 1)


async def test_a_definition_that_no_longer_compiles_is_named(resources: Resources, tenant: Tenant):
    (broken, fine) = await saved(resources, tenant, [BUYERS, BUYERS])
    refers = {"logic": "AND", "conditions": [{"type": "segment_membership", "segment_id": 10**6}]}
    sql = "UPDATE segments SET definition = $2::text::json WHERE id = $1"
    await resources.postgres.execute(sql, broken.id, json.dumps(refers))

    told = await resources.sandbox.publish(tenant, {"user_id": "ana", "event_type": "order_placed"}, as_of=NOW)

    assert [one.id for one in told.entered] == [fine.id]
    assert [(one.segment_id, one.code) for one in told.not_evaluated] == [(broken.id, "invalid_definition")]
    assert told.unchanged_count == 0
