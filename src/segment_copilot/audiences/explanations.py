"""USE CASE: explain an audience: how it narrows stage by stage, and why one user is in it or not."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, assert_never, cast
from zoneinfo import ZoneInfo

from msgspec import UNSET, Struct, UnsetType

from segment_copilot import compiler
from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.previews import PreparedDefinition, Previews
from segment_copilot.audiences.references import References
from segment_copilot.audiences.sensitivity import ConditionCount, Sensitivity
from segment_copilot.audiences.spread import Ranks
from segment_copilot.compiler.evidence import Contribution, Verdict
from segment_copilot.compiler.slots import GroupNode, Node, SlotNode
from segment_copilot.errors import Finding
from segment_copilot.events.identity_links import IdentityLinks
from segment_copilot.language import (
    Condition,
    Definition,
    EventCount,
    EventPeriods,
    EventProperty,
    EventSequence,
    EventTime,
    Exclusion,
    Group,
    MeasureCompare,
    Monetary,
    Rank,
    Recency,
    Sample,
    SegmentMembership,
    Tier,
    UserProperty,
    encode,
)
from segment_copilot.language.describe import describe_condition
from segment_copilot.language.lengths import Length, before
from segment_copilot.language.measure_checks import RANKED
from segment_copilot.language.value_types import other_value
from segment_copilot.stores.clickhouse import ClickHouse, Purpose
from segment_copilot.stores.merging import SUMS

Logic = Literal["AND", "OR"]


class Stage(Struct, frozen=True):
    """A step by which the audience comes about.

    *matched_users* is how many users the condition matches by itself, *audience_after* how many there are once this
    stage and those before it are applied, and *audience_without* how many there would be if only this one were left out.
    """

    pointer: str
    role: Literal["include", "exclude"]
    words: str
    matched_users: int
    audience_after: int
    audience_without: int


class EmptiedBy(Struct, frozen=True):
    """Why nobody is left: the conditions to look at first, and a sentence. Without any user there is no condition."""

    pointers: tuple[str, ...]
    detail: str


class UserCondition(Struct, frozen=True):
    """One condition and one user.

    *measured* is what was found of the user: a number, a stored value, an instant; null where there is nothing.
    *threshold* is what the condition compares it with; null where it compares with nothing. *events* are the newest ones
    that counted.
    """

    pointer: str
    type: str
    words: str
    measured: Any
    threshold: Any
    matches: bool
    events: tuple[Contribution, ...]


class UserExplanation(Struct, frozen=True):
    """Why a user is in the audience or not. A user whom nobody has seen at that instant is not in the universe."""

    user_id: str
    in_universe: bool
    is_member: bool
    conditions: tuple[UserCondition, ...]


class Narrowing(Struct, frozen=True, omit_defaults=True):
    """A narrowing shows an audience stage by stage; *conditions* are all of its conditions, each counted by itself."""

    matched_users: int
    universe: int
    stages: tuple[Stage, ...]
    conditions: tuple[ConditionCount, ...]
    emptied_by: EmptiedBy | UnsetType = UNSET


class Explanation(Struct, frozen=True, omit_defaults=True):
    """How an audience comes about. *sql* finds its members; *conditions* are all of them, each counted by itself."""

    matched_users: int
    universe: int
    as_of: datetime
    words: str
    tier: Tier
    tier_reason: str
    stages: tuple[Stage, ...]
    conditions: tuple[ConditionCount, ...]
    sql: str
    params: dict[str, Any]
    shape: compiler.Shape
    duration_ms: float
    warnings: tuple[Finding, ...]
    emptied_by: EmptiedBy | UnsetType = UNSET
    user: UserExplanation | UnsetType = UNSET


class Explanations:
    """Explains audiences of all tenants; every method takes the tenant."""

    def __init__(
        self, clickhouse: ClickHouse, previews: Previews, references: References, links: IdentityLinks
    ) -> None:
        self._clickhouse = clickhouse
        self._ranks = Ranks(clickhouse)
        self._previews = previews
        self._references = references
        self._links = links

    async def definition(
        self,
        tenant: Tenant,
        definition: bytes | Mapping[str, Any],
        *,
        as_of: datetime | None = None,
        user_id: str | None = None,
        sensitivity: bool = False,
    ) -> Explanation:
        """Explain how the audience of *definition* comes about at *as_of* (default: now), and *user_id* in it."""
        prepared = await self._previews.prepare(tenant, definition, as_of=as_of or datetime.now(UTC))
        started = time.perf_counter()
        plan = prepared.compiled.plan
        narrowed = await self.narrowing(prepared, sensitivity=sensitivity)
        members = await self._previews.aside.do(
            tenant.id, partial(compiler.render_members, plan), is_long=prepared.is_long
        )
        user = UNSET if user_id is None else await self.user_of_prepared(tenant, prepared, user_id)
        return Explanation(
            matched_users=narrowed.matched_users,
            universe=narrowed.universe,
            as_of=plan.as_of,
            words=prepared.words,
            tier=prepared.tier,
            tier_reason=prepared.tier_reason,
            stages=narrowed.stages,
            conditions=narrowed.conditions,
            sql=members.sql,
            params=members.params,
            shape=compiler.shape_of(plan),
            duration_ms=round((time.perf_counter() - started) * 1000, 3),
            warnings=prepared.warnings,
            emptied_by=narrowed.emptied_by,
            user=user,
        )

    async def segment(
        self,
        tenant: Tenant,
        segment_id: int,
        *,
        as_of: datetime | None = None,
        user_id: str | None = None,
        sensitivity: bool = False,
    ) -> Explanation:
        """Explain how the audience of a saved segment comes about, like `definition`."""
        definition = encode(await self._references.definition(tenant, segment_id))
        return await self.definition(tenant, definition, as_of=as_of, user_id=user_id, sensitivity=sensitivity)

    async def narrowing(
        self, prepared: PreparedDefinition, *, sensitivity: bool = False, purpose: Purpose = "preview"
    ) -> Narrowing:
        """Count how the audience of a prepared definition comes about, stage by stage, by one query.

        With *sensitivity* its conditions tell what it would be at values near theirs.
        """
        plan = prepared.compiled.plan
        audience = _Audience(prepared.definition, plan.root)
        varied = Sensitivity(prepared.definition, plan, prepared.catalog) if sensitivity else None
        nodes = [*audience.nodes, *(varied.nodes if varied else ())]
        write = partial(compiler.render_narrowing, plan, audience.conditions, nodes)
        query = await self._previews.aside.do(plan.tenant_id, write, is_long=prepared.is_long)
        result = await self._clickhouse.fetch(query.sql, query.params, purpose=purpose, merge=SUMS)
        numbers = compiler.read_narrowing(result.rows[0], audience.conditions, nodes)
        counted = _Counts(audience, numbers)
        conditions = counted.conditions(prepared.names)
        if varied is not None:
            of_nodes = numbers.node_counts[len(audience.nodes) :]
            conditions = tuple(varied.told(one, of_nodes) for one in conditions)
        stages = counted.stages(prepared.names)
        return Narrowing(
            matched_users=stages[-1].audience_after,
            universe=counted.universe,
            stages=stages,
            conditions=conditions,
            emptied_by=counted.emptied_by(stages),
        )

    async def user(
        self, tenant: Tenant, definition: bytes | Mapping[str, Any], user_id: str, *, as_of: datetime | None = None
    ) -> UserExplanation:
        """Explain whether the user, a member or not, matches *definition* at *as_of* (default: now)."""
        prepared = await self._previews.prepare(tenant, definition, as_of=as_of or datetime.now(UTC))
        return await self.user_of_prepared(tenant, prepared, user_id)

    async def user_of_segment(self, tenant: Tenant, segment_id: int, user_id: str) -> UserExplanation:
        """Explain whether the user matches a saved segment's definition now, and why, like `user`."""
        return await self.user(tenant, encode(await self._references.definition(tenant, segment_id)), user_id)

    async def user_of_prepared(
        self, tenant: Tenant, prepared: PreparedDefinition, user_id: str, *, purpose: Purpose = "preview"
    ) -> UserExplanation:
        """Explain whether the user matches a prepared definition, and why: the person whose id this is."""
        person = await self._links.person(tenant, user_id)
        plan = await self._ranks.placed(prepared.compiled.plan, person, purpose=purpose)
        write = partial(compiler.render_evidence, plan, user_id=person.user_id, other_ids=person.other_ids)
        query = await self._previews.aside.do(tenant.id, write, is_long=prepared.is_long)
        result = await self._clickhouse.fetch(query.sql, query.params, purpose=purpose, user=person.user_id)
        found = compiler.read_evidence(plan, result.rows)
        zone = ZoneInfo(prepared.definition.timezone or tenant.timezone)
        parts = _Audience(prepared.definition, plan.root).leaves
        conditions = tuple(
            UserCondition(
                pointer=verdict.pointer,
                type=str(part.condition.__struct_config__.tag),
                words=describe_condition(part.condition, prepared.names),
                measured=_measurement(part.condition, verdict, plan.as_of, zone) if found.in_universe else None,
                threshold=_threshold(part.condition, verdict),
                matches=verdict.matches,
                events=verdict.evidence.contributions,
            )
            for part, verdict in zip(parts, found.verdicts, strict=True)
        )
        return UserExplanation(person.user_id, found.in_universe, found.is_member, conditions)


