"""`dev` runs engines, migrations, demo tenant, worker and API in one process, and asks the copilot a first question."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import msgspec
import stamina
from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from segment_copilot import demo
from segment_copilot.access.keys import KeyKind
from segment_copilot.access.tenants import Tenant
from segment_copilot.commands.ask import PROMPT, stream_answer
from segment_copilot.commands.runtime import Runtime, remove_runtime, write_runtime
from segment_copilot.commands.serving import running
from segment_copilot.embedded import default_data_dir, start_engines
from segment_copilot.errors import NotFound, SegmentCopilotError, Unavailable
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.migrations import migrate
from segment_copilot.telemetry.logs import configure_logging

EMPTY_TENANT = "dev"


class DevKeys(Struct, frozen=True):
    """The texts of the keys of a tenant, kept beside the data so that they stay the same from start to start."""

    secret: str
    public: str


def run_dev(
    settings: Settings, *, question: str | None, once: bool, with_demo: bool | None, data_dir: Path | None
) -> int:
    """Run until Ctrl-C (or, *once*, until *question* is answered); the exit code.

    *with_demo* None: the demo tenant is loaded on embedded engines and not on given ones.
    """
    console = Console(highlight=False)
    directory = data_dir or default_data_dir()
    given = bool(settings.database_url and settings.clickhouse_url)
    configure_logging(level="warning" if settings.log_level == "info" else settings.log_level, form="console")
    with _step(console, "Starting PostgreSQL and ClickHouse"):
        engines = start_engines(directory, database_url=settings.database_url, clickhouse_url=settings.clickhouse_url)
    with engines:
        remove_runtime(engines.data_dir)
        settings = msgspec.structs.replace(
            settings, database_url=engines.database_url, clickhouse_url=engines.clickhouse_url
        )
        wanted = not given if with_demo is None else with_demo
        try:
            return asyncio.run(_dev(console, settings, engines.data_dir, question, once=once, with_demo=wanted))
        except KeyboardInterrupt:
            return 0
        finally:
            remove_runtime(engines.data_dir)


async def _dev(
    console: Console, settings: Settings, directory: Path, question: str | None, *, once: bool, with_demo: bool
) -> int:
    tenant, keys = await _prepare(console, settings, directory, with_demo=with_demo)
    async with running(settings) as (url, serving):
        await _until_ready(url)
        runtime = Runtime(
            url=url,
            api_key=keys.secret,
            public_key=keys.public,
            tenant=tenant.slug,
            database_url=settings.database_url,
            clickhouse_url=settings.clickhouse_url,
            pid=os.getpid(),
        )
        write_runtime(directory, runtime)
        console.print(f"[bold]segment-copilot[/] listens on {url} (docs: {url}/docs)", soft_wrap=True)
        code = 0
        if question:
            console.print()
            console.print(f"{PROMPT}{escape(question)}")
            answer = await stream_answer(question, url=url, key=keys.secret, console=console)
            code = 0 if answer.ended_well else 1
        if not once:
            console.print(
                f"\nTenant [bold]{tenant.slug}[/], API key [bold]{keys.secret}[/]. Ctrl-C stops it.", soft_wrap=True
            )
            await asyncio.wait([serving])
        return code


async def _prepare(console: Console, settings: Settings, directory: Path, *, with_demo: bool) -> tuple[Tenant, DevKeys]:
    async with open_resources(settings) as resources:
        with _step(console, "Migrating"):
            await migrate(resources.postgres, resources.clickhouse, cluster=settings.clickhouse_cluster)
        if with_demo:
            with _step(console, "Loading the demo shop") as progress:
                tenant = await demo.load_demo(resources, ends_at=datetime.now(UTC), progress=progress)
        else:
            tenant = await _empty_tenant(resources)
        return tenant, await _keys(resources, tenant, directory / f"keys-{tenant.slug}.json")


async def _empty_tenant(resources: Resources) -> Tenant:
    try:
        return await resources.tenants.get(EMPTY_TENANT)
    except NotFound:
        return await resources.tenants.create(EMPTY_TENANT)


async def _keys(resources: Resources, tenant: Tenant, path: Path) -> DevKeys:
    """Return the keys of an earlier start if they still work, new ones otherwise."""
    with contextlib.suppress(FileNotFoundError, msgspec.DecodeError, SegmentCopilotError):
        keys = _read_keys(path)
        if (await resources.keys.identify(keys.secret)).tenant.id == tenant.id:
            return keys
    kinds: tuple[KeyKind, KeyKind] = ("secret", "public")
    texts = [(await resources.keys.create(tenant, kind=kind, name="dev"))[1] for kind in kinds]
    keys = DevKeys(*texts)
    _write_keys(path, keys)
    return keys


def _write_keys(path: Path, keys: DevKeys) -> None:
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.encode(keys))


def _read_keys(path: Path) -> DevKeys:
    return msgspec.json.decode(path.read_bytes(), type=DevKeys)


async def _until_ready(url: str) -> None:
    """Wait for the API's own word."""
    async with httpx2.AsyncClient() as client:
        async for attempt in stamina.retry_context(
            on=(httpx2.HTTPError, Unavailable), timeout=30, attempts=None, wait_initial=0.02, wait_max=0.2
        ):
            with attempt:
                answer = await client.get(f"{url}/health/ready")
                if not answer.is_success:
                    raise Unavailable("The API is not ready.")


@contextlib.contextmanager
def _step(console: Console, title: str) -> Generator[Callable[[str], None]]:
    """Show a spinner on a terminal, a line elsewhere; the caller may report how far it is."""
    if not console.is_terminal:
        console.print(f"{title}…")
        yield _say_nothing
        return
    with console.status(f"{title}…") as status:

        def say(progress: str) -> None:
            status.update(f"{title}: {progress}…")

        yield say
    console.print(f"[green]✓[/] {title}")


def _say_nothing(progress: str) -> None:
    """Drop a report of progress: in lines it would scroll what matters away."""
