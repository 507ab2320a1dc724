"""Why an audience is what it is, and why a user is in it: the same answers as the preview's, taken apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.explanations import Explanation, UserExplanation
from segment_copilot.resources import Resources
from tests.support.resources import NOW, Remember

pytestmark = pytest.mark.shared

DAY = timedelta(days=1)

HISTORY = [
    ("ana", "order_placed", 2 * DAY, {"total": 90, "category": "shoes"}),
    ("ana", "order_placed", 1 * DAY, {"total": "10.5", "category": "hats"}),
    ("ben", "order_placed", 3 * DAY, {"total": 20.0}),
    ("ben", "wishlist_add", 90 * DAY, {}),
    ("cai", "order_placed", 30 * DAY, {"total": 500}),
    ("ana", "context_identified", 50 * DAY, {"country": "ES"}),
    ("ben", "context_identified", 50 * DAY, {"country": "ES"}),
    ("dot", "context_identified", 5 * DAY, {"country": "FR", "age": 41}),
]
USERS = ("ana", "ben", "cai", "dot")

BOUGHT = {"type": "event_count", "event_type": "order_placed", "window_days": 7}
EVER_BOUGHT = {"type": "event_count", "event_type": "order_placed"}
WISHED = {"type": "event_count", "event_type": "wishlist_add"}
SPANISH = {"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}
FRENCH = {**SPANISH, "value": "FR"}
NOBODY = {"type": "user_property", "property": "country", "operator": "eq", "value": "PT"}


def definition(*conditions: Any, logic: str = "AND", **more: Any) -> dict[str, Any]:
    return {"logic": logic, "conditions": list(conditions), **more}


def group(*conditions: Any, logic: str = "AND", negate: bool = False) -> dict[str, Any]:
    return {"type": "group", "logic": logic, "conditions": list(conditions), "negate": negate}


@pytest.fixture(autouse=True)
async def history(tenant: Tenant, other_tenant: Tenant, remember: Remember) -> None:
    await remember(tenant, HISTORY)
    await remember(other_tenant, [("eve", "order_placed", DAY, {}), ("eve", "wishlist_add", DAY, {})])


def counted(explanation: Explanation) -> list[tuple[str, int, int, int]]:
    """Of each stage: where, by itself, after it, without it."""
    return [
        (stage.pointer, stage.matched_users, stage.audience_after, stage.audience_without)
        for stage in explanation.stages
    ]


STAGES = [
    ("the only condition", definition(BOUGHT), [("/conditions/0", 2, 2, 4)]),
    (
        "conditions that all must hold",
        definition(EVER_BOUGHT, SPANISH, WISHED),
        [("/conditions/0", 3, 3, 1), ("/conditions/1", 2, 2, 1), ("/conditions/2", 1, 1, 2)],
    ),
    (
        "conditions of which one is enough",
        definition(BOUGHT, FRENCH, SPANISH, logic="OR"),
        [("/conditions/0", 2, 2, 3), ("/conditions/1", 1, 3, 2), ("/conditions/2", 2, 3, 3)],
    ),
    (
        "exclusions one by one where any is enough",
        definition(EVER_BOUGHT, exclude=definition(WISHED, BOUGHT, logic="OR")),
        [("/conditions/0", 3, 3, 2), ("/exclude/conditions/0", 1, 2, 1), ("/exclude/conditions/1", 2, 1, 2)],
    ),
    (
        "an exclusion of those for whom all hold",
        definition(EVER_BOUGHT, exclude=definition(BOUGHT, WISHED)),
        [("/conditions/0", 3, 3, 3), ("/exclude", 1, 2, 3)],
    ),
    (
        "a negated group, and zero counts of people without events",
        definition(group(BOUGHT, FRENCH, logic="OR", negate=True), {**WISHED, "operator": "eq", "value": 0}),
        [("/conditions/0", 1, 1, 3), ("/conditions/1", 3, 1, 1)],
    ),
    (
        "a group that is all there is, opened",
        definition(group(EVER_BOUGHT, SPANISH), exclude=definition(group(WISHED))),
        [
            ("/conditions/0/conditions/0", 3, 3, 1),
            ("/conditions/0/conditions/1", 2, 2, 2),
            ("/exclude/conditions/0/conditions/0", 1, 1, 2),
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "expected"), [row[1:] for row in STAGES], ids=[row[0] for row in STAGES])
async def test_stages_say_how_the_audience_comes_about(resources: Resources, tenant: Tenant, asked, expected):
    explanation = await resources.explanations.definition(tenant, asked, as_of=NOW)

    preview = await resources.previews.preview(tenant, asked, as_of=NOW, breakdown=True)
    assert counted(explanation) == expected
    assert explanation.matched_users == preview.matched_users == expected[-1][2]
    assert explanation.universe == preview.universe == 4
    assert explanation.conditions == preview.conditions
    assert (explanation.words, explanation.tier) == (preview.words, preview.tier)
    assert not explanation.emptied_by


EMPTIED = [
    (
        "a condition that matches nobody by itself",
        definition(EVER_BOUGHT, NOBODY, SPANISH),
        ("/conditions/1",),
        (
            "Nobody is left after stage 2 (whose country is “PT”): no user matches it, whatever the other conditions say. "
            "Without it there would be 2 users."
        ),
    ),
    (
        "conditions that exclude one another in fact",
        definition(EVER_BOUGHT, FRENCH),
        ("/conditions/1",),
        (
            "Nobody is left after stage 2 (whose country is “FR”): it matches 1 user by itself, but none of the 3 left "
            "before it. Without it there would be 3 users."
        ),
    ),
    (
        "the one condition inside a group",
        definition(EVER_BOUGHT, group(SPANISH, group(NOBODY, SPANISH), WISHED)),
        ("/conditions/1/conditions/1/conditions/0",),
        None,
    ),
    (
        "a group whose conditions match users, but not the same",
        definition(group(SPANISH, FRENCH), EVER_BOUGHT),
        ("/conditions/0",),
        None,
    ),
    (
        "all conditions of an OR",
        definition(NOBODY, group(NOBODY, {**NOBODY, "value": "IT"}, logic="OR"), logic="OR"),
        ("/conditions/0", "/conditions/1/conditions/0", "/conditions/1/conditions/1"),
        "None of the 2 conditions joined by OR matches any user.",
    ),
    (
        "an exclusion",
        definition(WISHED, EVER_BOUGHT, logic="OR", exclude=definition(FRENCH, EVER_BOUGHT, logic="OR")),
        ("/exclude/conditions/1",),
        (
            "Nobody is left after stage 4 (who placed an order): it takes out all 3 users left before it. "
            "Without it there would be 3 users."
        ),
    ),
    (
        "two conditions, of which one alone is not to blame",
        definition(group(SPANISH, FRENCH), BOUGHT, NOBODY),
        ("/conditions/0",),
        (
            "Nobody is left after stage 1 (whose country is “ES”, and whose country is “FR”): no user matches it, "
            "whatever the other conditions say. Leaving out only this one still leaves nobody. Nobody matches stage 3 "
            "either."
        ),
    ),
    (
        "so many of several conditions that too few hold for anybody",
        definition({**group(SPANISH, NOBODY, NOBODY, logic="AT_LEAST"), "at_least": 2}),
        ("/conditions/0/conditions/1", "/conditions/0/conditions/2"),
        None,
    ),
    (
        "so many of several conditions that nobody has together",
        definition({**group(SPANISH, FRENCH, NOBODY, logic="AT_LEAST"), "at_least": 2}),
        ("/conditions/0",),
        None,
    ),
    (
        "a negated group that everybody is in",
        definition(group({**EVER_BOUGHT, "operator": "gte", "value": 0}, negate=True)),
        ("/conditions/0",),
        None,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "pointers", "told"), [row[1:] for row in EMPTIED], ids=[row[0] for row in EMPTIED])
async def test_what_empties_an_audience_is_named(resources: Resources, tenant: Tenant, asked, pointers, told):
    explanation = await resources.explanations.definition(tenant, asked, as_of=NOW)

    assert explanation.matched_users == 0
    assert explanation.emptied_by
    assert explanation.emptied_by.pointers == pointers
    assert told in {explanation.emptied_by.detail, None}


async def test_before_there_were_users_no_condition_is_to_blame(resources: Resources, tenant: Tenant):
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    explanation = await resources.explanations.definition(tenant, definition(EVER_BOUGHT), as_of=long_ago)

    assert explanation.universe == 0
    assert explanation.emptied_by
    assert explanation.emptied_by.pointers == ()


async def test_a_referenced_segment_is_one_condition_by_its_name(resources: Resources, tenant: Tenant):
    saved = await resources.segments.create(tenant, name="Wishers", definition=definition(WISHED))
    inside = {"type": "segment_membership", "segment_id": saved.segment.id}
    asked = definition(EVER_BOUGHT, inside, exclude=definition({**inside, "operator": "not_in"}, SPANISH))

    explanation = await resources.explanations.definition(tenant, asked, as_of=NOW, user_id="ben")

    assert counted(explanation) == [("/conditions/0", 3, 3, 1), ("/conditions/1", 1, 1, 2), ("/exclude", 1, 1, 1)]
    assert explanation.stages[1].words == "who are in the segment “Wishers”"
    assert explanation.user
    assert [each.measured for each in explanation.user.conditions] == [1, True, True, "ES"]
    assert [each.matches for each in explanation.user.conditions] == [True, True, False, True]


async def test_a_name_nobody_has_seen_is_a_warning(resources: Resources, tenant: Tenant):
    explanation = await resources.explanations.definition(
        tenant, definition({**EVER_BOUGHT, "event_type": "order_place"}), as_of=NOW
    )

    assert [(warning.pointer, warning.code) for warning in explanation.warnings] == [
        ("/conditions/0/event_type", "unknown_name")
    ]
    assert explanation.emptied_by


# One user


async def explained(resources: Resources, tenant: Tenant, user_id: str, *conditions: Any) -> UserExplanation:
    return await resources.explanations.user(tenant, definition(*conditions), user_id, as_of=NOW)


@pytest.mark.parametrize("asked", [row[1] for row in STAGES + EMPTIED], ids=[row[0] for row in STAGES + EMPTIED])
async def test_the_verdict_on_every_user_is_the_previews(resources: Resources, tenant: Tenant, asked):
    preview = await resources.previews.preview(tenant, asked, as_of=NOW)

    told = [await resources.explanations.user(tenant, asked, user_id, as_of=NOW) for user_id in USERS]

    assert [user.user_id for user in told if user.is_member] == list(preview.sample_user_ids)
    assert all(user.in_universe for user in told)


MEASURED = [
    ("a count", {**BOUGHT, "operator": "gte", "value": 2}, "ana", 2, 2),
    ("a count of nothing", WISHED, "ana", 0, 1),
    ("a count between", {**BOUGHT, "operator": "between", "value": 1, "value2": 3}, "ana", 2, [1, 3]),
    ("days since", {"type": "recency", "event_type": "order_placed", "operator": "gt", "window_days": 7}, "cai", 30, 7),
    ("days since, of never", {"type": "recency", "event_type": "order_placed", "operator": "lt", "window_days": 7}, "dot", None, 7),
    ("when", {"type": "event_time", "event_type": "order_placed", "operator": "after", "value": "2026-06-01"}, "ana", NOW - 2 * DAY, "2026-06-01"),
    ("a sum", {"type": "monetary", "event_type": "order_placed", "property": "total", "metric": "sum", "operator": "gte", "value": 500}, "ana", 100.5, 500),
    ("an average of nothing", {"type": "monetary", "event_type": "order_placed", "property": "total", "metric": "avg", "operator": "gte", "value": 5}, "dot", None, 5),
    ("the latest value", {"type": "event_property", "event_type": "order_placed", "property": "category", "operator": "eq", "value": "shoes"}, "ana", "hats", "shoes"),
    ("any value", {"type": "event_property", "event_type": "order_placed", "property": "category", "operator": "eq", "value": "shoes", "occurrence": "any"}, "ana", 1, 1),
    ("any value of nothing", {"type": "event_property", "event_type": "order_placed", "property": "category", "operator": "eq", "value": "shoes", "occurrence": "any"}, "dot", 0, 1),
    ("a trait", FRENCH, "ana", "ES", "FR"),
    ("a trait that is not there", SPANISH, "cai", None, "ES"),
    ("a trait that may be anything", {"type": "user_property", "property": "age", "operator": "is_set"}, "dot", 41, None),
    ("a sequence", {"type": "event_sequence", "events": ["wishlist_add", "order_placed"], "window_days": 100}, "ben", True, None),
    ("a sequence not done", {"type": "event_sequence", "events": ["wishlist_add", "order_placed"], "window_days": 10}, "ben", False, None),
    ("a rank", {"type": "rank", "by": {"measure": "sum", "event_type": "order_placed", "property": "total"}, "top": 2}, "ana", {"value": 100.5, "place": 2, "of": 3, "border": 100.5}, {"top": 2}),
    ("a rank that is not reached", {"type": "rank", "by": {"measure": "avg", "event_type": "order_placed", "property": "total"}, "bottom_percent": 1.5}, "ana", {"value": 50.25, "place": 2, "of": 3, "border": 20}, {"bottom_percent": 1.5}),
    ("a rank of those who did", {"type": "rank", "by": {"measure": "count", "event_type": "order_placed"}, "top": 1}, "dot", {"value": None, "place": None, "of": 3, "border": 2}, {"top": 1}),
    ("a rank of nobody", {"type": "rank", "by": {"measure": "count", "event_type": "never"}, "top": 1}, "dot", {"value": None, "place": None, "of": 0, "border": None}, {"top": 1}),
    ("one measure against another", {"type": "measure_compare", "left": {"measure": "sum", "event_type": "order_placed", "property": "total"}, "operator": "gt", "right": {"measure": "count", "event_type": "wishlist_add"}, "factor": 20}, "ben", {"left": 20, "right": 1}, 20),
    ("measures of nothing", {"type": "measure_compare", "left": {"measure": "avg", "event_type": "order_placed", "property": "total"}, "operator": "gt", "right": {"measure": "count", "event_type": "order_placed"}}, "dot", {"left": None, "right": 0}, 1),
    ("periods", {"type": "event_periods", "event_type": "order_placed", "period": "day", "last": 7, "operator": "gte", "value": 3}, "ana", 2, 3),
]  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "user_id", "measured", "threshold"), [row[1:] for row in MEASURED], ids=[row[0] for row in MEASURED]
)
async def test_what_was_measured_is_in_the_unit_of_the_threshold(
    resources: Resources, tenant: Tenant, condition, user_id, measured, threshold
):
    told = await explained(resources, tenant, user_id, condition)

    assert (told.conditions[0].measured, told.conditions[0].threshold) == (measured, threshold)
    assert told.conditions[0].type == condition["type"]
    assert told.conditions[0].matches == told.is_member


async def test_days_are_counted_as_the_language_counts_them(resources: Resources, remember: Remember):
    """The day on which the clock went forward had 23 hours, and is one day."""
    madrid = await resources.tenants.create("madrid", timezone="Europe/Madrid")
    as_of = datetime(2026, 3, 30, 10, 0, tzinfo=UTC)  # noon; summer time began on the 29th
    await remember(madrid, [("ana", "login", as_of - timedelta(hours=47), {})])
    recency = {"type": "recency", "event_type": "login", "operator": "gte", "window_days": 2}

    told = await resources.explanations.user(madrid, definition(recency), "ana", as_of=as_of)

    assert told.is_member
    assert told.conditions[0].measured == 2


async def test_the_newest_events_that_counted_are_shown(resources: Resources, tenant: Tenant):
    told = await explained(resources, tenant, "ana", EVER_BOUGHT, SPANISH, WISHED)

    assert [[(event.event_type, event.occurred_at) for event in each.events] for each in told.conditions] == [
        [("order_placed", NOW - DAY), ("order_placed", NOW - 2 * DAY)],
        [("context_identified", NOW - 50 * DAY)],
        [],
    ]


@pytest.mark.parametrize("user_id", ["zoe", "eve"], ids=["nobody's id", "another tenant's user"])
async def test_a_user_nobody_has_seen_is_in_nothing(resources: Resources, tenant: Tenant, user_id: str):
    never = {**WISHED, "operator": "eq", "value": 0}

    told = await explained(resources, tenant, user_id, never)

    assert (told.in_universe, told.is_member) == (False, False)
    assert [(each.matches, each.measured, each.events) for each in told.conditions] == [(False, None, ())]
