"""Follow-up edits: what changes is what the sentence says, and nothing else does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonpatch
import pytest
from brief import brief
from catalogs import AS_OF, DEMO
from driver import SPECIFICATIONS, turn

from segment_copilot.conditions import decode
from segment_copilot.copilot.models import (
    AssistantMessage,
    ModelRequest,
    TextDelta,
    ToolCall,
    UserMessage,
)

Json = Mapping[str, Any]


def _of(*conditions: Json, **more: Json) -> dict[str, Any]:
    return {"logic": "AND", "conditions": list(conditions), **more}


_SPEND = {"type": "monetary", "event_type": "order_placed", "property": "total", "metric": "sum", "operator": "gt", "value": 500, "window": {"last": "6mo"}}  # fmt: skip
_SHOES = {"type": "event_count", "event_type": "product_viewed", "where": [{"property": "category", "operator": "eq", "value": "shoes"}], "operator": "gte", "value": 2, "window_days": 30}  # fmt: skip
BASES: dict[str, Json] = {
    "orders": _of({"type": "event_count", "event_type": "order_placed", "operator": "gt", "value": 3, "window_days": 90}),
    "viewers": _of(
        {"type": "event_count", "event_type": "product_viewed", "operator": "gte", "value": 1, "window_days": 7},
        {"type": "event_count", "event_type": "order_placed", "operator": "eq", "value": 0},
    ),
    "openers": _of(
        {"type": "user_property", "property": "country", "operator": "eq", "value": "US"},
        {"type": "event_count", "event_type": "email_opened", "operator": "gte", "value": 1, "window_days": 30},
    ),
    "spenders": _of(
        {"type": "user_property", "property": "country", "operator": "in", "value": ["ES", "FR"]},
        {"type": "user_property", "property": "loyalty_tier", "operator": "eq", "value": "gold"},
        _SPEND,
        exclude={"logic": "OR", "conditions": [{"type": "segment_membership", "segment_id": 1, "operator": "in"}]},
    ),
    "lapsed": _of(
        {"type": "recency", "event_type": "order_placed", "operator": "gt", "window_days": 60},
        _SHOES,
        {"type": "event_count", "event_type": "trial_started", "operator": "gte", "value": 1},
    ),
}  # fmt: skip


def said(base: Json | None, *texts: str) -> tuple[tuple[ToolCall, ...], str]:
    """The calls and the text of one turn on a draft in view."""
    history = [message for text in texts[:-1] for message in (UserMessage(text), AssistantMessage("I drafted it."))]
    view = {"draft": {"name": "Mine", "definition": base}} if base is not None else {}
    messages = (*history, UserMessage(texts[-1]))
    events = turn(ModelRequest("", messages, SPECIFICATIONS, DEMO, AS_OF, DEMO.timezone, view=view))
    calls = tuple(event for event in events if isinstance(event, ToolCall))
    return calls, "".join(event.delta for event in events if isinstance(event, TextDelta))


def edited(base: Json, text: str) -> dict[str, Any]:
    """The draft after an edit; the language takes it."""
    calls, answer = said(base, text)
    assert [call.name for call in calls] == ["revise_segment"], answer or calls
    found = jsonpatch.apply_patch(base, calls[0].arguments["patch"])
    decode(found)
    return found


# fmt: off
EDITS = (
    ("orders", "Change the order threshold to 5", "count(order_placed)>5 in 90d"),
    ("orders", "make it 5", "count(order_placed)>5 in 90d"),
    ("orders", "at least 5", "count(order_placed)≥5 in 90d"),
    ("orders", "60 days", "count(order_placed)>3 in 60d"),
    ("orders", "make it 60 days", "count(order_placed)>3 in 60d"),
    ("orders", "actually 60 days", "count(order_placed)>3 in 60d"),
    ("orders", "at least 3 rather than more than 3", "count(order_placed)≥3 in 90d"),
    ("orders", "double it", "count(order_placed)>6 in 90d"),
    ("orders", "lower the threshold by 2", "count(order_placed)>1 in 90d"),
    ("orders", "raise it by 2", "count(order_placed)>5 in 90d"),
    ("orders", "widen it to 120 days", "count(order_placed)>3 in 120d"),
    ("orders", "in the US as well", "count(order_placed)>3 in 90d & country=US"),
    ("orders", "only the ones in Spain", "count(order_placed)>3 in 90d & country=ES"),
    ("orders", "only in Spain", "count(order_placed)>3 in 90d & country=ES"),
    ("orders", "also exclude staff", "count(order_placed)>3 in 90d - in segment 1"),
    ("orders", "Also exclude the Staff segment", "count(order_placed)>3 in 90d - in segment 1"),
    ("orders", "exclude anyone in Newsletter", "count(order_placed)>3 in 90d - in segment 2"),
    ("orders", "and who opened an email", "count(order_placed)>3 in 90d & count(email_opened)≥1"),
    ("orders", "and opened an email", "count(order_placed)>3 in 90d & count(email_opened)≥1"),
    ("orders", "or who opened an email", "count(order_placed)>3 in 90d | count(email_opened)≥1"),
    ("orders", "narrow it to Germany", "count(order_placed)>3 in 90d & country=DE"),
    ("orders", "keep only platinum", "count(order_placed)>3 in 90d & loyalty_tier=platinum"),
    ("orders", "include people who never ordered too", "count(order_placed)>3 in 90d | count(order_placed)=0"),
    ("orders", "drop the window", "count(order_placed)>3"),
    ("orders", "remove the time limit", "count(order_placed)>3"),
    ("orders", "use visits instead of orders", "count(page_viewed)>3 in 90d"),
    ("orders", "count visits instead", "count(page_viewed)>3 in 90d"),
    ("orders", "instead of 90 days use a quarter", "count(order_placed)>3 in 3mo"),
    ("orders", "swap 90 days for 30 days", "count(order_placed)>3 in 30d"),
    ("orders", "use this month", "count(order_placed)>3 this month"),
    ("orders", "this year instead", "count(order_placed)>3 this year"),
    ("orders", "make it 5 and drop the window", "count(order_placed)>5"),
    ("orders", "set it to at least 10 in the last 30 days", "count(order_placed)≥10 in 30d"),
    ("orders", "only orders over $50", "count(order_placed[total>50])>3 in 90d"),
    ("orders", "with a coupon", "count(order_placed[coupon is_set])>3 in 90d"),
    ("orders", "make it at least 5 orders in 30 days", "count(order_placed)≥5 in 30d"),
    ("orders", "exactly 4", "count(order_placed)=4 in 90d"),
    ("orders", "between 2 and 5", "count(order_placed) 2..5 in 90d"),
    ("orders", "no more than 3", "count(order_placed)≤3 in 90d"),
    ("orders", "ever", "count(order_placed)>3"),
    ("orders", "all time", "count(order_placed)>3"),
    ("viewers", "Make it the last 30 days instead", "count(product_viewed)≥1 in 30d & count(order_placed)=0"),
    ("viewers", "make it 5", "count(product_viewed)≥5 in 7d & count(order_placed)=0"),
    ("viewers", "at least 3 times", "count(product_viewed)≥3 in 7d & count(order_placed)=0"),
    ("viewers", "drop the never ordered part", "count(product_viewed)≥1 in 7d"),
    ("viewers", "require 3 views", "count(product_viewed)≥3 in 7d & count(order_placed)=0"),
    ("viewers", "make it shoes", "count(product_viewed[category=shoes])≥1 in 7d & count(order_placed)=0"),
    ("viewers", "only shoes", "count(product_viewed[category=shoes])≥1 in 7d & count(order_placed)=0"),
    ("viewers", "change the views to at least 4", "count(product_viewed)≥4 in 7d & count(order_placed)=0"),
    ("viewers", "either one is enough", "count(product_viewed)≥1 in 7d | count(order_placed)=0"),
    ("viewers", "any of these", "count(product_viewed)≥1 in 7d | count(order_placed)=0"),
    ("viewers", "flip the second condition", "count(product_viewed)≥1 in 7d & count(order_placed)≥1"),
    ("viewers", "remove the second condition", "count(product_viewed)≥1 in 7d"),
    ("viewers", "but in the last 3 days", "count(product_viewed)≥1 in 3d & count(order_placed)=0"),
    ("openers", "Drop the country, the rest stays", "count(email_opened)≥1 in 30d"),
    ("openers", "or Germany too", "country in US,DE & count(email_opened)≥1 in 30d"),
    ("openers", "Germany instead", "country=DE & count(email_opened)≥1 in 30d"),
    ("openers", "change US to Germany", "country=DE & count(email_opened)≥1 in 30d"),
    ("openers", "change the country to France", "country=FR & count(email_opened)≥1 in 30d"),
    ("openers", "Germany instead of the US", "country=DE & count(email_opened)≥1 in 30d"),
    ("openers", "not in the US", "country≠US & count(email_opened)≥1 in 30d"),
    ("openers", "and Canada", "country in US,CA & count(email_opened)≥1 in 30d"),
    ("openers", "or Canada or Mexico", "country in US,CA,MX & count(email_opened)≥1 in 30d"),
    ("openers", "make it the UK", "country=GB & count(email_opened)≥1 in 30d"),
    ("openers", "clicked instead of opened", "country=US & count(email_clicked)≥1 in 30d"),
    ("openers", "at least 3 emails", "country=US & count(email_opened)≥3 in 30d"),
    ("openers", "only those who opened the flash sale campaign", "country=US & count(email_opened[campaign=flash-sale])≥1 in 30d"),
    ("openers", "in the last 2 weeks", "country=US & count(email_opened)≥1 in 2w"),
    ("openers", "remove the emails", "country=US"),
    ("openers", "drop the email part", "country=US"),
    ("openers", "without the email part", "country=US"),
    ("openers", "not last week, this month", "country=US & count(email_opened)≥1 this month"),
    ("openers", "add gold members", "country=US & count(email_opened)≥1 in 30d & loyalty_tier=gold"),
    ("openers", "also people in Spain", "country in US,ES & count(email_opened)≥1 in 30d"),
    ("openers", "add that they must have ordered", "country=US & count(email_opened)≥1 in 30d & count(order_placed)≥1"),
    ("openers", "also require an order in the last 60 days", "country=US & count(email_opened)≥1 in 30d & count(order_placed)≥1 in 60d"),
    ("spenders", "drop Spain", "country=FR & loyalty_tier=gold & sum(order_placed.total)>500 in 6mo - in segment 1"),
    ("spenders", "not France", "country=ES & loyalty_tier=gold & sum(order_placed.total)>500 in 6mo - in segment 1"),
    ("spenders", "exclude France", "country=ES & loyalty_tier=gold & sum(order_placed.total)>500 in 6mo - in segment 1"),
    ("spenders", "make it 1k", "country in ES,FR & loyalty_tier=gold & sum(order_placed.total)>1000 in 6mo - in segment 1"),
    ("spenders", "raise the amount to 1k", "country in ES,FR & loyalty_tier=gold & sum(order_placed.total)>1000 in 6mo - in segment 1"),
    ("spenders", "raise the amount to $1,000", "country in ES,FR & loyalty_tier=gold & sum(order_placed.total)>1000 in 6mo - in segment 1"),
    ("spenders", "at least 800", "country in ES,FR & loyalty_tier=gold & sum(order_placed.total)≥800 in 6mo - in segment 1"),
    ("spenders", "gold or platinum", "country in ES,FR & loyalty_tier in gold,platinum & sum(order_placed.total)>500 in 6mo - in segment 1"),
    ("spenders", "platinum too", "country in ES,FR & loyalty_tier in gold,platinum & sum(order_placed.total)>500 in 6mo - in segment 1"),
    ("spenders", "platinum instead of gold", "country in ES,FR & loyalty_tier=platinum & sum(order_placed.total)>500 in 6mo - in segment 1"),
    ("spenders", "keep only Spain", "country=ES & loyalty_tier=gold & sum(order_placed.total)>500 in 6mo - in segment 1"),
    ("spenders", "only the ones in Spain", "country=ES & loyalty_tier=gold & sum(order_placed.total)>500 in 6mo - in segment 1"),
    ("spenders", "drop the staff exclusion", "country in ES,FR & loyalty_tier=gold & sum(order_placed.total)>500 in 6mo"),
    ("spenders", "include staff", "country in ES,FR & loyalty_tier=gold & sum(order_placed.total)>500 in 6mo"),
    ("spenders", "stop excluding staff", "country in ES,FR & loyalty_tier=gold & sum(order_placed.total)>500 in 6mo"),
    ("spenders", "remove the exclusion", "country in ES,FR & loyalty_tier=gold & sum(order_placed.total)>500 in 6mo"),
    ("spenders", "also exclude newsletter members", "country in ES,FR & loyalty_tier=gold & sum(order_placed.total)>500 in 6mo - in segment 1 | in segment 2"),
    ("spenders", "in the last 3 months", "country in ES,FR & loyalty_tier=gold & sum(order_placed.total)>500 in 3mo - in segment 1"),
    ("spenders", "the last year", "country in ES,FR & loyalty_tier=gold & sum(order_placed.total)>500 in 1y - in segment 1"),
    ("spenders", "drop the spend condition", "country in ES,FR & loyalty_tier=gold - in segment 1"),
    ("spenders", "remove the tier", "country in ES,FR & sum(order_placed.total)>500 in 6mo - in segment 1"),
    ("spenders", "any of these instead of all", "country in ES,FR | loyalty_tier=gold | sum(order_placed.total)>500 in 6mo - in segment 1"),
    ("spenders", "Portugal and Italy too", "country in ES,FR,PT,IT & loyalty_tier=gold & sum(order_placed.total)>500 in 6mo - in segment 1"),
    ("spenders", "swap gold for silver", "country in ES,FR & loyalty_tier=silver & sum(order_placed.total)>500 in 6mo - in segment 1"),
    ("spenders", "change the second condition to platinum", "country in ES,FR & loyalty_tier=platinum & sum(order_placed.total)>500 in 6mo - in segment 1"),
    ("spenders", "drop the last condition", "country in ES,FR & loyalty_tier=gold - in segment 1"),
    ("spenders", "remove the country and the tier", "sum(order_placed.total)>500 in 6mo - in segment 1"),
    ("spenders", "over 1000 instead of 500", "country in ES,FR & loyalty_tier=gold & sum(order_placed.total)>1000 in 6mo - in segment 1"),
    ("lapsed", "90 days for the orders", "last(order_placed)>90d & count(product_viewed[category=shoes])≥2 in 30d & count(trial_started)≥1"),
    ("lapsed", "change the inactivity to 90 days", "last(order_placed)>90d & count(product_viewed[category=shoes])≥2 in 30d & count(trial_started)≥1"),
    ("lapsed", "change 60 days to 90 days", "last(order_placed)>90d & count(product_viewed[category=shoes])≥2 in 30d & count(trial_started)≥1"),
    ("lapsed", "drop the shoes part", "last(order_placed)>60d & count(product_viewed)≥2 in 30d & count(trial_started)≥1"),
    ("lapsed", "bags instead of shoes", "last(order_placed)>60d & count(product_viewed[category=bags])≥2 in 30d & count(trial_started)≥1"),
    ("lapsed", "or bags", "last(order_placed)>60d & count(product_viewed[category in shoes,bags])≥2 in 30d & count(trial_started)≥1"),
    ("lapsed", "bags too", "last(order_placed)>60d & count(product_viewed[category in shoes,bags])≥2 in 30d & count(trial_started)≥1"),
    ("lapsed", "without the trial part", "last(order_placed)>60d & count(product_viewed[category=shoes])≥2 in 30d"),
    ("lapsed", "remove the trial condition", "last(order_placed)>60d & count(product_viewed[category=shoes])≥2 in 30d"),
    ("lapsed", "at least 5", "last(order_placed)>60d & count(product_viewed[category=shoes])≥5 in 30d & count(trial_started)≥1"),
    ("lapsed", "make the views 5", "last(order_placed)>60d & count(product_viewed[category=shoes])≥5 in 30d & count(trial_started)≥1"),
    ("lapsed", "5 views", "last(order_placed)>60d & count(product_viewed[category=shoes])≥5 in 30d & count(trial_started)≥1"),
    ("lapsed", "or never", "(last(order_placed)>60d | count(order_placed)=0) & count(product_viewed[category=shoes])≥2 in 30d & count(trial_started)≥1"),
    ("lapsed", "include people who never ordered too", "(last(order_placed)>60d | count(order_placed)=0) & count(product_viewed[category=shoes])≥2 in 30d & count(trial_started)≥1"),
    ("lapsed", "require at least 3 views in the last 14 days", "last(order_placed)>60d & count(product_viewed[category=shoes])≥3 in 14d & count(trial_started)≥1"),
    ("lapsed", "make it 5 times", "last(order_placed)>60d & count(product_viewed[category=shoes])≥5 in 30d & count(trial_started)≥1"),
    ("lapsed", "drop the views", "last(order_placed)>60d & count(trial_started)≥1"),
    ("lapsed", "change condition 2 to at least 4", "last(order_placed)>60d & count(product_viewed[category=shoes])≥4 in 30d & count(trial_started)≥1"),
)
# fmt: on


@pytest.mark.parametrize(("base", "text", "meaning"), EDITS, ids=[f"{base}: {text}" for base, text, _ in EDITS])
def test_an_edit_changes_what_it_says(base: str, text: str, meaning: str) -> None:
    assert brief(edited(BASES[base], text)) == meaning


def test_a_later_message_edits_what_the_earlier_ones_made() -> None:
    calls, _ = said(None, "users who purchased in the last 7 days", "only the ones in Spain", "make it 14 days")

    assert [call.name for call in calls] == ["propose_segment"]
    assert brief(calls[0].arguments["definition"]) == "count(order_placed)≥1 in 14d & country=ES"
