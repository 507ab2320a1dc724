"""The example questions, each also with other numbers, time spans, segments and events: right, or the right one among what is offered."""

from __future__ import annotations

import pytest

from tests.support.english.brief import brief
from tests.support.english.catalogs import ECOM
from tests.support.english.driver import drafted_or_offered, drafts, play

EXAMPLES = [
    (
        "Create a segment for users who purchased in the last 7 days but never added to a wishlist",
        "count(order_placed)≥1 in 7d & count(wishlist_add)=0",
        "count(purchase)≥1 in 7d & count(wishlist_add)=0",
    ),
    (
        "Create a segment for users who searched in the last 3 weeks but never contacted support",
        "count(search_performed)≥1 in 3w & count(support_ticket_opened)=0",
        "count(search)≥1 in 3w & count(support_chat)=0",
    ),
    (
        "Users who placed more than 3 orders in the last 90 days",
        "count(order_placed)>3 in 90d",
        "count(purchase)>3 in 90d",
    ),
    (
        "Users who placed at least ten orders in the past month",
        "count(order_placed)≥10 in 1mo",
        "count(purchase)≥10 in 1mo",
    ),
    (
        "Customers who spent over $500 total and haven't visited in 30 days",
        "sum(order_placed.total)>500 & last(page_viewed)>30d",
        None,
    ),
    (
        "Customers who spent at most €75.50 total and haven't searched in 2 weeks",
        "sum(order_placed[currency=EUR].total)≤75.5 & last(search_performed)>14d",
        None,
    ),
    (
        "Users in the US who started a trial but never purchased",
        "country=US & count(trial_started)≥1 & count(order_placed)=0",
        None,
    ),
    (
        "Users in Germany who opened a support ticket but never clicked an email",
        "country=DE & count(support_ticket_opened)≥1 & count(email_clicked)=0",
        None,
    ),
    (
        "Anyone who viewed the /pricing page at least once and hasn't converted",
        "count(page_viewed[path=/pricing])≥1 & count(order_placed)=0",
        None,
    ),
    (
        "Anyone who viewed the /sale page at least 4 times and hasn't added to cart",
        "count(page_viewed[path=/sale])≥4 & count(cart_add)=0",
        None,
    ),
    (
        "High-value customers: total revenue over $1000, at least 5 orders, last order within 60 days",
        "sum(order_placed.total)>1000 & count(order_placed)≥5 & last(order_placed)<60d",
        None,
    ),
    (
        "Regulars: total revenue of at least $250, more than 2 orders, last visit within 3 weeks",
        "sum(order_placed.total)≥250 & count(order_placed)>2 & last(page_viewed)<21d",
        None,
    ),
    (
        "Cart abandoners: added to cart but never placed an order in the last 14 days",
        "count(cart_add)≥1 & count(order_placed)=0 in 14d",
        "count(add_to_cart)≥1 & count(purchase)=0 in 14d",
    ),
    (
        "Window shoppers: viewed a product but never added to cart in the last 36 hours",
        "count(product_viewed)≥1 & count(cart_add)=0 in 36h",
        "count(product_view)≥1 & count(add_to_cart)=0 in 36h",
    ),
    (
        "users who placed more than 3 orders in the last 90 days and haven't visited in 30 days",
        "count(order_placed)>3 in 90d & last(page_viewed)>30d",
        "count(purchase)>3 in 90d & last(*)>30d",
    ),
    (
        "Users who spent ≥$500 but haven't returned in 30 days",
        "sum(order_placed.total)≥500 & last(page_viewed)>30d",
        None,
    ),
    ("AOV over $120", "avg(order_placed.total)>120", None),
]


