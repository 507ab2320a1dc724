"""Plays a conversation with the offline model: its calls are checked against the real tools, results are made up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from segment_copilot.copilot.models import (
    AssistantMessage,
    Message,
    ModelEvent,
    ModelRequest,
    TextDelta,
    ToolCall,
    ToolResult,
    ToolResults,
    TurnEnded,
    UserMessage,
)
from segment_copilot.copilot.models.offline import OfflineModel
from segment_copilot.copilot.tools import TOOLS
from segment_copilot.copilot.tools.signature import decode_arguments
from segment_copilot.english.answers.drafts import document_of
from segment_copilot.english.outcomes import Asked, Drafted, Refused
from segment_copilot.english.reading.audience import read_audience
from segment_copilot.language import decode
from segment_copilot.language.catalog import Catalog
from tests.support.english.catalogs import AS_OF, DEMO

SPECIFICATIONS = tuple(tool.specification for tool in TOOLS.values())
_MODEL = OfflineModel()
_MOST_TURNS = 8
_TIME = "2026-06-10T12:00:00Z"
_POINTS = [
    {"day": "2026-06-08", "count": 1203},
    {"day": "2026-06-09", "count": 1187},
    {"day": "2026-06-10", "count": 1211},
]


class Played(Struct, frozen=True):
    """A whole run: every call with its result, and the text."""

    calls: tuple[ToolCall, ...]
    results: tuple[ToolResult, ...]
    text: str

    @property
    def tools(self) -> list[str]:
        return [call.name for call in self.calls]

    @property
    def asks(self) -> bool:
        """Whether it is a question to the person and nothing else."""
        return self.tools == ["ask_user"]

    @property
    def refuses(self) -> bool:
        """Whether nothing was looked up, counted or drafted: it asks or says why not."""
        return self.asks or not self.tools

    def arguments(self, name: str) -> Mapping[str, Any]:
        return next(call.arguments for call in self.calls if call.name == name)


def request(
    *texts: str,
    catalog: Catalog = DEMO,
    messages: tuple[Message, ...] = (),
    tools_allowed: bool = True,
    without: str = "",
) -> ModelRequest:
    asked = tuple(UserMessage(text) for text in texts)
    tools = tuple(item for item in SPECIFICATIONS if item.name != without)
    return ModelRequest("", (*asked, *messages), tools, catalog, AS_OF, catalog.timezone, tools_allowed)


def turn(asked: ModelRequest, *, model: OfflineModel = _MODEL) -> list[ModelEvent]:
    """Every event of one turn, of a model that has read much before, as a service's has, or of another *model*."""

    async def collect() -> list[ModelEvent]:
        return [event async for event in model.stream(asked)]

    return asyncio.run(collect())


def play(
    text: str,
    catalog: Catalog = DEMO,
    *,
    failing: str = "",
    without: str = "",
    results: Mapping[str, Any] | None = None,
    model: OfflineModel = _MODEL,
) -> Played:
    """Ask *text* and answer each call until the model says it is done. *failing* is the tool that fails."""
    messages: tuple[Message, ...] = ()
    calls: list[ToolCall] = []
    given: list[ToolResult] = []
    for _ in range(_MOST_TURNS):
        events = turn(request(text, catalog=catalog, messages=messages, without=without), model=model)
        ended = events[-1]
        assert isinstance(ended, TurnEnded)
        said = "".join(event.delta for event in events if isinstance(event, TextDelta))
        assert ended.message == AssistantMessage(said, tuple(event for event in events if isinstance(event, ToolCall)))
        asked = [call for call in ended.message.tool_calls if call.name == "ask_user"]
        if asked:  # the run ends with the question
            labels = [option["label"] for option in asked[0].arguments["options"]]
            return Played((*calls, *asked), tuple(given), "\n".join([said, asked[0].arguments["question"], *labels]))
        if ended.stop_reason in {"end_turn", "declined"}:
            return Played(tuple(calls), tuple(given), said)
        made = [_result(call, failing, results or {}) for call in ended.message.tool_calls]
        calls += ended.message.tool_calls
        given += made
        messages = (*messages, ended.message, ToolResults(tuple(made)))
    raise AssertionError(f"no end after {_MOST_TURNS} turns: {[call.name for call in calls]}")


def drafts(sentence: str, catalog: Catalog = DEMO) -> list[Drafted]:
    """The draft of a sentence, or those of the answers to the question about it; none of a refusal."""
    match read_audience(sentence, catalog, AS_OF, catalog.timezone):
        case Drafted() as drafted:
            return [drafted]
        case Asked() as asked:
            return [option.draft for option in asked.options]
        case Refused():
            return []


def drafted_or_offered(sentence: str, catalog: Catalog = DEMO) -> list[dict[str, Any]]:
    """The definitions of these drafts, as the tools take them."""
    return [document_of(one.definition) for one in drafts(sentence, catalog)]


def definition(sentence: str, catalog: Catalog = DEMO) -> dict[str, Any]:
    """What is proposed for a sentence; the language takes it."""
    calls = [event for event in turn(request(sentence, catalog=catalog)) if isinstance(event, ToolCall)]
    assert [call.name for call in calls] == ["propose_segment"], calls
    found = calls[0].arguments["definition"]
    decode(found)
    assert calls[0].arguments["unmapped"] == []
    return found


def _result(call: ToolCall, failing: str, results: Mapping[str, Any]) -> ToolResult:
    decode_arguments(call.arguments, TOOLS[call.name].arguments)
    if call.name == failing:
        error = {
            "code": "not_found",
            "message": "There is no such thing.",
            "retry": "adjust",
            "findings": [{"suggestions": ["High LTV"]}],
        }
        return ToolResult(call.id, call.name, msgspec.json.encode({"error": error}).decode(), is_error=True)
    document = results.get(call.name) or RESULTS[call.name]
    return ToolResult(call.id, call.name, msgspec.json.encode(document).decode())


