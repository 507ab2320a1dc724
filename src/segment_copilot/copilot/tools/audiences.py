"""The tools here show how audiences come about: condition by condition, for one user, two of them side by side."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from segment_copilot.audiences.explanations import EmptiedBy, Narrowing, Stage
from segment_copilot.audiences.previews import Overlap, PreparedDefinition
from segment_copilot.compiler.evidence import Contribution
from segment_copilot.copilot.stream.components import DraftBase
from segment_copilot.copilot.tools.context import ToolContext
from segment_copilot.copilot.tools.definitions import AudienceReference, KnownDefinition, find_definition, prepare
from segment_copilot.errors import Finding
from segment_copilot.language import Tier, meaning
from segment_copilot.language.describe import percent

_EVIDENCE: Final = 3  # events shown for a condition

Relation = Literal["same_users", "first_within_second", "second_within_first", "no_user_in_common", "some_in_common"]


class ConditionEffect(Struct, frozen=True, omit_defaults=True):
    """Tells a condition in words and what it does.

    *matched_users* match it by itself; *audience_after* are left once it and those before it are applied, and
    *audience_without* would be there if only this one were left out. Conditions inside a group have the first number only.
    """

    pointer: str
    role: Literal["include", "exclude"]
    words: str
    matched_users: int
    audience_after: int | UnsetType = UNSET
    audience_without: int | UnsetType = UNSET


class AudienceExplanation(Struct, frozen=True, omit_defaults=True):
    """Tells what a definition says and how its audience comes about, the conditions in order; *name* when it has one."""

    words: str
    tier: Tier
    tier_reason: str
    logic: str
    matched_users: int
    universe: int
    percent: float
    as_of: datetime
    conditions: tuple[ConditionEffect, ...]
    warnings: tuple[Finding, ...] = ()
    emptied_by: EmptiedBy | UnsetType = UNSET
    name: str = ""
    of: DraftBase = DraftBase()


class UserConditionResult(Struct, frozen=True, omit_defaults=True):
    """Tells of one condition and the user: what was measured, what it is compared with, and the newest events that counted."""

    pointer: str
    words: str
    matches: bool
    measured: Any = None
    threshold: Any = None
    events: tuple[Contribution, ...] = ()


class UserMembership(Struct, frozen=True, omit_defaults=True):
    """Tells whether a user matches now, and why. *computed_member* says it of the last computation of a saved segment."""

    user_id: str
    in_universe: bool
    is_member: bool
    words: str
    as_of: datetime
    conditions: tuple[UserConditionResult, ...]
    computed_member: bool | UnsetType = UNSET
    name: str = ""
    of: DraftBase = DraftBase()


class ComparedAudience(Struct, frozen=True, omit_defaults=True):
    """Is one of two audiences that are compared."""

    words: str
    matched_users: int
    name: str = ""
    of: DraftBase = DraftBase()


class AudienceComparison(Struct, frozen=True):
    """Compares two audiences at one instant; *same_definition* when they say the same in whatever order and spelling."""

    first: ComparedAudience
    second: ComparedAudience
    both: int
    only_first: int
    only_second: int
    neither: int
    universe: int
    as_of: datetime
    relation: Relation
    same_definition: bool


async def explain_segment(context: ToolContext, segment: AudienceReference | None = None) -> AudienceExplanation:
    """Explain who is in a segment, a draft or a definition: each condition in words with its own count, and how the audience comes about condition by condition. Use it for "who is in it", "why so few", "why nobody", "which condition matters".

    Args:
        segment: A saved segment's id or name, a draft_id, or a definition; without it the draft or segment in view.
    """
    subject = await find_definition(context, segment)
    found = await prepare(context, subject)
    narrowed = await context.use_cases.explanations.narrowing(found, purpose="copilot")
    return AudienceExplanation(
        words=found.words,
        tier=found.tier,
        tier_reason=found.tier_reason,
        logic=found.definition.logic,
        matched_users=narrowed.matched_users,
        universe=narrowed.universe,
        percent=percent(narrowed.matched_users, narrowed.universe),
        as_of=found.compiled.plan.as_of,
        conditions=condition_effects(narrowed),
        warnings=found.warnings,
        emptied_by=narrowed.emptied_by,
        name=subject.name,
        of=subject.origin,
    )


async def check_user_membership(
    context: ToolContext,
    user_id: Annotated[str, Meta(min_length=1, max_length=1024)],
    segment: AudienceReference | None = None,
) -> UserMembership:
    """Say whether one user is in a segment, a draft or a definition, and why: which conditions hold, what was measured and the events behind it.

    Args:
        user_id: The user's id, exactly as the events have it.
        segment: A saved segment's id or name, a draft_id, or a definition; without it the draft or segment in view.
    """
    context.check_sees_users()
    subject = await find_definition(context, segment)
    found = await prepare(context, subject)
    user = await context.use_cases.explanations.user_of_prepared(context.tenant, found, user_id, purpose="copilot")
    conditions = tuple(
        UserConditionResult(one.pointer, one.words, one.matches, one.measured, one.threshold, one.events[:_EVIDENCE])
        for one in user.conditions
    )
    return UserMembership(
        user_id=user.user_id,
        in_universe=user.in_universe,
        is_member=user.is_member,
        words=found.words,
        as_of=found.compiled.plan.as_of,
        conditions=conditions,
        computed_member=await _was_computed_in(context, subject, user_id),
        name=subject.name,
        of=subject.origin,
    )


async def compare_segments(
    context: ToolContext, first: AudienceReference, second: AudienceReference
) -> AudienceComparison:
    """Compare two audiences: how many users each has, how many are in both, and in only one of them.

    Args:
        first: A saved segment's id or name, a draft_id, or a definition.
        second: The other one, likewise.
    """
    subjects = [await find_definition(context, first), await find_definition(context, second)]
    one, other = [await prepare(context, subject) for subject in subjects]
    counted = await context.use_cases.previews.overlap(one, other, purpose="copilot")
    only_first, only_second = counted.first - counted.intersection, counted.second - counted.intersection
    return AudienceComparison(
        first=_compared_audience(subjects[0], one, counted.first),
        second=_compared_audience(subjects[1], other, counted.second),
        both=counted.intersection,
        only_first=only_first,
        only_second=only_second,
        neither=counted.universe - only_first - only_second - counted.intersection,
        universe=counted.universe,
        as_of=one.compiled.plan.as_of,
        relation=_relation(counted),
        same_definition=_meaning(context, one) == _meaning(context, other),
    )


def condition_effects(narrowing: Narrowing) -> tuple[ConditionEffect, ...]:
    """Return the stages in order, each group followed by the conditions in it."""
    found = list[ConditionEffect]()
    for stage in narrowing.stages:
        found.append(_effect(stage))
        inside = f"{stage.pointer}/"
        found += [
            ConditionEffect(leaf.pointer, stage.role, leaf.words, leaf.matched_users)
            for leaf in narrowing.conditions
            if leaf.pointer.startswith(inside)
        ]
    return tuple(found)


def _effect(stage: Stage) -> ConditionEffect:
    return ConditionEffect(
        pointer=stage.pointer,
        role=stage.role,
        words=stage.words,
        matched_users=stage.matched_users,
        audience_after=stage.audience_after,
        audience_without=stage.audience_without,
    )


def _compared_audience(subject: KnownDefinition, found: PreparedDefinition, matched_users: int) -> ComparedAudience:
    return ComparedAudience(found.words, matched_users, subject.name, subject.origin)


def _relation(counted: Overlap) -> Relation:
    match counted:
        case Overlap(intersection=0):
            return "no_user_in_common"
        case Overlap(first=first, second=second, intersection=shared) if first == second == shared:
            return "same_users"
        case Overlap(first=first, intersection=shared) if first == shared:
            return "first_within_second"
        case Overlap(second=second, intersection=shared) if second == shared:
            return "second_within_first"
        case _:
            return "some_in_common"


def _meaning(context: ToolContext, found: PreparedDefinition) -> str:
    """Return the meaning in the zone it is read in, so that a saved segment and a draft may be the same."""
    zone = found.definition.timezone or context.tenant.timezone
    return meaning(structs.replace(found.definition, timezone=zone))


async def _was_computed_in(context: ToolContext, subject: KnownDefinition, user_id: str) -> bool | UnsetType:
    """Return whether the last computation had the user; UNSET unless a saved segment was computed."""
    if subject.origin.draft_id is not UNSET or subject.origin.segment_id is UNSET:
        return UNSET
    segment_id = subject.origin.segment_id
    segment = await context.use_cases.segments.get(context.tenant, segment_id)
    if segment.last_computed_at is None or not segment.is_active:
        return UNSET
    listed = await context.use_cases.members.segments_of_user(context.tenant, user_id)
    return any(one.segment_id == segment_id for one in listed)
