"""`events …` shows the accepted events that ClickHouse refuses, and lets them be tried again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.commands.options import AsJson
from segment_copilot.commands.printing import print_json, print_rows
from segment_copilot.errors import InvalidInput
from segment_copilot.events import FailedEvents
from segment_copilot.events.failed_events import FailedEvent
from segment_copilot.settings import read_settings
from segment_copilot.stores.confinement import every_tenant
from segment_copilot.stores.postgres import open_postgres

cli = typer.Typer(no_args_is_help=True, help="Accepted events that ClickHouse refuses.")

Slug = Annotated[str | None, typer.Option("--tenant", help="Slug; default: all tenants")]


@cli.command("failed")
def list_failed(
    *,
    tenant: Slug = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most")] = 100,
    json: AsJson = False,
) -> None:
    """List the events that were set aside.

    The oldest first: number, tenant, id, user, type, when received, reason.
    """
    found, total = asyncio.run(_list(tenant, limit))
    if json:
        print_json(found)
    else:
        names = ("number", "tenant", "event_id", "user_id", "event_type", "received_at", "reason")
        headers = ("number", "tenant", "id", "user", "type", "received", "reason")
        print_rows(headers, ([getattr(event, name) for name in names] for event in found))
    typer.echo(f"{total} failed in all tenants", err=True)


@cli.command("retry")
def retry_failed(
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers that `failed` lists; default: all")] = None,
    *,
    tenant: Slug = None,
    json: AsJson = False,
) -> None:
    """Let events that were set aside be forwarded.

    One that is still refused comes back to the list.
    """
    count = asyncio.run(_retry(tenant, numbers or []))
    if json:
        print_json({"to_be_forwarded": count})
    else:
        typer.echo(f"{count} to be forwarded again")


async def _list(slug: str | None, limit: int) -> tuple[tuple[FailedEvent, ...], int]:
    async with _opened(slug) as (events, tenant):
        return await events.list(tenant, limit=limit), await events.count()


async def _retry(slug: str | None, numbers: list[int]) -> int:
    async with _opened(slug) as (events, tenant):
        return await events.retry(tenant, numbers=numbers)


@asynccontextmanager
async def _opened(slug: str | None) -> AsyncGenerator[tuple[FailedEvents, Tenant | None]]:
    settings = read_settings(os.environ)
    if not settings.database_url:
        raise InvalidInput("Set DATABASE_URL: these events are in PostgreSQL.", code="invalid_settings")
    async with open_postgres(settings.database_url, pool=1) as postgres:
        with every_tenant():
            yield FailedEvents(postgres), await Tenants(postgres).get(slug) if slug else None