# An audience


class _Part(Struct, frozen=True, eq=False):
    """A condition, where it stands, and what it became in the plan."""

    pointer: str
    condition: Condition
    node: Node
    inside: tuple[_Part, ...] = ()


class _Audience:
    """A definition beside its plan: its conditions, and which of them make the stages."""

    def __init__(self, definition: Definition, root: Node) -> None:
        exclude = definition.exclude
        include_node, exclude_node = (root, root) if exclude is UNSET else _children(root)
        logic, self.let_in = _unwrap("", definition, include_node)
        self.taken_out = () if exclude is UNSET else _exclusions(exclude, exclude_node)
        self.stages = (*self.let_in, *self.taken_out)
        self.parts = list(_walk(self.stages))
        self.leaves = [part for part in self.parts if not part.inside]
        self.conditions = compiler.Conditions(
            logic, tuple(part.node for part in self.let_in), tuple(part.node for part in self.taken_out)
        )
        self.nodes = [part.node for part in self.parts]


class _Counts:
    """Holds an audience and its numbers."""

    def __init__(self, audience: _Audience, numbers: compiler.Narrowing) -> None:
        self.universe = numbers.universe
        self._audience = audience
        self._numbers = numbers
        self._alone = {part.pointer: count for part, count in zip(audience.parts, numbers.node_counts, strict=False)}

    def conditions(self, names: Mapping[int, str]) -> tuple[ConditionCount, ...]:
        return tuple(
            ConditionCount(part.pointer, describe_condition(part.condition, names), self._alone[part.pointer])
            for part in self._audience.leaves
        )

    def stages(self, names: Mapping[int, str]) -> tuple[Stage, ...]:
        let_in = len(self._audience.let_in)
        return tuple(
            Stage(
                pointer=part.pointer,
                role="include" if index < let_in else "exclude",
                words=_words(part.condition, names),
                matched_users=self._alone[part.pointer],
                audience_after=self._numbers.counts_after[index],
                audience_without=self._numbers.counts_without[index],
            )
            for index, part in enumerate(self._audience.stages)
        )

    def emptied_by(self, stages: Sequence[Stage]) -> EmptiedBy | UnsetType:
        """Return the first stage after which nobody is left; of conditions joined by OR all, since each had to fail."""
        if stages[-1].audience_after:
            return UNSET
        if not self.universe:
            return EmptiedBy((), "There are no users yet at this instant.")
        included = len(self._audience.let_in)
        gathers = self._audience.conditions.logic == "OR" and included > 1
        if gathers and not stages[included - 1].audience_after:
            pointers = [pointer for part in self._audience.let_in for pointer in self._matching_nobody(part)]
            return EmptiedBy(tuple(pointers), f"None of the {included} conditions joined by OR matches any user.")
        first = included if gathers else 0
        number = next(index for index in range(first, len(stages)) if not stages[index].audience_after)
        before = stages[number - 1].audience_after if number else self.universe
        pointers = self._matching_nobody(self._audience.stages[number])
        return EmptiedBy(tuple(pointers), _emptiness_in_words(number, stages, before))

    def _matching_nobody(self, part: _Part) -> list[str]:
        """Return the conditions of a group that make it false for everybody; else the condition itself."""
        if not isinstance(part.condition, Group) or part.condition.negate or self._alone[part.pointer]:
            return [part.pointer]
        if part.condition.logic == "OR":
            return [pointer for inner in part.inside for pointer in self._matching_nobody(inner)]
        if part.condition.logic == "AT_LEAST":
            failing = [inner for inner in part.inside if not self._alone[inner.pointer]]
            too_few = len(part.inside) - len(failing) < (part.condition.at_least or 0)
            return (
                [pointer for inner in failing for pointer in self._matching_nobody(inner)]
                if too_few
                else [part.pointer]
            )
        first = next((inner for inner in part.inside if not self._alone[inner.pointer]), None)
        return [part.pointer] if first is None else self._matching_nobody(first)