@pytest.mark.parametrize(("sentence", "demo", "ecom"), EXAMPLES)
def test_an_example_is_drafted_or_offered_or_refused_where_the_fields_are_missing(
    sentence: str, demo: str, ecom: str | None
) -> None:
    assert demo in map(brief, drafted_or_offered(sentence))
    elsewhere = [*map(brief, drafted_or_offered(sentence, ECOM))]
    assert ecom in elsewhere if ecom is not None else elsewhere == []


def test_a_draft_comes_with_its_button() -> None:
    played = play("Users who placed more than 3 orders in the last 90 days")
    assert played.tools == ["propose_segment", "display_create_segment_cta"]
    assert played.arguments("display_create_segment_cta") == {"draft_id": "draft_1"}


QUESTIONS = [
    ("Show me my top 5 events by volume this week", ["query_top_events", "display_event_chart"], {"limit": 5, "from": "2026-06-07T22:00:00Z", "to": "2026-06-10T15:30:00Z"}),
    ("What are the 3 most common events this month?", ["query_top_events", "display_event_chart"], {"limit": 3, "from": "2026-05-31T22:00:00Z", "to": "2026-06-10T15:30:00Z"}),
    ("top twenty event types by volume in the last 48 hours", ["query_top_events", "display_event_chart"], {"limit": 20, "from": "2026-06-08T15:30:00Z", "to": "2026-06-10T15:30:00Z"}),
    ("which events were most frequent yesterday", ["query_top_events", "display_event_chart"], {"limit": 10, "from": "2026-06-08T22:00:00Z", "to": "2026-06-09T22:00:00Z"}),
    ("How many users are in the High LTV segment?", ["get_segment_detail", "display_metric_card"], {"segment": 3}),
    ("how big is churn risk", ["get_segment_detail", "display_metric_card"], {"segment": 5}),
    ("size of the Newsletter segment", ["get_segment_detail", "display_metric_card"], {"segment": 2}),
    ("What is the member count of segment 4?", ["get_segment_detail", "display_metric_card"], {"segment": 4}),
    ("What's the membership trend for Churn Risk over the last 30 days?", ["query_segment_membership_trend", "display_event_chart"], {"segment": 5, "days": 30}),
    ("how has Staff changed over the past 2 weeks?", ["query_segment_membership_trend", "display_event_chart"], {"segment": 1, "days": 14}),
    ("show me the growth of VIP Buyers", ["query_segment_membership_trend", "display_event_chart"], {"segment": 4, "days": 30}),
    ("Which segments are the largest?", ["list_segments", "display_segment_table"], {"order": "largest", "limit": 20}),
    ("top 3 segments by size", ["list_segments", "display_segment_table"], {"order": "largest", "limit": 3}),
    ("what are my newest segments", ["list_segments", "display_segment_table"], {"order": "newest", "limit": 20}),
    ("list all segments", ["list_segments", "display_segment_table"], {"order": "name", "limit": 20}),
    ("Show me the conditions for the VIP Buyers segment", ["get_segment_detail"], {"segment": 4}),
    ("what defines High-Value Churners?", ["get_segment_detail"], {"segment": 6}),
    ("explain the Staff segment", ["get_segment_detail"], {"segment": 1}),
    ("What are the rules of Quick Deciders", ["get_segment_detail"], {"segment": 12}),
    ("What connectors are active?", ["list_activations"], {}),
    ("which integrations do we have", ["list_activations"], {}),
    ("List my event schemas", ["list_event_schemas"], {}),
    ("what event types do we track?", ["list_event_schemas"], {}),
    ("what properties does order_placed have?", ["get_event_schema"], {"event_type": "order_placed"}),
    ("schema of the checkout started event", ["get_event_schema"], {"event_type": "checkout_started"}),
    ("What events have been ingested today?", ["list_recent_events", "display_metric_card"], {"since": "2026-06-09T22:00:00Z", "limit": 20}),
    ("how many events did we receive today", ["list_recent_events", "display_metric_card"], {"since": "2026-06-09T22:00:00Z", "limit": 20}),
    ("what came in during the last 2 hours? list the events", ["list_recent_events", "display_metric_card"], {"since": "2026-06-10T13:30:00Z", "limit": 20}),
    ("how many orders were placed yesterday?", ["query_event_volume", "display_event_chart"], {"event_type": "order_placed", "from": "2026-06-08T22:00:00Z", "to": "2026-06-09T22:00:00Z"}),
    ("daily page views this month", ["query_event_volume", "display_event_chart"], {"event_type": "page_viewed", "from": "2026-05-31T22:00:00Z", "to": "2026-06-10T15:30:00Z"}),
    ("which plans are there?", ["list_property_values"], {"property": "plan"}),
    ("what are the values of utm_source", ["list_property_values"], {"property": "utm_source", "event_type": "page_viewed"}),
    ("who is in VIP Buyers?", ["get_segment_detail"], {"segment": 4, "members": 20}),
    ("list 3 members of VIP Buyers", ["get_segment_detail"], {"segment": 4, "members": 3}),
    ("show me the users in VIP Buyers", ["get_segment_detail"], {"segment": 4, "members": 20}),
    ("which people belong to VIP Buyers", ["get_segment_detail"], {"segment": 4, "members": 20}),
    ("the last 10 events", ["list_recent_events"], {"limit": 10}),
    ("last 5 orders", ["list_recent_events", "get_event_schema"], None),
    ("how many users purchased in the last 7 days", ["preview_segment", "display_metric_card"], None),
    ("How many users are there?", ["preview_segment", "display_metric_card"], None),
]  # fmt: skip


