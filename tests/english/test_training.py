"""Weights are learned so that what is right is likeliest, and judged on families that were not learned from."""

from __future__ import annotations

from evals.corpus.training import Option, Sample, curve, folds, judge, learn
from segment_copilot.english.reading.same import members
from segment_copilot.english.reading.weights import NULL, learned
from segment_copilot.language import Definition, UserProperty

RIGHT, WRONG = (
    members(Definition("AND", [UserProperty(property="country", operator="eq", value=code)])) for code in ("ES", "US")
)


def sample(family: str, *, refuse: bool = False, left: bool = False) -> Sample:
    right = Option({"good": 1.0}, RIGHT, not refuse, not left)
    return Sample(family, family, (right, Option({"bad": 1.0}, WRONG, False, True)), refuse=refuse)


def test_what_is_right_becomes_likeliest() -> None:
    samples = [sample(str(number)) for number in range(20)]

    weights = learn(samples, {NULL: 0.0})

    assert weights["good"] > weights["bad"]
    assert all(judge(one, weights).right for one in samples)


def test_where_nothing_is_right_nothing_is_drafted() -> None:
    samples = [sample(str(number), refuse=True) for number in range(20)]

    weights = learn(samples, {NULL: 0.0})

    assert not any(judge(one, weights).drafted for one in samples)


def test_a_reading_that_leaves_words_over_is_never_drafted() -> None:
    assert not judge(sample("a", left=True), {"good": 9.0}).drafted


def test_a_family_is_never_learned_from_and_judged() -> None:
    samples = [sample(family) for family in "aabbccddee" for _ in range(2)]

    for known, unknown in folds(samples, 3):
        assert {one.family for one in known}.isdisjoint(one.family for one in unknown)
        assert len(known) + len(unknown) == len(samples)


def test_the_curve_tells_what_must_be_refused_apart() -> None:
    weights = {"good": 9.0}

    lines = curve([(sample("a"), weights), (sample("b", refuse=True), weights)], (0.8,))

    assert "100.0%" in lines[1]
    assert lines[1].split("of 1:")[1].split() == ["1", "0"]


def test_the_weights_that_are_kept_are_numbers_by_readable_names() -> None:
    weights = learned()

    assert NULL in weights
    assert len(weights) > 100
    assert all(name == name.strip() and abs(value) < 50 for name, value in weights.items())