def _words(condition: Condition, names: Mapping[int, str]) -> str:
    """Describe the condition; the brackets around a group are for inside a sentence."""
    words = describe_condition(condition, names)
    return words[1:-1] if words.startswith("(") else words


def _emptiness_in_words(index: int, stages: Sequence[Stage], before: int) -> str:
    """Say why a stage leaves nobody of the *before* users that there were."""
    stage = stages[index]
    if stage.role == "exclude":
        why = f"it takes out {'the one user' if before == 1 else f'all {before:,} users'} left before it"
    elif not stage.matched_users:
        why = "no user matches it, whatever the other conditions say"
    else:
        left = "not the one" if before == 1 else f"none of the {before:,}"
        why = f"it matches {_users(stage.matched_users)} by itself, but {left} left before it"
    remedy = "Leaving out only this one still leaves nobody."
    if stage.audience_without:
        remedy = f"Without it there would be {_users(stage.audience_without)}."
    others = [str(number) for number, other in enumerate(stages[index + 1 :], index + 2) if _fails_alone(other)]
    if others:
        remedy += f" Nobody matches stage {' or '.join(others)} either."
    return f"Nobody is left after stage {index + 1} ({stage.words}): {why}. {remedy}"


def _fails_alone(stage: Stage) -> bool:
    return stage.role == "include" and not stage.matched_users


