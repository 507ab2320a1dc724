"""The tool here edits a draft or a saved segment: what the person asked to change changes, and nothing else does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import UNSET, Meta

from segment_copilot.copilot.guards.links import remove_links
from segment_copilot.copilot.tools.context import ToolContext
from segment_copilot.copilot.tools.definitions import (
    KnownDefinition,
    SegmentId,
    definition_in_view,
    definition_of_draft,
    definition_of_segment,
    find_draft,
)
from segment_copilot.copilot.tools.drafts import (
    CountedAudience,
    Description,
    Name,
    ProposedDraft,
    Sentences,
    count,
    draft,
    stop_repairing,
)
from segment_copilot.copilot.tools.quoting import Reading
from segment_copilot.errors import Finding, InvalidDefinition, InvalidInput
from segment_copilot.language import Definition, decode, edits, encode, fingerprint
from segment_copilot.language.describe import entitle
from segment_copilot.language.edits import PatchOperation

_NAMING: Final = r"\b(?:call|name|title|rename|llam|titul|nombr)\w*\b[^.\n]{0,40}?"
_TOKEN: Final = re.compile(r"\w+")
_GRAMMAR: Final = frozenset({"type", "logic", "operator", "negate", "timezone"})


async def revise_segment(
    context: ToolContext,
    patch: Annotated[list[PatchOperation], Meta(max_length=50)],
    draft_id: str | None = None,
    segment_id: SegmentId | None = None,
    name: Name | None = None,
    description: Description | None = None,
    assumptions: Sentences | None = None,
    unmapped: Sentences | None = None,
    reading: Reading = [],  # noqa: B006 — copied by the argument struct
) -> ProposedDraft:
    """Change a draft or a saved segment, for requests such as "make it 5", "drop the country" or "or Germany too". What the patch does not name stays exactly as it is. The result is a new draft, checked and counted; nothing is saved. Answers as propose_segment does, with the diff.

    Args:
        patch: A JSON Patch (RFC 6902) of the base's definition: add, remove, replace and move, applied one after the other. Paths point into the definition, for example /conditions/0/value, /conditions/- to append, /exclude.
        draft_id: The draft to change. Without it and segment_id: the latest draft, the one in view, or else the segment in view.
        segment_id: The saved segment to change.
        name: A new name that fits who is in it now; without it a name that the person chose stays, any other is made from the conditions.
        description: One sentence on who is in it now; without it the definition in words.
        assumptions: All assumptions that hold now; without it those of the base that speak of nothing the patch took away.
        unmapped: All that cannot be expressed; without it that of the base.
        reading: What became of the person's words, as propose_segment takes it; pointers are into the changed definition.
    """
    stop_repairing(context.memory)
    base = await _base(context, draft_id, segment_id)
    try:
        edited = edits.apply_patch(base.definition, patch)
        _say_no_change(base, edited, renamed=_is_other(name, base.name) or _is_other(description, base.description))
        own_id = None if base.origin.segment_id is UNSET else base.origin.segment_id
        tolerated = edits.keep(base.definition, edited, edited).pointers if _is_definition(edited) else ()
        audience = await count(context, edited, own_id=own_id, tolerated=tolerated, varied=True)
    except InvalidInput:
        context.memory.failed_proposals += 1
        raise
    settled = msgspec.json.decode(encode(audience.prepared.definition))
    definition = edits.keep(base.definition, edited, settled).document
    same = definition == base.definition
    words = remove_links(audience.prepared.words).strip() or "A segment"
    kept = remove_links(base.name).strip() if same or _is_persons(context, base) else ""
    return await draft(
        context,
        audience,
        name=name or kept or _title(context, audience) or words[:80],
        description=description or (remove_links(base.description).strip() if same else "") or words,
        definition=definition,
        assumptions=_that_hold(base, definition) if assumptions is None else tuple(assumptions),
        unmapped=base.unmapped if unmapped is None else tuple(unmapped),
        reading=reading,
        revision=base.revision + 1,
        base=base.origin,
        diff=edits.difference(base.definition, definition),
    )


async def _base(context: ToolContext, draft_id: str | None, segment_id: int | None) -> KnownDefinition:
    if draft_id is not None and segment_id is not None:
        raise _invalid("/segment_id", "Name a draft or a segment, not both.", "two_bases")
    if draft_id is not None:
        return definition_of_draft(find_draft(context, draft_id))
    if segment_id is not None:
        return await definition_of_segment(context, segment_id)
    return await definition_in_view(context)


def _is_persons(context: ToolContext, base: KnownDefinition) -> bool:
    """Return whether a person chose the base's name: by saving a segment under it, or by asking for it."""
    if base.origin.segment_id is not UNSET:
        return True
    chosen = re.compile(_NAMING + re.escape(base.name.strip()), re.IGNORECASE)
    return bool(base.name.strip()) and any(chosen.search(text) for text in context.said)


def _title(context: ToolContext, audience: CountedAudience) -> str:
    names = {number: one.name for number, one in context.catalog.segments.items()}
    return remove_links(entitle(audience.prepared.definition, names)).strip()


def _that_hold(base: KnownDefinition, definition: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the base's assumptions but those that speak of what the edit took away: they would be of another definition."""
    gone = _spoken_of(base.definition) - _spoken_of(definition)
    return tuple(one for one in base.assumptions if not gone & set(_TOKEN.findall(one.casefold())))


def _spoken_of(value: object) -> frozenset[str]:
    """Return the numbers and words that a definition names, not those of its grammar."""
    match value:
        case dict():
            fields = cast("dict[str, Any]", value)
            found = (_spoken_of(child) for key, child in fields.items() if key not in _GRAMMAR)
            return frozenset[str]().union(*found)
        case list():
            return frozenset[str]().union(*map(_spoken_of, cast("list[Any]", value)))
        case bool() | None:
            return frozenset()
        case _:
            text = str(value).casefold()
            parts = (part for token in _TOKEN.findall(text) for part in (token, *token.split("_")))
            return frozenset(part for part in parts if part)


def _say_no_change(base: KnownDefinition, edited: Mapping[str, Any], *, renamed: bool) -> None:
    """Raise when the definition says what it said before and nothing else is new."""
    if renamed:
        return
    before, after = _decode(base.definition), _decode(edited)
    if edited == base.definition or (before and after and fingerprint(before) == fingerprint(after)):
        raise _invalid("/patch", "The patch changes nothing: the definition says the same as before.", "no_change")


def _decode(document: Mapping[str, Any]) -> Definition | None:
    try:
        return decode(document)
    except InvalidDefinition:
        return None


def _is_definition(document: Mapping[str, Any]) -> bool:
    return _decode(document) is not None


def _is_other(new: str | None, old: str) -> bool:
    return new is not None and new.strip() != old


def _invalid(pointer: str, detail: str, code: str) -> InvalidInput:
    return InvalidInput(detail, code=code, findings=[Finding(pointer, code, detail)])
