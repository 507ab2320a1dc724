"""A draft tells how large its audience would be at values near its own: each as a preview of its own would."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from segment_copilot.copilot.tools import drafts
from tests.support.copilot_runs import Ask, Script, Shop, asking, calls, says
from tests.support.resources import NOW

ORDERS = {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 1, "window_days": 7}
DEFINITION = {"logic": "AND", "conditions": [ORDERS]}
PROPOSAL = {"name": "Recent buyers", "description": "Bought this week.", "definition": DEFINITION}


async def proposed(ask: Ask, *more: Any, **proposal: Any) -> list[dict[str, Any]]:
    told = await ask(Script(calls(("propose_segment", PROPOSAL | proposal)), *more, says("Done.")), asking())
    return told.of("segment.draft")


def with_value(key: str, value: object) -> dict[str, Any]:
    changed = copy.deepcopy(DEFINITION)
    changed["conditions"][0][key] = value
    return changed


async def test_each_neighbour_is_what_a_preview_of_it_counts(ask: Ask, shop: Shop):
    (draft,) = await proposed(ask)
    (condition,) = draft["conditions"]

    assert (condition["pointer"], condition["matched_users"]) == ("/conditions/0", draft["preview"]["count"])
    assert {"value": 1, "words": "1 time", "matched_users": draft["preview"]["count"]} in condition["neighbours"]
    for key, name in (("value", "neighbours"), ("window_days", "window_neighbours")):
        assert len(condition[name]) > 1
        for one in condition[name]:
            counted = await shop.resources.previews.preview(shop.tenant, with_value(key, one["value"]), as_of=NOW)
            assert one["matched_users"] == counted.matched_users, (key, one)


async def test_an_edit_counts_anew_around_its_new_value(ask: Ask):
    patch = [{"op": "replace", "path": "/conditions/0/window_days", "value": 30}]
    _, edited = await proposed(ask, calls(("revise_segment", {"patch": patch})))

    lengths = [one["value"] for one in edited["conditions"][0]["window_neighbours"]]
    assert 30 in lengths
    assert 7 not in lengths


async def test_where_a_draft_would_wait_for_them_it_has_none(ask: Ask, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drafts, "EVENTS_AT_ONCE", 1)  # the shop has some more

    (draft,) = await proposed(ask)

    assert "conditions" not in draft
    assert draft["preview"]["count"] == 2


async def test_a_draft_that_fits_without_them_goes_without_them(ask: Ask):
    """A long text stands in the definition, in its words, and once more in those of the condition."""
    long = [
        {
            "type": "user_property",
            "property": "country",
            "operator": "contains",
            "value": f"{number:04}" * 250,
            "negate": True,
        }
        for number in range(21)
    ]
    (draft,) = await proposed(ask, definition={"logic": "AND", "conditions": [ORDERS, *long]})

    assert "conditions" not in draft
    assert draft["preview"]["count"] == 2


async def test_the_model_is_not_told_them_and_a_checkpoint_does_not_keep_them(ask: Ask):
    told = await ask(Script(calls(("propose_segment", PROPOSAL)), says("Done.")), asking())
    bare = len(told.of("checkpoint")[-1]["token"])

    assert "neighbours" not in str(told.of("tool.result"))
    assert bare < 4_000
