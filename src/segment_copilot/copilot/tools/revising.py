"""Editing a draft or a saved segment: what the person asked to change changes, and nothing else does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, cast

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from segment_copilot.conditions import Definition, decode, encode, fingerprint
from segment_copilot.copilot import edits
from segment_copilot.copilot.components import Draft, DraftBase
from segment_copilot.copilot.edits import PatchOperation
from segment_copilot.copilot.tools.context import ToolContext
from segment_copilot.copilot.tools.drafts import (
    Description,
    Name,
    Proposed,
    Sentences,
    count,
    draft,
    stop_repairing,
)
from segment_copilot.errors import Finding, InvalidDefinition, InvalidInput, NotFound

SegmentId = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class _Base(Struct, frozen=True):
    """What is edited."""

    definition: Mapping[str, Any]
    name: str
    description: str
    revision: int
    origin: DraftBase
    assumptions: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()


async def revise_segment(
    context: ToolContext,
    patch: Annotated[list[PatchOperation], Meta(max_length=50)],
    draft_id: str | None = None,
    segment_id: SegmentId | None = None,
    name: Name | None = None,
    description: Description | None = None,
    assumptions: Sentences | None = None,
    unmapped: Sentences | None = None,
) -> Proposed:
    """Change a draft or a saved segment, for requests such as "make it 5", "drop the country" or "or Germany too". What the patch does not name stays exactly as it is. The result is a new draft, checked and counted; nothing is saved. Answers as propose_segment does, with the diff.

    Args:
        patch: A JSON Patch (RFC 6902) of the base's definition: add, remove, replace and move, applied one after the other. Paths point into the definition, for example /conditions/0/value, /conditions/- to append, /exclude.
        draft_id: The draft to change. Without it and segment_id: the latest draft, the one in view, or else the segment in view.
        segment_id: The saved segment to change.
        name: A new name, when the old one no longer fits.
        description: One sentence on who is in it now; without it the definition in words.
        assumptions: All assumptions that hold now; without it those of the base.
        unmapped: All that cannot be expressed; without it that of the base.
    """
    stop_repairing(context.memory)
    base = await _base(context, draft_id, segment_id)
    try:
        edited = edits.patched(base.definition, patch)
        _say_no_change(base, edited, renamed=_is_other(name, base.name) or _is_other(description, base.description))
        own_id = None if base.origin.segment_id is UNSET else base.origin.segment_id
        tolerated = edits.keep(base.definition, edited, edited).pointers if _is_definition(edited) else ()
        prepared, preview = await count(context, edited, own_id=own_id, tolerated=tolerated)
    except InvalidInput:
        context.memory.failed_proposals += 1
        raise
    settled = msgspec.json.decode(encode(prepared.definition))
    definition = edits.keep(base.definition, edited, settled).document
    same = definition == base.definition
    return draft(
        context,
        preview,
        name=name or base.name or preview.words[:80],
        description=description or (base.description if same else "") or preview.words,
        definition=definition,
        tier_reason=prepared.tier_reason,
        assumptions=base.assumptions if assumptions is None else tuple(assumptions),
        unmapped=base.unmapped if unmapped is None else tuple(unmapped),
        revision=base.revision + 1,
        base=base.origin,
        diff=edits.difference(base.definition, definition),
    )


async def _base(context: ToolContext, draft_id: str | None, segment_id: int | None) -> _Base:
    """What was named; else the run's latest draft, the draft or segment in view, the thread's latest draft."""
    if draft_id is not None and segment_id is not None:
        raise _invalid("/segment_id", "Name a draft or a segment, not both.")
    memory = context.memory
    if draft_id is not None:
        return _of_draft(_known_draft(context, draft_id))
    if segment_id is not None:
        return await _of_segment(context, segment_id)
    if memory.drafts:
        return _of_draft(next(reversed(memory.drafts.values())))
    if context.view.draft is not None:
        return _of_view(context.view.draft)
    if context.view.segment_id is not None:
        return await _of_segment(context, context.view.segment_id)
    if memory.earlier:
        return _of_draft(next(reversed(memory.earlier.values())))
    raise _invalid(
        "/draft_id",
        "There is no draft to change yet. Name the segment to change, or call propose_segment for a new one.",
    )


def _known_draft(context: ToolContext, draft_id: str) -> Draft:
    known = {**context.memory.earlier, **context.memory.drafts}
    if (found := known.get(draft_id)) is not None:
        return found
    detail = "There is no such draft in this conversation. Leave draft_id out to change the latest one."
    raise NotFound(detail, code="unknown_draft", findings=[Finding("/draft_id", "unknown_draft", detail, tuple(known))])


def _of_draft(found: Draft) -> _Base:
    origin = found.base if found.base is not UNSET else DraftBase()
    return _Base(
        definition=found.definition,
        name=found.name,
        description=found.description,
        revision=found.revision,
        origin=DraftBase(found.draft_id, found.revision, origin.segment_id, origin.version),
        assumptions=found.assumptions,
        unmapped=found.unmapped,
    )


async def _of_segment(context: ToolContext, segment_id: int) -> _Base:
    found = await context.resources.segments.get(context.tenant, segment_id)
    return _Base(
        definition=msgspec.json.decode(encode(found.definition)),
        name=found.name,
        description=found.description,
        revision=0,
        origin=DraftBase(segment_id=found.id, version=found.version),
    )


def _of_view(shown: Mapping[str, Any]) -> _Base:
    """A draft as the client sent it: a whole one, or only its definition. Nothing of it is believed but the words."""
    inner = shown.get("definition")
    definition = cast("Mapping[str, Any]", inner) if isinstance(inner, dict) else shown
    revision = shown.get("revision")
    base = shown.get("base")
    came_from: Mapping[str, Any] = cast("dict[str, Any]", base) if isinstance(base, dict) else {}
    return _Base(
        definition=definition,
        name=_text(shown.get("name"), 80),
        description=_text(shown.get("description"), 500),
        revision=revision if type(revision) is int and 0 < revision < 2**31 else 1,
        origin=DraftBase(
            _text(shown.get("draft_id"), 128) or UNSET,
            revision if type(revision) is int else UNSET,
            _number(came_from.get("segment_id")),
            _number(came_from.get("version")),
        ),
        assumptions=_texts(shown.get("assumptions")),
        unmapped=_texts(shown.get("unmapped")),
    )


def _text(value: object, longest: int) -> str:
    return value.strip()[:longest] if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    items = cast("list[object]", value)[:10] if isinstance(value, list) else []
    return tuple(text for item in items if (text := _text(item, 300)))


def _number(value: object) -> int | UnsetType:
    return value if type(value) is int and 0 < value < 2**63 else UNSET


def _say_no_change(base: _Base, edited: Mapping[str, Any], *, renamed: bool) -> None:
    """Raise when the definition says what it said before and nothing else is new."""
    if renamed:
        return
    before, after = _decoded(base.definition), _decoded(edited)
    if edited == base.definition or (before and after and fingerprint(before) == fingerprint(after)):
        raise _invalid("/patch", "The patch changes nothing: the definition says the same as before.", "no_change")


def _decoded(document: Mapping[str, Any]) -> Definition | None:
    try:
        return decode(document)
    except InvalidDefinition:
        return None


def _is_definition(document: Mapping[str, Any]) -> bool:
    return _decoded(document) is not None


def _is_other(new: str | None, old: str) -> bool:
    return new is not None and new.strip() != old


def _invalid(pointer: str, detail: str, code: str = "nothing_to_revise") -> InvalidInput:
    return InvalidInput(detail, code=code, findings=[Finding(pointer, code, detail)])
