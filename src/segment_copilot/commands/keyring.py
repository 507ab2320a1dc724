"""`keys …` and `tenants …` write straight to PostgreSQL, because the first key cannot be made over the API."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, TypeVar

import typer
from msgspec import structs

from segment_copilot.access.keys import MAX_GRACE, IssuedKey, Key, Keys, NewKey
from segment_copilot.access.scopes import KeyKind, Role
from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.commands.options import AsJson
from segment_copilot.commands.printing import print_json, print_rows
from segment_copilot.errors import InvalidInput, NotFound
from segment_copilot.language.catalog import nearest
from segment_copilot.settings import read_settings
from segment_copilot.stores.confinement import every_tenant
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
    kind: Annotated[KeyKind | None, typer.Option(help="secret (the default), public, or mcp")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What it may do, such as segments:read; once for each; default: by its kind"),
    ] = None,
    role: Annotated[Role | None, typer.Option(help="A set of scopes in place of them")] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="Of a public key: a page that may use it; once for each")
    ] = None,
    signed: Annotated[
        bool, typer.Option("--signed", help="Of a public key: user ids count only with a signature")
    ] = False,
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="Days it holds; default: until it is revoked")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="The same as --kind public")] = False,
    new: Annotated[bool, typer.Option("--new", help="Make the tenant too, when it does not exist")] = False,
    json: AsJson = False,
) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    if public and kind not in {None, "public"}:
        raise InvalidInput("Give --kind or --public, not both.")
    wanted = NewKey(
        kind="public" if public else kind or "secret",
        name=name,
        role=role,
        scopes=scope,
        allowed_origins=origin or (),
        require_signed_user_id=signed,
        expires_at=None if days is None else datetime.now(UTC) + timedelta(days=days),
    )

    async def create(postgres: Postgres) -> IssuedKey:
        return await Keys(postgres).issue(await _find_tenant(postgres, tenant, new=new), wanted)

    _print_key(_on_postgres(create), json=json)


@keys.command("list")
def list_keys(*, tenant: Slug, json: AsJson = False) -> None:
    """List a tenant's keys.

    Id, end, kind, what it may do, name, whether it holds.
    """

    async def listed(postgres: Postgres) -> list[Key]:
        return await Keys(postgres).list(await Tenants(postgres).get(tenant))

    found = _on_postgres(listed)
    if json:
        print_json(found)
        return
    rows = [(key.id, key.hint, key.kind, key.role or " ".join(key.scopes), key.name, _state(key)) for key in found]
    print_rows(("id", "key", "kind", "may", "name", "state"), rows)


@keys.command("rotate")
def rotate_key(
    key_id: KeyId,
    *,
    tenant: Slug,
    grace: Annotated[
        int, typer.Option(min=0, max=int(MAX_GRACE.total_seconds()), help="Seconds that the old one still holds")
    ] = 0,
    json: AsJson = False,
) -> None:
    """Make a new key in the place of one.

    The old one answers 401 from now on, or after --grace; the new one is printed, this once.
    """

    async def rotate(postgres: Postgres) -> IssuedKey:
        owner = await Tenants(postgres).get(tenant)
        return await Keys(postgres).rotate(owner, key_id, grace=timedelta(seconds=grace))

    _print_key(_on_postgres(rotate), json=json)


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

    Slug, time zone, most Dynamic Plus segments, most events a month.
    """

    async def listed(postgres: Postgres) -> list[Tenant]:
        return await Tenants(postgres).list()

    found = _on_postgres(listed)
    if json:
        print_json(found)
        return
    limits = [
        [ANY if limit is None else limit for limit in (each.dynamic_plus_limit, each.events_per_month)]
        for each in found
    ]
    rows = [(each.slug, each.timezone, *limit) for each, limit in zip(found, limits, strict=True)]
    print_rows(("tenant", "time zone", "Dynamic Plus", "events a month"), rows)


@tenants.command("limit")
def limit_tenant(
    slug: str,
    *,
    dynamic_plus: Annotated[
        str | None, typer.Option(metavar="N|any", help="Most Dynamic Plus segments, or any; left out: as it is")
    ] = None,
    requests_per_minute: Annotated[
        int | None,
        typer.Option(min=0, help="Most requests a minute, to each process; 0: the usual; left out: as it is"),
    ] = None,
    events_per_month: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Most events a month; 0: any; left out: as it is")
    ] = None,
    event_days: Annotated[
        int | None,
        typer.Option(
            min=0, max=36_500, help="Days that events are kept, older ones are dropped; 0: for ever; left out: as it is"
        ),
    ] = None,
) -> None:
    """Change a tenant's limits.

    Its quota of Dynamic Plus segments, how many requests a minute it may send, how many events in a month of its time
    zone, or how long its events are kept.
    """
    if dynamic_plus is None and requests_per_minute is None and events_per_month is None and event_days is None:
        raise InvalidInput(
            "Say which limit: --dynamic-plus, --requests-per-minute, --events-per-month or --event-days."
        )
    most = None if dynamic_plus in {None, ANY} else _whole(dynamic_plus or "")

    async def limit(postgres: Postgres) -> None:
        stored = Tenants(postgres)
        tenant = await stored.get(slug)
        if requests_per_minute is not None:
            await stored.set_requests_per_minute(tenant, requests_per_minute or None)
        if events_per_month is not None:
            await stored.set_events_per_month(tenant, events_per_month or None)
        if event_days is not None:
            await stored.set_event_days(tenant, event_days or None)
        if dynamic_plus is not None:
            await stored.set_dynamic_plus_limit(tenant, most)

    _on_postgres(limit)


def _whole(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 2**31:
        return int(text)
    raise InvalidInput(f"--dynamic-plus is a number of segments or {ANY}, not {text!r}.")


def _print_key(issued: IssuedKey, *, json: bool) -> None:
    if json:
        print_json({**structs.asdict(issued.key), "key": issued.text, "hmac_secret": issued.hmac_secret})
        return
    typer.echo(issued.text)
    if issued.key.require_signed_user_id:
        typer.echo(f"hmac_secret {issued.hmac_secret}")


def _state(key: Key) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "active"
    ends = f"{key.expires_at:%Y-%m-%d %H:%M}"
    return f"until {ends}" if key.expires_at > datetime.now(UTC) else f"expired {ends}"


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
        detail = (
            "Set DATABASE_URL: keys and tenants are kept in PostgreSQL. Of a service that runs, such as `dev`, the keys are "
            "made and listed over HTTP, at /api/auth/api-keys/."
        )
        raise InvalidInput(detail, code="invalid_settings")
    async with open_postgres(settings.database_url, pool=1) as postgres:
        with every_tenant():
            yield postgres
