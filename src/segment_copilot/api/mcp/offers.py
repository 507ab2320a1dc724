"""Offers the copilot's tools to hosts: each with what comes next, how it fails, what it gives and how that is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast, get_type_hints

import msgspec
from msgspec import Struct, structs

from segment_copilot.api.mcp.registry import Asking, Document, Offer, answered
from segment_copilot.api.mcp.sharing import shared
from segment_copilot.api.mcp.views import COMPONENTS_KEY, drawn, view_of
from segment_copilot.copilot.runs.alone import Alone, run_alone
from segment_copilot.copilot.stream.components import Draft
from segment_copilot.copilot.tools import TOOLS, Tool
from segment_copilot.copilot.tools.context import View
from segment_copilot.errors import InvalidInput, SegmentCopilotError


class Told(Struct, frozen=True):
    """Holds what a host's model is told of a tool beyond its docstring: the tools that come *next*, and its errors.

    *description* stands in place of the docstring, and *arguments* in place of what it says of some of them, where those
    speak of a conversation. *view* is what draws the result.
    """

    next: str
    errors: str
    view: str | None = None
    description: str | None = None
    arguments: Mapping[str, str] = {}


_DEFINITION: Final = "a definition in the segment language, as propose_segment takes it"
_AUDIENCE: Final = f"A saved segment's id or name, or {_DEFINITION}."
_UNKNOWN_SEGMENT: Final = "unknown_segment (with the nearest names), ambiguous_segment (say which by its id)"
_WRONG_DEFINITION: Final = (
    "invalid_definition (every mistake with a pointer and the nearest existing names: mend it and call again), "
    "query_too_expensive and query_timeout (ask for less)"
)
_DRAFTED: Final = "Nothing is saved. Show the person the words, the count, the assumptions and what is unmapped."

TOLD: Final[Mapping[str, Told]] = {
    "list_segments": Told(
        "get_segment_detail for one of them; search_segments to find one by words.", "none of its own.", "segment-table"
    ),
    "search_segments": Told(
        "get_segment_detail for one of them; propose_segment where none fits.", "none of its own.", "segment-table"
    ),
    "get_segment_detail": Told(
        "explain_segment for how its audience comes about; revise_segment to change it.",
        f"{_UNKNOWN_SEGMENT}, users_withheld (the key may not see who is in it).",
    ),
    "list_activations": Told("get_segment_detail for the segment that one sends.", "none of its own."),
    "list_event_schemas": Told(
        "get_event_schema for the properties of one; propose_segment once the names are known.", "none of its own."
    ),
    "get_event_schema": Told(
        "list_property_values for how values are spelled; propose_segment.", "unknown_name (with the nearest names)."
    ),
    "list_recent_events": Told("query_event_volume for longer ranges.", "invalid_instant."),
    "query_top_events": Told(
        "query_event_volume for one of them by day.",
        "invalid_instant, query_timeout (a shorter range).",
        "event-volume-chart",
    ),
    "query_event_volume": Told(
        "propose_segment for those who did it.",
        "unknown_name (with the nearest names), invalid_where, invalid_instant, query_timeout (a shorter range).",
        "event-volume-chart",
    ),
    "query_segment_membership_trend": Told(
        "query_segment_changes for who joined and left.",
        f"{_UNKNOWN_SEGMENT}, invalid_instant.",
        "event-volume-chart",
    ),
    "query_segment_changes": Told(
        "check_user_membership for one of them.", f"{_UNKNOWN_SEGMENT}, empty_range, invalid_instant."
    ),
    "list_property_values": Told(
        "propose_segment with a value as it is spelled here.", "unknown_name (with the nearest names), no_range."
    ),
    "preview_segment": Told(
        "propose_segment to draft it; explain_segment where nobody or nearly everybody matches.",
        f"{_WRONG_DEFINITION}.",
        "metric-card",
    ),
    "explain_segment": Told(
        "revise_segment or propose_segment to change what is too narrow.",
        f"{_UNKNOWN_SEGMENT}, {_WRONG_DEFINITION}.",
        arguments={"segment": _AUDIENCE},
    ),
    "compare_segments": Told(
        "propose_segment for a part of them.",
        f"{_UNKNOWN_SEGMENT}, {_WRONG_DEFINITION}.",
        arguments={"first": _AUDIENCE, "second": "The other one, likewise."},
    ),
    "check_user_membership": Told(
        "explain_segment for everybody.",
        f"{_UNKNOWN_SEGMENT}, users_withheld (the key may not see users), {_WRONG_DEFINITION}.",
        arguments={"segment": _AUDIENCE},
    ),
    "propose_segment": Told(
        "create_segment once the person wants it saved; revise_segment to change it.",
        f"{_WRONG_DEFINITION}, draft_too_large.",
        "draft",
        description=f"Draft a segment: the definition is checked, counted and put into words. {_DRAFTED}",
    ),
    "revise_segment": Told(
        "create_segment to save the result as a new segment, update_segment to give it to the one it was made from.",
        f"no_change, invalid_patch, nothing_in_view (say what to change), segment_not_found, {_WRONG_DEFINITION}.",
        "draft",
        description="Change a draft or a saved segment, for requests such as “make it 5”, “drop the country” or “or Germany "
        f"too”. What the patch does not name stays exactly as it is. The result is a new draft with its diff. {_DRAFTED}",
        arguments={"segment_id": "The saved segment to change; leave it out to change a draft."},
    ),
}
"""Tool of the copilot → what hosts are told. Those that ask the person, or draw, are the host's own business."""

