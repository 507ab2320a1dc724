"""No text claims a write: what is said by mistake is put right, and told."""

from __future__ import annotations

import pytest

from segment_copilot.copilot.guards.claims import claims_write
from tests.support.copilot_runs import BUYERS, Ask, Script, calls, says


@pytest.mark.parametrize(
    "text",
    [
        "I created the segment.",
        "I've created the segment “Buyers” for you.",
        "I’ve just saved it.",
        "I have now updated segment 7.",
        "The segment has been saved.",
        "Your audience has been successfully created!",
        "The segment is now live.",
        "It was hard. The segment was successfully saved",
        "Done! The segment is now saved.",
        "He creado el segmento.",
        "El segmento se ha guardado.",
    ],
)
def test_a_claimed_write_is_seen(text: str):
    assert claims_write(text)


@pytest.mark.parametrize(
    "text",
    [
        "I drafted the segment “Buyers”. Nothing is saved yet.",
        "I've created a draft of the segment.",
        "Nothing has been saved.",
        "The segment has not been saved.",
        "It hasn't been created yet.",
        "Press the button and it is saved.",
        "Once it has been saved, its members are computed.",
        "I have updated the draft: it is now 12 users.",
        "The segment “Buyers” was created on June 1.",
        "Three users were created in May.",
        "Users who saved a card.",
        "I can save nothing.",
        "",
    ],
)
def test_what_is_no_claim_is_none(text: str):
    assert not claims_write(text)


async def test_a_run_that_claims_a_write_says_that_nothing_is_saved(ask: Ask):
    told = await ask(Script(says("I've created the segment for you.")))

    assert [frame["code"] for frame in told.of("warning")] == ["claims_write"]
    assert told.text.endswith("Nothing has been saved: the copilot drafts, a person saves.")


async def test_a_run_that_claims_none_is_left_alone(ask: Ask):
    told = await ask(Script(says("I drafted nothing.")))

    assert told.of("warning") == []
    assert told.text == "I drafted nothing."


# Nobody, or nearly everybody


def proposed(value: str) -> tuple[str, dict[str, object]]:
    condition = {"type": "user_property", "property": "country", "operator": "eq", "value": value}
    definition = {"logic": "AND", "conditions": [condition]}
    return "propose_segment", {"name": "There", "description": "Of there.", "definition": definition}


EVERYBODY = {
    "logic": "AND",
    "conditions": [{"type": "user_property", "property": "country", "operator": "neq", "value": "nowhere"}],
}


@pytest.mark.parametrize(
    ("call", "said", "added"),
    [
        (proposed("XX"), "Here is the draft.", "The draft “There” matches nobody: 0 of 4 users."),
        (proposed("XX"), "Nobody is in it.", ""),
        (proposed("XX"), "It has 0 users.", ""),
        (proposed("XX"), "It has 10 users.", "The draft “There” matches nobody: 0 of 4 users."),
        (proposed("FR"), "Here is the draft.", ""),
        (("preview_segment", {"definition": proposed("XX")[1]["definition"]}), "I counted.", "The last count matches nobody: 0 of 4 users."),
        (("preview_segment", {"definition": BUYERS}), "I counted.", ""),
    ],
)  # fmt: skip
async def test_a_count_of_nobody_is_said(ask: Ask, call, said: str, added: str):
    told = await ask(Script(calls(call), says(said)))

    assert told.text == said + added
