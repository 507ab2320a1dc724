"""A change of a draft, as the English that is understood anew reads it: what is said changes, and nothing else does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jsonpatch
import msgspec
import pytest

from evals.corpus.notation import parse_definition
from evals.corpus.printing import write_definition
from segment_copilot.copilot.models import (
    AssistantMessage,
    Message,
    ModelRequest,
    TextDelta,
    ToolCall,
    ToolResult,
    ToolResults,
    UserMessage,
)
from segment_copilot.copilot.models.offline import OfflineModel
from segment_copilot.english.edits import Edited, read_edit, ways
from segment_copilot.english.outcomes import Asked, Outcome, Refused
from segment_copilot.english.plan import Base
from segment_copilot.language import decode, encode
from tests.support.english.catalogs import AS_OF, DEMO
from tests.support.english.driver import RESULTS, SPECIFICATIONS, turn
from tests.support.language.strategies import AS_OFS, ZONES, Draw, world

SEGMENTS = {one.name: number for number, one in DEMO.segments.items()}
ORDERS = "count(order_placed)>3 in 90d"
VIEWERS = "count(product_viewed)≥1 in 7d & count(order_placed)=0"
OPENERS = "country=US & count(email_opened)≥1 in 30d"
SPENDERS = "country in ES,FR & loyalty_tier=gold & sum(order_placed.total)>500 in 6mo - in segment Staff"
RANGE = "age 20..40"
FUNNEL = "seq(cart_add > order_placed) in 7d"
LONG = "seq(cart_add > checkout_started > order_placed) in 7d"


def document(meaning: str) -> dict[str, Any]:
    return msgspec.json.decode(encode(parse_definition(meaning, SEGMENTS)))


def edit(base: str | Mapping[str, Any], text: str, **more: Any) -> Outcome | None:
    definition = document(base) if isinstance(base, str) else base
    return read_edit(text, Base(definition, **{"name": "Mine", "in_view": True} | more), DEMO, AS_OF, DEMO.timezone)


def edited(base: str, text: str, **more: Any) -> Edited:
    found = edit(base, text, **more)
    assert isinstance(found, Edited), found
    assert jsonpatch.apply_patch(document(base), [dict(one) for one in found.patch]) == found.document
    assert decode(found.document) == found.definition
    return found


# One or two ways of each kind of change; how else each is said stands in the corpus.
# fmt: off
KINDS = (
    ("set", ORDERS, "make it 5", "count(order_placed)>5 in 90d"),
    ("set", ORDERS, "Could you please change the window to 60 days?", "count(order_placed)>3 in 60d"),
    ("set", OPENERS, "the country should be Spain", "country=ES & count(email_opened)≥1 in 30d"),
    ("bare", ORDERS, "at least 5", "count(order_placed)≥5 in 90d"),
    ("bare", ORDERS, "at least 5 orders in the last 60 days", "count(order_placed)≥5 in 60d"),
    ("swap", OPENERS, "Germany instead of the US", "country=DE & count(email_opened)≥1 in 30d"),
    ("swap", SPENDERS, "swap gold for silver", "country in ES,FR & loyalty_tier=silver & sum(order_placed.total)>500 in 6mo - in segment Staff"),
    ("swap", ORDERS, "use visits instead of orders", "count(page_viewed)>3 in 90d"),
    ("swap", ORDERS, "3 is too few, let's go for 4", "count(order_placed)>4 in 90d"),
    ("instead", ORDERS, "count visits instead", "count(page_viewed)>3 in 90d"),
    ("add", ORDERS, "and who opened an email", "count(order_placed)>3 in 90d & count(email_opened)≥1"),
    ("add", ORDERS, "and in the last week?", "count(order_placed)>3 in 1w"),
    ("add", ORDERS, "and at most 10", "count(order_placed)>3 in 90d & count(order_placed)≤10 in 90d"),
    ("add_people", OPENERS, "add people from Canada", "country in US,CA & count(email_opened)≥1 in 30d"),
    ("too", SPENDERS, "platinum too", "country in ES,FR & loyalty_tier in gold,platinum & sum(order_placed.total)>500 in 6mo - in segment Staff"),
    ("or", OPENERS, "or Canada or Mexico", "country in US,CA,MX & count(email_opened)≥1 in 30d"),
    ("or", ORDERS, "or who opened an email", "count(order_placed)>3 in 90d | count(email_opened)≥1"),
    ("only", SPENDERS, "keep only Spain", "country=ES & loyalty_tier=gold & sum(order_placed.total)>500 in 6mo - in segment Staff"),
    ("only", ORDERS, "only orders over $50", "count(order_placed[total>50])>3 in 90d"),
    ("only", ORDERS, "shoes only", "count(order_placed[category=shoes])>3 in 90d"),
    ("who", ORDERS, "those who ordered at least 10 times", "count(order_placed)≥10 in 90d"),
    ("who", OPENERS, "who did not open an email", "country=US & count(email_opened)=0 in 30d"),
    ("remove", OPENERS, "Drop the country, the rest stays", "count(email_opened)≥1 in 30d"),
    ("remove", ORDERS, "remove the time limit", "count(order_placed)>3"),
    ("remove", SPENDERS, "drop Spain", "country=FR & loyalty_tier=gold & sum(order_placed.total)>500 in 6mo - in segment Staff"),
    ("remove", SPENDERS, "tier doesn't matter", "country in ES,FR & sum(order_placed.total)>500 in 6mo - in segment Staff"),
    ("remove", VIEWERS, "remove the second condition", "count(product_viewed)≥1 in 7d"),
    ("include", SPENDERS, "stop excluding staff", "country in ES,FR & loyalty_tier=gold & sum(order_placed.total)>500 in 6mo"),
    ("exclude", ORDERS, "also exclude staff", "count(order_placed)>3 in 90d - in segment Staff"),
    ("exclude", OPENERS, "not in the US", "country≠US & count(email_opened)≥1 in 30d"),
    ("drop_people", ORDERS, "drop people in France", "count(order_placed)>3 in 90d - country=FR"),
    ("drop_people", ORDERS, "ignore orders under $20", "count(order_placed[total≥20])>3 in 90d"),
    ("keep", SPENDERS, "keep only the spend condition", "sum(order_placed.total)>500 in 6mo - in segment Staff"),
    ("negate", VIEWERS, "flip the second condition", "count(product_viewed)≥1 in 7d & count(order_placed)≥1"),
    ("any", VIEWERS, "either one is enough", "count(product_viewed)≥1 in 7d | count(order_placed)=0"),
    ("all", "country=US | plan=pro", "all of them must hold", "country=US & plan=pro"),
    ("up", ORDERS, "raise it by 2", "count(order_placed)>5 in 90d"),
    ("down", ORDERS, "lower the threshold by 2", "count(order_placed)>1 in 90d"),
    ("times", ORDERS, "double the window", "count(order_placed)>3 in 180d"),
    ("half", ORDERS, "halve the window", "count(order_placed)>3 in 45d"),
    ("enough", ORDERS, "2 orders are enough", "count(order_placed)≥2 in 90d"),
    ("cap", ORDERS, "cap it at 10", "count(order_placed)≤10 in 90d"),
    ("upper", RANGE, "upper bound 50", "age 20..50"),
    ("upper", RANGE, "upper limit off", "age≥20"),
    ("lower", RANGE, "lower limit 18", "age 18..40"),
    ("timeless", ORDERS, "whenever", "count(order_placed)>3"),
    ("anywhere", OPENERS, "make it worldwide please, no restriction on country", "count(email_opened)≥1 in 30d"),
    ("same", ORDERS, "at least 5, the same 90 days", "count(order_placed)≥5 in 90d"),
    ("step_in", FUNNEL, "insert the checkout between the two", "seq(cart_add > checkout_started > order_placed) in 7d"),
    ("step_last", FUNNEL, "and then opened an email", "seq(cart_add > order_placed > email_opened) in 7d"),
    ("step_out", LONG, "drop the middle step", "seq(cart_add > order_placed) in 7d"),
    ("set", ORDERS, "shorten the window to a month", "count(order_placed)>3 in 1mo"),
    ("set", ORDERS, "orders should look back thirty days, not ninety", "count(order_placed)>3 in 30d"),
    ("swap", ORDERS, "swap 90 days for 30 days", "count(order_placed)>3 in 30d"),
    ("swap", ORDERS, "I meant at least 3, not more than 3", "count(order_placed)≥3 in 90d"),
    ("times", ORDERS, "twice as long", "count(order_placed)>3 in 180d"),
    ("include", OPENERS, "Canada counts as well", "country in US,CA & count(email_opened)≥1 in 30d"),
    ("only", OPENERS, "limit the emails to the flash-sale campaign", "country=US & count(email_opened[campaign=flash-sale])≥1 in 30d"),
    ("nothing", ORDERS, "too many people, set it to 8", "count(order_placed)>8 in 90d"),
)
# fmt: on


@pytest.mark.parametrize(
    ("kind", "base", "text", "meaning"), KINDS, ids=[f"{kind}: {text}" for kind, _, text, _ in KINDS]
)
def test_a_kind_of_change_changes_what_it_says(kind: str, base: str, text: str, meaning: str) -> None:
    assert kind in {way.kind for way in ways.table()}
    assert write_definition(edited(base, text).definition) == write_definition(parse_definition(meaning, SEGMENTS))


def test_every_kind_of_change_is_tried_here() -> None:
    elsewhere = {"undo", "rename"}
    assert {way.kind for way in ways.table()} == {kind for kind, _, _, _ in KINDS} | elsewhere


@pytest.mark.parametrize(
    ("base", "text", "meaning"),
    [
        (ORDERS, "make it 5 and drop the window", "count(order_placed)>5"),
        (ORDERS, "in Germany, at least 5 orders, 60 days", "count(order_placed)≥5 in 60d & country=DE"),
        (OPENERS, "Lovely. Could you please drop the country and exclude staff? Thanks!", "count(email_opened)≥1 in 30d - in segment Staff"),
    ],
)  # fmt: skip
def test_several_changes_are_made_one_after_the_other(base: str, text: str, meaning: str) -> None:
    assert write_definition(edited(base, text).definition) == write_definition(parse_definition(meaning, SEGMENTS))


@pytest.mark.parametrize(
    ("base", "text", "said"),
    [
        (ORDERS, "drop the country", "nothing about “country”"),
        (ORDERS, "remove the order condition", "only condition"),
        (ORDERS, "change the foo to 5", "nothing about “the foo”"),
        (ORDERS, "exclude blorps", "“blorps”"),
        (OPENERS, "make it Narnia", "“Narnia”"),
        (ORDERS, "undo", "earlier version"),
        (ORDERS, "no exclusions", "leaves nobody out"),
        (VIEWERS, "change 40 days to 50 days", "nothing about “40 days”"),
        (VIEWERS, "remove the fifth condition", "2 conditions"),
    ],
)
def test_what_cannot_be_placed_is_named_and_nothing_changed(base: str, text: str, said: str) -> None:
    found = edit(base, text)

    assert isinstance(found, Refused), found
    assert said in found.reason


@pytest.mark.parametrize(
    ("base", "text", "options"),
    [
        ("last(order_placed)>60d & count(product_viewed)≥2 in 30d", "make it 90 days",
         {"last(order_placed)>90d & count(product_viewed)≥2 in 30d", "last(order_placed)>60d & count(product_viewed)≥2 in 90d"}),
        (ORDERS, "add people who started a trial", {f"{ORDERS} & count(trial_started)≥1", f"{ORDERS} | count(trial_started)≥1"}),
        (OPENERS, "or clicked an email", {"(country=US & count(email_opened)≥1 in 30d) | count(email_clicked)≥1",
                                          "country=US & (count(email_opened)≥1 in 30d | count(email_clicked)≥1)"}),
    ],
)  # fmt: skip
def test_where_two_changes_are_meant_as_well_both_are_offered(base: str, text: str, options: set[str]) -> None:
    found = edit(base, text)

    assert isinstance(found, Asked), found
    meant = {write_definition(parse_definition(one, SEGMENTS)) for one in options}
    assert {write_definition(one.draft.definition) for one in found.options} == meant
    assert len({one.label for one in found.options}) == len(options)


@pytest.mark.parametrize(
    "text",
    ["Users who viewed a product twice", "how many users are in Spain?", "create a segment of users in Spain", "thanks",  "save it",
     "customers in Germany", "list my segments", "Delete the VIP Buyers segment", "bought twice this quarter, hasn't been back in a month, not staff",
     "trial started, then an order within 14 days", "", "?", "5 " * 400],
)  # fmt: skip
def test_anything_else_is_no_change(text: str) -> None:
    assert not isinstance(edit(ORDERS, text), Edited | Asked)


@pytest.mark.parametrize(
    ("base", "text"),
    [
        (ORDERS, "scratch that, and make it what it was"),
        ("age in 20,30,40", "upper bound 50"),
        (ORDERS, "without people without a country"),
        (ORDERS, "without orders at all in this time"),
    ],
)
def test_what_is_not_clear_widens_nothing(base: str, text: str) -> None:
    assert not isinstance(edit(base, text), Edited)


def test_a_value_is_never_lost_where_words_name_two() -> None:
    found = edit(ORDERS, "Canada and the US")

    assert not isinstance(found, Edited) or write_definition(found.definition).endswith("country in CA,US")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rename it to big fish", "Big fish"),
        ('call it "Loyal ones"', "Loyal ones"),
        ("title: Best customers", "Best customers"),
    ],
)
def test_a_new_name_changes_nothing_else(text: str, name: str) -> None:
    found = edited(ORDERS, text)

    assert (found.name, found.patch, found.named) == (name, (), True)


def test_names_and_assumptions_follow() -> None:
    assumed = ("“often” is read as more than 3 times.", "Shoes are the category.")

    assert edited(ORDERS, "make it 5", assumptions=assumed).assumptions == assumed[1:]
    assert edited(ORDERS, "make it 5").name == "Placed an order more than 5 times in the last 90 days"
    assert edited(ORDERS, "make it 5", named=True).name == "Mine"


def test_the_reading_tells_which_words_changed_which_condition() -> None:
    found = edited(VIEWERS, "Make it the last 30 days instead, and also exclude staff")

    assert [(part.text, part.pointers) for part in found.reading] == [
        ("Make it the last 30 days instead", ("/conditions/0",)), ("also exclude staff", ("/exclude",)),
    ]  # fmt: skip
    assert found.said[0].startswith(
        "Changed: who viewed a product in the last 7 days is now: who viewed a product in the last 30"
    )


WORLD = world(AS_OFS[:1], ZONES[:2])
TEMPLATES = ("remove condition {}", "drop condition {}, the rest stays", "set condition {} to 7", "make condition {} at least 4", "flip condition {}",
             "set the window of condition {} to 45 days", "double the number of condition {}", "who also opened an email in the last week")  # fmt: skip
SENTENCES = ("make it 5", "60 days", "in Spain", "or Germany too", "exclude staff", "double it", "any of these", "only shoes", "use orders instead of visits",
             "remove the exclusion", "lower it by 1", "not in Spain", "more than $100", "who never ordered", "upper bound 9", "halve the window", "undo")  # fmt: skip


def leaves(definition: Mapping[str, Any]) -> list[bytes]:
    """The bytes of every condition, in order, those of the exclusion last."""
    found: list[bytes] = []
    for one in [*definition["conditions"], *definition.get("exclude", {}).get("conditions", [])]:
        found += leaves(one) if one["type"] == "group" else [msgspec.json.encode(one)]
    return found


@pytest.mark.parametrize("seed", range(6))
def test_what_is_not_spoken_of_keeps_its_bytes(seed: int) -> None:
    draw, done = Draw(seed, WORLD), 0
    for _ in range(15):
        base = msgspec.json.decode(msgspec.json.encode(draw.definition((1, 2))))
        before, number = leaves(base), 0
        text = draw.one(TEMPLATES)
        number = draw.one(range(1, len(before) + 1))
        found = edit(base, text.format(number))
        if isinstance(found, Edited):
            done += 1
            after = leaves(found.document)
            assert jsonpatch.apply_patch(base, [dict(one) for one in found.patch]) == found.document
            others = [one for at, one in enumerate(before, 1) if at != number or "{}" not in text]
            left = iter(after)
            assert all(one in left for one in others), (text.format(number), base)
    assert done > 3


@pytest.mark.parametrize("seed", range(4))
def test_no_definition_and_no_sentence_raises(seed: int) -> None:
    draw = Draw(seed, WORLD)
    for _ in range(20):
        found = edit(msgspec.json.decode(msgspec.json.encode(draw.definition((1, 2)))), draw.one(SENTENCES))
        if isinstance(found, Edited):
            decode(found.document)


# The dialogue


def calls_of(view: Mapping[str, Any], *texts: str, results: Sequence[Any] = ()) -> tuple[list[ToolCall], str]:
    messages: tuple[Message, ...] = tuple(UserMessage(text) for text in texts)
    for call, result in zip(results[::2], results[1::2], strict=True):
        messages = (*messages, AssistantMessage("", (call,)), ToolResults((result,)))
    request = ModelRequest("", messages, SPECIFICATIONS, DEMO, AS_OF, DEMO.timezone, view=view)
    events = turn(request, model=OfflineModel())
    told = "".join(event.delta for event in events if isinstance(event, TextDelta))
    return [event for event in events if isinstance(event, ToolCall)], told


def test_a_draft_in_view_is_revised_by_a_patch() -> None:
    view = {"draft": {"name": "Mine", "definition": document(ORDERS)}}
    calls, _ = calls_of(view, "make it 5")

    assert [call.name for call in calls] == ["revise_segment"]
    assert calls[0].arguments["patch"] == [{"op": "replace", "path": "/conditions/0/value", "value": 5}]


def test_what_changed_is_said_and_the_button_offered() -> None:
    view = {"draft": {"name": "Mine", "definition": document(ORDERS)}}
    (call,), _ = calls_of(view, "make it 5")
    result = ToolResult(call.id, call.name, msgspec.json.encode(RESULTS["propose_segment"]).decode())
    calls, _ = calls_of(view, "make it 5", results=(call, result))
    assert [one.name for one in calls] == ["display_create_segment_cta"]

    shown = ToolResult(calls[0].id, calls[0].name, "{}")
    _, told = calls_of(view, "make it 5", results=(call, result, calls[0], shown))
    assert "more than 3 times in the last 90 days is now: who placed an order more than 5 times" in told


def test_a_saved_segment_in_view_is_revised_by_its_id() -> None:
    view = {"segment": {"id": 4, "name": "VIP Buyers", "version": 3, "definition": document(ORDERS)}}
    calls, _ = calls_of(view, "like this segment, but at least 10 orders")

    assert calls[0].arguments["segment_id"] == 4
    assert {one["path"] for one in calls[0].arguments["patch"]} == {"/conditions/0/operator", "/conditions/0/value"}


def test_a_later_message_changes_what_the_earlier_ones_made_and_undo_takes_it_back() -> None:
    said = ("users who purchased in the last 7 days", "only gold members", "make it 14 days")

    made = [
        write_definition(decode(calls_of({}, *texts)[0][0].arguments["definition"]))
        for texts in (said, (*said, "undo"))
    ]
    assert made == [
        "count(order_placed)≥1 in 14d & loyalty_tier=gold",
        "count(order_placed)≥1 in 7d & loyalty_tier=gold",
    ]


def test_undo_of_what_is_in_view_is_a_patch_of_it() -> None:
    shown = {"draft": {"definition": document("count(order_placed)≥1 in 7d & loyalty_tier=gold")}}
    calls, _ = calls_of(shown, "users who purchased in the last 7 days", "only gold members", "undo")

    assert calls[0].arguments["patch"] == [{"op": "remove", "path": "/conditions/1"}]


def test_an_answer_settles_which_change_is_meant() -> None:
    view = {"draft": {"name": "Mine", "definition": document(ORDERS)}}
    asked, _ = calls_of(view, "add people who started a trial")
    assert [call.name for call in asked] == ["ask_user"]

    calls, told = calls_of(view, "add people who started a trial", asked[0].arguments["options"][1]["value"])
    assert [call.name for call in calls] == ["revise_segment"], told


def test_what_is_in_view_is_changed_whatever_the_messages_before_it_are_read_as() -> None:
    view = {"draft": {"name": "Mine", "definition": document(ORDERS)}}
    calls, _ = calls_of(view, "more than 3 orders, 90 days", "make it 5 orders within 14 days")

    assert calls[0].arguments["patch"] == [
        {"op": "replace", "path": "/conditions/0/value", "value": 5},
        {"op": "replace", "path": "/conditions/0/window_days", "value": 14},
    ]


def test_an_answer_is_heard_where_the_draft_in_view_was_made_here() -> None:
    view = {"draft": {"name": "Mine", "definition": document("count(order_placed)≥1 in 7d")}}
    calls, _ = calls_of(
        view, "users who purchased in the last 7 days", "add people who started a trial", "the first one"
    )

    assert calls[0].name == "revise_segment"


def test_a_change_while_a_question_is_open_is_made_of_each_answer() -> None:
    view = {"draft": {"name": "Mine", "definition": document(ORDERS)}}
    (asked,), _ = calls_of(view, "add people who started a trial", "make it 60 days")

    labels = [one["value"] for one in asked.arguments["options"]]
    assert asked.name == "ask_user"
    assert len(labels) == 2
    assert all("more than 3 times in the last 60 days" in label for label in labels)

    calls, _ = calls_of(view, "add people who started a trial", "make it 60 days", "the second one")
    made = decode(jsonpatch.apply_patch(document(ORDERS), calls[0].arguments["patch"]))
    assert write_definition(made) == "count(order_placed)>3 in 60d & count(trial_started)≥1"


def test_words_that_name_nobody_are_not_taken_for_a_new_audience_in_silence() -> None:
    view = {"draft": {"name": "Mine", "definition": document(OPENERS)}}
    (asked,), _ = calls_of(view, "bought shoes and never visited")

    assert asked.name == "ask_user"
    assert "more, or a new audience" in asked.arguments["question"]


@pytest.mark.parametrize(
    ("base", "text", "meaning"),
    [
        (OPENERS, "remove the emails", "country=US"),
        (SPENDERS, "average, not sum", "country in ES,FR & loyalty_tier=gold & avg(order_placed.total)>500 in 6mo - in segment Staff"),
    ],
)  # fmt: skip
def test_what_else_would_be_refused_as_an_order_or_a_question_is_a_change_of_the_draft(
    base: str, text: str, meaning: str
) -> None:
    calls, _ = calls_of({"draft": {"name": "Mine", "definition": document(base)}}, text)

    made = decode(jsonpatch.apply_patch(document(base), calls[0].arguments["patch"]))
    assert write_definition(made) == write_definition(parse_definition(meaning, SEGMENTS))


@pytest.mark.parametrize("text", ["delete it", "save it", "export them to a csv", "email them"])
def test_an_order_over_a_draft_stays_refused(text: str) -> None:
    calls, told = calls_of({"draft": {"name": "Mine", "definition": document(OPENERS)}}, text)

    assert (calls, "I cannot save" in told) == ([], True)


# What may mean something else is asked about, and what was said is not lost.


@pytest.mark.parametrize(
    ("base", "text"),
    [
        (OPENERS, "only those who opened the flash sale campaign"),  # of the emails it counts, or one more?
        ("last(order_placed)>60d", "45 days without an order"),  # the same silence, or another?
        (
            "country=ES & count(order_placed)≥3 in 90d",
            "without orders",
        ),  # without the condition, or without the people?
    ],
)
def test_what_may_be_meant_otherwise_is_asked(base: str, text: str) -> None:
    found = edit(base, text)

    assert isinstance(found, Asked), found


@pytest.mark.parametrize(
    ("base", "text", "wanted"),
    [
        (
            "count(order_placed)≥1 from 2026-05-01 to 2026-06-01",
            "April as well",
            "count(order_placed)≥1 from 2026-04-01 to 2026-06-01",
        ),
        (
            "count(order_placed)≥2 from 2026-04-06",
            "until the end of May",
            "count(order_placed)≥2 from 2026-04-06 to 2026-06-01",
        ),
        ("count(order_placed) 5..9 in 28d", "shift the range to 3-6", "count(order_placed) 3..6 in 28d"),
        ("count(cart_add)≥1 this month", "instead of carts, orders", "count(order_placed)≥1 this month"),
    ],
)
def test_both_ends_lists_and_times_are_kept(base: str, text: str, wanted: str) -> None:
    assert edited(base, text).definition == parse_definition(wanted, SEGMENTS)


def test_one_and_another_that_are_left_out_are_both_left_out() -> None:
    out = edited(ORDERS, "exclude Staff and High LTV").definition.exclude

    assert out
    assert (out.logic, len(out.conditions)) == ("OR", 2)