@pytest.mark.parametrize(("question", "tools", "arguments"), QUESTIONS)
def test_a_question_is_answered_with_the_right_tools(question: str, tools: list[str], arguments: dict | None) -> None:
    played = play(question)
    assert played.tools == tools
    if arguments is not None:
        assert played.arguments(tools[0]) == arguments


def test_the_chart_of_a_trend_shows_members_and_that_of_the_top_shows_event_types() -> None:
    trend = play("What's the membership trend for Churn Risk over the last 30 days?")
    assert trend.arguments("display_event_chart")["measure"] == "members"
    assert trend.arguments("display_event_chart")["tool_call_id"] == trend.calls[0].id
    assert play("top 5 events this week").arguments("display_event_chart")["measure"] == "event_types"
    assert play("order volume in the last 14 days").arguments("display_event_chart")["measure"] == "events"


def test_this_week_is_monday_to_now_and_the_answer_says_so() -> None:
    assert (
        "“this week” runs from Monday 8 June 2026 00:00 to now (Europe/Madrid)" in play("top 5 events this week").text
    )


def test_a_scope_that_could_be_read_in_two_ways_is_an_assumption() -> None:
    (assumed,) = drafts("users who added to cart but never placed an order in the last 14 days")[0].assumptions
    assert assumed.startswith("“in the last 14 days” is read as belonging to the last condition only")


def test_who_never_did_it_is_left_out_and_the_draft_says_so() -> None:
    assumptions = " ".join(
        drafts("users whose last visit was more than 30 days ago and who spent over $500 in total")[0].assumptions
    )
    assert "People who never had `page_viewed` are not included" in assumptions
    assert "$ is not converted" in assumptions
    assert drafts("users who visited in the last 30 days and who spent over 500 in total")[0].assumptions == ()


def test_a_name_given_by_the_user_or_in_front_of_a_colon_is_the_drafts_name() -> None:
    called = play('Make a segment called "Big Fish" for users who spent over 100')
    assert called.arguments("propose_segment")["name"] == "Big Fish"
    labelled = "Window shoppers: viewed a product but never added to cart in the last 36 hours"
    assert drafts(labelled)[0].name == "Window shoppers"
    plain = "users who purchased in the last 7 days but never added to a wishlist"
    assert drafts(plain)[0].name == "Placed an order in the last 7 days, have never done wishlist_add"
