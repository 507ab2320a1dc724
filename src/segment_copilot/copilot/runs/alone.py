"""Runs one tool outside of a conversation, for somebody who has a language model of their own: a call is all there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import UNSET, Struct
from uuid_utils import uuid7

from segment_copilot.access.scopes import sees_users
from segment_copilot.access.tenants import Tenant
from segment_copilot.copilot import tools
from segment_copilot.copilot.models import ToolCall
from segment_copilot.copilot.runs.beginning import readable
from segment_copilot.copilot.runs.calls import Calls
from segment_copilot.copilot.stream import run_events
from segment_copilot.copilot.stream.components import Component, Draft
from segment_copilot.copilot.stream.run_events import ToolError
from segment_copilot.copilot.stream.transcript import Transcript
from segment_copilot.copilot.tools.context import Memory, ToolContext, UseCases, View
from segment_copilot.copilot.tools.display import button

_OLDEST_CATALOG: Final = 1.0  # seconds
_ROWS: Final = 50  # of a table

_Drawing = tuple[str, Mapping[str, Any]]
"""A tool that draws, and its arguments."""


class Alone(Struct, frozen=True):
    """Holds what one call gave: a document or an error, the draft it made, and what a frontend may draw of it."""

    document: Mapping[str, Any]
    error: ToolError | None = None
    draft: Draft | None = None
    components: tuple[Component, ...] = ()


async def run_alone(
    use_cases: UseCases,
    tenant: Tenant,
    *,
    scopes: frozenset[str],
    name: str,
    arguments: Mapping[str, Any],
    view: View | None = None,
) -> Alone:
    """Run the tool *name* for a credential that has *scopes*, as a run of the copilot does. What it draws is drawn at once.

    *view* holds a draft that the call goes back to. What the tool refuses is in the answer.

    Raises:
        Unavailable: A store does not answer.
    """
    catalog = await use_cases.discovery.catalog(tenant, oldest=_OLDEST_CATALOG)
    memory = Memory(f"alone_{uuid7().hex}")
    heard = list[run_events.Event]()
    now = datetime.now(UTC)

    def surroundings(call_id: str) -> ToolContext:
        return ToolContext(
            use_cases=use_cases,
            tenant=tenant,
            catalog=readable(catalog, scopes),
            as_of=now,
            timezone=tenant.timezone,
            timezone_asked=False,
            memory=memory,
            tool_call_id=call_id,
            view=view or View(),
            sees_users=sees_users(scopes),
        )

    transcript = Transcript(heard.append, reasoning=False)
    calls = Calls(
        tools.usable_tools(tools.COMPONENTS, scopes),
        withheld=tools.withheld_tools(scopes),
        transcript=transcript,
        memory=memory,
        surroundings=surroundings,
        most=2,
    )

    async def call(called: ToolCall) -> run_events.ToolResult:
        transcript.tool_start(calls.start(called.id, called.name))
        transcript.tool_args(calls.arguments(called))
        await calls.run([called])
        return next(event for event in reversed(heard) if isinstance(event, run_events.ToolResult))

    result = await call(ToolCall("call_1", name, arguments))
    if result.error is not UNSET:
        return Alone({}, result.error)
    document = memory.results["call_1"].document
    if (draw := DRAWN.get(name)) is not None and (drawing := draw(document)) is not None:
        await call(ToolCall("call_2", *drawing))
    draft = next(reversed(memory.drafts.values()), None)
    components = [event.props for event in heard if isinstance(event, run_events.ComponentShown)]
    return Alone(document, draft=draft, components=(*components, *([] if draft is None else [button(draft)])))


def _card(document: Mapping[str, Any]) -> _Drawing:
    note = f"{document['percent']:g} % of {document['universe']:,}"
    card = {"title": "Matching users", "value": document["matched_users"], "unit": "users", "note": note}
    return "display_metric_card", card


def _table(document: Mapping[str, Any]) -> _Drawing | None:
    ids = [one["id"] for one in document["segments"]][:_ROWS]
    return ("display_segment_table", {"title": "Segments", "segment_ids": ids}) if ids else None


def _days(document: Mapping[str, Any]) -> _Drawing | None:
    title = f"{document['event_type'] or 'Events'} per day"
    return ("display_event_chart", {"title": title[:120], "measure": "events"}) if document["points"] else None


def _members(document: Mapping[str, Any]) -> _Drawing | None:
    title = f"Members of {document['name']}"[:120]
    return ("display_event_chart", {"title": title, "measure": "members"}) if document["points"] else None


def _types(document: Mapping[str, Any]) -> _Drawing | None:
    chart = {"title": "Event types", "measure": "event_types"}
    return ("display_event_chart", chart) if document["event_types"] else None


DRAWN: Final[Mapping[str, Callable[[Mapping[str, Any]], _Drawing | None]]] = {
    "list_segments": _table,
    "preview_segment": _card,
    "query_event_volume": _days,
    "query_segment_membership_trend": _members,
    "query_top_events": _types,
    "search_segments": _table,
}
"""Tool → how its result is drawn."""
