"""A draft that passes the tenant's quota of Dynamic Plus segments says so, with the numbers, before saving it fails."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from segment_copilot.copilot.models.offline import OfflineModel
from segment_copilot.errors import Conflict
from tests.support.copilot_runs import BUYERS, Ask, Script, Shop, asking, calls, says

BOUGHT = {"name": "Buyers", "description": "They bought.", "definition": BUYERS}
SPAIN = {
    "name": "Spain",
    "description": "Of Spain.",
    "definition": {
        "logic": "AND",
        "conditions": [{"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}],
    },
}
TOLD = (
    "Saving this as a new segment will be refused: this tenant may have 2 Dynamic Plus segments and has 2. "
    "Delete one first, or use trait conditions only."
)


@pytest.fixture
async def full(shop: Shop) -> AsyncGenerator[Shop]:
    """The shop, whose two segments are as many as it may have."""
    await shop.resources.tenants.set_dynamic_plus_limit(shop.tenant, 2)
    yield shop
    await shop.resources.tenants.set_dynamic_plus_limit(shop.tenant, None)


async def test_a_draft_that_passes_the_quota_warns_and_the_text_says_so(full: Shop, ask: Ask):
    told = await ask(Script(calls(("propose_segment", BOUGHT)), says("Here it is.")))

    draft = told.one("segment.draft")
    assert TOLD in [one["detail"] for one in draft["warnings"] if one["code"] == "dynamic_plus_limit_reached"]
    assert told.text.endswith(TOLD)
    with pytest.raises(Conflict) as refused:
        await full.resources.segments.create(full.tenant, name=draft["name"], definition=draft["definition"])
    assert refused.value.code == "dynamic_plus_limit_reached"


async def test_it_is_said_once_and_by_the_offline_model_itself(full: Shop, ask: Ask):
    told = await ask(OfflineModel(), asking("Users who ordered in the last 3 days"))

    assert told.text.count(TOLD) == 1
    assert [frame for frame in told.of("warning") if frame["code"] == "unsupported_number"] == []


async def test_a_silent_run_says_it_too(full: Shop, ask: Ask):
    told = await ask(Script(calls(("propose_segment", BOUGHT)), says("")))

    assert TOLD in told.text


async def test_a_dynamic_draft_and_one_below_the_limit_say_nothing(full: Shop, ask: Ask):
    dynamic = await ask(Script(calls(("propose_segment", SPAIN)), says("Here it is.")))
    await full.resources.tenants.set_dynamic_plus_limit(full.tenant, 3)
    below = await ask(Script(calls(("propose_segment", BOUGHT)), says("Here it is.")))

    for told in (dynamic, below):
        assert "dynamic_plus_limit_reached" not in str(told.one("segment.draft")["warnings"])
        assert told.text == "Here it is."
