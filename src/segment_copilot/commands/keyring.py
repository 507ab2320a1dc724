"""`keys …` writes tenants and keys straight to PostgreSQL, because the first key cannot be made over the API."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from segment_copilot.access.keys import Key, KeyKind, Keys
from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.errors import InvalidInput, NotFound
from segment_copilot.language.catalog import nearest
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


async def list_tenants(settings: Settings) -> list[Tenant]:
    """Return every tenant."""
    async with _postgres(settings) as postgres:
        return await Tenants(postgres).list()


async def create(settings: Settings, slug: str, *, kind: KeyKind, name: str, new: bool) -> str:
    """Make a key and return its text. Only with *new*, a tenant that does not exist is made."""
    async with _postgres(settings) as postgres:
        tenants = Tenants(postgres)
        try:
            tenant = await tenants.get(slug)
        except NotFound as error:
            if not new:
                near = nearest(slug, [each.slug for each in await tenants.list()])
                meant = f"Did you mean {near[0]!r}? " if near else ""
                raise NotFound(f"{error.detail} {meant}Give --new to make it.", code=error.code) from None
            tenant = await tenants.create(slug)
        return (await Keys(postgres).create(tenant, kind=kind, name=name))[1]


async def list_keys(settings: Settings, slug: str) -> list[Key]:
    """Return the keys of a tenant, without their texts."""
    async with _postgres(settings) as postgres:
        return await Keys(postgres).list(await Tenants(postgres).get(slug))


async def rotate(settings: Settings, slug: str, key_id: int) -> str:
    """Put a new key in the place of one, and return its text."""
    async with _postgres(settings) as postgres:
        return (await Keys(postgres).rotate(await Tenants(postgres).get(slug), key_id))[1]


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
