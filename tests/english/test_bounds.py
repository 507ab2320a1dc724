"""What one text may cost: it is counted in steps, so that no test looks at a clock."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from segment_copilot.copilot.models import AssistantMessage, Message, ModelRequest, TextDelta, ToolResults, TurnEnded
from segment_copilot.copilot.models.offline import OfflineModel, conversation_of
from segment_copilot.english.budget import limited
from segment_copilot.english.dialogue import LONGEST
from segment_copilot.english.linking.index import Index
from segment_copilot.english.plan import Context, Turn
from segment_copilot.english.reading import STEPS, Reader
from segment_copilot.english.understanding import understand
from segment_copilot.language.catalog import Catalog, EventType, Property
from tests.support.english.catalogs import AS_OF, DEMO
from tests.support.english.driver import play, request, turn
from tests.support.searches import some

INVOLVED = "This sentence is too involved for the offline model: please say it in a shorter one."
ENDLESS = 10**9


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


def spent(text: str, index: Index) -> int:
    """The steps of one text when nothing ends them."""
    with limited(ENDLESS) as work:
        understand(text, Context(index, AS_OF, DEMO.timezone, frozenset()))
    return work.spent


def answer(asked: ModelRequest, reader: Reader | None = None) -> Turn:
    """The turn of a reader that knows nothing yet, or of one that does."""
    return (reader or Reader()).answer(conversation_of(asked))


def said(asked: ModelRequest) -> str:
    """The text of one turn that calls nothing and ends as a refusal."""
    *events, ended = turn(asked)
    assert isinstance(ended, TurnEnded)
    assert ended.stop_reason == "declined"
    assert all(isinstance(event, TextDelta) for event in events)
    return ended.message.text


CATALOGS = (pytest.param(DEMO, id="demo"), pytest.param(Catalog(), id="empty"))


@pytest.mark.search
@pytest.mark.slow
@pytest.mark.parametrize("text", HARD.values(), ids=HARD)
@pytest.mark.parametrize("catalog", some(CATALOGS, one_in=2))
def test_no_text_takes_more_than_its_steps(text: str, catalog: Catalog):
    assert len(text) == LONGEST

    with limited(ENDLESS) as work:
        told = answer(request(text, catalog=catalog))

    assert told.sentences or told.calls
    assert work.spent <= STEPS * 1.01  # the last step may be a long one


@pytest.mark.parametrize("part", ["ordered or ", "viewed, ", "ordered in the last 7 days and ", "in France or "])
def test_work_grows_as_the_text_does(part: str):
    index = Index(DEMO)

    short, long = (spent(filled(part, size=size), index) for size in (500, 2000))

    assert long < short * 6


def test_the_same_text_takes_the_same_steps_whatever_was_read_before():
    index = Index(DEMO)
    first = spent(HARD["slips"][:300], index)
    spent(HARD["unknown"], index)

    assert spent(HARD["slips"][:300], index) == first > 0


def test_what_is_too_involved_is_said_to_be():
    assert said(request(HARD["spans"])) == INVOLVED


@pytest.mark.parametrize("size", [2_001, 20_000, 100_000])
def test_what_is_too_long_is_not_read(size: int):
    text = filled("ordered or ", size=size)

    with limited(ENDLESS) as work:
        told = answer(request(text))

    assert told.sentences == (
        f"The offline model reads at most 2,000 characters, and this message has {size:,}: please say it in fewer words.",
    )
    assert work.spent == 0
    assert said(request(text)) == told.sentences[0]


def test_a_text_of_two_thousand_characters_is_read():
    sentence = "users who ordered at least 3 times in the last 30 days"

    played = play(sentence + " " * (LONGEST - len(sentence)))

    assert "propose_segment" in played.tools


@pytest.mark.parametrize("opened", [9, 50, 990, 1_990])
@pytest.mark.parametrize("before", ["", "users who ", "users who ordered and "])
def test_parentheses_of_any_depth_end_well(opened: int, before: str):
    assert said(request((before + "(" * opened)[:LONGEST])) == INVOLVED


def test_parentheses_that_a_definition_may_hold_are_read():
    played = play("users who ordered and (viewed a product or (opened an email and (live in Spain or live in France)))")

    assert "propose_segment" in played.tools


@pytest.mark.parametrize(
    "text",
    [
        "users who spent more than 1" + " million" * 240,
        f"users who ordered between {'9' * 400} and 7 days ago",
        f"orders per day in the last {'9' * 20} days",
    ],
)
def test_a_number_of_any_size_ends_well(text: str):
    assert said(request(text))


@pytest.mark.parametrize("earlier", [filled("ordered or ", size=50_000), HARD["spans"], f"last {'9' * 400} days"])
def test_an_earlier_message_that_cannot_be_read_says_nothing(earlier: str):
    draft = "users who ordered in the last 7 days"

    once, again = (turn(request(*before, draft, "make it 30 days")) for before in ((), (earlier,)))

    ended = again[-1]
    assert isinstance(ended, TurnEnded)
    assert [call.name for call in ended.message.tool_calls] == ["propose_segment"]
    one = once[-1]
    assert isinstance(one, TurnEnded)
    assert [call.arguments for call in one.message.tool_calls] == [call.arguments for call in ended.message.tool_calls]


def test_all_earlier_messages_together_may_take_three_times_what_one_may():
    with limited(ENDLESS) as work:
        answer(request(*[HARD["spans"]] * 11, "users who ordered"))

    assert 3 * STEPS < work.spent < 3.1 * STEPS


def test_a_conversation_is_read_once_in_a_run():
    reader = Reader()
    asked = request("users who ordered in the last 7 days", "make it 30 days", "and what was it before?", "in Spain")
    with limited(ENDLESS) as work:
        first = answer(asked, reader)
    assert first.calls
    assert work.spent > 0

    messages: tuple[Message, ...] = (AssistantMessage("", ()), ToolResults(()))
    with limited(ENDLESS) as work:
        answer(structs.replace(asked, messages=(*asked.messages, *messages)), reader)
        answer(structs.replace(asked, tools_allowed=False), reader)

    assert work.spent == 0


def test_another_catalog_is_another_conversation():
    reader = Reader()
    text = "users who rated a film"
    answer(request(text), reader)

    catalog = Catalog(event_types={"film_rated": EventType("film_rated", event_count=3)})

    assert [call.name for call in answer(request(text, catalog=catalog), reader).calls] == ["propose_segment"]


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

    ended = turn(request(text, catalog=catalog))[-1]

    assert isinstance(ended, TurnEnded)
    assert [call.name for call in ended.message.tool_calls] == ["propose_segment"]


async def test_the_event_loop_goes_on_while_a_text_is_read():
    async def read() -> int:
        return len([event async for event in OfflineModel().stream(request(HARD["latin"]))])

    reading = asyncio.create_task(read())
    passes = 0
    while not reading.done():
        await asyncio.sleep(0)
        passes += 1

    assert passes > 20