def _users(count: int) -> str:
    return "1 user" if count == 1 else f"{count:,} users"


def _exclusions(exclude: Exclusion, node: Node) -> tuple[_Part, ...]:
    """Return what is excluded one by one: each condition when any of them is enough, else all of them as one."""
    logic, parts = _unwrap("/exclude", exclude, node)
    if logic == "OR" or len(parts) == 1:
        return parts
    group = Group(logic=logic, conditions=[part.condition for part in parts])
    return (_Part("/exclude", group, GroupNode(logic, tuple(part.node for part in parts)), parts),)


def _unwrap(pointer: str, group: Definition | Exclusion | Group, node: Node) -> tuple[Logic, tuple[_Part, ...]]:
    """Return the conditions of a group; where its only one is a group itself, the conditions of that."""
    parts = _parts(pointer, group.conditions, _children(node))
    only = parts[0].condition
    if len(parts) == 1 and isinstance(only, Group) and not only.negate and only.logic != "AT_LEAST":
        return _unwrap(parts[0].pointer, only, parts[0].node)
    return cast("Logic", group.logic), parts  # a group that counts its conditions is one stage, not several


def _parts(pointer: str, conditions: Sequence[Condition], nodes: Sequence[Node]) -> tuple[_Part, ...]:
    parts = list[_Part]()
    for index, (condition, node) in enumerate(zip(conditions, nodes, strict=True)):
        here = f"{pointer}/conditions/{index}"
        inside = _parts(here, condition.conditions, _children(node)) if isinstance(condition, Group) else ()
        parts.append(_Part(here, condition, node, inside))
    return tuple(parts)


def _children(node: Node) -> tuple[Node, ...]:
    return () if isinstance(node, SlotNode) else node.children


def _walk(parts: Sequence[_Part]) -> Iterator[_Part]:
    for part in parts:
        yield part
        yield from _walk(part.inside)


# A user


def _measurement(leaf: Condition, verdict: Verdict, as_of: datetime, zone: ZoneInfo) -> Any:
    """Return what was measured, in the unit of the threshold: days for a recency; without one, whether it holds."""
    measured = verdict.evidence.measured
    match leaf:
        case Recency() if measured is not None:
            return round(_days_since(measured, as_of, zone), 6)
        case EventSequence() | SegmentMembership():
            return verdict.evidence.holds
        case EventProperty(occurrence="any" | "every"):
            return measured or 0
        case EventCount() | Recency() | EventTime() | Monetary() | EventProperty() | EventPeriods():
            return measured
        case UserProperty() | Sample() | Group() | MeasureCompare() | Rank():
            return measured
        case _:
            assert_never(leaf)


def _days_since(instant: datetime, as_of: datetime, zone: ZoneInfo) -> float:
    """Count days as the language does: by the wall clock of *zone*, so a day may have 23 hours."""
    days = max((as_of - instant).days - 1, 0)
    while (earlier := before(as_of, Length(days + 1, "d"), zone)) >= instant:
        days += 1
    later = before(as_of, Length(days, "d"), zone)
    return days + (later - instant) / (later - earlier) if later > earlier else float(days)


def _threshold(leaf: Condition, verdict: Verdict) -> Any:
    match leaf:
        case Recency():
            return leaf.window_days if leaf.value2 is UNSET else [leaf.window_days, leaf.value2]
        case Sample():
            return [leaf.from_, leaf.to]
        case MeasureCompare():
            return leaf.factor
        case Rank():
            return {name: value for name in RANKED if (value := getattr(leaf, name)) is not UNSET}
        case EventProperty(occurrence="any"):
            return 1  # so many events have to pass the test
        case EventProperty(occurrence="every") | EventSequence() | SegmentMembership():
            return None
        case EventProperty() | UserProperty() if leaf.value is UNSET:
            return None
        case EventProperty() | UserProperty() if other_value(leaf) is not None:
            return verdict.evidence.beside
        case Group():
            raise TypeError("a group has no threshold")
        case EventCount() | EventTime() | Monetary() | EventProperty() | EventPeriods() | UserProperty():
            return leaf.value if leaf.value2 is UNSET else [leaf.value, leaf.value2]
        case _:
            assert_never(leaf)
