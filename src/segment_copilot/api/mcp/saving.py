"""Saves what a person wants saved: the only tools here that write, for keys that may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from segment_copilot.api.http.routes import SECONDS
from segment_copilot.api.mcp.offers import describe, output_schema
from segment_copilot.api.mcp.registry import Asking, Document, Offer, answered
from segment_copilot.api.mcp.sharing import shared
from segment_copilot.audiences.segments import Changes, SavedSegment
from segment_copilot.copilot.tools.definitions import SegmentId
from segment_copilot.copilot.tools.drafts import Description, Name
from segment_copilot.copilot.tools.signature import arguments_of, decode_arguments, specification
from segment_copilot.errors import Finding, InvalidDefinition

_SCOPE: Final = "segments:write"
_NEXT: Final = "get_segment_detail for its members once they are computed."
_ERRORS: Final = (
    "missing_scope, invalid_definition (every mistake with a pointer), dynamic_plus_limit_reached (the tenant has as many "
    "as it may)"
)


class Saved(Struct, frozen=True):
    """Tells of a segment that was written. Its members are computed in the background."""

    id: int
    name: str
    description: str
    words: str
    tier: str
    status: str
    version: int
    updated_at: datetime
    warnings: tuple[Finding, ...]


async def create_segment(asking: Asking, name: Name, description: Description, definition: dict[str, Any]) -> Saved:
    """Save a new segment. It can be seen by everybody of the workspace, and its members are computed from then on. Call it only once the person has seen the draft and wants it saved.

    Args:
        asking: Who saves.
        name: The name, as the draft has it or as the person wants it.
        description: One sentence on who is in it, as the draft has it.
        definition: The definition, exactly as the draft has it.
    """
    caller = asking.caller
    return _told(
        await asking.copilot.use_cases.segments.create(
            caller.tenant,
            name=name,
            description=description,
            definition=definition,
            segment_type="ai",
            caller=caller,
        )
    )


async def update_segment(asking: Asking, segment_id: SegmentId, definition: dict[str, Any]) -> Saved:
    """Give a saved segment another definition: a new version of it. Its name stays, and so does the version before. Call it only once the person has seen the draft and wants this segment changed.

    Args:
        asking: Who saves.
        segment_id: The segment that the draft was made from.
        definition: The definition, exactly as the draft has it.
    """
    caller = asking.caller
    changes = Changes(definition=definition)
    return _told(await asking.copilot.use_cases.segments.update(caller.tenant, segment_id, changes, caller=caller))


def saving_offers() -> tuple[Offer, ...]:
    """Return the tools that save."""
    return (
        _offer(create_segment, _ERRORS),
        _offer(update_segment, f"segment_not_found, segment_is_static, {_ERRORS}", replaces=True),
    )


def _offer(save: Callable[..., Awaitable[Saved]], errors: str, *, replaces: bool = False) -> Offer:
    kind = arguments_of(save)
    told = specification(save, kind)

    async def call(asking: Asking, arguments: Document) -> Document:
        given = decode_arguments(arguments, kind)
        try:
            saved = await save(asking, **given)
        except InvalidDefinition as error:
            raise error.relocate(lambda pointer: f"/definition{pointer}") from error
        return answered(msgspec.to_builtins(saved))

    document = {
        "name": told.name,
        "title": told.name.replace("_", " ").capitalize(),
        "description": describe(told.description, _NEXT, f"{errors}."),
        "inputSchema": shared(told.input_schema),
        "outputSchema": output_schema(Saved),
        "annotations": {
            "readOnlyHint": False,
            "destructiveHint": replaces,
            "idempotentHint": replaces,
            "openWorldHint": False,
        },
        "_meta": {"ui": {"visibility": ["model", "app"]}},
    }
    return Offer(document, call, scope=_SCOPE, seconds=SECONDS, made="/api/segments/{id}/")


def _told(saved: SavedSegment) -> Saved:
    segment = saved.segment
    return Saved(
        segment.id,
        segment.name,
        segment.description,
        segment.words,
        segment.tier,
        segment.status,
        segment.version,
        segment.updated_at,
        saved.warnings,
    )
