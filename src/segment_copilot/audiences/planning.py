"""Plans many definitions of one tenant, at one instant or several, as everything that they refer to stands now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from segment_copilot import compiler
from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.references import References
from segment_copilot.compiler import Plan, Referenced
from segment_copilot.events.discovery import Discovery
from segment_copilot.events.identity_links import IdentityLinks
from segment_copilot.language import Parsed
from segment_copilot.language.catalog import Catalog


class Planner(Struct, frozen=True):
    """A planner is what the definitions of a tenant are bound to, read once for all of them."""

    tenant_id: int
    catalog: Catalog
    references: Mapping[int, Referenced]
    linked: bool
    spread: bool

    def plan(self, definition: Parsed, as_of: datetime) -> Plan:
        """Plan a definition at an instant; over shards its ranks have no bounds yet. Raises InvalidDefinition."""
        return compiler.compile_definition(
            definition,
            catalog=self.catalog,
            references=self.references,
            tenant_id=self.tenant_id,
            as_of=as_of,
            linked=self.linked,
            spread=self.spread,
        ).plan


class Planning:
    """Reads what definitions of all tenants are bound to; every method takes the tenant. *spread* if users are on several shards."""

    def __init__(self, discovery: Discovery, references: References, links: IdentityLinks, *, spread: bool) -> None:
        self._spread = spread
        self._discovery = discovery
        self._references = references
        self._links = links

    async def of(self, tenant: Tenant, *, fresh: bool = False) -> Planner:
        """Return the tenant's planner; *fresh* if its catalog is to be read now."""
        catalog = await self._discovery.catalog(tenant, fresh=fresh)
        every = await self._references.every(tenant)
        behind = {segment_id: one.referenced for segment_id, one in every.items()}
        return Planner(tenant.id, catalog, behind, await self._links.has_any(tenant), self._spread)