_DROPPED: Final = frozenset({"draft_id", "reading"})
"""Arguments that speak of a conversation that is not here."""

_DRAFT: Final = {
    "type": "object",
    "description": "The draft to change, as propose_segment or revise_segment answered it.",
    "required": ["definition"],
}
_ANNOTATIONS: Final = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False}


def offers() -> tuple[Offer, ...]:
    """Return the copilot's tools that make sense without a conversation, by name."""
    return tuple(_offer(tool, TOLD[tool.name]) for tool in TOOLS.values() if tool.name in TOLD)


def _offer(tool: Tool, told: Told) -> Offer:
    revises = tool.name == "revise_segment"

    async def call(asking: Asking, arguments: Document) -> Document:
        given = dict(arguments)
        _refuse_dropped(given)
        draft = given.pop("draft", None) if revises else None
        if draft is not None and not isinstance(draft, dict):
            raise InvalidInput("The draft is an object, as propose_segment answered it.", code="invalid_arguments")
        caller = asking.caller
        found = await run_alone(
            asking.copilot.use_cases,
            caller.tenant,
            scopes=caller.scopes,
            name=tool.name,
            arguments=given,
            view=View(draft=cast("dict[str, Any] | None", draft)),
        )
        return _result(found)

    document = {
        "name": tool.name,
        "title": tool.name.replace("_", " ").capitalize(),
        "description": describe(told.description or tool.specification.description, told.next, told.errors),
        "inputSchema": _input_schema(tool, told, extra={"draft": _DRAFT} if revises else {}),
        "outputSchema": output_schema(*_given(tool)),
        "annotations": _ANNOTATIONS,
        **view_of(told.view),
    }
    return Offer(document, call, scope=tool.scope)


def describe(description: str, following: str, errors: str) -> str:
    """Return what a host's model is told of a tool."""
    return f"{description}\n\nNext: {following}\nErrors: {errors}"


def _refuse_dropped(given: Mapping[str, Any]) -> None:
    if sent := sorted(_DROPPED & given.keys()):
        raise InvalidInput(f"This tool takes no {sent[0]} here: nothing is remembered.", code="invalid_arguments")


def _input_schema(tool: Tool, told: Told, *, extra: Document) -> dict[str, Any]:
    schema = dict(tool.specification.input_schema)
    properties = {name: dict(one) for name, one in schema["properties"].items() if name not in _DROPPED}
    for name, description in told.arguments.items():
        properties[name]["description"] = description
    return shared(_used_only({**schema, "properties": {**properties, **extra}}))


def _used_only(schema: dict[str, Any]) -> dict[str, Any]:
    """Return *schema* without the shared types that nothing refers to any more."""
    shared: dict[str, Any] = schema.get("$defs", {})
    wanted, left = set[str](), [{key: value for key, value in schema.items() if key != "$defs"}]
    while left:
        text = msgspec.json.encode(left.pop()).decode()
        for name in shared.keys() - wanted:
            if f'"#/$defs/{name}"' in text:
                wanted.add(name)
                left.append(shared[name])
    kept = {name: one for name, one in shared.items() if name in wanted}
    bare = {key: value for key, value in schema.items() if key != "$defs"}
    return {**bare, "$defs": kept} if kept else bare


def _given(tool: Tool) -> tuple[type[Struct], ...]:
    given: type[Struct] = get_type_hints(tool.run)["return"]
    return (given, Draft) if tool.kind == "draft" else (given,)


def output_schema(*kinds: type[Struct]) -> dict[str, Any]:
    """Return the schema of an object with the members of all *kinds*. None is required: of what is too long, some goes."""
    _, types = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    properties: dict[str, Any] = {}
    for kind in reversed(kinds):
        properties |= types.pop(kind.__name__)["properties"]
    omitted = {"type": "array", "items": {"type": "string"}, "description": "Members that were too long to be sent."}
    kept = {"truncated": {"type": "boolean", "description": "Whether some of it was left out."}, "omitted": omitted}
    return _used_only({"type": "object", "properties": {**kept, **properties}, "$defs": types})


def _result(found: Alone) -> Document:
    if found.error is not None:
        error = found.error
        findings = error.findings if error.findings is not msgspec.UNSET else ()
        raise SegmentCopilotError(error.message, code=error.code, findings=findings, context={"retry": error.retry})
    document = dict(found.document)
    if found.draft is not None:
        document = {
            **msgspec.to_builtins(structs.replace(found.draft, reading=msgspec.UNSET, conditions=msgspec.UNSET)),
            **document,
        }
    return answered(document, meta={COMPONENTS_KEY: drawn(found.components, found.draft)})
