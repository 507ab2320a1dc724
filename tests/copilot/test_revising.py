"""Edits change what was asked and nothing else, whatever they start from."""

from __future__ import annotations

from typing import Any

import jsonpatch
import msgspec
import pytest

from segment_copilot.copilot.models.offline import OfflineModel
from segment_copilot.language import encode
from tests.support.copilot_runs import BUYERS, Ask, Script, Shop, Told, asking, calls, says

PROPOSAL = {"name": "Recent buyers", "description": "Bought this week.", "definition": BUYERS, "assumptions": ["An order is a purchase."]}  # fmt: skip
WEEKS = {"op": "replace", "path": "/conditions/0/window_days", "value": 14}
SHOWN = {
    "draft_id": "draft_of_yesterday",
    "revision": 3,
    "name": "Spanish buyers",
    "description": "They bought.",
    "definition": {
        "logic": "and",
        "conditions": [
            {"operator": "gte", "event_type": "order_placed", "type": "event_count", "value": 1},
            {"type": "user_property", "property": "country", "operator": "eq", "value": "ES"},
        ],
    },
    "assumptions": ["Country is the trait."],
    "unmapped": ["rich"],
    "base": {"segment_id": 7, "version": 2},
}


async def called(ask: Ask, *wanted: tuple[str, dict[str, Any]], **more: Any) -> Told:
    """A run that makes these calls one turn each, then answers."""
    return await ask(Script(*[calls(one) for one in wanted], says("Done.")), asking(**more))


def error(told: Told) -> dict[str, Any]:
    return told.of("tool.result")[-1]["error"]


async def test_a_draft_of_the_run_is_changed_and_renewed(ask: Ask):
    told = await called(ask, ("propose_segment", PROPOSAL), ("revise_segment", {"patch": [WEEKS]}))

    first, second = told.of("segment.draft")
    assert second["definition"]["conditions"] == [BUYERS["conditions"][0] | {"window_days": 14}]
    assert second["diff"] == [WEEKS]
    assert second["base"] == {"draft_id": first["draft_id"], "revision": 1}
    assert (second["revision"], second["assumptions"]) == (2, PROPOSAL["assumptions"])
    assert second["name"] == "Placed an order in the last 14 days", "the old name was of another week"
    assert second["description"] == second["words"], "the old description told of another week"
    assert told.result()["diff"] == second["diff"]
    assert told.result()["base"] == second["base"]
    assert "diff" not in first
    assert [one["props"]["draft_id"] for one in told.of("component")] == [second["draft_id"]]


@pytest.mark.parametrize(
    "said", ["Call it Recent buyers", 'A segment named "Recent buyers", please', "Ponle de nombre Recent Buyers"]
)
async def test_a_name_that_the_person_chose_stays(ask: Ask, said: str):
    told = await ask(
        Script(calls(("propose_segment", PROPOSAL)), calls(("revise_segment", {"patch": [WEEKS]})), says("Done.")),
        asking(said),
    )

    assert told.of("segment.draft")[-1]["name"] == "Recent buyers"


async def test_a_name_that_the_person_only_described_is_made_anew(ask: Ask):
    told = await ask(
        Script(calls(("propose_segment", PROPOSAL)), calls(("revise_segment", {"patch": [WEEKS]})), says("Done.")),
        asking("recent buyers"),
    )

    assert told.of("segment.draft")[-1]["name"] == "Placed an order in the last 14 days"


