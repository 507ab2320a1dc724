"""Explaining an audience, one user in it, two side by side; finding segments; what an odd count brings along."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.copilot_runs import BUYERS, NOBODY, Ask, Script, Shop, Told, asking, calls, says
from tests.support.resources import NOW

PROPOSAL = {"name": "Recent buyers", "description": "Bought this week.", "definition": BUYERS}
EVER = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
SPANISH = {"logic": "AND", "conditions": [{"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}]}  # fmt: skip


async def called(ask: Ask, *wanted: tuple[str, dict[str, Any]], **more: Any) -> Told:
    """A run that makes these calls one turn each, then answers."""
    return await ask(Script(*[calls(one) for one in wanted], says("Done.")), asking(**more))


def error(told: Told) -> dict[str, Any]:
    return told.of("tool.result")[-1]["error"]


async def test_a_segment_is_explained_condition_by_condition(ask: Ask, shop: Shop):
    told = await called(ask, ("explain_segment", {"segment": "Lapsed"}))

    result = told.result()
    assert (result["name"], result["of"]) == ("Lapsed", {"segment_id": shop.lapsed, "version": 1})
    assert [(one["pointer"], one["role"], one["matched_users"]) for one in result["conditions"]] == [
        ("/conditions/0", "include", 1),
        ("/exclude/conditions/0", "exclude", 2),
    ]
    assert "7 days" in result["conditions"][0]["words"]
    assert result["conditions"][-1]["audience_after"] == result["matched_users"] == 1
    assert (result["universe"], result["percent"], result["source"]) == (4, 25.0, "clickhouse")


async def test_a_group_is_followed_by_what_is_in_it(ask: Ask):
    group = {"type": "group", "logic": "OR", "conditions": [*BUYERS["conditions"], *SPANISH["conditions"]]}
    definition = {"logic": "AND", "conditions": [group, *EVER["conditions"]]}

    told = await called(ask, ("explain_segment", {"segment": definition}))

    counted = {one["pointer"]: one["matched_users"] for one in told.result()["conditions"]}
    assert counted == {
        "/conditions/0": 2, "/conditions/0/conditions/0": 2, "/conditions/0/conditions/1": 1, "/conditions/1": 2,
    }  # fmt: skip
    assert "audience_without" not in told.result()["conditions"][1]


async def test_an_explanation_says_what_a_preview_counts(ask: Ask, shop: Shop):
    told = await called(
        ask, ("explain_segment", {"segment": shop.lapsed}), ("preview_segment", {"definition": EVER}),
        ("explain_segment", {"segment": EVER}),
    )  # fmt: skip

    assert told.result(1)["matched_users"] == told.result(2)["matched_users"]
    assert told.result(1)["words"] == told.result(2)["words"]


async def test_what_is_in_view_is_explained_when_nothing_is_named(ask: Ask, shop: Shop):
    drafted = await called(ask, ("propose_segment", PROPOSAL), ("explain_segment", {}))
    by_id = await called(
        ask, ("propose_segment", PROPOSAL), ("explain_segment", {}), context={"segment_id": shop.lapsed}
    )
    viewed = await called(ask, ("explain_segment", {}), context={"segment_id": shop.lapsed})
    nothing = await called(ask, ("explain_segment", {}))

    assert drafted.result()["name"] == by_id.result()["name"] == "Recent buyers"
    assert drafted.result()["of"]["draft_id"] == drafted.one("segment.draft")["draft_id"]
    assert viewed.result()["name"] == "Lapsed"
    assert (error(nothing)["code"], error(nothing)["retry"]) == ("nothing_in_view", "adjust")


async def test_a_draft_is_named_by_its_id(ask: Ask):
    def explain(request: Any) -> Any:
        (found,) = [one for message in request.messages for one in getattr(message, "results", ())]
        draft_id = found.content.split('"draft_id":"')[1].split('"')[0]
        return calls(("explain_segment", {"segment": draft_id}))(request)

    told = await ask(Script(calls(("propose_segment", PROPOSAL)), explain, says("Done.")), asking())

    assert told.result()["name"] == "Recent buyers"


async def test_a_definition_the_model_wrote_names_only_what_exists(ask: Ask):
    wrong = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placd"}]}

    for tool, arguments in [
        ("explain_segment", {"segment": wrong}),
        ("check_user_membership", {"user_id": "ana", "segment": wrong}),
        ("compare_segments", {"first": "Buyers", "second": wrong}),
    ]:
        told = await called(ask, (tool, arguments))

        assert (error(told)["code"], error(told)["retry"]) == ("invalid_definition", "adjust")
        assert error(told)["findings"][0]["suggestions"] == ["order_placed"]


async def test_a_user_is_checked_condition_by_condition_with_the_events_behind(ask: Ask, shop: Shop):
    told = await called(ask, ("check_user_membership", {"user_id": "ana", "segment": "Buyers"}))

    result = told.result()
    assert (result["is_member"], result["in_universe"], result["computed_member"]) == (True, True, True)
    (condition,) = result["conditions"]
    assert (condition["matches"], condition["measured"], condition["threshold"]) == (True, 2, 1)
    assert {one["event_type"] for one in condition["events"]} == {"order_placed"}
    assert result["of"] == {"segment_id": shop.buyers, "version": 1}


@pytest.mark.parametrize(("user_id", "in_universe"), [("cai", True), ("nobody-knows", False)])
async def test_a_user_who_does_not_match_is_told_why(ask: Ask, user_id, in_universe):
    told = await called(ask, ("check_user_membership", {"user_id": user_id, "segment": "Buyers"}))

    result = told.result()
    assert (result["is_member"], result["in_universe"], result["computed_member"]) == (False, in_universe, False)
    assert result["conditions"][0]["matches"] is False


async def test_a_segment_never_computed_says_nothing_of_a_computation(ask: Ask):
    told = await called(ask, ("check_user_membership", {"user_id": "cai", "segment": "Lapsed"}))

    assert told.result()["is_member"] is True
    assert "computed_member" not in told.result()


async def test_a_user_of_another_tenant_is_not_in_the_universe(ask: Ask):
    told = await called(ask, ("check_user_membership", {"user_id": "zed", "segment": "Buyers"}))

    assert told.result()["in_universe"] is False


@pytest.mark.parametrize(
    ("first", "second", "counts", "relation"),
    [
        ("Buyers", "Lapsed", (2, 1, 0, 2, 1, 1), "no_user_in_common"),
        ("Buyers", EVER, (2, 2, 2, 0, 0, 2), "same_users"),
        (SPANISH, "Buyers", (1, 2, 1, 0, 1, 2), "first_within_second"),
        ("Buyers", SPANISH, (2, 1, 1, 1, 0, 2), "second_within_first"),
        (NOBODY, NOBODY, (0, 0, 0, 0, 0, 4), "no_user_in_common"),
    ],
)
async def test_two_audiences_are_compared(ask: Ask, first, second, counts, relation):
    told = await called(ask, ("compare_segments", {"first": first, "second": second}))

    result = told.result()
    found = (
        result["first"]["matched_users"], result["second"]["matched_users"],
        result["both"], result["only_first"], result["only_second"], result["neither"],
    )  # fmt: skip
    assert found == counts
    assert (result["relation"], result["universe"]) == (relation, 4)
    assert result["same_definition"] is (first == second)


async def test_negated_definitions_overlap_as_sets_do(ask: Ask):
    not_spanish = {"logic": "AND", "conditions": [SPANISH["conditions"][0] | {"negate": True}]}

    told = await called(ask, ("compare_segments", {"first": not_spanish, "second": EVER}))

    result = told.result()
    assert (result["both"], result["only_first"], result["only_second"], result["neither"]) == (1, 2, 1, 0)
    assert result["relation"] == "some_in_common"


async def test_a_saved_segment_and_a_draft_of_the_same_are_the_same(ask: Ask):
    told = await called(ask, ("compare_segments", {"first": "Buyers", "second": BUYERS}))

    assert told.result()["same_definition"] is True


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("explain_segment", {"segment": "Foreign"}),
        ("check_user_membership", {"user_id": "zed", "segment": "Foreign"}),
        ("compare_segments", {"first": "Buyers", "second": "Foreign"}),
    ],
)
async def test_another_tenants_segment_does_not_exist(ask: Ask, shop: Shop, tool, arguments):
    by_name = await called(ask, (tool, arguments))
    by_id = await called(
        ask, (tool, {key: shop.foreign if one == "Foreign" else one for key, one in arguments.items()})
    )

    assert error(by_name)["code"] == error(by_id)["code"] == "unknown_segment"


@pytest.mark.parametrize(
    ("query", "names", "matched"),
    [
        ("buyers", ["Buyers", "Lapsed"], ["buyers"]),
        ("byers", ["Buyers", "Lapsed"], ["byers"]),
        ("lapsed people", ["Lapsed"], ["lapsed"]),
        ("page_viewed", ["Lapsed"], ["page", "viewed"]),
        ("who placed an order", ["Buyers"], ["placed", "order"]),
        ("holidays", [], None),
    ],
)
async def test_segments_are_found_by_name_words_and_what_they_look_at(ask: Ask, query, names, matched):
    told = await called(ask, ("search_segments", {"query": query}))

    result = told.result()
    assert [one["name"] for one in result["segments"]] == names
    assert (result["total"], result["searched"], result["truncated"]) == (len(names), 2, False)
    if names:
        assert result["segments"][0]["matched"] == matched


async def test_a_search_says_what_was_cut(ask: Ask):
    told = await called(ask, ("search_segments", {"query": "buyers", "limit": 1}))

    assert (len(told.result()["segments"]), told.result()["total"], told.result()["truncated"]) == (1, 2, True)


# A count of nobody, or of nearly everybody


async def test_nobody_brings_what_each_condition_does_alone_and_left_out(ask: Ask):
    told = await called(ask, ("propose_segment", {**PROPOSAL, "definition": NOBODY}))

    first, second = told.result()["conditions"]
    assert (first["matched_users"], first["audience_without"]) == (2, 0)
    assert (second["matched_users"], second["audience_without"]) == (0, 2)
    assert told.result()["emptied_by"]["pointers"] == ["/conditions/1"]
    assert "Without it there would be 2 users" in told.result()["emptied_by"]["detail"]


async def test_nearly_everybody_brings_it_too(ask: Ask):
    everybody = {"logic": "AND", "conditions": [NOBODY["conditions"][1] | {"operator": "neq"}]}

    told = await called(ask, ("preview_segment", {"definition": everybody}))

    (condition,) = told.result()["conditions"]
    assert (told.result()["percent"], condition["matched_users"], condition["audience_without"]) == (100.0, 4, 4)
    assert "emptied_by" not in told.result()


@pytest.mark.parametrize(
    ("condition", "pointer", "near"),
    [
        ({"type": "user_property", "property": "country", "operator": "eq", "value": "Es"}, "/value", "ES"),
        ({"type": "user_property", "property": "country", "operator": "in", "value": ["ES", "FRA"]}, "/value", "FR"),
        (
            {"type": "event_count", "event_type": "order_placed", "where": [{"property": "ship.city", "operator": "eq", "value": "Madird"}]},
            "/where/0/value",
            "Madrid",
        ),
        ({"type": "event_property", "event_type": "order_placed", "property": "tags", "operator": "contains", "value": "sael", "occurrence": "any"}, "/value", "sale"),
        (
            {"type": "event_sequence", "events": ["order_placed", {"event_type": "page_viewed", "where": [{"property": "path", "operator": "eq", "value": "/prices"}]}]},
            "/events/1/where/0/value",
            "/pricing",
        ),
    ],
)  # fmt: skip
async def test_a_value_nobody_has_comes_with_the_nearest_that_somebody_has(ask: Ask, condition, pointer, near):
    told = await called(
        ask, ("propose_segment", {**PROPOSAL, "definition": {"logic": "AND", "conditions": [condition]}})
    )

    (warning,) = [one for one in told.one("segment.draft")["warnings"] if one["code"] == "unseen_value"]
    assert warning["pointer"] == f"/conditions/0{pointer}"
    assert warning["suggestions"][0] == near
    assert warning in told.result()["warnings"]


@pytest.mark.parametrize(
    "condition",
    [
        {"type": "user_property", "property": "country", "operator": "eq", "value": "ES"},
        {"type": "user_property", "property": "country", "operator": "eq", "value": "es", "ignore_case": True},
        {"type": "user_property", "property": "country", "operator": "starts_with", "value": "Q"},
        {"type": "event_property", "event_type": "page_viewed", "property": "path", "operator": "contains", "value": "pric"},
        {"type": "event_property", "event_type": "order_placed", "property": "total", "operator": "eq", "value": 7},
    ],
)  # fmt: skip
async def test_a_value_that_was_seen_or_cannot_be_compared_is_not_remarked_on(ask: Ask, condition):
    told = await called(ask, ("preview_segment", {"definition": {"logic": "AND", "conditions": [condition]}}))

    assert [one["code"] for one in told.result()["warnings"] if one["code"] == "unseen_value"] == []


async def test_a_draft_that_a_saved_segment_says_already_is_told_so(ask: Ask, shop: Shop):
    spelled = {"logic": "OR", "conditions": [{"type": "event_count", "event_type": ["order_placed"], "window": {"last": "7d"}, "operator": "gte"}]}  # fmt: skip

    same = await called(ask, ("propose_segment", {**PROPOSAL, "definition": spelled}))
    other = await called(ask, ("propose_segment", {**PROPOSAL, "definition": EVER}))

    (warning,) = same.one("segment.draft")["warnings"]
    assert (warning["code"], warning["suggestions"]) == ("already_saved", ["Buyers"])
    assert f"id {shop.buyers}" in warning["detail"]
    assert other.one("segment.draft")["warnings"] == []


async def test_another_tenants_segment_is_not_told(ask: Ask, shop: Shop):
    anything = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "*"}]}

    told = await called(ask, ("propose_segment", {**PROPOSAL, "definition": anything}))

    assert "already_saved" not in str(told.one("segment.draft")["warnings"])
    assert told.one("segment.draft")["preview"]["as_of"] == NOW.isoformat().replace("+00:00", "Z")
