from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.segments import Changes
from segment_copilot.compiler.bind import bind
from segment_copilot.errors import Conflict, InvalidDefinition, NotFound, PreconditionFailed
from segment_copilot.language import parse
from segment_copilot.language.catalog import Catalog, Property
from segment_copilot.resources import Resources
from tests.support.resources import NOW, Remember

DAY = timedelta(days=1)


def definition(*conditions: Any, logic: str = "AND", **more: Any) -> dict[str, Any]:
    return {"logic": logic, "conditions": list(conditions), **more}


BOUGHT = {"type": "event_count", "event_type": "order_placed", "window_days": 7}
NEVER_WISHED = {"type": "event_count", "event_type": "wishlist_add", "operator": "eq", "value": 0}
SPANISH = {"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}

HISTORY = [
    ("ana", "order_placed", 2 * DAY, {"total": 90, "category": "shoes"}),
    ("ana", "order_placed", 1 * DAY, {"total": "10.5", "category": "hats"}),
    ("ben", "order_placed", 3 * DAY, {"total": 20.0}),
    ("ben", "wishlist_add", 90 * DAY, {}),
    ("cai", "order_placed", 30 * DAY, {"total": 500}),
    ("ana", "context_identified", 50 * DAY, {"country": "ES", "tags": ["vip", "new"]}),
    ("ben", "context_identified", 50 * DAY, {"country": "ES"}),
    ("ben", "context_identified", 5 * DAY, {"country": None}),
    ("dot", "context_identified", 5 * DAY, {"country": "FR", "age": 41}),
]

AUDIENCES = [
    ("a count in a window and a zero count", [BOUGHT, NEVER_WISHED], {"ana"}),
    ("nobody has a negative count", [{"type": "event_count", "event_type": "order_placed", "operator": "lt", "value": 0}], set()),
    ("at most includes never", [{"type": "event_count", "event_type": "order_placed", "operator": "lte", "value": 1}], {"ben", "cai", "dot"}),
    ("a removed trait is missing", [SPANISH], {"ana"}),
    ("a negative test matches missing", [{**SPANISH, "operator": "neq"}], {"ben", "cai", "dot"}),
    ("a sum over numbers and numeric strings", [{"type": "monetary", "event_type": "order_placed", "property": "total", "metric": "sum", "operator": "eq", "value": 100.5}], {"ana"}),
    ("an average is missing over nothing", [{"type": "monetary", "event_type": "order_placed", "property": "total", "metric": "avg", "operator": "lt", "value": 60}], {"ana", "ben"}),
    ("lapsed means did it once", [{"type": "recency", "event_type": "order_placed", "operator": "gt", "window_days": 7}], {"cai"}),
    ("the latest event decides", [{"type": "event_property", "event_type": "order_placed", "property": "category", "operator": "eq", "value": "shoes"}], set()),
    ("any occurrence", [{"type": "event_property", "event_type": "order_placed", "property": "category", "operator": "eq", "value": "shoes", "occurrence": "any"}], {"ana"}),
    ("a filter inside a count", [{"type": "event_count", "event_type": "order_placed", "where": [{"property": "total", "operator": "gte", "value": 90}]}], {"ana", "cai"}),
    ("a list trait contains", [{"type": "user_property", "property": "tags", "operator": "contains", "value": "vip"}], {"ana"}),
    ("a sequence", [{"type": "event_sequence", "events": ["wishlist_add", "order_placed"], "window_days": 100}], {"ben"}),
    ("a sequence outside its window", [{"type": "event_sequence", "events": ["wishlist_add", "order_placed"], "window_days": 10}], set()),
    ("a strict sequence", [{"type": "event_sequence", "events": ["order_placed", "order_placed"], "strict": True}], {"ana"}),
    ("any event but an identify", [{"type": "event_count", "event_type": "*", "operator": "eq", "value": 0}], {"dot"}),
    ("a negated group", [{"type": "group", "logic": "OR", "conditions": [BOUGHT, SPANISH], "negate": True}], {"cai", "dot"}),
]  # fmt: skip


@pytest.mark.parametrize(("conditions", "expected"), [row[1:] for row in AUDIENCES], ids=[row[0] for row in AUDIENCES])
async def test_a_preview_counts_exactly_the_users_that_match(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember, conditions, expected
):
    await remember(tenant, HISTORY)
    await remember(other_tenant, [("eve", "order_placed", DAY, {"total": 100.5, "category": "shoes"})])

    preview = await resources.previews.preview(tenant, definition(*conditions), as_of=NOW, limit=100)

    assert set(preview.sample_user_ids) == expected
    assert (preview.matched_users, preview.universe) == (len(expected), 4)


async def test_an_exclusion_takes_users_out(resources: Resources, tenant: Tenant, remember: Remember):
    await remember(tenant, HISTORY)
    asked = definition(BOUGHT, exclude=definition(SPANISH))

    preview = await resources.previews.preview(tenant, asked, as_of=NOW, breakdown=True)

    assert preview.sample_user_ids == ("ben",)
    assert [(count.pointer, count.matched_users) for count in preview.conditions or ()] == [
        ("/conditions/0", 2),
        ("/exclude/conditions/0", 1),
    ]


async def test_a_name_never_seen_is_a_warning_with_the_nearest(
    resources: Resources, tenant: Tenant, remember: Remember
):
    await resources.discovery.catalog(tenant)  # remembered before the names exist: it has to be read afresh
    await remember(tenant, HISTORY)

    preview = await resources.previews.preview(
        tenant,
        definition(
            {"type": "event_count", "event_type": "order_plced"},
            {
                "type": "event_count",
                "event_type": "order_placed",
                "where": [{"property": "totl", "operator": "is_set"}],
            },
            {"type": "user_property", "property": "contry", "operator": "is_set"},
        ),
        as_of=NOW,
    )

    assert [(warning.pointer, warning.code, warning.suggestions[0]) for warning in preview.warnings] == [
        ("/conditions/0/event_type", "unknown_name", "order_placed"),
        ("/conditions/1/where/0/property", "unknown_name", "total"),
        ("/conditions/2/property", "unknown_name", "country"),
    ]


async def test_every_mistake_is_reported_at_once(resources: Resources, tenant: Tenant):
    broken = definition(
        {"type": "event_count", "event_type": 3},
        {"type": "user_property", "property": "age", "operator": "starts_with", "value": "4", "value_type": "number"},
        {"type": "segment_membership", "segment_id": 999},
        {"type": "group", "logic": "AND", "conditions": []},
    )

    with pytest.raises(InvalidDefinition) as caught:
        await resources.previews.preview(tenant, broken)

    assert [(finding.pointer, finding.code) for finding in caught.value.findings] == [
        ("/conditions/0/event_type", "wrong_type"),
        ("/conditions/1/operator", "operator_not_allowed"),
        ("/conditions/2/segment_id", "unknown_segment"),
        ("/conditions/3/conditions", "empty_group"),
    ]


async def test_a_saved_segment_keeps_its_zone_words_and_tier(resources: Resources):
    tenant = await resources.tenants.create("madrid", timezone="Europe/Madrid")

    saved = await resources.segments.create(tenant, name="Spain", definition=definition(SPANISH))
    read = await resources.segments.get(tenant, saved.segment.id)

    assert read == saved.segment
    assert (read.tier, read.status, read.version) == ("dynamic", "draft", 1)
    assert read.definition
    assert read.definition.timezone == "Europe/Madrid"
    assert read.words == "Users whose country is “ES”."


async def test_another_tenants_segment_does_not_exist(resources: Resources, tenant: Tenant, other_tenant: Tenant):
    saved = await resources.segments.create(tenant, name="Mine", definition=definition(SPANISH))
    member_of = definition({"type": "segment_membership", "segment_id": saved.segment.id})

    with pytest.raises(NotFound):
        await resources.segments.get(other_tenant, saved.segment.id)
    with pytest.raises(NotFound):
        await resources.segments.delete(other_tenant, saved.segment.id)
    with pytest.raises(NotFound):
        await resources.members.page(other_tenant, saved.segment.id)
    with pytest.raises(InvalidDefinition, match="There is no segment"):
        await resources.previews.preview(other_tenant, member_of)


async def test_a_reference_reads_the_current_definition(resources: Resources, tenant: Tenant, remember: Remember):
    await remember(tenant, HISTORY)
    saved = await resources.segments.create(tenant, name="Buyers", definition=definition(BOUGHT))
    others = definition({"type": "segment_membership", "segment_id": saved.segment.id, "operator": "not_in"})

    before = await resources.previews.preview(tenant, others, as_of=NOW)
    await resources.segments.update(tenant, saved.segment.id, Changes(definition=definition(SPANISH)))
    after = await resources.previews.preview(tenant, others, as_of=NOW)

    assert before.sample_user_ids == ("cai", "dot")
    assert after.sample_user_ids == ("ben", "cai", "dot")
    assert before.words == "Users who are not in the segment “Buyers”."


async def test_segments_may_not_refer_to_one_another_in_a_circle(resources: Resources, tenant: Tenant):
    first = (await resources.segments.create(tenant, name="A", definition=definition(BOUGHT))).segment
    inside = definition({"type": "segment_membership", "segment_id": first.id})
    second = (await resources.segments.create(tenant, name="B", definition=inside)).segment
    circle = definition({"type": "segment_membership", "segment_id": second.id})

    with pytest.raises(InvalidDefinition, match="circle") as refused:
        await resources.segments.update(tenant, first.id, Changes(definition=circle))
    said = f"Segment {second.id} refers to this one: segments may not refer to one another in a circle."
    assert refused.value.detail == said
    own = definition({"type": "segment_membership", "segment_id": first.id})
    with pytest.raises(InvalidDefinition, match="A segment may not refer to itself"):
        await resources.segments.update(tenant, first.id, Changes(definition=own))
    with pytest.raises(Conflict, match="B"):
        await resources.segments.delete(tenant, first.id)


async def test_the_save_that_passes_the_quota_names_what_could_go(resources: Resources):
    tenant = await resources.tenants.create("small", dynamic_plus_limit=1)
    first = (await resources.segments.create(tenant, name="Buyers", definition=definition(BOUGHT))).segment

    with pytest.raises(Conflict) as caught:
        await resources.segments.create(tenant, name="More", definition=definition(NEVER_WISHED))
    await resources.segments.create(tenant, name="Spain", definition=definition(SPANISH))  # dynamic: not counted
    await resources.segments.update(tenant, first.id, Changes(definition=definition(NEVER_WISHED)))  # itself

    assert caught.value.code == "dynamic_plus_limit_reached"
    assert caught.value.context["segments"] == [{"id": first.id, "name": "Buyers"}]


async def test_what_is_in_use_is_not_named_as_what_could_go(resources: Resources):
    tenant = await resources.tenants.create("small", dynamic_plus_limit=3)
    create = resources.segments.create
    used = (await create(tenant, name="Used", definition=definition(BOUGHT))).segment
    user = {"type": "segment_membership", "segment_id": used.id}
    free = (await create(tenant, name="Free", definition=definition(user))).segment
    sent = (await create(tenant, name="Sent", definition=definition(NEVER_WISHED))).segment
    await resources.activations.create(
        tenant, sent.id, connector_type="webhook", config={"url": "https://hooks.example.com/"}
    )

    with pytest.raises(Conflict) as caught:
        await create(tenant, name="More", definition=definition(BOUGHT))
    assert caught.value.context["segments"] == [{"id": free.id, "name": "Free"}]
    assert "Free" in caught.value.detail

    await resources.activations.create(
        tenant, free.id, connector_type="webhook", config={"url": "https://hooks.example.com/"}
    )
    with pytest.raises(Conflict, match="in use; or use trait conditions only"):
        await create(tenant, name="More", definition=definition(BOUGHT))


async def test_every_way_to_one_too_many_is_refused_with_what_could_go(resources: Resources):
    tenant = await resources.tenants.create("small", dynamic_plus_limit=1)
    segments = resources.segments
    changed = (await segments.create(tenant, name="Changed", definition=definition(BOUGHT))).segment
    await segments.update(tenant, changed.id, Changes(definition=definition(SPANISH)))
    plus = (await segments.create(tenant, name="Plus", definition=definition(NEVER_WISHED))).segment

    for write in (
        segments.create(tenant, name="More", definition=definition(BOUGHT)),
        segments.update(tenant, changed.id, Changes(definition=definition(BOUGHT))),
        segments.restore(tenant, changed.id, 1),
        segments.copy(tenant, plus.id),
    ):
        with pytest.raises(Conflict) as caught:
            await write
        (finding,) = caught.value.findings
        assert (finding.code, finding.suggestions) == ("dynamic_plus_limit_reached", (f"Plus ({plus.id})",))
    await segments.delete(tenant, plus.id)
    assert (await segments.restore(tenant, changed.id, 1)).segment.tier == "dynamic_plus"


async def test_two_saves_at_once_cannot_both_be_the_last_allowed(resources: Resources):
    tenant = await resources.tenants.create("small", dynamic_plus_limit=1)

    saves = [resources.segments.create(tenant, name=str(n), definition=definition(BOUGHT)) for n in range(5)]
    outcomes = await asyncio.gather(*saves, return_exceptions=True)

    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 4


async def test_a_write_that_expects_another_version_is_refused(resources: Resources, tenant: Tenant):
    saved = (await resources.segments.create(tenant, name="A", definition=definition(BOUGHT))).segment
    changed = await resources.segments.update(tenant, saved.id, Changes(definition=definition(SPANISH)))

    with pytest.raises(PreconditionFailed):
        await resources.segments.update(tenant, saved.id, Changes(name="B"), if_revision={saved.revision})

    assert (changed.segment.version, changed.segment.name) == (2, "A")


def test_a_schema_that_declares_a_list_allows_only_its_operators():
    tags = Property("tags", declared="list")
    catalog = Catalog(traits={"tags": tags})
    parsed = parse(definition({"type": "user_property", "property": "tags", "operator": "eq", "value": "vip"}))

    with pytest.raises(InvalidDefinition) as caught:
        bind(parsed, catalog, {})

    assert [(finding.pointer, finding.code) for finding in caught.value.findings] == [
        ("/conditions/0/operator", "operator_not_allowed")
    ]


MANY = [f"event_{number}" for number in range(40)]


async def test_a_large_tenant_is_asked_in_ranges_with_the_same_answer(
    resources: Resources, tenant: Tenant, remember: Remember
):
    await remember(tenant, [(f"user {number}", MANY[number % 40], DAY, {}) for number in range(120)])
    wide = {"logic": "OR", "conditions": [{"type": "event_count", "event_type": name} for name in MANY[:-1]]}
    small = await resources.previews.preview(tenant, wide, as_of=NOW, limit=30)
    counted = "UPDATE observed_names SET event_count = 2000000 WHERE tenant_id = $1"
    await resources.postgres.execute(counted, tenant.id)
    resources.discovery.forget(tenant)

    large = await resources.previews.preview(tenant, wide, as_of=NOW, limit=30)
    segment = (await resources.segments.create(tenant, name="Wide", definition=wide)).segment
    await resources.computations.request(tenant, segment.id, as_of=NOW)
    assert await resources.computations.run_next()

    assert ("first_key" in small.params, "first_key" in large.params) == (False, True)
    assert (large.matched_users, large.universe) == (small.matched_users, small.universe) == (117, 120)
    assert large.sample_user_ids == small.sample_user_ids
    assert (await resources.segments.get(tenant, segment.id)).member_count == 117
