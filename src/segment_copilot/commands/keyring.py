"""`keys …` writes tenants and keys straight to PostgreSQL, because the first key cannot be made over the API."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from segment_copilot.access.keys import KeyKind, Keys
from segment_copilot.access.tenants import Tenants
from segment_copilot.errors import InvalidInput, NotFound
from segment_copilot.settings import Settings
from segment_copilot.stores.postgres import Postgres, open_postgres


async def create_tenant(settings: Settings, slug: str, *, timezone: str, dynamic_plus_limit: int | None) -> str:
    """Make a tenant and return the line to print."""
    async with _postgres(settings) as postgres:
        tenant = await Tenants(postgres).create(slug, timezone=timezone, dynamic_plus_limit=dynamic_plus_limit)
        return f"{tenant.slug}\t{tenant.timezone}"


async def set_limit(settings: Settings, slug: str, *, dynamic_plus_limit: int | None) -> None:
    """Set how many Dynamic Plus segments the tenant may have; None for any number."""
    async with _postgres(settings) as postgres:
        tenants = Tenants(postgres)
        await tenants.set_dynamic_plus_limit(await tenants.get(slug), dynamic_plus_limit)


async def create(settings: Settings, slug: str, *, kind: KeyKind, name: str) -> str:
    """Make a key and return its text; the tenant is made when it does not exist."""
    async with _postgres(settings) as postgres:
        tenants = Tenants(postgres)
        try:
            tenant = await tenants.get(slug)
        except NotFound:
            tenant = await tenants.create(slug)
        return (await Keys(postgres).create(tenant, kind=kind, name=name))[1]


async def list_keys(settings: Settings, slug: str) -> list[str]:
    """Return a line for each key."""
    async with _postgres(settings) as postgres:
        tenant = await Tenants(postgres).get(slug)
        return [
            f"{key.id}\t{key.hint}\t{key.kind}\t{key.name}\t{'revoked' if key.revoked_at else 'active'}"
            for key in await Keys(postgres).list(tenant)
        ]


async def revoke(settings: Settings, slug: str, key_id: int) -> None:
    """Revoke a key: it answers 401 from now on."""
    async with _postgres(settings) as postgres:
        await Keys(postgres).revoke(await Tenants(postgres).get(slug), key_id)


@asynccontextmanager
async def _postgres(settings: Settings) -> AsyncGenerator[Postgres]:
    if not settings.database_url:
        raise InvalidInput("Set DATABASE_URL: keys are made in PostgreSQL directly.", code="invalid_settings")
    async with open_postgres(settings.database_url, pool=1) as postgres:
        yield postgres
