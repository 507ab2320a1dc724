"""What came of a sentence is judged by whom it selects, and counted; sets are sealed by their bytes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from evals.client import HarnessError
from evals.corpus import sealing
from evals.corpus.examples import read
from evals.corpus.members import are_same
from evals.corpus.notation import parse_definition
from evals.corpus.playing import Heard, open_model, play
from evals.corpus.scoring import Scored, agreement, judge, listing, summary
from evals.corpus.tenants import segment_ids

BUYERS = "count(order_placed)≥1 in 30d"


def example(line: str, tenant: str = "shop"):
    (found,), faults = read(f"@tenant {tenant}\n{line}", segments=segment_ids())
    assert not faults
    return found


def drafted(text: str) -> Heard:
    return Heard("draft", parse_definition(text, segment_ids()["shop"]))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("last(order_placed)≤30d", BUYERS, True),
        ("country=ES", "country starts_with ES", False),
        ("country=ES", "country in ES,PT", False),
        ("count(order_placed)≥3 in 90d", "count(order_placed)>3 in 90d", False),
        ("sum(order_placed.total)>100", "sum(order_placed.total)≥100", False),  # users on the edge tell
        ("in segment Staff", "tags contains staff", True),  # only the data tells
        ('count(order_placed)≥1 - in segment "High LTV"', "count(order_placed)≥1", False),
        ("seq(cart_add > order_placed within 2h)", "seq(cart_add > order_placed) in 2h", True),
        ("seq(cart_add > order_placed)", "count(cart_add)≥1 & count(order_placed)≥1", False),
    ],
)
def test_members_are_compared_and_not_the_writing(one, other, same):
    ids = segment_ids()["shop"]
    assert are_same("shop", parse_definition(one, ids), parse_definition(other, ids)) is same


ASKED = Heard("ask", options=(parse_definition(BUYERS), None))


@pytest.mark.parametrize(
    ("line", "heard", "verdict"),
    [
        (f"x => {BUYERS}", drafted("last(order_placed)<30d"), "right"),
        (f"x => country=ES || {BUYERS}", drafted(BUYERS), "right"),
        (f"x => {BUYERS}", drafted("country=ES"), "wrong"),
        (f"x => {BUYERS}", ASKED, "one click"),
        ("x => country=ES", ASKED, "asked"),
        (f"x => {BUYERS}", Heard("refuse"), "refused"),
        (f"x => {BUYERS}", Heard("look_up", tool="preview_segment"), "other"),
        (f"x => ask: {BUYERS}", ASKED, "right"),
        ("x => ask: country=ES", ASKED, "asked"),
        ("x => ask:", ASKED, "right"),
        ("x => ask:", drafted(BUYERS), "wrong"),
        (f"x => country=ES || ask: {BUYERS}", ASKED, "right"),
        ("x => refuse: sofa", Heard("refuse"), "right"),
        ("x => refuse: sofa", ASKED, "asked"),
        ("x => refuse: sofa", drafted(BUYERS), "wrong"),
        ("x => ack", Heard("say"), "right"),
        ("x => ack", drafted(BUYERS), "wrong"),
        ("x => question: top_events", Heard("look_up", tool="query_top_events"), "right"),
        ("x => question: top_events", Heard("look_up", tool="list_segments"), "other"),
        ("x => question: help", Heard("say"), "right"),
        (f"x => {BUYERS}", Heard("broken"), "wrong"),
    ],
)
def test_an_answer_is_judged_by_what_is_right(line, heard, verdict):
    assert judge(example(line), heard) == verdict


@pytest.mark.parametrize(
    ("line", "kind", "meaning"),
    [
        ("users who ordered in the last 30 days => country=ES", "draft", BUYERS),
        ("users who ordered => only in the last 30 days => country=ES", "draft", BUYERS),
        ("draft: count(order_placed)≥1 in 90d => make it 30 days => country=ES", "draft", BUYERS),
        ('viewing: "High LTV" => but without staff => country=ES', "draft", 'in segment "High LTV" - in segment Staff'),
        ("top 5 events this week => country=ES", "look_up", None),
        ("people who returned a sofa => country=ES", "refuse", None),
        ("big spenders => country=ES", "ask", None),
    ],
)
def test_what_was_said_is_played_to_a_model(line, kind, meaning):
    heard = play(open_model(), example(line))
    assert heard.kind == kind, heard
    if meaning and "segment" not in meaning:
        assert heard.definition is not None
        assert are_same("shop", heard.definition, parse_definition(meaning))
    if kind == "ask":
        assert len(heard.options) > 1
        assert all(heard.options)


def test_ways_of_saying_one_thing_agree_or_not():
    one, two = example("x => country=ES"), example("y => country=ES")
    family = [replace(one, family="f"), replace(two, family="f")]
    right, wrong = drafted("country=ES"), drafted("country=FR")
    scored = [Scored(family[0], right, "right"), Scored(family[1], right, "right")]
    assert [(found.is_alike, found.is_right) for found in agreement(scored).values()] == [(True, True)]
    scored = [Scored(family[0], wrong, "wrong"), Scored(family[1], wrong, "wrong")]
    assert [(found.is_alike, found.is_right) for found in agreement(scored).values()] == [(True, False)]
    scored = [Scored(family[0], right, "right"), Scored(family[1], wrong, "wrong")]
    assert [(found.is_alike, found.is_right) for found in agreement(scored).values()] == [(False, False)]
    text = summary(scored, "offline")
    assert "- drafts of other people than were asked for: 1 (50 %)" in text
    assert "| audience | 2 | 1 (50 %) |" in text
    assert "heard: country=FR" in listing(scored)


def test_a_set_is_sealed_by_its_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(sealing, "SEALED", tmp_path / "SEALED.md")
    (tmp_path / "SEALED.md").write_text("| file | sentences | sha256 |\n|---|---:|---|\n", "utf-8")
    path = tmp_path / "round1.txt"
    path.write_text("@tenant shop\nx => country=ES\n", "utf-8")
    with pytest.raises(HarnessError, match="never sealed"):
        sealing.check(path)
    assert sealing.seal(path) in (tmp_path / "SEALED.md").read_text("utf-8")
    sealing.check(path)
    with pytest.raises(HarnessError, match="sealed already"):
        sealing.seal(path)
    path.write_text("@tenant shop\nx => country=FR\n", "utf-8")
    with pytest.raises(HarnessError, match="was changed since it was sealed"):
        sealing.check(path)
    wrong = tmp_path / "round2.txt"
    wrong.write_text("@tenant shop\nx => country=Spain\n", "utf-8")
    with pytest.raises(HarnessError, match="Mend it before"):
        sealing.seal(wrong)
