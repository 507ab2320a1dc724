"""What the person is looking at reaches the model, and the tools."""

from __future__ import annotations

from tests.support.copilot_runs import BUYERS, Ask, Script, Shop, asking, says


async def test_a_segment_is_seen_with_its_definition(ask: Ask, shop: Shop):
    model = Script(says("Fine."))

    await ask(model, asking(context={"segment_id": shop.buyers}))

    segment = model.requests[0].view["segment"]
    assert (segment["id"], segment["name"], segment["version"]) == (shop.buyers, "Buyers", 1)
    assert segment["definition"]["conditions"] == BUYERS["conditions"]


async def test_another_tenants_segment_is_seen_as_none(ask: Ask, shop: Shop):
    model = Script(says("Fine."))

    await ask(model, asking(context={"segment_id": shop.foreign}))

    assert model.requests[0].view["segment"] == {"id": shop.foreign, "note": "There is no segment of that id."}


async def test_a_draft_is_seen_as_the_client_sent_it(ask: Ask):
    model = Script(says("Fine."))
    draft = {"name": "Mine", "definition": BUYERS, "note": [None, 1.50]}

    await ask(model, asking(context={"draft": draft}))

    assert model.requests[0].view == {"draft": draft}


async def test_without_either_nothing_is_seen(ask: Ask):
    model = Script(says("Fine."))

    await ask(model)

    assert model.requests[0].view == {}
