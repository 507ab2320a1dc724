"""USE CASE: create, find, rename and delete tenants."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from segment_copilot.errors import Conflict, InvalidInput, NotFound
from segment_copilot.language.decode import is_timezone
from segment_copilot.stores.postgres import Postgres, Record
from segment_copilot.stores.postgres_errors import UniqueViolation

_COLUMNS: Final = "id, slug, timezone, dynamic_plus_limit, requests_per_minute, events_per_month"
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Tenant(Struct, frozen=True):
    """A tenant is a customer of the service: all data belongs to one, and none sees another's."""

    id: int
    slug: str
    timezone: str = "UTC"
    dynamic_plus_limit: int | None = None
    requests_per_minute: int | None = None  # None: the deployment's
    events_per_month: int | None = None  # None: any


class Tenants:
    """Manages all tenants."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def create(self, slug: str, *, timezone: str = "UTC", dynamic_plus_limit: int | None = None) -> Tenant:
        """Create a tenant; raises Conflict when the slug is taken."""
        _check_slug(slug)
        if not is_timezone(timezone):
            raise InvalidInput(f"{timezone!r} is no IANA time zone.", code="unknown_timezone")
        sql = f"INSERT INTO tenants (slug, timezone, dynamic_plus_limit) VALUES ($1, $2, $3) RETURNING {_COLUMNS}"
        try:
            row = await self._postgres.fetchrow(sql, slug, timezone, dynamic_plus_limit)
        except UniqueViolation as error:
            raise _slug_taken(slug) from error
        return _tenant(row, slug)

    async def get(self, slug: str) -> Tenant:
        """Return the tenant of that slug; raises NotFound when there is none."""
        return _tenant(await self._postgres.fetchrow(f"SELECT {_COLUMNS} FROM tenants WHERE slug = $1", slug), slug)

    async def list(self) -> list[Tenant]:
        """Return every tenant, by slug."""
        rows = await self._postgres.fetch(f"SELECT {_COLUMNS} FROM tenants ORDER BY slug")
        return [_tenant(row, row["slug"]) for row in rows]

    async def rename(self, tenant: Tenant, slug: str) -> Tenant:
        """Give the tenant another slug; raises Conflict when it is taken."""
        _check_slug(slug)
        sql = f"UPDATE tenants SET slug = $2 WHERE id = $1 RETURNING {_COLUMNS}"
        try:
            return _tenant(await self._postgres.fetchrow(sql, tenant.id, slug), tenant.slug)
        except UniqueViolation as error:
            raise _slug_taken(slug) from error

    async def set_dynamic_plus_limit(self, tenant: Tenant, limit: int | None) -> Tenant:
        """Change how many Dynamic Plus segments the tenant may have; those above the limit stay."""
        sql = f"UPDATE tenants SET dynamic_plus_limit = $2 WHERE id = $1 RETURNING {_COLUMNS}"
        return _tenant(await self._postgres.fetchrow(sql, tenant.id, limit), tenant.slug)

    async def set_requests_per_minute(self, tenant: Tenant, limit: int | None) -> Tenant:
        """Change how many requests a minute the tenant may send, all its keys together; None: what is usual here."""
        sql = f"UPDATE tenants SET requests_per_minute = $2 WHERE id = $1 RETURNING {_COLUMNS}"
        return _tenant(await self._postgres.fetchrow(sql, tenant.id, limit), tenant.slug)

    async def set_events_per_month(self, tenant: Tenant, limit: int | None) -> Tenant:
        """Change how many events the tenant may send in a month of its time zone; None: any."""
        sql = f"UPDATE tenants SET events_per_month = $2 WHERE id = $1 RETURNING {_COLUMNS}"
        return _tenant(await self._postgres.fetchrow(sql, tenant.id, limit), tenant.slug)

    async def set_event_days(self, tenant: Tenant, days: int | None) -> None:
        """Change for how many days the tenant's events are kept; None: for ever. What was dropped stays so."""
        await self._postgres.execute("UPDATE tenants SET event_days = $2 WHERE id = $1", tenant.id, days)

    async def delete(self, tenant: Tenant) -> None:
        """Delete the tenant with its keys and whatever PostgreSQL removes along with its row.

        Its events, segments and activations are deleted by their own use cases before.
        """
        await self._postgres.execute("DELETE FROM tenants WHERE id = $1", tenant.id)


def _check_slug(slug: str) -> None:
    if not _SLUG.fullmatch(slug):
        raise InvalidInput("A tenant's slug has 1 to 63 lower-case letters, digits and hyphens.", code="bad_slug")


def _slug_taken(slug: str) -> Conflict:
    return Conflict(f"There is a tenant {slug!r} already.", code="tenant_exists")


def _tenant(row: Record | None, slug: str) -> Tenant:
    """Return the tenant in *row*; raises NotFound, naming *slug*, when there is no row."""
    if row is None:
        raise NotFound(f"There is no tenant {slug!r}.", code="tenant_not_found")
    return tenant_of(row)


def tenant_of(row: Record) -> Tenant:
    """Return the tenant in a row that has all columns of one."""
    return Tenant(
        row["id"],
        row["slug"],
        row["timezone"],
        dynamic_plus_limit=row["dynamic_plus_limit"],
        requests_per_minute=row["requests_per_minute"],
        events_per_month=row["events_per_month"],
    )
