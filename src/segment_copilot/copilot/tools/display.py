"""The tools here draw. They take ids and names of things this run has read; the server fills in what is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from segment_copilot.copilot.guards.characters import replace_hidden
from segment_copilot.copilot.guards.links import remove_links
from segment_copilot.copilot.stream.components import (
    CreateSegmentCTA,
    Draft,
    EventVolumeChart,
    Measure,
    MetricCard,
    Number,
    Point,
    SaveRequest,
    SegmentRow,
    SegmentTable,
)
from segment_copilot.copilot.tools.context import EarlierResult, Memory, ToolContext, require_words
from segment_copilot.errors import Finding, InvalidInput, NotFound

Title = Annotated[str, Meta(min_length=1, max_length=120)]
SegmentId = Annotated[int, Meta(ge=1, le=2**63 - 1)]

_CHARTED: Final[Mapping[Measure, tuple[str, str, str, str]]] = {  # tool, list, x, unit
    "events": ("query_event_volume", "points", "day", "events"),
    "members": ("query_segment_membership_trend", "points", "day", "members"),
    "event_types": ("query_top_events", "event_types", "event_type", "events"),
}


class DrawnComponent(Struct, frozen=True):
    """Tells the id of what was drawn."""

    component_id: str


async def display_metric_card(
    context: ToolContext,
    title: Title,
    value: Number,
    unit: Annotated[str, Meta(max_length=40)] | None = None,
    note: Annotated[str, Meta(max_length=200)] | None = None,
) -> DrawnComponent:
    """Show one number as a card. The number must stand in an earlier tool result of this conversation turn: look it up first, and pass it unrounded.

    Args:
        title: What the number is, in a few words.
        value: The number, exactly as a tool result gave it.
        unit: What is counted, for example users.
        note: One short remark, for example when it was computed.
    """
    if not context.memory.knows_number(value):
        detail = "No tool result of this run holds this number. Read it with a tool first, and pass it unchanged."
        raise InvalidInput(detail, code="unknown_number", findings=[Finding("/value", "unknown_number", detail)])
    card = MetricCard(
        title=require_words(title, "/title"),
        value=value,
        as_of=context.as_of,
        unit=remove_links(unit or "") or UNSET,
        note=remove_links(note or "") or UNSET,
    )
    return DrawnComponent(context.show(card))


async def display_segment_table(
    context: ToolContext, title: Title, segment_ids: Annotated[list[SegmentId], Meta(min_length=1, max_length=50)]
) -> DrawnComponent:
    """Show stored segments as a table with their counts and status. The server reads the rows.

    Args:
        title: What the table shows.
        segment_ids: The segments, in the order to show them.
    """
    stored = [await context.use_cases.segments.get(context.tenant, one) for one in dict.fromkeys(segment_ids)]
    rows = tuple(
        structs.replace(msgspec.convert(segment, SegmentRow, from_attributes=True), name=replace_hidden(segment.name))
        for segment in stored
    )
    total = _total(context.memory, default=len(rows))
    table = SegmentTable(title=require_words(title, "/title"), rows=rows, total=total, truncated=total > len(rows))
    return DrawnComponent(context.show(table))


async def display_event_chart(
    context: ToolContext, title: Title, measure: Measure, tool_call_id: str | None = None
) -> DrawnComponent:
    """Show the result of an earlier query as bars: events per day (query_event_volume), members per day (query_segment_membership_trend) or events per type (query_top_events). The server takes the points from that result.

    Args:
        title: What the chart shows.
        measure: Which kind of result to draw.
        tool_call_id: The call whose result to draw; without it the latest one of that kind.
    """
    tool, items, x, unit = _CHARTED[measure]
    found = _result(context.memory, tool, tool_call_id)
    if found is None:
        detail = f"There is no result of {tool} to draw. Call {tool} first, then display_event_chart."
        raise InvalidInput(detail, code="nothing_to_draw", findings=[Finding("/measure", "nothing_to_draw", detail)])
    document = found.document
    chart = EventVolumeChart(
        title=require_words(title, "/title"),
        measure=measure,
        unit=unit,
        points=tuple(
            Point(x=str(item[x]), y=item["count"], partial=item.get("partial", UNSET)) for item in document[items]
        ),
        from_=document["from"],
        to=document["to"],
        timezone=document.get("timezone", context.timezone),
    )
    return DrawnComponent(context.show(chart))


async def display_create_segment_cta(
    context: ToolContext, draft_id: str, label: Annotated[str, Meta(min_length=1, max_length=60)] | None = None
) -> DrawnComponent:
    """Show the button that saves a draft. Nothing is saved before the person presses it.

    Args:
        draft_id: The draft, as propose_segment or revise_segment answered it in this conversation turn.
        label: The button's text.
    """
    draft = context.memory.drafts.get(draft_id)
    if draft is None:
        detail = "This run has no such draft. Call propose_segment first and use the draft_id it answers."
        known = tuple(context.memory.drafts)
        raise NotFound(detail, code="unknown_draft", findings=[Finding("/draft_id", "unknown_draft", detail, known)])
    context.memory.offered_drafts.add(draft_id)
    return DrawnComponent(context.show(button(draft, None if label is None else require_words(label, "/label"))))


def button(draft: Draft, label: str | None = None) -> CreateSegmentCTA:
    """Return the button for *draft*: with it a client can save without asking again."""
    body: dict[str, Any] = {
        "name": draft.name,
        "description": draft.description,
        "segment_type": "ai",
        "definition": draft.definition,
    }
    return CreateSegmentCTA(
        label=label or f"Create “{draft.name}”",
        draft_id=draft.draft_id,
        name=draft.name,
        description=draft.description,
        definition=draft.definition,
        tier=draft.tier,
        count=draft.preview.count,
        save=SaveRequest("POST", "/api/segments/", body),
        update=_update(draft),
    )


def _update(draft: Draft) -> SaveRequest | UnsetType:
    """Return the request that changes the saved segment the draft goes back to; its name and description stay."""
    if draft.base is UNSET or draft.base.segment_id is UNSET:
        return UNSET
    return SaveRequest("PATCH", f"/api/segments/{draft.base.segment_id}/", {"definition": draft.definition})


def _result(memory: Memory, tool: str, tool_call_id: str | None) -> EarlierResult | None:
    if tool_call_id is not None:
        found = memory.results.get(tool_call_id)
        return found if found is not None and found.name == tool else None
    return next((found for found in reversed(memory.results.values()) if found.name == tool), None)


def _total(memory: Memory, *, default: int) -> int:
    """Return how many segments the listing behind a table had in all."""
    found = _result(memory, "list_segments", None)
    return max(default, int(found.document["total"])) if found is not None else default
