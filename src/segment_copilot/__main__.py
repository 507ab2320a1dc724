"""Reads the command line, `segment-copilot COMMAND`; what a command does is in `commands`."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import stamina.instrumentation
import typer
from rich.console import Console

from segment_copilot.activations.webhooks.bodies import Event
from segment_copilot.commands import definitions, failed_events, keyring, migrations, segments, serving, shards
from segment_copilot.commands.chat import COMMANDS, converse
from segment_copilot.commands.dev import DevOptions, run_dev
from segment_copilot.commands.doctor import show_report
from segment_copilot.commands.explain import draw_explanation, fetch_explanation
from segment_copilot.commands.listen import listen as show_messages
from segment_copilot.commands.mistakes import explain_failure, tell
from segment_copilot.commands.options import ApiKey, AsJson, DataDir, Service, Url, Yes, find_service, service_arguments
from segment_copilot.commands.printing import print_json, print_rows, printable
from segment_copilot.commands.prompt import open_prompt
from segment_copilot.commands.usage import Commands, MissingColumns
from segment_copilot.doctor import examine
from segment_copilot.embedded import default_data_dir
from segment_copilot.errors import InvalidInput
from segment_copilot.importing import (
    NAMED_FORMATS,
    check_file,
    guess_preset,
    import_file,
    make_layout,
    missing_columns,
    presets,
)
from segment_copilot.settings import Settings, read_settings, written_default
from segment_copilot.telemetry.logs import configure_logging

cli = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
cli.add_typer(keyring.keys, name="keys")
cli.add_typer(keyring.tenants, name="tenants")
cli.add_typer(failed_events.cli, name="events")
cli.add_typer(segments.cli, name="segments")
cli.add_typer(shards.cli, name="shards")


def _describe(field: msgspec.structs.FieldInfo) -> str:
    notes = [note.description for note in field.type.__metadata__ if note.description]
    return f"{field.encode_name} ({written_default(field)}): {notes[-1]}"


def _settings_text(*names: str) -> str:
    """Return the help on the settings of these names, of all when none is given; a default stands in brackets."""
    fields = [field for field in msgspec.structs.fields(Settings) if not names or field.name in names]
    return "Settings, from the environment, with their defaults (X_FILE names a file that holds X):\n\n" + "\n\n".join(
        map(_describe, fields)
    )


def _presets_text() -> str:
    """Return the help on the presets."""
    return "Presets:\n\n" + "\n\n".join(f"{name}: {preset.says}" for name, preset in presets().items())


Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port of the API, instead of PORT; 0 takes a free one")
]

_STORES = ("database_url", "clickhouse_url", "clickhouse_cluster", "clickhouse_replicated")
_POOLS = ("postgres_pool", "clickhouse_pool")
_OF_A_WORKER = ("worker_port", "log_level", "log_format", "event_id_days", "recent_event_hours")


def _say_version(wanted: bool) -> None:  # noqa: FBT001  # typer calls it
    if wanted:
        typer.echo(f"segment-copilot {importlib.metadata.version('segment-copilot')}")
        raise typer.Exit


@cli.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and exit")
    ] = False,
) -> None:
    """Run, feed and ask segment-copilot: audiences from words, counted on your events."""


@cli.command()
def dev(
    ask: Annotated[str | None, typer.Option(help="Ask the copilot this once everything is up")] = None,
    once: Annotated[bool, typer.Option("--once", help="Exit after the answer")] = False,
    demo: Annotated[
        bool | None, typer.Option("--demo/--no-demo", help="Load the demo shop; default: on embedded engines")
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Make the demo shop anew, and drop what else is in it")
    ] = False,
    yes: Yes = False,
    port: Port = None,
    data_dir: DataDir = None,
) -> None:
    """Run everything on this machine.

    Engines, migrations, demo tenant, worker, API.

    A demo shop that is more than a day old is moved to now, by whole days; what you put into it yourself stays.
    """
    settings = read_settings(os.environ)
    if port is not None:
        settings = msgspec.structs.replace(settings, port=port)
    elif once:
        settings = msgspec.structs.replace(settings, port=0)
    options = DevOptions(question=ask, once=once, with_demo=demo, reset=reset, yes=yes, data_dir=data_dir)
    raise typer.Exit(run_dev(settings, options))


@cli.command()
def ask(
    text: Annotated[str | None, typer.Argument(help="The question; with --chat it may be left out")] = None,
    *,
    chat: Annotated[bool, typer.Option("--chat", help="Go on with questions; /help lists the commands there")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the events as they come, each as a line of JSON")] = False,
    url: Url = None,
    key: ApiKey = None,
    data_dir: DataDir = None,
) -> None:
    """Ask the copilot.

    Its components are drawn in the terminal, and on one you answer what it asks.
    """
    if not chat and not (text or "").strip():
        detail = 'The question is empty. Write it in quotes, as in: ask "How are sales?". Or give --chat.'
        raise InvalidInput(detail, code="no_question")
    console = Console(highlight=False, quiet=json)
    code = converse(
        (text or "").strip() or None,
        service=find_service(url, key, data_dir),
        console=console,
        read=open_prompt(console, commands=tuple(COMMANDS)),
        person=console.is_terminal and sys.stdin.isatty() and not json,
        chat=chat,
        raw=json,
        arguments=service_arguments(url, key, data_dir),
    )
    raise typer.Exit(code)


@cli.command(epilog=_settings_text())
def serve(port: Port = None) -> None:
    """Run the API."""
    settings = read_settings(os.environ)
    serving.serve(settings if port is None else msgspec.structs.replace(settings, port=port))


@cli.command(epilog=_settings_text(*_STORES, *_POOLS, *_OF_A_WORKER))
def worker() -> None:
    """Run a worker: events to ClickHouse, computations."""
    serving.work(read_settings(os.environ))


@cli.command(epilog=_settings_text(*_STORES))
def migrate(
    *,
    status: Annotated[
        bool, typer.Option("--status", help="List all and where each stands, change nothing; exit 1 if one is pending")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the statements that would run, run none")] = False,
    json: AsJson = False,
) -> None:
    """Bring both stores to this version's schema.

    Lists the migrations that were applied.
    """
    settings = read_settings(os.environ)
    if status and dry_run:
        raise InvalidInput("Give --status or --dry-run, not both.", code="options_exclude_each_other")
    if status:  # neither asks ClickHouse, whose queries are logged
        raise typer.Exit(migrations.show_status(settings, as_json=json))
    if dry_run:
        migrations.show_plan(settings, as_json=json)
        return
    configure_logging(level=settings.log_level, form=settings.log_format)
    applied = asyncio.run(serving.migrate_stores(settings))
    if json:
        print_json(applied)
    else:
        print_rows(("migration",), ([name] for name in applied))


@cli.command(epilog=_settings_text())
def doctor(
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for warnings too")] = False,
    json: AsJson = False,
) -> None:
    """Check this deployment and say what to do.

    With the settings of the process to be checked: stores, their versions, rights, clocks, disks and schema, what waits and
    for how long. Changes nothing. Exit code 1 when something is wrong.
    """
    configure_logging(level="error", form="console")
    raise typer.Exit(show_report(asyncio.run(examine(os.environ)), strict=strict, as_json=json))


@cli.command()
def compile(  # noqa: A001  # the command's name
    file: Annotated[typer.FileBinaryRead, typer.Argument(help="A definition as JSON; - reads standard input")],
    *,
    timezone: Annotated[str, typer.Option(help="The tenant's time zone")] = "UTC",
    as_of: Annotated[str | None, typer.Option(help="RFC 3339 instant; default: now")] = None,
    json: AsJson = False,
) -> None:
    """Print a definition's words, SQL and parameters. No store is asked."""
    compiled = definitions.compile_file(file.read(), timezone=timezone, as_of=as_of)
    if json:
        print_json(compiled)
    else:
        typer.echo(compiled.as_sql())


