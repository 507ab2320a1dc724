"""Describes to a model what the person is looking at: a stored segment with its definition, a draft."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.segments import Segments
from segment_copilot.copilot.conversation.request import CopilotContext
from segment_copilot.copilot.stream.components import Draft
from segment_copilot.errors import NotFound
from segment_copilot.language import encode

_MAX_DEFINITION: Final = 32 * 1024  # bytes; a longer one is read with get_segment_detail


async def describe_view(
    segments: Segments | None, tenant: Tenant, context: CopilotContext, *, latest: Draft | None = None
) -> Mapping[str, Any]:
    """Return `segment` {id, name, version, definition} and `draft`, each if there is one.

    The draft is the client's, or else the thread's *latest*. Without *segments* none may be read.
    """
    shown: dict[str, Any] = {}
    if context.segment_id is not None and segments is None:
        shown["segment"] = {"id": context.segment_id, "note": "The person's credential may not read segments."}
    elif context.segment_id is not None and segments is not None:
        shown["segment"] = await _segment(segments, tenant, context.segment_id)
    if context.draft is not None:
        shown["draft"] = context.draft
    elif latest is not None:
        shown["draft"] = {
            "draft_id": latest.draft_id,
            "revision": latest.revision,
            "name": latest.name,
            "description": latest.description,
            "definition": latest.definition,
        }
    return shown


async def _segment(segments: Segments, tenant: Tenant, segment_id: int) -> Mapping[str, Any]:
    try:
        found = await segments.get(tenant, segment_id)
    except NotFound:
        return {"id": segment_id, "note": "There is no segment of that id."}
    summary: dict[str, Any] = {"id": found.id, "name": found.name, "version": found.version}
    if found.definition is None:
        return {**summary, "note": "It is a draft that has no definition yet."}
    document = encode(found.definition)
    if len(document) > _MAX_DEFINITION:
        return {**summary, "note": "The definition is long: read it with get_segment_detail."}
    return {**summary, "definition": msgspec.json.decode(document)}
