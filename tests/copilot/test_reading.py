"""A draft says which of the person's words made which condition: their own words, every one of them once."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segment_copilot.copilot.guards.quotes import Span, find_quotes, unquoted
from segment_copilot.copilot.models.offline import OfflineModel
from tests.support.copilot_runs import BUYERS, Ask, Script, Told, asking, calls, says

pytestmark = pytest.mark.shared

SAID = "Hi! Show me people who bought recently, love blue; 5 🛒 + thanks"
DRAFT = {"name": "Recent buyers", "description": "Bought this week.", "definition": BUYERS}
READ = [
    {"text": "Show me people who", "pointers": []},
    {"text": "bought", "pointers": ["/conditions/0"]},
    {"text": "recently", "assumed": "“Recently” is the last 7 days."},
    {"text": "love blue", "unmapped": True},
]


async def drafted(ask: Ask, reading: list[dict[str, Any]], said: str = SAID) -> Told:
    return await ask(Script(calls(("propose_segment", {**DRAFT, "reading": reading})), says("Done.")), asking(said))


async def test_every_word_of_the_message_stands_in_the_reading_once(ask: Ask):
    read = (await drafted(ask, READ)).one("segment.draft")["reading"]

    assert read == [
        {"text": "Hi", "start": 0, "end": 2, "unmapped": True},
        {"text": "Show me people who", "start": 4, "end": 22, "pointers": []},
        {"text": "bought", "start": 23, "end": 29, "pointers": ["/conditions/0"]},
        {"text": "recently", "start": 30, "end": 38, "assumed": "“Recently” is the last 7 days."},
        {"text": "love blue", "start": 40, "end": 49, "unmapped": True},
        {"text": "5 🛒 + thanks", "start": 51, "end": 63, "unmapped": True},
    ]
    assert [SAID[one["start"] : one["end"]] for one in read] == [one["text"] for one in read]


@pytest.mark.parametrize(
    "said",
    [
        "Hey! people who placed an order in the last 7 days & whose country is ES, please",
        "users who didn't order — and tell me it's saved",
        "users who ordered more than once, country is ES or FR",
    ],
)
async def test_the_model_without_a_key_tells_every_word_of_its_drafts(ask: Ask, said: str):
    draft = (await ask(OfflineModel(), asking(said))).one("segment.draft")

    covered = "".join(one["text"] for one in draft["reading"])
    assert [said[one["start"] : one["end"]] for one in draft["reading"]] == [one["text"] for one in draft["reading"]]
    assert sorted(filter(str.isalnum, covered)) == sorted(filter(str.isalnum, said))
    told = {pointer for one in draft["reading"] for pointer in one.get("pointers", ())}
    assert told == {f"/conditions/{at}" for at in range(len(draft["definition"]["conditions"]))}
    unread = [one["text"] for one in draft["reading"] if one.get("unmapped")]
    assert unread == (["and tell me it's saved"] if "tell me" in said else [])


async def test_without_quotes_nothing_is_said_of_the_words(ask: Ask):
    assert "reading" not in (await drafted(ask, [])).one("segment.draft")


async def test_a_long_message_has_no_reading(ask: Ask):
    assert "reading" not in (await drafted(ask, READ, SAID + " and so on" * 500)).one("segment.draft")


@pytest.mark.parametrize(
    ("quote", "pointer", "code"),
    [
        ({"text": "bought twice", "pointers": ["/conditions/0"]}, "/reading/1/text", "not_said"),
        ({"text": "rec", "pointers": ["/conditions/0"]}, "/reading/1/text", "not_said"),
        ({"text": "ently", "pointers": ["/conditions/0"]}, "/reading/1/text", "not_said"),
        ({"text": "Show", "pointers": []}, "/reading/1/text", "not_said"),
        ({"text": "…", "pointers": []}, "/reading/1/text", "not_said"),
        ({"text": "bought", "pointers": ["/conditions/1"]}, "/reading/1/pointers/0", "unknown_pointer"),
        ({"text": "bought", "pointers": ["conditions"]}, "/reading/1/pointers/0", "unknown_pointer"),
        ({"text": "bought", "pointers": ["/conditions/0/window_days/x"]}, "/reading/1/pointers/0", "unknown_pointer"),
        ({"text": "bought"}, "/reading/1", "invalid_reading"),
        ({"text": "bought", "unmapped": False}, "/reading/1", "invalid_reading"),
        ({"text": "bought", "pointers": [], "unmapped": True}, "/reading/1", "invalid_reading"),
    ],
)
async def test_what_the_person_did_not_write_is_refused(ask: Ask, quote: dict[str, Any], pointer: str, code: str):
    told = await drafted(ask, [READ[0], quote])

    error = told.of("tool.result")[-1]["error"]
    assert (error["code"], error["retry"]) == ("invalid_reading", "adjust")
    assert [(one["pointer"], one["code"]) for one in error["findings"]] == [(pointer, code)]
    assert told.of("segment.draft") == []


async def test_a_reading_that_never_fits_ends_as_any_proposal_does(ask: Ask):
    wrong = [("propose_segment", {**DRAFT, "reading": [{"text": f"word {at}", "pointers": []}]}) for at in range(5)]

    told = await ask(Script(*[calls(one) for one in wrong], says("Done.")), asking(SAID))

    assert [one["error"]["code"] for one in told.of("tool.result")] == ["invalid_reading"] * 4 + ["too_many_repairs"]


async def test_the_words_of_an_answer_and_of_its_request_are_told_apart(ask: Ask):
    asked = await ask(Script(calls(("ask_user", {"question": "Since when?"}))), asking("people who bought"))
    reading = [{"text": "people who bought", "pointers": ["/conditions/0"]}, {"text": "this week", "pointers": ["/conditions/0/window_days"]}]  # fmt: skip

    told = await ask(
        Script(calls(("propose_segment", {**DRAFT, "reading": reading})), says("Done.")),
        asking(
            messages=[{"role": "user", "content": "people who bought"}, {"role": "assistant", "content": asked.text}, {"role": "user", "content": "this week"}],
            checkpoint=asked.one("checkpoint")["token"],
        ),
    )  # fmt: skip

    assert told.one("segment.draft")["reading"] == [
        {"text": "people who bought", "start": 0, "end": 17, "pointers": ["/conditions/0"], "message": 1},
        {"text": "this week", "start": 0, "end": 9, "pointers": ["/conditions/0/window_days"]},
    ]


async def test_an_edit_reads_the_message_that_asked_for_it(ask: Ask):
    patch = [{"op": "replace", "path": "/conditions/0/window_days", "value": 14}]
    reading = [{"text": "make it", "pointers": []}, {"text": "two weeks", "pointers": ["/conditions/0/window_days"]}]

    told = await ask(
        Script(calls(("revise_segment", {"patch": patch, "reading": reading})), says("Done.")),
        asking("make it two weeks", context={"draft": {"definition": BUYERS}}),
    )

    assert [one["text"] for one in told.one("segment.draft")["reading"]] == ["make it", "two weeks"]


def test_a_word_that_stands_twice_is_the_one_after_the_quote_before():
    said = ("bought in May, never bought  in June",)

    first, second, third = find_quotes(said, ["bought", "Bought in", "june"])

    assert (first, second, third) == (Span(0, 0, 6), Span(0, 21, 31), Span(0, 32, 36))
    assert [said[0][one.start : one.end] for one in unquoted(said, [Span(0, 0, 6), Span(0, 21, 31)])] == ["in May, never", "June"]  # fmt: skip


@given(st.lists(st.text("ab é.,", min_size=1, max_size=30), min_size=1, max_size=3), st.data())
def test_quotes_and_what_they_leave_are_every_word_once(said: list[str], data: st.DataObject):
    cuts = data.draw(st.lists(st.integers(0, len(said[-1])), min_size=2, max_size=8).map(sorted))
    quotes = [said[-1][start:end] for start, end in pairwise(cuts)]

    found = [span for span in find_quotes(said, quotes) if span is not None]
    spans = [*found, *unquoted(said, found)]

    for ago in {span.message for span in spans} | {0}:
        text = said[-1 - ago]
        covered = [at for span in spans if span.message == ago for at in range(span.start, span.end)]
        assert len(covered) == len(set(covered)), "no character twice"
        assert {at for at, character in enumerate(text) if character.isalnum()} <= set(covered)
