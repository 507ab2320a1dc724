"""`explain` says why an audience is what it is, or why a user is in it or not, as tables in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import httpx2
import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from segment_copilot.commands.answers import read_answer
from segment_copilot.commands.options import Service
from segment_copilot.errors import InvalidInput
from segment_copilot.language.describe import in_percent, percent

_NOTHING: Final = "–"
_EVENTS_SHOWN: Final = 3


async def fetch_explanation(
    definition: bytes, *, service: Service, as_of: str | None, user_id: str | None
) -> dict[str, Any]:
    """Fetch the service's explanation of a definition, or with *user_id* of that user."""
    try:
        msgspec.json.decode(definition)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"The definition is not JSON: {error}.", code="malformed_json") from error
    body: dict[str, Any] = {"definition": msgspec.Raw(definition)}
    body |= {name: value for name, value in (("as_of", as_of), ("user_id", user_id)) if value is not None}
    body["sensitivity"] = user_id is None
    headers = {"Authorization": f"ApiKey {service.key}", "Content-Type": "application/json"}
    async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=30) as client:
        return await read_answer(client.post("/api/segments/explain/", content=msgspec.json.encode(body)))


def draw_explanation(explanation: Mapping[str, Any], console: Console, *, sql: bool) -> None:
    """Draw an explanation: how many, why, and what looks odd."""
    matched, universe = explanation["matched_users"], explanation["universe"]
    console.print(Text(explanation["words"], style="bold"))
    share = f" ({in_percent(percent(matched, universe))})" if universe else ""
    console.print(f"[dim]{explanation['tier']}: {escape(explanation['tier_reason'])}[/]")
    console.print(f"[bold]{matched:,}[/] of {universe:,} users{share} as of {explanation['as_of']}")
    if user := explanation.get("user"):
        _draw_user(user, console)
    else:
        _draw_stages(explanation, console)
    for warning in explanation["warnings"]:
        console.print(f"[yellow]! {escape(warning['detail'])}[/] [dim]{escape(_place(warning['pointer']))}[/]")
    if sql:
        params = msgspec.json.format(msgspec.json.encode(explanation["params"])).decode()
        commented = params.replace("\n", "\n-- ")
        console.out(f"\n{explanation['sql']}\n-- {commented}", highlight=False)


def _draw_stages(explanation: Mapping[str, Any], console: Console) -> None:
    table = _table("#", "users", "alone", "so far", "without it")
    for number, stage in enumerate(explanation["stages"], 1):
        counts = [stage["matched_users"], stage["audience_after"], stage["audience_without"]]
        table.add_row(
            str(number), _condition_text(stage["words"], out=stage["role"] == "exclude"), *(f"{n:,}" for n in counts)
        )
    console.print(table)
    if {each["pointer"] for each in explanation["conditions"]} != {each["pointer"] for each in explanation["stages"]}:
        table = _table("", "each condition", "alone")
        for each in explanation["conditions"]:
            table.add_row(_place(each["pointer"]), Text(each["words"]), f"{each['matched_users']:,}")
        console.print(table)
    _draw_neighbours(explanation["conditions"], console)
    if emptied_by := explanation.get("emptied_by"):
        places = ", ".join(map(_place, emptied_by["pointers"]))
        console.print(f"[bold yellow]{escape(emptied_by['detail'])}[/] [dim]{escape(places)}[/]")


def _draw_neighbours(conditions: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Draw how many people there would be if a number or a length of one condition were another one."""
    table = _table("", "condition", "with another value, people in all")
    for each in conditions:
        for name in ("neighbours", "window_neighbours"):
            if found := each.get(name):
                table.add_row(_place(each["pointer"]), Text(each["words"]), neighbours_in_words(found))
    if table.row_count:
        console.print(table)


def neighbours_in_words(neighbours: Sequence[Mapping[str, Any]]) -> str:
    """Return what the count would be at each value: "4 times: 310 people; 5 times: 120"."""
    first, *rest = (f"{one['words']}: {one['matched_users']:,}" for one in neighbours)
    people = "person" if neighbours[0]["matched_users"] == 1 else "people"
    return "; ".join([f"{first} {people}", *rest])


def _draw_user(user: Mapping[str, Any], console: Console) -> None:
    user_id = escape(user["user_id"])
    if not user["in_universe"]:
        console.print(f"[bold yellow]Nobody has seen {user_id} up to then.[/]")
        return
    console.print(f"[bold]{user_id}[/] is {'[green]in it[/]' if user['is_member'] else '[red]not in it[/]'}.")
    table = _table("", "users", "measured", "compared with")
    for each in user["conditions"]:
        holds = Text("yes", style="green") if each["matches"] else Text("no", style="red")
        out = _place(each["pointer"]).startswith("/exclude")
        unit = {"recency": " days", "sample": " %"}.get(each["type"], "")
        values = [_value(each[name], unit) for name in ("measured", "threshold")]
        table.add_row(holds, _condition_text(each["words"], out=out).append(_events(each["events"]), "dim"), *values)
    console.print(table)


def _table(first: str, second: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(first, style="dim")
    table.add_column(second, ratio=1, overflow="fold")
    for header in others:
        table.add_column(header, justify="right")
    return table


def _condition_text(words: str, *, out: bool) -> Text:
    return Text.assemble(("leaving out: ", "bold"), words) if out else Text(words)


def _place(pointer: str) -> str:
    """Return a pointer into the file, which is the definition itself."""
    return pointer.removeprefix("/definition") or "/"


def _value(value: Any, unit: str) -> str:
    match value:
        case None:
            return _NOTHING
        case bool():
            return "yes" if value else "no"
        case int() | float():
            shown = round(value, 2) if unit else value
            return f"{shown:,.6g}{unit}" if isinstance(value, float) else f"{value:,}{unit}"
        case list():
            return ", ".join(_value(each, "") for each in cast("list[Any]", value)) + unit
        case _:
            return str(value)


def _events(events: Sequence[Mapping[str, Any]]) -> str:
    """Return the newest events, each on a line of its own under the condition."""
    shown = [f"{each['occurred_at'][:16].replace('T', ' ')} {each['event_type']}" for each in events[:_EVENTS_SHOWN]]
    return "".join(f"\n  {line}" for line in [*shown, *(["…"] if len(events) > _EVENTS_SHOWN else [])])
