"""Counting an audience and drafting it as a segment. A draft is made here or nowhere: the model cannot assert one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from segment_copilot.conditions import Tier, encode, invalid
from segment_copilot.copilot.components import Draft, DraftPreview
from segment_copilot.copilot.events import SegmentDraft
from segment_copilot.copilot.tools.context import ToolContext
from segment_copilot.copilot.tools.signature import DefinitionDocument
from segment_copilot.errors import Finding, InvalidDefinition, InvalidInput
from segment_copilot.previews import ConditionCount, Prepared, Preview

MAX_REPAIRS: Final = 3
_NEARLY_ALL: Final = 95  # percent of the universe: as telling as nobody

Sentence = Annotated[str, Meta(min_length=1, max_length=300)]


class Counted(Struct, frozen=True):
    """How many users match. *conditions* when nobody or nearly everybody does: one of them may be mistaken."""

    matched_users: int
    universe: int
    percent: float
    words: str
    tier: Tier
    as_of: datetime
    conditions: tuple[ConditionCount, ...] | UnsetType = UNSET


class Proposed(Struct, frozen=True):
    """A draft that now exists."""

    draft_id: str
    name: str
    words: str
    tier: Tier
    tier_reason: str
    count: int
    universe: int
    percent: float
    as_of: datetime
    warnings: tuple[Finding, ...]
    conditions: tuple[ConditionCount, ...] | UnsetType = UNSET


async def preview_segment(context: ToolContext, definition: dict[str, Any]) -> Counted:
    """Count the users a definition matches, without drafting or saving it. Use it for questions about how many; propose_segment counts by itself.

    Args:
        definition: The definition in the segment language, exactly as propose_segment takes it.
    """
    _, preview = await _count(context, definition)
    return Counted(
        matched_users=preview.matched_users,
        universe=preview.universe,
        percent=percent(preview),
        words=preview.words,
        tier=preview.tier,
        as_of=preview.as_of,
        conditions=preview.conditions,
    )


async def propose_segment(
    context: ToolContext,
    name: Annotated[str, Meta(min_length=1, max_length=80)],
    description: Annotated[str, Meta(min_length=1, max_length=500)],
    definition: DefinitionDocument,
    assumptions: Annotated[list[Sentence], Meta(max_length=10)] = [],  # noqa: B006 — copied by the argument struct
    unmapped: Annotated[list[Sentence], Meta(max_length=10)] = [],  # noqa: B006
) -> Proposed:
    """Draft a segment: the definition is checked, counted and shown to the person, who may save it. Nothing is saved. Answers with a draft_id for display_create_segment_cta, or with every mistake and the nearest existing names.

    Args:
        name: A short name a marketer would give it, in the person's language.
        description: One sentence on who is in it.
        definition: The definition in the segment language. It may name only what exists in this workspace.
        assumptions: Each thing the person left open and how you settled it, one sentence each.
        unmapped: Each part of the request that the workspace's data cannot express, in the person's words.
    """
    if context.memory.failed_proposals > MAX_REPAIRS:
        raise InvalidInput(
            "Stop proposing: the definition failed four times. Tell the person what does not fit and ask what they mean.",
            code="too_many_repairs",
        )
    try:
        prepared, preview = await _count(context, definition)
    except InvalidDefinition:
        context.memory.failed_proposals += 1
        raise
    draft = Draft(
        draft_id=context.memory.new_id("draft"),
        revision=1,
        name=name.strip(),
        description=description.strip(),
        definition=msgspec.json.decode(encode(prepared.definition)),
        words=preview.words,
        tier=preview.tier,
        tier_reason=prepared.tier_reason,
        assumptions=tuple(assumptions),
        unmapped=tuple(unmapped),
        preview=DraftPreview(
            count=preview.matched_users,
            universe=preview.universe,
            percent=percent(preview),
            as_of=preview.as_of,
            duration_ms=preview.duration_ms,
        ),
        warnings=tuple(preview.warnings),
    )
    context.memory.drafts[draft.draft_id] = draft
    context.effects.append(SegmentDraft(**structs.asdict(draft)))
    return Proposed(
        draft_id=draft.draft_id,
        name=draft.name,
        words=draft.words,
        tier=draft.tier,
        tier_reason=draft.tier_reason,
        count=draft.preview.count,
        universe=draft.preview.universe,
        percent=draft.preview.percent,
        as_of=draft.preview.as_of,
        warnings=draft.warnings,
        conditions=preview.conditions,
    )


def percent(preview: Preview) -> float:
    """Matched users of all, to two decimals."""
    return round(100 * preview.matched_users / preview.universe, 2) if preview.universe else 0.0


async def _count(context: ToolContext, document: Mapping[str, Any]) -> tuple[Prepared, Preview]:
    """The definition and its count; a name that does not exist is an error here, not a warning."""
    if context.timezone_asked and "timezone" not in document:
        document = {**document, "timezone": context.timezone}
    try:
        prepared = await context.resources.previews.prepare(context.tenant, document, as_of=context.as_of)
        if unknown := [finding for finding in prepared.warnings if finding.code == "unknown_name"]:
            raise invalid(unknown)
    except InvalidDefinition as error:
        findings = [structs.replace(finding, pointer=f"/definition{finding.pointer}") for finding in error.findings]
        raise InvalidDefinition(error.detail, code=error.code, findings=findings) from error
    preview = await context.resources.previews.count(prepared, limit=0, purpose="copilot")
    if 0 < preview.matched_users <= preview.universe * _NEARLY_ALL / 100:
        return prepared, preview
    # Nobody or nearly everybody: a typo looks just like that, so each condition is counted alone.
    return prepared, await context.resources.previews.count(prepared, limit=0, breakdown=True, purpose="copilot")