@cli.command()
def explain(
    file: Annotated[typer.FileBinaryRead, typer.Argument(help="A definition as JSON; - reads standard input")],
    *,
    user: Annotated[str | None, typer.Option(help="Explain this user instead: why they are in it or not")] = None,
    as_of: Annotated[str | None, typer.Option(help="RFC 3339 instant; default: now")] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL that finds the members too")] = False,
    json: AsJson = False,
    url: Url = None,
    key: ApiKey = None,
    data_dir: DataDir = None,
) -> None:
    """Say how an audience comes about.

    Condition by condition, and what empties it.
    """
    request = fetch_explanation(file.read(), service=find_service(url, key, data_dir), as_of=as_of, user_id=user)
    explanation = asyncio.run(request)
    if json:
        print_json(explanation)
    else:
        draw_explanation(explanation, Console(highlight=False), sql=sql)


@cli.command()
def listen(
    *,
    event: Annotated[Event | None, typer.Option(help="Only this event")] = None,
    forward: Annotated[str | None, typer.Option(help="Pass each on to this URL, signed as webhooks are")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many")] = None,
    json: AsJson = False,
    url: Url = None,
    key: ApiKey = None,
    data_dir: DataDir = None,
) -> None:
    """Show what webhooks are sent, without having one.

    As it is published, from now on. With --json, a line each.
    """
    service = find_service(url, key, data_dir)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(show_messages(service, event=event, forward=forward, as_json=json, count=count))


@cli.command()
def compute(
    segment: segments.SegmentId, *, json: AsJson = False, url: Url = None, key: ApiKey = None, data_dir: DataDir = None
) -> None:
    """Compute a segment's members and wait for the result."""
    computed = asyncio.run(definitions.compute(segment, service=find_service(url, key, data_dir)))
    if json:
        print_json(computed)
    else:
        members, as_of = f"{computed['member_count']:,} members", computed["last_computed_at"]
        typer.echo(f"{printable(computed['name'])}: {members} as of {as_of}")


@cli.command("env")
def print_environment(*, json: AsJson = False, url: Url = None, key: ApiKey = None, data_dir: DataDir = None) -> None:
    """Print the service's address and key for a shell.

    eval "$(segment-copilot env)"
    """
    service = find_service(url, key, data_dir)
    if json:
        print_json({"url": service.url, "api_key": service.key})
        return
    for name, value in (("URL", service.url), ("API_KEY", service.key)):
        typer.echo(f"export {name}={shlex.quote(value)}")


@cli.command("import", epilog=_presets_text())
def import_(
    file: Path,
    user: Annotated[str | None, typer.Option(help="Column of the user's id")] = None,
    time: Annotated[str | None, typer.Option(help="Column of the instant")] = None,
    event: Annotated[str | None, typer.Option(help="Column of the event type")] = None,
    event_name: Annotated[str | None, typer.Option(help="Type of every event, for a file without that column")] = None,
    trait: Annotated[list[str] | None, typer.Option(help="Column that describes the user; may be given again")] = None,
    traits_only: Annotated[
        bool, typer.Option("--traits-only", help="Rows describe users, there are no events: all columns are traits")
    ] = False,
    id_: Annotated[str | None, typer.Option("--id", help="Column of the event's id; default: file and line")] = None,
    boolean: Annotated[
        list[str] | None, typer.Option(help="Column of yes/no, true/false or 1/0, to be booleans; may be given again")
    ] = None,
    number: Annotated[
        list[str] | None,
        typer.Option(help='Column of amounts as people write them ("1,089.95", "$8.50"); may be given again'),
    ] = None,
    decimal: Annotated[
        str | None, typer.Option(help="Mark before the decimals of --number columns, . or ,; default: .")
    ] = None,
    timezone: Annotated[str | None, typer.Option(help="Zone of times without an offset; default: UTC")] = None,
    time_format: Annotated[
        str | None,
        typer.Option(
            help=f"A pattern as '%d/%m/%Y %H:%M', or {', '.join(NAMED_FORMATS)}; default: what is unambiguous"
        ),
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="As in windows-1252; default: found")] = None,
    separator: Annotated[str | None, typer.Option(help="Between cells of CSV, or the word tab; default: found")] = None,
    preset: Annotated[str | None, typer.Option(help="Read the export of another service: see below")] = None,
    map_: Annotated[
        Path | None, typer.Option("--map", help='A TOML file that holds these options: user = "Email" and so on')
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Import a file that was imported before, or another version: as new events")
    ] = False,
    shift_to_now: Annotated[
        bool, typer.Option("--shift-to-now", help="Move all times so that the newest is now")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and check all, show the first rows, send nothing")
    ] = False,
    url: Url = None,
    key: ApiKey = None,
    data_dir: DataDir = None,
) -> None:
    """Send the rows of a file to a service.

    CSV, NDJSON or JSON, gzip too; it waits until every row can be queried.

    A dot in a column's name leads into the objects of JSON, as in properties.distinct_id. Rows that cannot be read go to
    FILE.rejects.csv with their reasons; the others are imported.
    """
    if user is None and preset is None and map_ is None:
        hint = f" By its columns it is one for --preset {found}." if (found := guess_preset(file)) else ""
        raise MissingColumns(f"Missing option '--user', or --preset or --map, which name the columns.{hint}")
    check_file(file)
    layout = make_layout(
        preset=preset or "",
        map_file=map_,
        user=user,
        time=time,
        event=event,
        event_name=event_name,
        trait=tuple(trait or ()),
        traits_only=traits_only,
        id=id_,
        boolean=tuple(boolean or ()),
        number=tuple(number or ()),
        decimal=decimal,
        timezone=timezone,
        time_format=time_format,
        encoding=encoding,
        separator=separator,
    )
    if missing := missing_columns(layout):
        raise MissingColumns(f"Missing option {missing[0]!r}, or --preset or --map, which name the columns.")
    service = Service("", "") if dry_run else find_service(url, key, data_dir)
    report = asyncio.run(
        import_file(
            file,
            layout=layout,
            url=service.url,
            key=service.key,
            shift_to_now=shift_to_now,
            again=again,
            dry_run=dry_run,
            journal_file=(data_dir or default_data_dir()) / "imports.jsonl",
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; what we foresaw to go wrong is one sentence on standard error, and exit code 1."""
    stamina.instrumentation.set_on_retry_hooks([])  # it would write each wait, with its arguments, to the terminal
    try:
        cli(arguments)
    except Exception as failure:
        if (error := explain_failure(failure)) is None:
            raise
        console = Console(stderr=True, highlight=False)
        console.soft_wrap = not console.is_terminal  # on a terminal words stay whole, elsewhere lines do
        first, *others = tell(error)
        console.print(f"segment-copilot: {first}", markup=False)
        for other in others:
            console.print(other, markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
