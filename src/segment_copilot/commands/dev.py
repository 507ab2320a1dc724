"""`dev` runs engines, migrations, demo tenant, worker and API in one process, and asks the copilot a first question."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Generator
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
from segment_copilot.activations.addresses import LOOPBACK
from segment_copilot.activations.secrets import new_key
from segment_copilot.commands.ask import stream_answer
from segment_copilot.commands.options import Service
from segment_copilot.commands.prompt import PROMPT, confirm
from segment_copilot.commands.runtime import Runtime, remove_runtime, write_runtime
from segment_copilot.commands.screen import Screen
from segment_copilot.commands.serving import catching, check_port, running
from segment_copilot.commands.shell import command_line, data_dir_arguments
from segment_copilot.embedded import default_data_dir, is_in_use, start_engines
from segment_copilot.errors import InvalidInput, NotFound, SegmentCopilotError, Unavailable
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.confinement import every_tenant
from segment_copilot.stores.migrations import migrate
from segment_copilot.telemetry.logs import configure_logging

EMPTY_TENANT = "dev"
_NAMED = 5  # segments, in a question


class DevKeys(Struct, frozen=True):
    """The texts of the keys of a tenant, kept beside the data so that they stay the same from start to start."""

    secret: str
    public: str


class DevOptions(Struct, frozen=True, kw_only=True):
    """Says what `dev` is to do.

    *with_demo* None: the demo tenant is loaded on embedded engines and not on given ones. *reset* makes it anew, *yes*
    without asking first. *once*: stop when *question* is answered.
    """

    question: str | None = None
    once: bool = False
    with_demo: bool | None = None
    reset: bool = False
    yes: bool = False
    data_dir: Path | None = None


def run_dev(settings: Settings, options: DevOptions) -> int:
    """Run until Ctrl-C (or once), then say where the data is and how to go on; the exit code."""
    console = Console(highlight=False)
    directory = options.data_dir or default_data_dir()
    given = bool(settings.database_url and settings.clickhouse_url)
    with_demo = not given if options.with_demo is None else options.with_demo
    if options.reset and not with_demo:
        raise InvalidInput("--reset makes the demo shop anew. Give --demo with it.", code="no_demo")
    options = msgspec.structs.replace(options, with_demo=with_demo)
    configure_logging(level="warning" if settings.log_level == "info" else settings.log_level, form="console")
    if settings.port and not is_in_use(directory):
        check_port(settings)  # it listens when the stores run and are filled, half a minute later
    with _step(console, "Starting PostgreSQL and ClickHouse"):
        engines = start_engines(directory, database_url=settings.database_url, clickhouse_url=settings.clickhouse_url)
    with engines:
        remove_runtime(engines.data_dir)
        settings = msgspec.structs.replace(
            settings,
            database_url=engines.database_url,
            clickhouse_url=engines.clickhouse_url,
            console=True,
            outgoing_allow=(*LOOPBACK, *settings.outgoing_allow),
            files_directory=settings.files_directory or str(engines.data_dir / "files"),
            secrets_keys=settings.secrets_keys or (secrets_key(engines.data_dir / "secrets-key"),),
        )
        try:
            code = asyncio.run(_dev(console, settings, engines.data_dir, options))
        except KeyboardInterrupt:
            code = 0
        finally:
            remove_runtime(engines.data_dir)
    _say_how_to_go_on(console, engines.data_dir, options, given=given)
    return code


def _say_how_to_go_on(console: Console, directory: Path, options: DevOptions, *, given: bool) -> None:
    """Write the last lines: that it stopped, where the data is, what to type next."""
    where = "PostgreSQL and ClickHouse, as given" if given else str(directory)
    named = data_dir_arguments(options.data_dir)
    ways = [("Leave it running", command_line("dev", *named))]
    ways.append(("Then ask it more", command_line("ask", "--chat", *named)))
    if options.with_demo:
        ways.append(("Or begin afresh", command_line("dev", "--reset", *named)))
    console.print(f"\n[bold]Stopped.[/] The data stays in {where}.", soft_wrap=True)
    for title, command in ways:
        console.print(f"  {title + ':':<18}{command}", markup=False, soft_wrap=True)


async def _dev(console: Console, settings: Settings, directory: Path, options: DevOptions) -> int:
    async with contextlib.AsyncExitStack() as stack:
        catcher = await stack.enter_async_context(_catching(directory)) if options.with_demo else ""
        return await _serve(console, settings, directory, options, catcher=catcher)


async def _serve(console: Console, settings: Settings, directory: Path, options: DevOptions, *, catcher: str) -> int:
    tenant, keys = await _prepare(console, settings, directory, options, catcher=catcher)
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
        if options.question:
            console.print()
            console.print(f"{PROMPT}{escape(options.question)}")
            screen = Screen(console, arguments=data_dir_arguments(options.data_dir))
            await stream_answer(options.question, service=Service(url, keys.secret), screen=screen)
            code = 0 if screen.ended_well else 1
        if not options.once:
            console.print(f"\nTenant [bold]{tenant.slug}[/], API key [bold]{keys.secret}[/].", soft_wrap=True)
            console.print(f"Look at it: [bold]{url}/console/#key={keys.secret}[/]", soft_wrap=True)
            chat = command_line("ask", "--chat", *data_dir_arguments(options.data_dir))
            if catcher:
                console.print(f"The demo's activations send to {catcher}, which tells what arrived.", soft_wrap=True)
            console.print(f"Ask it from another terminal: [bold]{escape(chat)}[/]. Ctrl-C stops it.", soft_wrap=True)
            await asyncio.wait([serving])
        return code


async def _prepare(
    console: Console, settings: Settings, directory: Path, options: DevOptions, *, catcher: str
) -> tuple[Tenant, DevKeys]:
    async with open_resources(settings) as resources, contextlib.AsyncExitStack() as stack:
        stack.enter_context(every_tenant())
        with _step(console, "Migrating"):
            await migrate(resources.postgres, resources.clickhouse, cluster=settings.on_cluster)
        if options.reset:
            await _discard_demo(console, resources, yes=options.yes)
        if options.with_demo:
            with _step(console, "Loading the demo shop") as progress:
                tenant = await demo.load_demo(
                    resources, ends_at=datetime.now(UTC), progress=progress, notice=console.print
                )
                await demo.connect_demo(resources, tenant, catcher)
        else:
            tenant = await _empty_tenant(resources)
        return tenant, await _keys(resources, tenant, directory / f"keys-{tenant.slug}.json")


@contextlib.asynccontextmanager
async def _catching(directory: Path) -> AsyncGenerator[str]:
    """Run the demo's catcher, on the port that it had before if that is free; yield its URL."""
    path = directory / "catcher-port"
    before = path.read_text().strip() if path.exists() else ""
    async with catching(demo.Catcher(), port=int(before) if before.isdecimal() else 0) as url:
        path.write_text(f"{url.rpartition(':')[2]}\n")
        yield url


async def _discard_demo(console: Console, resources: Resources, *, yes: bool) -> None:
    """Remove the demo tenant; a person is asked first, where their own data would go with it."""
    own = await demo.find_own_data(resources)
    if (own.segments or own.events) and not yes:
        named = ", ".join(own.segments[:_NAMED]) + ", …" * (len(own.segments) > _NAMED)
        parts = [f"{_count(len(own.segments), 'segment')} ({named})"] * bool(own.segments)
        parts += [_count(own.events, "event")] * bool(own.events)
        confirm(f"The demo tenant holds data of your own: {' and '.join(parts)}. Remove it?")
    with _step(console, "Removing the demo shop"):
        await demo.discard_demo(resources)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


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


def secrets_key(path: Path) -> str:
    """Return the key that this data directory's secrets are kept with, made at the first start."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip()
    key = new_key()
    path.touch(mode=0o600)
    path.write_text(f"{key}\n")
    return key


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
