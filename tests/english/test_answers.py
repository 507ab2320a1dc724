"""What the offline model says: only numbers its tools gave, and plainly what it cannot do."""

from __future__ import annotations

import re

import pytest

from segment_copilot.copilot.models import TextDelta, ToolCall, TurnEnded, UserMessage
from segment_copilot.copilot.models.offline import OfflineModel
from tests.english.test_examples import QUESTIONS
from tests.support.english.driver import RESULTS, numbers, play, request, said_without_range, turn

_DATE = re.compile(r"\d{1,2} [A-Z][a-z]+ \d{4}( at \d\d:\d\d)?")


@pytest.mark.parametrize("question", [row[0] for row in QUESTIONS])
def test_every_number_said_comes_from_a_tool_or_the_question(question: str) -> None:
    played = play(question)
    known = set().union(*(numbers(result.content) for result in played.results), numbers(question))
    spans = {"30"} if "I took the last 30 days" in played.text or "trend" in question or "growth" in question else set()
    text = _DATE.sub("", said_without_range(played.text))
    assert numbers(text) - known - spans <= {"2", "48"} & numbers(question), played.text


def test_who_joined_and_left_is_told_with_numbers_and_the_first_users() -> None:
    text = play("who joined and left Churn Risk since Monday").text
    assert "812 users joined Churn Risk and 73 users left it (since Monday); it has 1,204 members now." in text
    assert "Joined, the first of them:\n- u_11, 10 June 2026 at 14:00" in text
    assert "Left, the first of them:\n- u_12" in text
    joined = play("who joined Churn Risk since Monday").text
    assert "812 users joined Churn Risk (since Monday)" in joined
    assert "u_12" not in joined


def test_joining_is_not_told_where_nothing_was_computed_or_all_are_new() -> None:
    said = "who joined and left Churn Risk since Monday"
    found = {**RESULTS["query_segment_changes"], "entered_users": [], "left_users": []}
    untouched = play(said, results={"query_segment_changes": {**found, "computations": 0}}).text
    assert "was not computed in this time" in untouched
    assert "812" not in untouched
    never = {**found, "computations": 0, "last_computed_at": None}
    assert "has not been computed yet" in play(said, results={"query_segment_changes": never}).text
    first = {**found, "first_computed_at": "2026-06-10T12:00:00Z"}
    assert "everybody who was in it then counts as joined" in play(said, results={"query_segment_changes": first}).text


@pytest.mark.parametrize(
    ("question", "failing"),
    [
        ("How many users are in the Platinum People segment?", "get_segment_detail"),
        ("trend of Churn Risk", "query_segment_membership_trend"),
        ("who joined Churn Risk this week", "query_segment_changes"),
        ("users who purchased", "propose_segment"),
        ("how many users purchased", "preview_segment"),
        ("list segments", "list_segments"),
        ("What connectors are active?", "list_activations"),
        ("List my event schemas", "list_event_schemas"),
        ("what properties does order_placed have?", "get_event_schema"),
        ("What events have been ingested today?", "list_recent_events"),
        ("top 5 events", "query_top_events"),
        ("order volume this week", "query_event_volume"),
        ("values of plan", "list_property_values"),
    ],
)
def test_a_tool_that_fails_is_passed_on_with_what_is_near(question: str, failing: str) -> None:
    played = play(question, failing=failing)
    assert "There is no such thing. Nearest: High LTV." in played.text


def test_a_segment_that_is_not_known_is_asked_for_by_the_words_of_the_question() -> None:
    assert play("How many users are in the Platinum People segment?").arguments("get_segment_detail") == {
        "segment": "Platinum People"
    }


def test_a_segment_never_computed_is_counted_by_its_definition() -> None:
    detail = {**RESULTS["get_segment_detail"], "member_count": None, "last_computed_at": None}
    played = play("How many users are in High LTV?", results={"get_segment_detail": detail})
    assert played.tools == ["get_segment_detail", "preview_segment", "display_metric_card"]
    assert "has not been computed yet; its definition matches 1,211 users now" in played.text


@pytest.mark.parametrize(
    "tool", ["display_metric_card", "display_event_chart", "display_segment_table", "display_create_segment_cta"]
)
def test_a_frontend_that_cannot_draw_gets_text_alone(tool: str) -> None:
    for question in ("How many users are in High LTV?", "top 5 events", "list segments", "users who purchased"):
        played = play(question, without=tool)
        assert tool not in played.tools
        assert played.text


def test_nothing_is_called_when_no_tool_is_allowed() -> None:
    for question in (
        "users who purchased",
        "how many users purchased",
        "top 5 events",
        "list segments",
        "What connectors are active?",
        "our active users",
    ):
        events = turn(request(question, tools_allowed=False))
        assert not any(isinstance(event, ToolCall) for event in events)
        assert any(isinstance(event, TextDelta) for event in events)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Change the order threshold to 5", "no draft here"),
        ("make it 5", "no draft here"),
        ("delete the Staff segment", "I only read, count and draft"),
        ("recompute all segments", "I only read, count and draft"),
        ("send an email to VIP Buyers", "I only read, count and draft"),
        ("Crear un segmento de usuarios que compraron en los últimos 7 días", "only understand English"),
        ("Zeige mir alle Kunden, die nie gekauft haben", "only understand English"),
        ("Combien d'utilisateurs sont dans le segment High LTV ?", "only understand English"),
        ("过去7天购买的用户", "only understand English"),
        ("hello", "I can draft a segment"),
        ("what can you do?", "I can draft a segment"),
        ("why did revenue drop last month?", "I cannot explain causes"),
        ("big spenders", "“big spenders” has no number"),
        ("", "no question in this message"),
        ("?!", "no question in this message"),
        ("everyone", "I can draft a segment"),
        (
            "blorp the frobnicator",
            "I could not place “blorp the frobnicator”: nothing here has this name.\n\nI can draft a segment",
        ),
    ],
)
def test_what_it_cannot_do_is_said_plainly(text: str, said: str) -> None:
    played = play(text)
    assert played.refuses
    assert said in played.text


def test_a_typing_error_is_read_and_shown() -> None:
    assumptions = play("users who purchsed in the last 7 days but never added to a wishlst").arguments(
        "propose_segment"
    )["assumptions"]
    assert assumptions == ["“purchsed” is read as “purchased”.", "“wishlst” is read as “wishlist”."]


def test_the_same_request_gives_the_same_turn_and_ids_differ_between_turns() -> None:
    question = "users who purchased in the last 7 days but never added to a wishlist"
    assert turn(request(question), model=OfflineModel()) == turn(request(question), model=OfflineModel())
    assert turn(request(question)) == turn(request(question), model=OfflineModel())
    played = play(question)
    assert len({call.id for call in played.calls}) == len(played.calls)


def test_text_comes_in_pieces_and_the_turn_ends_once() -> None:
    events = turn(request("Which customers are approaching churn?"))
    assert sum(isinstance(event, TextDelta) for event in events) > 1
    assert [event for event in events if isinstance(event, TurnEnded)] == events[-1:]


def test_it_names_itself_and_needs_a_question() -> None:
    assert OfflineModel().name == "offline"
    assert isinstance(UserMessage("x"), UserMessage)
    assert "no question" in "".join(event.delta for event in turn(request()) if isinstance(event, TextDelta))
