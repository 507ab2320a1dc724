"""The room of the copilot's tools: plain async functions, and the registry that a model, the loop and `/capabilities` share.

None of them writes anything, and none knows HTTP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from segment_copilot.copilot.models import ToolSpecification
from segment_copilot.copilot.stream.run_events import Source, ToolKind
from segment_copilot.copilot.tools import analytics, asking, audiences, display, drafts, reading, revising, searching
from segment_copilot.copilot.tools.signature import arguments_of, specification

PREVIEW_SECONDS: Final = 15.0
CLICKHOUSE_SECONDS: Final = 10.0
POSTGRES_SECONDS: Final = 3.0


class Tool(Struct, frozen=True):
    """A tool is what a run may call. *title* says in words what a call does."""

    name: str
    run: Callable[..., Awaitable[Struct]]
    kind: ToolKind
    title: str
    source: Source
    timeout_seconds: float
    arguments: type[Struct]
    specification: ToolSpecification
    component: str | None = None  # what the frontend must be able to draw
    scope: str | None = None  # what the caller's credential must have: what the HTTP route of the same data needs


def _tool(
    run: Callable[..., Awaitable[Struct]],
    title: str,
    source: Source,
    *,
    kind: ToolKind = "data",
    seconds: float | None = None,
    component: str | None = None,
    scope: str | None = None,
) -> Tool:
    name = str(getattr(run, "__name__", ""))
    arguments = arguments_of(run)
    return Tool(
        name=name,
        run=run,
        kind=kind,
        title=title,
        source=source,
        timeout_seconds=seconds or (CLICKHOUSE_SECONDS if source == "clickhouse" else POSTGRES_SECONDS),
        arguments=arguments,
        specification=specification(run, arguments),
        component=component,
        scope=scope,
    )


_ALL = (
    _tool(reading.list_segments, "Reading the segments", "postgres", scope="segments:read"),
    _tool(searching.search_segments, "Looking for segments", "postgres", scope="segments:read"),
    _tool(reading.get_segment_detail, "Reading a segment", "postgres", scope="segments:read"),
    _tool(reading.list_activations, "Reading the connectors", "postgres", scope="activations:read"),
    _tool(reading.list_event_schemas, "Reading the event schemas", "postgres", scope="catalog:read"),
    _tool(reading.get_event_schema, "Reading an event schema", "postgres", scope="catalog:read"),
    _tool(reading.list_recent_events, "Reading the latest events", "postgres", scope="analytics:read"),
    _tool(analytics.query_top_events, "Ranking event types", "clickhouse", scope="analytics:read"),
    _tool(analytics.query_event_volume, "Counting events by day", "clickhouse", scope="analytics:read"),
    _tool(analytics.query_segment_membership_trend, "Reading the membership trend", "postgres", scope="analytics:read"),
    _tool(analytics.query_segment_changes, "Reading who joined and left", "clickhouse", scope="segments:read"),
    _tool(analytics.list_property_values, "Reading the values of a property", "clickhouse", scope="catalog:read"),
    _tool(drafts.preview_segment, "Counting users", "clickhouse", scope="segments:read", seconds=PREVIEW_SECONDS),
    _tool(
        audiences.explain_segment,
        "Explaining an audience",
        "clickhouse",
        scope="segments:read",
        seconds=PREVIEW_SECONDS,
    ),
    _tool(
        audiences.compare_segments,
        "Comparing two audiences",
        "clickhouse",
        scope="segments:read",
        seconds=PREVIEW_SECONDS,
    ),
    _tool(
        audiences.check_user_membership, "Checking a user", "clickhouse", scope="segments:read", seconds=PREVIEW_SECONDS
    ),
    _tool(
        drafts.propose_segment,
        "Drafting a segment",
        "clickhouse",
        scope="segments:read",
        kind="draft",
        seconds=PREVIEW_SECONDS,
    ),
    _tool(asking.ask_user, "Asking a question", "none", kind="ask"),
    _tool(
        revising.revise_segment,
        "Changing a draft",
        "clickhouse",
        scope="segments:read",
        kind="draft",
        seconds=PREVIEW_SECONDS,
    ),
    _tool(display.display_metric_card, "Showing a number", "none", kind="display", component="MetricCard"),
    _tool(
        display.display_segment_table,
        "Showing segments",
        "postgres",
        scope="segments:read",
        kind="display",
        component="SegmentTable",
    ),
    _tool(display.display_event_chart, "Drawing a chart", "none", kind="display", component="EventVolumeChart"),
    _tool(display.display_create_segment_cta, "Offering to save", "none", kind="display", component="CreateSegmentCTA"),
)

TOOLS: Final[Mapping[str, Tool]] = {tool.name: tool for tool in sorted(_ALL, key=lambda tool: tool.name)}
"""Every tool by name, in a fixed order: the same bytes for every request, so that they can be cached."""

COMPONENTS: Final = frozenset(tool.component for tool in _ALL if tool.component is not None)


def usable_tools(components: frozenset[str], scopes: frozenset[str]) -> tuple[Tool, ...]:
    """Return the tools for a frontend that can draw *components*, and a credential that has *scopes*."""
    return tuple(
        tool
        for tool in TOOLS.values()
        if (tool.component is None or tool.component in components) and (tool.scope is None or tool.scope in scopes)
    )


def withheld_tools(scopes: frozenset[str]) -> Mapping[str, str]:
    """Return the tools that a credential with *scopes* may not use, each with the scope that it lacks."""
    return {tool.name: tool.scope for tool in TOOLS.values() if tool.scope is not None and tool.scope not in scopes}


def _version() -> str:
    specifications: list[Any] = [tool.specification for tool in TOOLS.values()]
    return hashlib.sha256(msgspec.json.encode(specifications)).hexdigest()[:12]


TOOLS_VERSION: Final = _version()
"""Changes when a name, a description or a schema does."""