_SEGMENT = {
    "id": 3,
    "name": "High LTV",
    "description": "",
    "segment_type": "rule",
    "tier": "dynamic_plus",
    "status": "computed",
    "member_count": 1211,
    "last_computed_at": _TIME,
}
_OTHER = {**_SEGMENT, "id": 4, "name": "VIP Buyers", "member_count": 402}
_NEW = {**_SEGMENT, "id": 9, "name": "Trial Users", "member_count": None, "last_computed_at": None}
_COUNTED = {
    "universe": 20017,
    "percent": 6.05,
    "words": "ordered at least once in the last 7 days.",
    "tier": "dynamic_plus",
    "as_of": _TIME,
}
RESULTS: Mapping[str, Any] = {
    "list_segments": {"segments": [_SEGMENT, _OTHER, _NEW], "total": 12, "truncated": True},
    "get_segment_detail": {**_SEGMENT, "definition": {"logic": "AND", "conditions": []}, "words": "w", "logic": "AND", "conditions": ["ordered at least 5 times", "spent more than 800"], "exclusions": ["is in Staff"]},
    "list_activations": {"activations": [
        {"id": 1, "connector_type": "klaviyo", "segment_id": 3, "segment_name": "High LTV", "status": "active", "last_synced_at": _TIME, "last_error": None},
        {"id": 2, "connector_type": "braze", "segment_id": 5, "segment_name": "Churn Risk", "status": "paused", "last_synced_at": None, "last_error": "401"},
    ], "total": 2},
    "list_event_schemas": {"schemas": [
        {"event_type": "cart_add", "description": "A product was put into the cart", "property_count": 1, "properties": [], "event_count": 7, "last_seen": _TIME, "registered": True},
        {"event_type": "order_placed", "description": "", "property_count": 5, "properties": [], "event_count": 70, "last_seen": _TIME, "registered": True},
    ], "total": 2, "truncated": False},
    "get_event_schema": {"event_type": "order_placed", "description": "A purchase", "properties": [{"path": "total", "types": ["number"], "samples": [1], "description": "Amount paid"}], "event_count": 70, "last_seen": _TIME},
    "list_recent_events": {"events": [{"event_type": "cart_add", "user_id": "u1", "occurred_at": _TIME, "received_at": _TIME}], "total": 4711, "by_type": [{"event_type": "cart_add", "count": 4000}, {"event_type": "order_placed", "count": 711}], "truncated": True},
    "query_top_events": {"event_types": [{"event_type": "page_viewed", "count": 9001}, {"event_type": "cart_add", "count": 803}], "total": 10404, "from": _TIME, "to": _TIME, "timezone": "UTC", "truncated": False},
    "query_event_volume": {"points": _POINTS, "total": 3601, "from": _TIME, "to": _TIME, "timezone": "UTC", "event_type": "order_placed"},
    "query_segment_membership_trend": {"segment_id": 3, "name": "High LTV", "points": _POINTS, "from": _TIME, "to": _TIME, "timezone": "UTC"},
    "query_segment_changes": {"segment_id": 5, "name": "Churn Risk", "entered": 812, "left": 73, "entered_users": [{"user_id": "u_11", "at": _TIME}], "left_users": [{"user_id": "u_12", "at": _TIME}], "names_withheld": False, "computations": 4, "first_computed_at": None, "last_computed_at": _TIME, "member_count": 1204, "from": _TIME, "to": _TIME, "timezone": "UTC"},
    "list_property_values": {"values": [{"value": "pro", "count": 312}], "total_distinct": 1, "truncated": False},
    "preview_segment": {"matched_users": 1211, **_COUNTED},
    "propose_segment": {"draft_id": "draft_1", "name": "Named", "tier_reason": "it looks at events", "count": 1211, "warnings": [], **_COUNTED},
    "compare_segments": {"first": {"name": "High LTV", "words": "spent more than 500", "matched_users": 1211}, "second": {"name": "VIP Buyers", "words": "ordered at least 5 times", "matched_users": 402}, "both": 380, "only_first": 831, "only_second": 22, "neither": 18784, "universe": 20017, "as_of": _TIME, "relation": "some_in_common", "same_definition": False},
    "explain_segment": {"name": "VIP Buyers", "words": "w", "logic": "AND", "matched_users": 402, "universe": 20017, "percent": 2.01, "conditions": [{"pointer": "/conditions/0", "role": "include", "words": "ordered at least 5 times", "matched_users": 611, "audience_after": 611}]},
    "check_user_membership": {"user_id": "u_123", "in_universe": True, "is_member": False, "words": "w", "name": "VIP Buyers", "conditions": [{"pointer": "/conditions/0", "words": "ordered at least 5 times", "matches": False, "measured": 3, "threshold": 5}]},
    "search_segments": {"segments": [{**_OTHER, "words": "w", "looks_at": ["order_placed"], "matched": ["order_placed"]}], "total": 1, "searched": 12, "truncated": False},
    "display_metric_card": {"component_id": "component_1"},
    "display_segment_table": {"component_id": "component_1"},
    "display_event_chart": {"component_id": "component_1"},
    "display_create_segment_cta": {"component_id": "component_1"},
}  # fmt: skip


def numbers(text: str) -> set[str]:
    """The numbers in a text, thousands unseparated."""
    return {number.replace(",", "").rstrip(".") for number in re.findall(r"\d[\d,]*\.?\d*", text)}


def said_without_range(text: str) -> str:
    """The text without the sentence that says from when to when a calendar stretch runs."""
    return "\n".join(line for line in text.split("\n") if " runs from " not in line)
