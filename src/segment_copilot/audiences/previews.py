"""USE CASE: count who matches a definition, nothing saved: parse it, bind it to the catalog, plan, describe, ask."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from segment_copilot import compiler
from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.references import References, lists_among
from segment_copilot.audiences.sensitivity import ConditionCount, Sensitivity, leaves_of
from segment_copilot.audiences.spread import Ranks
from segment_copilot.compiler import Compiled, Referenced, all_conditions, leaves, referenced_segments
from segment_copilot.errors import Finding, InvalidInput
from segment_copilot.events.discovery import Discovery
from segment_copilot.events.identity_links import IdentityLinks
from segment_copilot.events.values import Values
from segment_copilot.language import Definition, Tier, encode, parse, tier_of
from segment_copilot.language.catalog import Catalog
from segment_copilot.language.describe import describe, describe_condition
from segment_copilot.language.lint import lint
from segment_copilot.stores.clickhouse import ClickHouse, Purpose
from segment_copilot.stores.merging import SUMS, sampled
from segment_copilot.stores.turns import FairTurns

_AT_ONCE: Final = 1_000  # previews of a process
_QUEUE_SECONDS: Final = 5.0  # for a tenant's turn
_LONG: Final = 40  # conditions, from which a definition is worked on beside the event loop: some ten milliseconds
_LONG_TEXT: Final = 4 * 2**10  # characters of as many
MAX_SAMPLE: Final = 1_000
_CATALOG_WARNINGS: Final = frozenset(
    {"unknown_name", "never_received", "named_elsewhere", "value_type_unseen", "unseen_value"}
)


class Preview(Struct, frozen=True, omit_defaults=True):
    """Who would be in a segment; nothing is saved. *sample_user_ids* are the first by id.

    A definition over many sources in a large tenant is asked in ranges of users; *sql* and *params* are of the first.
    """

    matched_users: int
    universe: int
    sample_user_ids: tuple[str, ...]
    sql: str
    params: dict[str, Any]
    as_of: datetime
    tier: Tier
    words: str
    duration_ms: float
    warnings: tuple[Finding, ...]
    conditions: tuple[ConditionCount, ...] | UnsetType = UNSET


class Overlap(Struct, frozen=True):
    """An overlap compares two audiences at one instant: the users of each, and those of their intersection."""

    universe: int
    first: int
    second: int
    intersection: int


class PreparedDefinition(Struct, frozen=True):
    """A definition that compiled, with everything derived from it; *lists* are the runs of static segments that it reads.

    One that *is_long* is worked on beside the event loop (`Previews.aside`).
    """

    compiled: Compiled
    definition: Definition
    names: Mapping[int, str]
    tier: Tier
    tier_reason: str
    words: str
    warnings: tuple[Finding, ...]
    lists: frozenset[UUID]
    catalog: Catalog
    is_long: bool


class Previews:
    """Counts audiences of all tenants; every method takes the tenant, or a definition that was prepared for one."""

    def __init__(
        self,
        clickhouse: ClickHouse,
        discovery: Discovery,
        values: Values,
        references: References,
        links: IdentityLinks,
        *,
        of_one: int = _AT_ONCE,
    ) -> None:
        self._clickhouse = clickhouse
        self.aside = clickhouse.aside
        self._turns = FairTurns(
            _AT_ONCE, of_one=of_one, late="Other previews of this tenant come first. Ask again later."
        )
        self._ranks = Ranks(clickhouse)
        self._links = links
        self._discovery = discovery
        self._values = values
        self._references = references

    async def prepare(
        self,
        tenant: Tenant,
        definition: bytes | Mapping[str, Any],
        *,
        as_of: datetime,
        own_id: int | None = None,
        is_warned: bool = True,
        purpose: Purpose | None = "preview",
    ) -> PreparedDefinition:
        """Parse, bind, plan and describe a definition, and find what is odd in it.

        Over shards its ranks get their bounds, for what the plan is to be asked for; with None as *purpose* it is not asked.

        A name or value that the remembered catalog lacks, or has not seen events of, is looked for once in a fresh one,
        and what its samples leave open is looked up in the store; not where nobody is warned, *is_warned* false.

        Raises:
            InvalidDefinition: With every mistake, each with a pointer into *definition*.
            Unavailable: Over shards, users cannot be ranked.
        """
        text = definition if isinstance(definition, bytes) else str(definition)
        parsed = await self.aside.do(tenant.id, lambda: parse(definition), is_long=len(text) >= _LONG_TEXT)
        named = [located.leaf for located in parsed.leaves]
        is_long = len(named) >= _LONG
        references = await self._references.load(tenant, referenced_segments(named))
        linked = await self._links.has_any(tenant)

        async def compiled_by(catalog: Catalog) -> Compiled:
            def work() -> Compiled:
                return self._compile(parsed, catalog, references, tenant, as_of, own_id, linked=linked)

            return await self.aside.do(tenant.id, work, is_long=is_long)

        compiled = await compiled_by(catalog := await self._discovery.catalog(tenant))
        if any(warning.code in _CATALOG_WARNINGS for warning in compiled.bound.warnings):
            compiled = await compiled_by(catalog := await self._discovery.catalog(tenant, fresh=True))
        if is_warned and (questions := compiled.bound.questions):
            compiled = await compiled_by(catalog := await self._values.answer(tenant, catalog, questions))
        if purpose is not None:
            (plan,) = await self._ranks.bounded([compiled.plan], purpose=purpose)
            compiled = replace(compiled, plan=plan)
        bound = compiled.bound.definition
        names = await self._references.names(tenant, references)
        tier, reason = tier_of(bound)
        odd = await self.aside.do(
            tenant.id, lambda: lint(bound, as_of=as_of, timezone=catalog.timezone), is_long=is_long
        )
        words = await self.aside.do(tenant.id, lambda: describe(bound, names), is_long=is_long)
        warnings = (*compiled.bound.warnings, *odd)
        lists = lists_among(references.values())
        return PreparedDefinition(compiled, bound, names, tier, reason, words, warnings, lists, catalog, is_long)

    def _compile(
        self,
        parsed: Any,
        catalog: Catalog,
        references: Mapping[int, Referenced],
        tenant: Tenant,
        as_of: datetime,
        own_id: int | None,
        *,
        linked: bool,
    ) -> Compiled:
        return compiler.compile_definition(
            parsed,
            catalog=catalog,
            references=references,
            tenant_id=tenant.id,
            as_of=as_of,
            own_id=own_id,
            linked=linked,
            spread=self._ranks.is_spread,
        )

    async def preview(
        self,
        tenant: Tenant,
        definition: bytes | Mapping[str, Any],
        *,
        as_of: datetime | None = None,
        limit: int = 10,
        breakdown: bool = False,
        sensitivity: bool = False,
        purpose: Purpose = "preview",
    ) -> Preview:
        """Count who matches at *as_of* (default: now), and show the first *limit* by id.

        A tenant's previews wait for one another before anything is done: a long definition takes a while of this process, too.
        """
        turn = await self._turns.next(tenant.id, _QUEUE_SECONDS)
        try:
            prepared = await self.prepare(tenant, definition, as_of=as_of or datetime.now(UTC))
            return await self.count(
                prepared, limit=limit, breakdown=breakdown, sensitivity=sensitivity, purpose=purpose
            )
        finally:
            turn.end()

    async def estimate(
        self,
        tenant: Tenant,
        segment_id: int,
        *,
        as_of: datetime | None = None,
        limit: int = 10,
        breakdown: bool = False,
        sensitivity: bool = False,
    ) -> Preview:
        """Count who matches a saved segment's definition at *as_of* (default: now); its members stay as they are."""
        definition = encode(await self._references.definition(tenant, segment_id))
        return await self.preview(
            tenant, definition, as_of=as_of, limit=limit, breakdown=breakdown, sensitivity=sensitivity
        )

    async def count(
        self,
        prepared: PreparedDefinition,
        *,
        limit: int = 10,
        breakdown: bool = False,
        sensitivity: bool = False,
        purpose: Purpose = "preview",
    ) -> Preview:
        """Count who matches a prepared definition; with *sensitivity* also who would at values near those of its conditions."""
        if not 0 <= limit <= MAX_SAMPLE:
            finding = Finding("/limit", "out_of_range", f"limit is a whole number from 0 to {MAX_SAMPLE:,}.")
            raise InvalidInput(finding.detail, findings=[finding])
        plan, universe, matched, ids = prepared.compiled.plan, 0, 0, list[str]()
        started = time.perf_counter()
        varied = Sensitivity(prepared.definition, plan, prepared.catalog) if sensitivity else None
        nodes = [] if varied is None else [*leaves(plan.root), *varied.nodes]

        def write() -> list[compiler.CompiledQuery]:
            return [
                compiler.render_preview_of_many(plan, nodes, sample=limit, keys=keys)
                if nodes
                else compiler.render_preview(plan, sample=limit, keys=keys)
                for keys in prepared.compiled.ranges
            ]

        queries = await self.aside.do(plan.tenant_id, write, is_long=prepared.is_long)
        counts = [0] * len(nodes)
        for query in queries:
            result = await self._clickhouse.fetch(query.sql, query.params, purpose=purpose, merge=sampled(limit))
            ((in_universe, in_audience, sample, *in_nodes),) = result.rows
            universe, matched = universe + in_universe, matched + in_audience
            counts = [before + more for before, more in zip(counts, in_nodes, strict=True)]
            ids += sample
        conditions: tuple[ConditionCount, ...] | UnsetType = UNSET
        if varied is not None:
            conditions = tuple(
                varied.told(one, counts[len(counts) - len(varied.nodes) :]) for one in _alone(prepared, counts)
            )
        elif breakdown:
            conditions = await self._breakdown(prepared, purpose)
        return Preview(
            matched_users=matched,
            universe=universe,
            sample_user_ids=tuple(sorted(ids, key=str.encode)[:limit]),
            sql=queries[0].sql,
            params=queries[0].params,
            as_of=plan.as_of,
            tier=prepared.tier,
            words=prepared.words,
            duration_ms=round((time.perf_counter() - started) * 1000, 3),
            warnings=prepared.warnings,
            conditions=conditions,
        )

    async def _breakdown(self, prepared: PreparedDefinition, purpose: Purpose) -> tuple[ConditionCount, ...]:
        """Count how many users each condition matches by itself."""
        plan = prepared.compiled.plan
        write = partial(compiler.render_counts, plan, leaves(plan.root))
        query = await self.aside.do(plan.tenant_id, write, is_long=prepared.is_long)
        result = await self._clickhouse.fetch(query.sql, query.params, purpose=purpose, merge=SUMS)
        _, *counts = result.rows[0]
        return _alone(prepared, counts)

    async def overlap(
        self, first: PreparedDefinition, second: PreparedDefinition, *, purpose: Purpose = "preview"
    ) -> Overlap:
        """Count two prepared definitions of one tenant and instant, and their intersection, by one query."""
        plan, other = first.compiled.plan, second.compiled.plan
        assert (plan.tenant_id, plan.as_of) == (other.tenant_id, other.as_of)  # noqa: S101  # what is asked of the store
        query = compiler.render_counts(plan, [plan.root, other.root, compiler.conjunction(plan.root, other.root)])
        result = await self._clickhouse.fetch(query.sql, query.params, purpose=purpose, merge=SUMS)
        return Overlap(*result.rows[0])

    async def count_over_time(self, tenant: Tenant, definition: Definition, instants: Sequence[datetime]) -> list[int]:
        """Count who matched a saved definition at each of *instants*: the numbers of as many previews, for less."""
        references = await self._references.load(tenant, referenced_segments(all_conditions(definition)))
        catalog = await self._discovery.catalog(tenant)
        linked = await self._links.has_any(tenant)
        counts = list[int]()
        for instant in instants:
            compiled = compiler.compile_definition(
                parse(encode(definition)),
                catalog=catalog,
                references=references,
                tenant_id=tenant.id,
                as_of=instant,
                linked=linked,
                spread=self._ranks.is_spread,
            )
            (plan,) = await self._ranks.bounded([compiled.plan], purpose="history")
            count = 0
            for keys in compiled.ranges:
                query = compiler.render_keys(plan, traits="history", keys=keys)
                sql = f"SELECT count() FROM (\n{query.sql}\n)"
                result = await self._clickhouse.fetch(sql, query.params, purpose="history", merge=SUMS)
                count += result.rows[0][0]
            counts.append(count)
        return counts


def conditions_in_words(definition: Definition, names: Mapping[int, str]) -> tuple[list[str], list[str]]:
    """Describe each top-level condition of the include tree and of the exclude tree."""
    exclude = definition.exclude.conditions if definition.exclude is not UNSET else []
    return (
        [describe_condition(condition, names) for condition in definition.conditions],
        [describe_condition(condition, names) for condition in exclude],
    )


def _alone(prepared: PreparedDefinition, counts: Sequence[int]) -> tuple[ConditionCount, ...]:
    """Return each condition that is no group with its number of users, the first of *counts*."""
    conditions = leaves_of(all_conditions(prepared.definition))
    return tuple(
        ConditionCount(node.pointer, describe_condition(leaf, prepared.names), matched)
        for node, leaf, matched in zip(leaves(prepared.compiled.plan.root), conditions, counts, strict=False)
    )
