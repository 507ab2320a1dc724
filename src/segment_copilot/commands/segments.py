"""`segments …` lists, shows, saves and deletes the segments of the service, and writes their members out."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import httpx2
import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from segment_copilot.audiences.schedules import Refresh
from segment_copilot.commands.answers import read_answer
from segment_copilot.commands.exports import Form, export
from segment_copilot.commands.options import ApiKey, AsJson, DataDir, Service, Url, Yes, find_service
from segment_copilot.commands.printing import print_json, print_rows, printable
from segment_copilot.commands.prompt import confirm
from segment_copilot.commands.shell import command_line
from segment_copilot.errors import InvalidInput

cli = typer.Typer(no_args_is_help=True, help="Saved segments, and their members.")

PAGE: Final = 1_000
_MEMBER: Final = ("user_id", "computed_at")

SegmentId = Annotated[int, typer.Argument(min=1, metavar="ID", help="The segment's id")]


@cli.command("list")
def list_segments(
    *,
    search: Annotated[str, typer.Option(help="Only those with this in their name")] = "",
    json: AsJson = False,
    url: Url = None,
    key: ApiKey = None,
    data_dir: DataDir = None,
) -> None:
    """List the segments.

    Id, name, tier, status, members, when computed.
    """
    found = asyncio.run(_fetch_all(find_service(url, key, data_dir), search))
    if json:
        print_json(found)
        return
    names = ("id", "name", "tier", "status", "member_count", "last_computed_at")
    print_rows(
        ("id", "name", "tier", "status", "members", "computed"), ([each[name] for name in names] for each in found)
    )


@cli.command("show")
def show_segment(
    segment: SegmentId, *, json: AsJson = False, url: Url = None, key: ApiKey = None, data_dir: DataDir = None
) -> None:
    """Show a segment: in words, its state and its definition."""
    found = asyncio.run(_call(find_service(url, key, data_dir), "GET", f"/api/segments/{segment}/"))
    if json:
        print_json(found)
    else:
        _draw(printable(found))


@cli.command("create")
def create_segment(
    file: Annotated[
        typer.FileBinaryRead,
        typer.Argument(help="A definition as JSON, or a segment as `show --json` prints it; - reads standard input"),
    ],
    *,
    name: Annotated[str | None, typer.Option(help="What it is called; needed beside a definition")] = None,
    description: Annotated[str | None, typer.Option(help="What it is for")] = None,
    json: AsJson = False,
    url: Url = None,
    key: ApiKey = None,
    data_dir: DataDir = None,
) -> None:
    """Save a segment. Its members are computed as its refresh says."""
    body = _read_segment(file.read(), name=name, description=description)
    saved = asyncio.run(_call(find_service(url, key, data_dir), "POST", "/api/segments/", body))
    if json:
        print_json(saved)
        return
    if not sys.stdout.isatty():
        typer.echo(saved["id"])  # for SEGMENT=$(…)
    typer.echo(f"Saved segment {saved['id']}: {printable(saved['name'])}", err=True)
    for warning in saved["warnings"]:
        typer.echo(f"! {printable(warning['detail'])}", err=True)
    if saved["next_refresh_at"] is None:
        typer.echo(f"Compute its members: {command_line('compute', str(saved['id']))}", err=True)
    else:
        typer.echo(
            f"Its members are computed now; wait for them: {command_line('compute', str(saved['id']))}", err=True
        )


@cli.command("delete")
def delete_segment(
    segment: SegmentId, *, yes: Yes = False, url: Url = None, key: ApiKey = None, data_dir: DataDir = None
) -> None:
    """Delete a segment, its versions and its members. One that others use stays."""
    asyncio.run(_delete(find_service(url, key, data_dir), segment, yes=yes))


@cli.command("members")
def list_members(
    segment: SegmentId,
    *,
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="How many at most; `export` writes all")] = 50,
    json: AsJson = False,
    url: Url = None,
    key: ApiKey = None,
    data_dir: DataDir = None,
) -> None:
    """List the first members.

    As of the last computation: user id, since when.
    """
    service = find_service(url, key, data_dir)
    page = asyncio.run(_call(service, "GET", f"/api/segments/{segment}/members/?limit={limit}"))
    if not page["results"]:
        typer.echo(_nobody(asyncio.run(_call(service, "GET", f"/api/segments/{segment}/"))), err=True)
    if json:
        print_json(page["results"])
        return
    print_rows(("user", "computed"), ([each[name] for name in _MEMBER] for each in page["results"]))
    if page["count"] > limit:
        typer.echo(f"{limit:,} of {page['count']:,}; `segments export {segment}` writes all", err=True)


@cli.command("export")
def export_members(
    segment: SegmentId,
    *,
    form: Annotated[Form, typer.Option("--format", help="csv, ndjson or parquet")] = "csv",
    include: Annotated[
        list[str] | None, typer.Option(help="A trait to put beside each member, such as traits.email; repeatable")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; default: standard output")] = None,
    url: Url = None,
    key: ApiKey = None,
    data_dir: DataDir = None,
) -> None:
    """Write out all members.

    As of the last computation, by user id: one computation, to its end.
    """
    service = find_service(url, key, data_dir)
    if out is None:
        asyncio.run(export(service, segment, form, include or (), sys.stdout.buffer))
        return
    out.parent.resolve(strict=True)  # a directory that is missing is told by the name that was given
    unfinished = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            count = asyncio.run(export(service, segment, form, include or (), file))
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    typer.echo(f"{count:,} members in {out}", err=True)


@asynccontextmanager
async def _client(service: Service) -> AsyncGenerator[httpx2.AsyncClient]:
    headers = {"Authorization": f"ApiKey {service.key}"}
    async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=30) as client:
        yield client


async def _call(service: Service, method: str, path: str, body: Any = None) -> Any:
    async with _client(service) as client:
        return await read_answer(client.request(method, path, json=body))


async def _fetch_all(service: Service, search: str) -> list[dict[str, Any]]:
    found = list[dict[str, Any]]()
    async with _client(service) as client:
        while True:
            params = {"limit": PAGE, "offset": len(found)} | ({"search": search} if search else {})
            page = await read_answer(client.get("/api/segments/", params=params))
            found += page["results"]
            if page["next"] is None:
                return found


async def _delete(service: Service, segment_id: int, *, yes: bool) -> None:
    async with _client(service) as client:
        path = f"/api/segments/{segment_id}/"
        segment = await read_answer(client.get(path))
        named = f"segment {segment_id} ({printable(segment['name'])})"
        if not yes:
            confirm(f"Delete {named}, its versions and its members?")
        await read_answer(client.delete(path))
        typer.echo(f"Deleted {named}")


def _read_segment(content: bytes, *, name: str | None, description: str | None) -> dict[str, Any]:
    """Return what to save: of a segment, what a person decides about it; a definition under *name*."""
    try:
        document: Any = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"The segment is not JSON: {error}.", code="malformed_json") from error
    body: dict[str, Any] = {"definition": document}
    if isinstance(document, dict) and "definition" in document:
        kept = ("name", "description", "segment_type", "definition", "refresh")
        body = {field: document[field] for field in kept if field in document}
    body |= {field: value for field, value in (("name", name), ("description", description)) if value is not None}
    if "name" not in body:
        raise InvalidInput("The segment needs a name. Give --name.", code="no_name")
    return body


def _nobody(segment: dict[str, Any]) -> str:
    """Return why a segment lists nobody."""
    number = str(segment["id"])
    if segment["last_computed_at"] is not None:
        return f"Nobody was in segment {number} at {segment['last_computed_at']}."
    if segment["segment_type"] == "static":
        return f"Segment {number} has no members yet: upload them, to /api/segments/{number}/upload/."
    if segment["definition"] is None:
        return f"Segment {number} is a draft without a definition: give it one, by PATCH, before it has members."
    return f"Segment {number} was not computed yet: {command_line('compute', number)}"


def _refresh(segment: dict[str, Any]) -> str:
    """Return how the segment is kept true, and when next."""
    refresh = segment["refresh"]
    words = Refresh(refresh["mode"], refresh["every"]).words
    if refresh["paused_since"]:
        return f"refreshed {words}, but paused since {refresh['paused_since']}"
    due = f"; next at {segment['next_refresh_at']}" if segment["next_refresh_at"] else ""
    return f"refreshed {words}{due}"


def _draw(segment: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.print(f"[bold]{segment['id']} {escape(segment['name'])}[/]")
    if segment["description"]:
        console.print(escape(segment["description"]))
    console.print(escape(segment["words"] or "A draft that has no definition yet."))
    computed = f" as of {segment['last_computed_at']}" if segment["last_computed_at"] else ""
    members = (
        "not computed yet" if segment["member_count"] is None else f"{segment['member_count']:,} members{computed}"
    )
    resting = "" if segment["is_active"] else ", not active"
    console.print(f"{segment['tier']}, {segment['status']}{resting}: {members}; version {segment['version']}")
    console.print(escape(_refresh(segment)))
    if segment["last_error"]:
        console.print(f"[red]{escape(segment['last_error']['detail'])}[/]")
    if segment["definition"] is not None:
        console.out(msgspec.json.format(msgspec.json.encode(segment["definition"])).decode(), highlight=False)