@pytest.mark.parametrize(
    ("assumption", "patch", "holds"),
    [
        ("“This week” is the last 7 days.", WEEKS, False),
        ("An order is a purchase.", WEEKS, True),
        ("“Spain” is read as ES.", {"op": "replace", "path": "/conditions/1/value", "value": "FR"}, False),
        ("“Spain” is read as ES.", WEEKS, True),
        ("The country is where they live.", {"op": "remove", "path": "/conditions/1"}, False),
        ("“Often” is at least 3 orders.", {"op": "replace", "path": "/conditions/0/value", "value": 5}, False),
        ("“Often” is at least 3 orders.", {"op": "replace", "path": "/conditions/1/value", "value": "FR"}, True),
    ],
)
async def test_an_assumption_about_what_the_edit_took_away_goes(ask: Ask, assumption, patch, holds):
    spain = {"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}
    often = {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 3, "window_days": 7}
    made = PROPOSAL | {"definition": {"logic": "AND", "conditions": [often, spain]}, "assumptions": [assumption]}

    told = await called(ask, ("propose_segment", made), ("revise_segment", {"patch": [patch]}))

    assert told.of("segment.draft")[-1]["assumptions"] == ([assumption] if holds else [])


async def test_a_saved_segment_is_changed_in_a_draft_only(ask: Ask, shop: Shop):
    before = await shop.resources.segments.get(shop.tenant, shop.lapsed)
    assert before.definition
    stored = msgspec.json.decode(encode(before.definition))

    told = await called(ask, ("revise_segment", {"segment_id": shop.lapsed, "patch": [WEEKS], "name": "Lapsed longer"}))

    draft = told.one("segment.draft")
    assert draft["base"] == {"segment_id": shop.lapsed, "version": 1}
    assert (draft["revision"], draft["name"]) == (1, "Lapsed longer")
    assert msgspec.json.encode(draft["definition"]["exclude"]) == msgspec.json.encode(stored["exclude"])
    assert jsonpatch.apply_patch(stored, draft["diff"]) == draft["definition"]
    assert await shop.resources.segments.get(shop.tenant, shop.lapsed) == before


async def test_the_button_of_an_edited_segment_can_save_a_new_one_or_change_that_one(ask: Ask, shop: Shop):
    edited = await called(ask, ("revise_segment", {"segment_id": shop.lapsed, "patch": [WEEKS]}))
    new = await called(ask, ("propose_segment", PROPOSAL), ("revise_segment", {"patch": [WEEKS]}))

    props = edited.one("component")["props"]
    assert (props["save"]["method"], props["save"]["path"]) == ("POST", "/api/segments/")
    assert props["update"] == {
        "method": "PATCH", "path": f"/api/segments/{shop.lapsed}/", "body": {"definition": props["definition"]},
    }  # fmt: skip
    assert "update" not in new.one("component")["props"]


async def test_a_draft_of_a_draft_of_a_segment_knows_the_segment(ask: Ask, shop: Shop):
    told = await called(
        ask,
        ("revise_segment", {"segment_id": shop.lapsed, "patch": [WEEKS]}),
        ("revise_segment", {"patch": [{"op": "remove", "path": "/exclude"}]}),
    )

    first, second = told.of("segment.draft")
    assert second["base"] == {
        "draft_id": first["draft_id"], "revision": 1, "segment_id": shop.lapsed, "version": 1,
    }  # fmt: skip
    assert second["diff"] == [{"op": "remove", "path": "/exclude"}]


async def test_the_draft_in_view_is_changed_and_the_rest_of_it_keeps_its_bytes(ask: Ask):
    told = await called(
        ask,
        ("revise_segment", {"patch": [{"op": "replace", "path": "/conditions/1/value", "value": "FR"}]}),
        context={"draft": SHOWN},
    )

    draft = told.one("segment.draft")
    kept = SHOWN["definition"]["conditions"][0]
    assert msgspec.json.encode(draft["definition"]["conditions"][0]) == msgspec.json.encode(kept)
    assert (draft["revision"], draft["name"], draft["unmapped"]) == (4, "Spanish buyers", ["rich"])
    assert draft["base"] == {"draft_id": "draft_of_yesterday", "revision": 3, "segment_id": 7, "version": 2}


@pytest.mark.parametrize(
    "shown", [SHOWN["definition"], {"definition": SHOWN["definition"], "name": 5, "revision": "x"}]
)
async def test_a_bare_definition_in_view_is_enough(ask: Ask, shown):
    told = await called(
        ask, ("revise_segment", {"patch": [{"op": "remove", "path": "/conditions/1"}]}), context={"draft": shown}
    )

    draft = told.one("segment.draft")
    assert len(draft["definition"]["conditions"]) == 1
    assert draft["name"] == "Placed an order"


async def test_the_segment_in_view_is_changed_when_there_is_no_draft(ask: Ask, shop: Shop):
    told = await called(ask, ("revise_segment", {"patch": [WEEKS]}), context={"segment_id": shop.buyers})

    assert told.one("segment.draft")["base"] == {"segment_id": shop.buyers, "version": 1}


async def test_a_new_name_alone_is_a_change(ask: Ask):
    told = await called(ask, ("propose_segment", PROPOSAL), ("revise_segment", {"patch": [], "name": "Fresh buyers"}))

    draft = told.of("segment.draft")[-1]
    assert (draft["name"], draft["description"], draft["diff"]) == ("Fresh buyers", "Bought this week.", [])


@pytest.mark.parametrize(
    "patch",
    [
        [],
        [{"op": "replace", "path": "/conditions/0/window_days", "value": 7}],
        [
            {"op": "add", "path": "/conditions/0/window", "value": {"last": "7d"}},
            {"op": "remove", "path": "/conditions/0/window_days"},
        ],
    ],
)
async def test_a_patch_that_changes_nothing_is_an_error(ask: Ask, patch):
    told = await called(ask, ("propose_segment", PROPOSAL), ("revise_segment", {"patch": patch}))

    assert (error(told)["code"], error(told)["retry"]) == ("no_change", "adjust")
    assert len(told.of("segment.draft")) == 1


async def test_a_path_that_is_not_there_is_an_error_with_those_that_are(ask: Ask):
    wrong = {"op": "replace", "path": "/conditions/4/window_days", "value": 14}

    told = await called(ask, ("propose_segment", PROPOSAL), ("revise_segment", {"patch": [wrong]}))

    assert (error(told)["code"], error(told)["retry"]) == ("invalid_patch", "adjust")
    assert error(told)["findings"][0]["pointer"] == "/patch/0/path"
    assert "/conditions/0/window_days" in error(told)["findings"][0]["suggestions"]


async def test_what_the_patch_adds_must_exist(ask: Ask):
    added = {"op": "add", "path": "/conditions/-", "value": {"type": "event_count", "event_type": "order_placd"}}

    told = await called(ask, ("propose_segment", PROPOSAL), ("revise_segment", {"patch": [added]}))

    assert error(told)["findings"][0]["pointer"] == "/definition/conditions/1/event_type"
    assert error(told)["findings"][0]["suggestions"] == ["order_placed"]


async def test_what_nobody_touched_may_name_what_was_never_seen(ask: Ask):
    awaited = {"type": "event_count", "event_type": "launch_party"}
    shown = {"logic": "AND", "conditions": [awaited, *BUYERS["conditions"]]}
    change = {"op": "replace", "path": "/conditions/1/window_days", "value": 3}

    told = await called(ask, ("revise_segment", {"patch": [change]}), context={"draft": shown})

    draft = told.one("segment.draft")
    assert draft["definition"]["conditions"][0] == awaited
    assert [(found["pointer"], found["code"]) for found in draft["warnings"]] == [
        ("/conditions/0/event_type", "unknown_name")
    ]


async def test_the_time_zone_stays_the_bases(ask: Ask):
    told = await called(
        ask,
        ("revise_segment", {"patch": [WEEKS]}),
        context={"draft": BUYERS | {"timezone": "Asia/Tokyo"}, "timezone": "Europe/Madrid"},
    )

    assert told.one("segment.draft")["definition"]["timezone"] == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"patch": [WEEKS]}, "nothing_in_view"),
        ({"patch": [WEEKS], "draft_id": "draft_9"}, "unknown_draft"),
        ({"patch": [WEEKS], "draft_id": "draft_9", "segment_id": 1}, "two_bases"),
        ({"patch": [WEEKS], "segment_id": 999_999}, "segment_not_found"),
        ({"patch": [{"op": "copy", "path": "/logic"}]}, "invalid_arguments"),
    ],
)
async def test_a_base_that_is_not_there_is_said(ask: Ask, arguments, code):
    told = await called(ask, ("revise_segment", arguments))

    assert (error(told)["code"], error(told)["retry"]) == (code, "adjust")


