"""Reads the command line, `segment-copilot COMMAND`; what a command does is in `commands`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import stamina.instrumentation
import typer
from rich.console import Console

from segment_copilot.commands import definitions, failed_events, keyring, serving
from segment_copilot.commands.ask import PROMPT, converse, person_at_prompt
from segment_copilot.commands.dev import run_dev
from segment_copilot.commands.explain import draw_explanation, fetch_explanation
from segment_copilot.commands.runtime import read_runtime
from segment_copilot.embedded import default_data_dir
from segment_copilot.errors import SegmentCopilotError
from segment_copilot.importing import Columns, import_file
from segment_copilot.settings import Settings, read_settings

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
keys = typer.Typer(no_args_is_help=True, help="Keys that speak for a tenant.")
tenants = typer.Typer(no_args_is_help=True, help="Tenants: whose data it is.")
cli.add_typer(keys, name="keys")
cli.add_typer(tenants, name="tenants")
cli.add_typer(failed_events.cli, name="events")


DataDir = Annotated[
    Path | None,
    typer.Option(envvar="DATA_DIR", help="Where `dev` keeps its data; default: the platform's user data directory"),
]
Url = Annotated[
    str | None, typer.Option(envvar="SEGMENT_COPILOT_URL", help="The service; default: the one that `dev` runs")
]
ApiKey = Annotated[
    str | None,
    typer.Option(envvar="SEGMENT_COPILOT_KEY", help="A secret key (sk_…); default: that of the `dev` service"),
]


def _describe(field: msgspec.structs.FieldInfo) -> str:
    notes = [note.description for note in field.type.__metadata__ if note.description]
    return f"{field.encode_name} ({field.default!r}): {notes[-1]}"


SETTINGS = "Settings, from the environment:\n\n" + "\n\n".join(map(_describe, msgspec.structs.fields(Settings)))


@cli.command()
def dev(
    ask: Annotated[str | None, typer.Option(help="Ask the copilot this once everything is up")] = None,
    once: Annotated[bool, typer.Option("--once", help="Exit after the answer")] = False,
    demo: Annotated[
        bool | None, typer.Option("--demo/--no-demo", help="Load the demo shop; default: on embedded engines")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the API; 0 takes a free one")] = None,
    data_dir: DataDir = None,
) -> None:
    """Run everything here: engines, migrations, demo tenant, worker, API."""
    settings = read_settings(os.environ)
    if port is not None:
        settings = msgspec.structs.replace(settings, port=port)
    elif once:
        settings = msgspec.structs.replace(settings, port=0)
    raise typer.Exit(run_dev(settings, question=ask, once=once, with_demo=demo, data_dir=data_dir))


@cli.command()
def ask(
    text: str,
    url: Url = None,
    key: ApiKey = None,
    data_dir: DataDir = None,
    chat: Annotated[bool, typer.Option("--chat", help="Go on with questions until an empty one")] = False,
) -> None:
    """Ask the copilot; its components are drawn in the terminal, and on one you answer what it asks."""
    service_url, service_key = _service(url, key, data_dir)
    console = Console(highlight=False)
    code = converse(
        text,
        url=service_url,
        key=service_key,
        console=console,
        person=person_at_prompt(console) if console.is_terminal and sys.stdin.isatty() else None,
        next_question=(lambda: console.input(PROMPT)) if chat else None,
    )
    raise typer.Exit(code)


@cli.command(epilog=SETTINGS)
def serve() -> None:
    """Run the API."""
    serving.serve(read_settings(os.environ))


@cli.command()
def worker() -> None:
    """Run a worker: events to ClickHouse, computations."""
    serving.work(read_settings(os.environ))


@cli.command()
def migrate() -> None:
    """Bring both stores to this version's schema."""
    for name in asyncio.run(serving.migrate_stores(read_settings(os.environ))):
        typer.echo(name)


@cli.command()
def compile(  # noqa: A001  # the command's name
    file: Annotated[typer.FileBinaryRead, typer.Argument(help="A definition as JSON; - reads standard input")],
    timezone: Annotated[str, typer.Option(help="The tenant's time zone")] = "UTC",
    as_of: Annotated[str | None, typer.Option(help="RFC 3339 instant; default: now")] = None,
) -> None:
    """Print a definition's words, SQL and parameters. No store is asked."""
    typer.echo(definitions.compile_file(file.read(), timezone=timezone, as_of=as_of))


@cli.command()
def explain(
    file: Annotated[typer.FileBinaryRead, typer.Argument(help="A definition as JSON; - reads standard input")],
    user: Annotated[str | None, typer.Option(help="Explain this user instead: why they are in it or not")] = None,
    as_of: Annotated[str | None, typer.Option(help="RFC 3339 instant; default: now")] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL that finds the members too")] = False,
    url: Url = None,
    key: ApiKey = None,
    data_dir: DataDir = None,
) -> None:
    """Say how an audience comes about, condition by condition, and what empties it."""
    service_url, service_key = _service(url, key, data_dir)
    request = fetch_explanation(file.read(), url=service_url, key=service_key, as_of=as_of, user_id=user)
    draw_explanation(asyncio.run(request), Console(highlight=False), sql=sql)


