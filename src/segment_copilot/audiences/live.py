"""USE CASE: which segments a user would be in if all were computed now, by a few questions about that one user."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from segment_copilot import compiler
from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.look_ups import SegmentOfUser
from segment_copilot.audiences.members import Members
from segment_copilot.audiences.references import References
from segment_copilot.audiences.spread import Ranks
from segment_copilot.compiler import Plan, Referenced, Static
from segment_copilot.errors import InvalidDefinition
from segment_copilot.events.discovery import Discovery
from segment_copilot.events.identity_links import IdentityLinks
from segment_copilot.language import Definition, encode, parse
from segment_copilot.language.catalog import Catalog
from segment_copilot.stores.clickhouse import ClickHouse

_TOGETHER: Final = 50  # segments in one query: planning it takes time, and so does each further one


class Unevaluated(Struct, frozen=True):
    """A segment of which nobody can say who is in it now, and why: its definition no longer compiles, for example."""

    segment_id: int
    segment_name: str
    code: str
    detail: str


class LiveMembership(Struct, frozen=True):
    """The active segments that a user is in at *as_of*, and those that could not be evaluated."""

    as_of: datetime
    segments: tuple[SegmentOfUser, ...]
    not_evaluated: tuple[Unevaluated, ...]


class LiveMemberships:
    """Evaluates the segments of all tenants for one user; every method takes the tenant."""

    def __init__(
        self,
        clickhouse: ClickHouse,
        discovery: Discovery,
        references: References,
        members: Members,
        links: IdentityLinks,
    ) -> None:
        self._links = links
        self._clickhouse = clickhouse
        self._ranks = Ranks(clickhouse)
        self._discovery = discovery
        self._references = references
        self._members = members

    async def segments_of_user(self, tenant: Tenant, user_id: str, *, as_of: datetime | None = None) -> LiveMembership:
        """Return the active segments whose definitions the user matches at *as_of* (default: now), computed or not.

        The members of static segments are those that were uploaded.
        """
        instant = as_of or datetime.now(UTC)
        every = await self._references.every(tenant)
        behind = {segment_id: one.referenced for segment_id, one in every.items()}
        catalog = await self._discovery.catalog(tenant)
        linked = await self._links.has_any(tenant)
        plans, unevaluated = dict[int, Plan](), list[Unevaluated]()
        for segment_id, one in every.items():
            if not one.is_active or not isinstance(one.referenced, Definition):
                continue
            try:
                plans[segment_id] = _plan(
                    tenant,
                    one.referenced,
                    catalog,
                    behind,
                    as_of=instant,
                    linked=linked,
                    spread=self._ranks.is_spread,
                )
            except InvalidDefinition as error:
                unevaluated.append(Unevaluated(segment_id, one.name, error.code, error.detail))
            await asyncio.sleep(0)  # compiling hundreds takes a while, in which others are served
        found = [one for one in await self._members.segments_of_user(tenant, user_id) if _is_static(behind, one)]
        planned, person = list(plans.items()), await self._links.person(tenant, user_id)
        for start in range(0, len(planned), _TOGETHER):
            some = planned[start : start + _TOGETHER]
            slots = compiler.UserSlots(await self._ranks.bounded([plan for _, plan in some], purpose="preview"))
            query = slots.query(person.user_id, other_ids=person.other_ids)
            rows = (await self._clickhouse.fetch(query.sql, query.params, purpose="preview", user=person.user_id)).rows
            found += [
                SegmentOfUser(segment_id, every[segment_id].name, every[segment_id].member_count, instant)
                for (segment_id, _), is_in in zip(some, slots.read(rows), strict=True)
                if is_in
            ]
        return LiveMembership(instant, tuple(sorted(found, key=_id)), tuple(unevaluated))


def _plan(
    tenant: Tenant,
    definition: Definition,
    catalog: Catalog,
    behind: Mapping[int, Referenced],
    *,
    as_of: datetime,
    linked: bool,
    spread: bool,
) -> Plan:
    return compiler.compile_definition(
        parse(encode(definition)),
        catalog=catalog,
        references=behind,
        tenant_id=tenant.id,
        as_of=as_of,
        linked=linked,
        spread=spread,
    ).plan


def _is_static(behind: Mapping[int, Referenced], one: SegmentOfUser) -> bool:
    return isinstance(behind.get(one.segment_id), Static)


def _id(one: SegmentOfUser) -> int:
    return one.segment_id
