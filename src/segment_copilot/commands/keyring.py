"""`keys …` and `tenants …` write straight to PostgreSQL, because the first key cannot be made over the API."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Final, TypeVar

import typer
from msgspec import structs

from segment_copilot.access.keys import Key, KeyKind, Keys
from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.commands.options import AsJson
from segment_copilot.commands.printing import print_json, print_rows
from segment_copilot.errors import InvalidInput, NotFound
from segment_copilot.language.catalog import nearest
from segment_copilot.settings import read_settings
from segment_copilot.stores.postgres import Postgres, open_postgres

T = TypeVar("T")

keys = typer.Typer(no_args_is_help=True, help="Keys that speak for a tenant.")
tenants = typer.Typer(no_args_is_help=True, help="Tenants: whose data it is.")

Slug = Annotated[str, typer.Option(help="Slug")]
KeyId = Annotated[int, typer.Argument(min=1, metavar="ID", help="The key's id, as `keys list` shows it")]

ANY: Final = "any"


@keys.command("create")
def create_key(
    *,
    tenant: Slug,
    name: Annotated[str, typer.Option(help="What the key is for")] = "",
    public: Annotated[bool, typer.Option("--public", help="A pk_ key instead of an sk_ key")] = False,
    new: Annotated[bool, typer.Option("--new", help="Make the tenant too, when it does not exist")] = False,
    json: AsJson = False,
) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    kind: KeyKind = "public" if public else "secret"

    async def create(postgres: Postgres) -> tuple[Key, str]:
        owner = await _find_tenant(postgres, tenant, new=new)
        return await Keys(postgres).create(owner, kind=kind, name=name)

    _print_key(*_on_postgres(create), json=json)


@keys.command("list")
def list_keys(*, tenant: Slug, json: AsJson = False) -> None:
    """List a tenant's keys: id, end, kind, name, whether it holds."""

    async def listed(postgres: Postgres) -> list[Key]:
        return await Keys(postgres).list(await Tenants(postgres).get(tenant))

    found = _on_postgres(listed)
    if json:
        print_json(found)
        return
    rows = [(key.id, key.hint, key.kind, key.name, "revoked" if key.revoked_at else "active") for key in found]
    print_rows(("id", "key", "kind", "name", "state"), rows)


@keys.command("rotate")
def rotate_key(key_id: KeyId, *, tenant: Slug, json: AsJson = False) -> None:
    """Make a new key in the place of one.

    The old one answers 401 from now on; the new one is printed, this once.
    """

    async def rotate(postgres: Postgres) -> tuple[Key, str]:
        return await Keys(postgres).rotate(await Tenants(postgres).get(tenant), key_id)

    _print_key(*_on_postgres(rotate), json=json)


@keys.command("revoke")
def revoke_key(key_id: KeyId, *, tenant: Slug) -> None:
    """Make a key answer 401 from now on."""

    async def revoke(postgres: Postgres) -> None:
        await Keys(postgres).revoke(await Tenants(postgres).get(tenant), key_id)

    _on_postgres(revoke)


@tenants.command("create")
def create_tenant(
    slug: str,
    *,
    timezone: Annotated[str, typer.Option(help="IANA name: where its days begin")] = "UTC",
    dynamic_plus_limit: Annotated[
        int | None, typer.Option(min=0, help="Most Dynamic Plus segments; default: any")
    ] = None,
    json: AsJson = False,
) -> None:
    """Make a tenant."""

    async def create(postgres: Postgres) -> Tenant:
        return await Tenants(postgres).create(slug, timezone=timezone, dynamic_plus_limit=dynamic_plus_limit)

    made = _on_postgres(create)
    if json:
        print_json(made)
    else:
        typer.echo(f"{made.slug}\t{made.timezone}")


@tenants.command("list")
def list_tenants(*, json: AsJson = False) -> None:
    """List every tenant.

    Slug, time zone, most Dynamic Plus segments.
    """

    async def listed(postgres: Postgres) -> list[Tenant]:
        return await Tenants(postgres).list()

    found = _on_postgres(listed)
    if json:
        print_json(found)
        return
    rows = [(each.slug, each.timezone, ANY if (limit := each.dynamic_plus_limit) is None else limit) for each in found]
    print_rows(("tenant", "time zone", "Dynamic Plus"), rows)


@tenants.command("limit")
def limit_tenant(
    slug: str,
    *,
    dynamic_plus: Annotated[int | None, typer.Option(min=0, help="Most Dynamic Plus segments; left out: any")] = None,
) -> None:
    """Change a tenant's quota of Dynamic Plus segments."""

    async def limit(postgres: Postgres) -> None:
        await Tenants(postgres).set_dynamic_plus_limit(await Tenants(postgres).get(slug), dynamic_plus)

    _on_postgres(limit)


def _print_key(key: Key, text: str, *, json: bool) -> None:
    if json:
        print_json({**structs.asdict(key), "key": text})
    else:
        typer.echo(text)


async def _find_tenant(postgres: Postgres, slug: str, *, new: bool) -> Tenant:
    """Return the tenant of that slug. Only with *new*, one that does not exist is made."""
    stored = Tenants(postgres)
    try:
        return await stored.get(slug)
    except NotFound as error:
        if new:
            return await stored.create(slug)
        near = nearest(slug, [each.slug for each in await stored.list()])
        meant = f"Did you mean {near[0]!r}? " if near else ""
        raise NotFound(f"{error.detail} {meant}Give --new to make it.", code=error.code) from None


def _on_postgres(work: Callable[[Postgres], Awaitable[T]]) -> T:
    """Do *work* on the PostgreSQL of DATABASE_URL."""

    async def done() -> T:
        async with _opened() as postgres:
            return await work(postgres)

    return asyncio.run(done())


@asynccontextmanager
async def _opened() -> AsyncGenerator[Postgres]:
    settings = read_settings(os.environ)
    if not settings.database_url:
        raise InvalidInput("Set DATABASE_URL: keys are made in PostgreSQL directly.", code="invalid_settings")
    async with open_postgres(settings.database_url, pool=1) as postgres:
        yield postgres