@cli.command()
def compute(segment: int, url: Url = None, key: ApiKey = None, data_dir: DataDir = None) -> None:
    """Compute a segment's members and wait for the result."""
    service_url, service_key = _service(url, key, data_dir)
    typer.echo(asyncio.run(definitions.compute(segment, url=service_url, key=service_key)))


@cli.command("import")
def import_(
    file: Path,
    user: Annotated[str, typer.Option(help="Column of the user's id")],
    event: Annotated[str, typer.Option(help="Column of the event type")],
    time: Annotated[str, typer.Option(help="Column of the instant")],
    trait: Annotated[list[str] | None, typer.Option(help="Column that describes the user; may be given again")] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Column of the event's id; default: file and line")] = None,
    timezone: Annotated[str, typer.Option(help="Zone of times without an offset")] = "UTC",
    shift_to_now: Annotated[
        bool, typer.Option("--shift-to-now", help="Move all times so that the newest is now")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check, send nothing")] = False,
    url: Url = None,
    key: ApiKey = None,
    data_dir: DataDir = None,
) -> None:
    """Send the rows of a CSV or NDJSON file (gzip too), and wait until every one can be queried."""
    service_url, service_key = ("", "") if dry_run else _service(url, key, data_dir)
    columns = Columns(user=user, event=event, time=time, traits=tuple(trait or ()), id=id_)
    report = asyncio.run(
        import_file(
            file,
            columns=columns,
            url=service_url,
            key=service_key,
            timezone=timezone,
            shift_to_now=shift_to_now,
            dry_run=dry_run,
        )
    )
    raise typer.Exit(1 if report.skipped else 0)


@cli.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    from segment_copilot.app import openapi_document  # noqa: PLC0415  # builds every schema

    typer.echo(msgspec.json.format(msgspec.json.encode(openapi_document())))


@cli.command()
def protocol() -> None:
    """Print the JSON Schema of the copilot's protocol."""
    from segment_copilot.copilot.stream.protocol import protocol_document  # noqa: PLC0415  # imports every tool

    typer.echo(msgspec.json.format(msgspec.json.encode(protocol_document())))


@keys.command("create")
def create_key(
    tenant: Annotated[str, typer.Option(help="Slug; the tenant is made when it does not exist")],
    name: Annotated[str, typer.Option(help="What the key is for")] = "",
    public: Annotated[bool, typer.Option("--public", help="A pk_ key instead of an sk_ key")] = False,
) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    kind: Any = "public" if public else "secret"
    typer.echo(asyncio.run(keyring.create(read_settings(os.environ), tenant, kind=kind, name=name)))


@keys.command("list")
def list_keys(tenant: Annotated[str, typer.Option(help="Slug")]) -> None:
    """List a tenant's keys."""
    for line in asyncio.run(keyring.list_keys(read_settings(os.environ), tenant)):
        typer.echo(line)


@keys.command("revoke")
def revoke_key(key_id: int, tenant: Annotated[str, typer.Option(help="Slug")]) -> None:
    """Make a key answer 401 from now on."""
    asyncio.run(keyring.revoke(read_settings(os.environ), tenant, key_id))


@tenants.command("create")
def create_tenant(
    slug: str,
    timezone: Annotated[str, typer.Option(help="IANA name: where its days begin")] = "UTC",
    dynamic_plus_limit: Annotated[
        int | None, typer.Option(min=0, help="Most Dynamic Plus segments; default: any")
    ] = None,
) -> None:
    """Make a tenant."""
    settings = read_settings(os.environ)
    line = keyring.create_tenant(settings, slug, timezone=timezone, dynamic_plus_limit=dynamic_plus_limit)
    typer.echo(asyncio.run(line))


@tenants.command("limit")
def limit_tenant(
    slug: str,
    dynamic_plus: Annotated[int | None, typer.Option(min=0, help="Most Dynamic Plus segments; left out: any")] = None,
) -> None:
    """Change a tenant's quota of Dynamic Plus segments."""
    asyncio.run(keyring.set_limit(read_settings(os.environ), slug, dynamic_plus_limit=dynamic_plus))


def _service(url: str | None, key: str | None, data_dir: Path | None) -> tuple[str, str]:
    if url and key:
        return url.rstrip("/"), key
    runtime = read_runtime(data_dir or default_data_dir())
    return (url or runtime.url).rstrip("/"), key or runtime.api_key


def main() -> None:
    """Run a command; an error that we foresaw is one sentence on standard error, and exit code 1."""
    stamina.instrumentation.set_on_retry_hooks([])  # it would write each wait, with its arguments, to the terminal
    try:
        cli()
    except SegmentCopilotError as error:
        Console(stderr=True, highlight=False).print(f"segment-copilot: {error.detail}", markup=False)
        for finding in error.findings:
            Console(stderr=True, highlight=False).print(f"  {finding.pointer or '/'}: {finding.detail}", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
