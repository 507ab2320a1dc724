"""`listen` shows what webhooks are sent, as it is published, and may pass it on to a server on this machine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import httpx2
import msgspec
import stamina
import typer
from rich.console import Console
from rich.text import Text

from segment_copilot.activations.webhooks.signatures import new_secret, signed
from segment_copilot.commands.answers import check_url, read_answer
from segment_copilot.commands.options import Service
from segment_copilot.commands.printing import escape_controls, printable

_WAIT: Final = 5  # seconds that the service may wait for a message before it says that there is none
_SHOWN: Final = 5  # users of a message
_PATIENCE: Final = 30.0  # seconds, for a service that is started again
_LINE: Final = "%H:%M:%S"


async def listen(service: Service, *, event: str | None, forward: str | None, as_json: bool, count: int | None) -> None:
    """Print each message when it is published, *count* of them or until the process is stopped."""
    secret = new_secret("hmac").text
    console, notes = Console(highlight=False), Console(stderr=True, highlight=False)
    if forward is not None:
        check_url(forward)
        notes.print(Text(f"Passing on to {printable(forward)}, signed with {secret}"), soft_wrap=True)  # to be copied
    told = 0
    async with (
        httpx2.AsyncClient(base_url=service.url, headers=_as(service), timeout=30) as client,
        httpx2.AsyncClient(timeout=15, trust_env=False) as other,
    ):
        async for message in _messages(client, event, notes):
            outcome = await _pass_on(other, forward, message, secret) if forward is not None else None
            if as_json:
                shown = message if outcome is None else {**message, "forwarded": outcome}
                typer.echo(escape_controls(msgspec.json.encode(shown).decode()))
            else:
                console.print(_line(message["body"], outcome), soft_wrap=True)
            told += 1
            if told == count:
                return


async def _messages(client: httpx2.AsyncClient, event: str | None, notes: Console) -> AsyncGenerator[dict[str, Any]]:
    """Yield messages from now on; a connection that breaks off is made again, and no message is left out by it."""
    query: dict[str, Any] = {"event": event} if event else {}
    query |= {"cursor": (await read_answer(client.get("/api/webhooks/messages/", params=query)))["next_cursor"]}
    notes.print(Text("Listening. Ctrl-C stops it.", style="dim"))
    while True:
        found = await read_answer(_asked(client, query | {"wait": _WAIT}))
        query["cursor"] = found["next_cursor"]
        for message in found["results"]:
            yield message


async def _pass_on(client: httpx2.AsyncClient, url: str, message: Mapping[str, Any], secret: str) -> str:
    """Send a message as a webhook gets it, once, and say what came back."""
    body = msgspec.json.encode(message["body"])
    headers = signed(body, [secret], message_id=message["id"], now=datetime.now(UTC))
    try:
        answer = await client.post(url, content=body, headers={"Content-Type": "application/json", **headers})
    except httpx2.HTTPError as error:
        return f"no answer ({type(error).__name__})"
    return str(answer.status_code)


def _line(body: Mapping[str, Any], outcome: str | None) -> Text:
    """Return a message as one line: when, what, of which segment, who."""
    at = datetime.fromisoformat(body.get("published_at") or body["failed_at"]).astimezone()
    line = Text.assemble((f"{at:{_LINE}}  ", "dim"), (f"{body['event']:<19}", "bold"))
    line.append(f"{printable(body['segment_name'])} (#{body['segment_id']})  ")
    match body:
        case {"user_ids": [*users], "user_count": total}:
            named = ", ".join(printable(users[:_SHOWN]))
            more = f" and {len(users) - _SHOWN:,} more" if len(users) > _SHOWN else ""
            part = f" (part {body['part']} of {body['parts']})" if body["parts"] > 1 else ""
            line.append(f"{total:,} {'user' if total == 1 else 'users'}{part}: {named}{more}")
        case {"error": {"detail": detail}}:
            line.append(printable(detail), style="red")
        case _:
            line.append(f"{body['member_count']:,} members, {body['entered']:,} entered, {body['left']:,} left")
    if outcome is not None:
        line.append(f"  → {outcome}", style="dim")
    return line


def _as(service: Service) -> dict[str, str]:
    return {"Authorization": f"ApiKey {service.key}"}


@stamina.retry(on=httpx2.TransportError, timeout=_PATIENCE, attempts=None)
async def _asked(client: httpx2.AsyncClient, query: Mapping[str, Any]) -> httpx2.Response:
    return await client.get("/api/webhooks/messages/", params=query)