async def test_another_tenants_segment_cannot_be_a_base(ask: Ask, shop: Shop):
    told = await called(ask, ("revise_segment", {"patch": [WEEKS], "segment_id": shop.foreign}))
    seen = await called(ask, ("revise_segment", {"patch": [WEEKS]}), context={"segment_id": shop.foreign})

    assert error(told)["code"] == error(seen)["code"] == "segment_not_found"


async def test_a_segment_cannot_be_made_to_refer_to_itself(ask: Ask, shop: Shop):
    itself = {"type": "segment_membership", "segment_id": shop.buyers}
    change = {"op": "add", "path": "/conditions/-", "value": itself}

    told = await called(ask, ("revise_segment", {"segment_id": shop.buyers, "patch": [change]}))

    assert error(told)["code"] == "invalid_definition"
    assert error(told)["findings"][0]["pointer"].startswith("/definition/conditions/1")


async def test_edits_that_fail_count_as_repairs(ask: Ask):
    wrong = [
        ("revise_segment", {"patch": [WEEKS | {"path": f"/conditions/{number}/window_days"}]}) for number in range(4, 9)
    ]

    told = await called(ask, ("propose_segment", PROPOSAL), *wrong)

    codes = [result["error"]["code"] for result in told.of("tool.result")[1:]]
    assert codes == ["invalid_patch"] * 4 + ["too_many_repairs"]


@pytest.mark.parametrize("sends", ["texts", "a draft", "a checkpoint"])
async def test_the_offline_models_edits_are_renewed_whatever_the_client_sends_back(ask: Ask, sends: str):
    model = OfflineModel()
    said = "Users who ordered at least 3 times in the last 90 days"
    first = await ask(model, asking(said))
    drafted = first.one("segment.draft")
    assert "3" in drafted["name"]
    messages = [
        {"role": "user", "content": said},
        {"role": "assistant", "content": first.text},
        {"role": "user", "content": "make it 5"},
    ]
    more: dict[str, Any] = {"messages": messages}
    if sends == "a draft":
        more |= {"context": {"draft": drafted}}
    if sends == "a checkpoint":
        more |= {"checkpoint": first.of("checkpoint")[-1]["token"]}

    told = await ask(model, asking(**more))

    edited = told.one("segment.draft")
    assert edited["definition"]["conditions"][0]["value"] == 5
    for text in (edited["name"], edited["words"]):
        assert "5 times" in text
        assert "3" not in text
    assert "3" not in edited["description"]


async def test_the_offline_model_keeps_a_name_that_was_asked_for(ask: Ask):
    said = "Create a segment called Regulars of users who ordered at least 3 times"
    first = await ask(OfflineModel(), asking(said))
    assert first.one("segment.draft")["name"] == "Regulars"
    messages = [
        {"role": "user", "content": said},
        {"role": "assistant", "content": first.text},
        {"role": "user", "content": "make it 5"},
    ]

    told = await ask(OfflineModel(), asking(messages=messages))

    assert told.one("segment.draft")["name"] == "Regulars"
