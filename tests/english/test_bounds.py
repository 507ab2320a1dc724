"""What one text may cost: it is bounded by steps, so that no test looks at a clock."""

from __future__ import annotations

import pytest

from segment_copilot.copilot.models import TurnEnded
from segment_copilot.english.dialogue import LONGEST
from segment_copilot.english.reading.audience import understand
from segment_copilot.english.reading.chart import TooLong
from segment_copilot.language.catalog import Catalog, EventType, Property
from tests.support.english.brief import brief
from tests.support.english.catalogs import AS_OF, DEMO
from tests.support.english.driver import drafted_or_offered, play, request, turn


def filled(part: str, *, before: str = "users who ", size: int = LONGEST) -> str:
    """*part* again and again, up to *size* characters."""
    return (before + part * size)[:size]


HARD = {
    "verbs": filled("ordered or "),
    "latin": filled("lorem ipsum dolor "),
    "unknown": filled("combine a b c d and "),
    "spans": filled("first of the last ", before="users "),
    "tests": filled("a = b "),
    "numbers": filled("12 "),
    "commas": filled("ordered, "),
    "quotes": filled('"'),
    "slips": filled("prucahsed custmoers avreage coutnries newslettre "),
    "questions": filled("how many? ", before=""),
    "letters": filled("a "),
    "a word": filled("a"),
    "signs": filled("- "),
    "parentheses": filled("( ordered ) "),
    "lists": filled("in (a) "),
    "edits": filled("drop the country and ", before=""),
    "suppositions": filled("how many if ", before=""),
}


def steps(text: str) -> int:
    """The readings that are made of one text; none where it has too many parts."""
    try:
        return understand(text, DEMO, AS_OF, DEMO.timezone).steps
    except TooLong:
        return 0


@pytest.mark.parametrize("text", HARD.values(), ids=HARD)
def test_no_text_takes_more_than_its_steps(text: str):
    assert len(text) == LONGEST
    assert steps(text) <= 2_000


@pytest.mark.parametrize("part", ["ordered or ", "viewed, ", "ordered in the last 7 days and ", "in France or "])
def test_work_grows_no_faster_than_the_cube_of_the_text(part: str):
    short, long = (steps(filled(part, size=size)) for size in (90, 180))

    assert 0 < long < short * 8


def test_a_text_of_two_thousand_characters_is_read():
    sentence = "users who ordered at least 3 times in the last 30 days"

    played = play(sentence + " " * (LONGEST - len(sentence)))

    assert "propose_segment" in played.tools


@pytest.mark.parametrize("opened", [9, 50, 990, 1_990])
@pytest.mark.parametrize("before", ["", "users who ", "users who ordered and "])
def test_parentheses_of_any_depth_end_well(opened: int, before: str):
    ended = turn(request((before + "(" * opened)[:LONGEST]))[-1]

    assert isinstance(ended, TurnEnded)


def test_parentheses_that_a_definition_may_hold_are_read():
    text = "users who ordered and (viewed a product or (opened an email and (live in Spain or live in France)))"

    nested = "count(order_placed)≥1 & (count(product_viewed)≥1 | (count(email_opened)≥1 & country in ES,FR))"
    assert nested in map(brief, drafted_or_offered(text))


@pytest.mark.parametrize(
    "text",
    [
        "users who spent more than 1" + " million" * 240,
        f"users who ordered between {'9' * 400} and 7 days ago",
        f"orders per day in the last {'9' * 20} days",
    ],
)
def test_a_number_of_any_size_ends_well(text: str):
    ended = turn(request(text))[-1]

    assert isinstance(ended, TurnEnded)


def test_a_large_catalog_leaves_room_for_a_plain_sentence():
    kinds = [
        f"{first}_{second}" for first in "abcdefghijklmnopqrstuvwxyz" for second in ("opened", "sent", "moved", "held")
    ]
    properties = {
        name: Property(name, ("string",), samples=("x", "y")) for name in ("origin", "mode", "state", "branch")
    }
    catalog = Catalog(
        event_types={name: EventType(name, event_count=1, properties=properties) for name in [*kinds, "order_placed"]}
    )
    text = "users who ordered at least 3 times in the last 30 days and have not ordered with mode x in the last week"

    first, *_ = map(brief, drafted_or_offered(text, catalog))
    assert first == "count(order_placed)≥3 in 30d & count(order_placed[mode=x])=0 in 1w"
