"""The tools here count an audience and draft it as a segment. A draft is made here or nowhere: the model cannot assert one."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from segment_copilot.audiences.explanations import EmptiedBy
from segment_copilot.audiences.previews import PreparedDefinition, Preview
from segment_copilot.copilot.guards.bounds import fits
from segment_copilot.copilot.guards.links import remove_links
from segment_copilot.copilot.stream.components import Draft, DraftBase, DraftPreview, ReadWords
from segment_copilot.copilot.stream.run_events import SegmentDraft
from segment_copilot.copilot.tools.audiences import ConditionEffect, condition_effects
from segment_copilot.copilot.tools.context import Memory, ToolContext, require_words
from segment_copilot.copilot.tools.definitions import NAMES_NOTHING, add_timezone, argument_pointer, unmapped_of
from segment_copilot.copilot.tools.display import button
from segment_copilot.copilot.tools.quoting import Quote, Reading, read_words
from segment_copilot.copilot.tools.signature import DefinitionDocument
from segment_copilot.errors import Finding, InvalidDefinition, InvalidInput
from segment_copilot.language import Tier, encode, invalid
from segment_copilot.language.describe import percent

MAX_REPAIRS: Final = 3
EVENTS_AT_ONCE: Final = 5_000_000
"""A tenant with so many events, at most, gets the neighbours of a draft with its count; they take two to five times as long as it."""

_NEARLY_ALL: Final = 95  # percent of the universe: as telling as nobody

QUOTA_REACHED: Final = "dynamic_plus_limit_reached"
"""The warning of a draft has the code of the refusal that it tells of."""

Name = Annotated[str, Meta(min_length=1, max_length=80)]
Description = Annotated[str, Meta(min_length=1, max_length=500)]
Sentences = Annotated[list[Annotated[str, Meta(min_length=1, max_length=300)]], Meta(max_length=10)]


class CountedAudience(Struct, frozen=True):
    """Holds a definition and its count. *conditions* and *emptied_by* when nobody or nearly everybody matches."""

    prepared: PreparedDefinition
    preview: Preview
    warnings: tuple[Finding, ...]
    conditions: tuple[ConditionEffect, ...] | UnsetType = UNSET
    emptied_by: EmptiedBy | UnsetType = UNSET


class AudienceCount(Struct, frozen=True):
    """Tells how many users match. *conditions* when nobody or nearly everybody does: one of them may be mistaken."""

    matched_users: int
    universe: int
    percent: float
    words: str
    tier: Tier
    as_of: datetime
    warnings: tuple[Finding, ...]
    conditions: tuple[ConditionEffect, ...] | UnsetType = UNSET
    emptied_by: EmptiedBy | UnsetType = UNSET


class ProposedDraft(Struct, frozen=True):
    """Tells of a draft that now exists; *base* and *diff* when it was made from something."""

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
    conditions: tuple[ConditionEffect, ...] | UnsetType = UNSET
    emptied_by: EmptiedBy | UnsetType = UNSET
    base: DraftBase | UnsetType = UNSET
    diff: tuple[Mapping[str, Any], ...] | UnsetType = UNSET


async def preview_segment(context: ToolContext, definition: dict[str, Any]) -> AudienceCount:
    """Count the users a definition matches, without drafting or saving it. Use it for questions about how many; propose_segment counts by itself.

    Args:
        definition: The definition in the segment language, exactly as propose_segment takes it.
    """
    found = await count(context, add_timezone(context, definition))
    preview = found.preview
    return AudienceCount(
        matched_users=preview.matched_users,
        universe=preview.universe,
        percent=percent(preview.matched_users, preview.universe),
        words=preview.words,
        tier=preview.tier,
        as_of=preview.as_of,
        warnings=found.warnings,
        conditions=found.conditions,
        emptied_by=found.emptied_by,
    )


async def propose_segment(
    context: ToolContext,
    name: Name,
    description: Description,
    definition: DefinitionDocument,
    assumptions: Sentences = [],  # noqa: B006 — copied by the argument struct
    unmapped: Sentences = [],  # noqa: B006
    reading: Reading = [],  # noqa: B006
) -> ProposedDraft:
    """Draft a segment: the definition is checked, counted and shown to the person, who may save it. Nothing is saved. Answers with a draft_id for display_create_segment_cta, or with every mistake and the nearest existing names.

    Args:
        name: A short name a marketer would give it, in the person's language.
        description: One sentence on who is in it.
        definition: The definition in the segment language. It may name only what exists in this workspace.
        assumptions: Each thing the person left open and how you settled it, one sentence each.
        unmapped: Each part of the request that the workspace's data cannot express, in the person's words.
        reading: What became of the person's words: each word of the message once, in short quotes, in order.
    """
    stop_repairing(context.memory)
    try:
        found = await count(context, add_timezone(context, definition), varied=True)
    except InvalidDefinition:
        note_failure(context.memory, definition)
        raise
    return await draft(
        context,
        found,
        name=name,
        description=description,
        definition=msgspec.json.decode(encode(found.prepared.definition)),
        assumptions=tuple(assumptions),
        unmapped=tuple(unmapped),
        reading=reading,
    )


def stop_repairing(memory: Memory) -> None:
    """Raise InvalidInput once a definition or a patch of this run failed too often."""
    if memory.failed_proposals > MAX_REPAIRS:
        raise InvalidInput(
            "Stop proposing: the definition failed four times. Tell the person what does not fit and ask what they mean.",
            code="too_many_repairs",
        )


def note_failure(memory: Memory, definition: Mapping[str, Any]) -> None:
    """Count a failed definition; raise InvalidInput when the very same one failed before: more repairs will not help."""
    memory.failed_proposals += 1
    encoded = msgspec.json.encode(definition, order="sorted")
    if encoded in memory.failed_definitions:
        memory.failed_proposals = MAX_REPAIRS + 1
        raise InvalidInput(
            "Stop proposing: this definition failed before. Tell the person what does not fit and ask what they mean.",
            code="too_many_repairs",
        )
    memory.failed_definitions.add(encoded)


async def count(
    context: ToolContext,
    document: Mapping[str, Any],
    *,
    own_id: int | None = None,
    tolerated: Container[str] = (),
    varied: bool = False,
) -> CountedAudience:
    """Return the definition with its count; *varied* with those at values near its own, where these come at once.

    A name that does not exist is an error here, not a warning, except in a condition whose pointer is *tolerated*.

    Raises:
        InvalidDefinition: With every mistake, each with a pointer that begins with `/definition`.
    """
    use_cases = context.use_cases
    try:
        prepared = await use_cases.previews.prepare(context.tenant, document, as_of=context.as_of, own_id=own_id)
        if unknown := [found for found in prepared.warnings if _is_unknown(found, tolerated)]:
            raise invalid(unknown)
    except InvalidDefinition as error:
        context.memory.undrafted = unmapped_of(error, document)
        raise error.relocate(argument_pointer) from error
    context.memory.undrafted = ()
    events = sum(kind.event_count for kind in prepared.catalog.event_types.values())
    preview = await use_cases.previews.count(
        prepared, limit=0, sensitivity=varied and events <= EVENTS_AT_ONCE, purpose="copilot"
    )
    if 0 < preview.matched_users <= preview.universe * _NEARLY_ALL / 100:
        return CountedAudience(prepared, preview, prepared.warnings)
    # Nobody or nearly everybody: a typo looks just like that, so it is said what each condition does.
    narrowed = await use_cases.explanations.narrowing(prepared, purpose="copilot")
    return CountedAudience(prepared, preview, prepared.warnings, condition_effects(narrowed), narrowed.emptied_by)


def _is_unknown(found: Finding, tolerated: Container[str]) -> bool:
    steps = found.pointer.split("/")
    return found.code in NAMES_NOTHING and not any(
        "/".join(steps[:length]) in tolerated for length in range(1, len(steps) + 1)
    )


async def draft(
    context: ToolContext,
    found: CountedAudience,
    *,
    name: str,
    description: str,
    definition: Mapping[str, Any],
    assumptions: tuple[str, ...],
    unmapped: tuple[str, ...],
    reading: Sequence[Quote] = (),
    revision: int = 1,
    base: DraftBase | UnsetType = UNSET,
    diff: tuple[Mapping[str, Any], ...] | UnsetType = UNSET,
) -> ProposedDraft:
    """Make the draft of a definition that was counted, remember it, and have it sent after this call.

    Raises:
        InvalidInput: It is too long to be sent, or *reading* is not of the person's words.
    """
    prepared, preview = found.prepared, found.preview
    read = _read(context, reading, definition)
    made = Draft(
        draft_id=context.memory.new_id("draft"),
        revision=revision,
        name=require_words(name, "/name"),
        description=require_words(description, "/description"),
        definition=definition,
        words=preview.words,
        tier=preview.tier,
        tier_reason=prepared.tier_reason,
        assumptions=_sentences(assumptions),
        unmapped=_sentences(unmapped),
        preview=DraftPreview(
            count=preview.matched_users,
            universe=preview.universe,
            percent=percent(preview.matched_users, preview.universe),
            as_of=preview.as_of,
            duration_ms=preview.duration_ms,
        ),
        warnings=(
            *await _over_quota(context, prepared.tier),
            *await _saved_already(context, prepared),
            *found.warnings,
        ),
        base=base,
        diff=diff,
        reading=read,
        conditions=preview.conditions,
    )
    event = SegmentDraft(**structs.asdict(made))
    if not fits(event):
        made = structs.replace(made, conditions=UNSET)
        event = SegmentDraft(**structs.asdict(made))
    if not (fits(event) and fits(button(made))):
        detail = (
            "The definition is too long to be drafted here. Say so: it can be written as a file and saved over the API."
        )
        raise InvalidInput(detail, code="draft_too_large", findings=[Finding("/definition", "draft_too_large", detail)])
    context.memory.drafts[made.draft_id] = made
    context.effects.append(event)
    return ProposedDraft(
        draft_id=made.draft_id,
        name=made.name,
        words=made.words,
        tier=made.tier,
        tier_reason=made.tier_reason,
        count=made.preview.count,
        universe=made.preview.universe,
        percent=made.preview.percent,
        as_of=made.preview.as_of,
        warnings=made.warnings,
        conditions=found.conditions,
        emptied_by=found.emptied_by,
        base=base,
        diff=diff,
    )


def _read(
    context: ToolContext, reading: Sequence[Quote], definition: Mapping[str, Any]
) -> tuple[ReadWords, ...] | UnsetType:
    """Return the reading; one that does not fit counts as a failed proposal."""
    try:
        return read_words(context, reading, definition)
    except InvalidInput:
        context.memory.failed_proposals += 1
        raise


def _sentences(written: Sequence[str]) -> tuple[str, ...]:
    return tuple(shown for one in written if (shown := remove_links(one).strip()))


async def _over_quota(context: ToolContext, tier: Tier) -> list[Finding]:
    """Return the warning that saving this as a new segment would fail."""
    quota = await context.use_cases.segments.dynamic_plus_quota(context.tenant) if tier == "dynamic_plus" else None
    if quota is None or quota.used < quota.limit:
        return []
    detail = (
        f"Saving this as a new segment will be refused: this tenant may have {quota.limit:,} Dynamic Plus segments and "
        f"has {quota.used:,}. Delete one first, or use trait conditions only."
    )
    return [Finding("", QUOTA_REACHED, detail)]


async def _saved_already(context: ToolContext, prepared: PreparedDefinition) -> list[Finding]:
    same = await context.use_cases.segments.find_equivalent(context.tenant, prepared.definition, prepared.tier)
    return [
        Finding(
            "", "already_saved", f"The saved segment “{one.name}” (id {one.id}) says exactly the same.", (one.name,)
        )
        for one in same[:1]
    ]
