"""`ask`: one question to the copilot, the answer streamed to a terminal, its components drawn."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx2
import msgspec
from rich import box
from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from segment_copilot.errors import SegmentCopilotError

_BAR_CELLS = 40
_MOST_BARS = 31


async def ask(question: str, *, url: str, key: str, console: Console) -> int:
    """Stream the answer; 0 when the run ended well, 1 when it ended with an error."""
    timeout = httpx2.Timeout(10, read=60)
    headers = {"Authorization": f"ApiKey {key}"}
    body = {"messages": [{"role": "user", "content": question}]}
    console.print(f"[bold cyan]›[/] {escape(question)}")
    screen = _Screen(console, url)
    async with (
        httpx2.AsyncClient(timeout=timeout, headers=headers) as client,
        client.stream("POST", f"{url}/api/copilot/stream/", json=body) as response,
    ):
        if not response.is_success:
            raise _refused(await response.aread(), response.status_code)
        async for name, data in server_sent_events(response.aiter_lines()):
            screen.show(name, data)
    return 0 if screen.ended_well else 1


async def server_sent_events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Name and data of each event of a `text/event-stream`; comments are skipped."""
    name, data = "", list[str]()
    async for line in lines:
        if not line:
            if data:
                yield name, msgspec.json.decode("\n".join(data))
            name, data = "", []
        elif line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))


def _refused(body: bytes, status: int) -> SegmentCopilotError:
    try:
        problem = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        problem = {}
    return SegmentCopilotError(problem.get("detail", f"The service answered {status}."), code=problem.get("code"))


class _Screen:
    """Draws a run as it comes."""

    def __init__(self, console: Console, url: str) -> None:
        self.console = console
        self.url = url
        self.ended_well = False
        self._titles: dict[str, str] = {}
        self._in_text = False

    def show(self, name: str, event: Mapping[str, Any]) -> None:
        """Draw one event; those that say nothing to a person are passed over."""
        drawn: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "run.started": self._started,
            "text.delta": self._text,
            "text.end": lambda _event: self._end_text(),
            "tool.start": self._tool_start,
            "tool.result": self._tool_result,
            "segment.draft": lambda event: self._line(_draft(event)),
            "component": lambda event: self._component(event["name"], event["props"]),
            "clarification": self._clarification,
            "warning": lambda event: self._line(f"[yellow]! {escape(event['message'])}[/]"),
            "run.finished": self._finished,
            "run.error": self._failed,
        }
        if name in drawn:
            drawn[name](event)

    def _started(self, event: Mapping[str, Any]) -> None:
        self._line(f"[dim]model {escape(event['model'])} · as of {event['as_of']}[/]")

    def _text(self, event: Mapping[str, Any]) -> None:
        self._in_text = True
        self.console.out(event["delta"], end="", highlight=False)

    def _clarification(self, event: Mapping[str, Any]) -> None:
        options = [f"  {index}. {escape(option['label'])}" for index, option in enumerate(event["options"], 1)]
        self._line("\n".join([f"[bold]{escape(event['question'])}[/]", *options]))

    def _finished(self, event: Mapping[str, Any]) -> None:
        self.ended_well = True
        if event["outcome"] not in {"completed", "input_required"}:
            self._line(f"[yellow]The run ended: {event['outcome']}.[/]")

    def _failed(self, event: Mapping[str, Any]) -> None:
        self._line(f"[bold red]{escape(event['message'])}[/] [dim]({event['code']})[/]")

    def _tool_start(self, event: Mapping[str, Any]) -> None:
        self._titles[event["tool_call_id"]] = f"{escape(event['title'])} [dim]({escape(event['name'])})[/]"

    def _end_text(self) -> None:
        if self._in_text:
            self.console.print()
        self._in_text = False

    def _line(self, shown: Any) -> None:
        self._end_text()
        self.console.print(shown)

    def _tool_result(self, event: Mapping[str, Any]) -> None:
        title = self._titles.get(event["tool_call_id"], "")
        mark = "[green]✓[/]" if event["ok"] else "[red]✗[/]"
        told = event["summary"] if event["ok"] else event["error"]["message"]
        self._line(f"{mark} {title} {escape(told)} [dim]{event['duration_ms']} ms[/]")

    def _component(self, name: str, props: Mapping[str, Any]) -> None:
        match name:
            case "MetricCard":
                self._line(_metric_card(props))
            case "SegmentTable":
                self._line(_segment_table(props))
            case "EventVolumeChart":
                self._line(_chart(props))
            case "CreateSegmentCTA":
                self._line(f"[bold]{escape(props['label'])}[/]: nothing is stored yet. To save it:")
                self.console.out(_save_command(props["save"], self.url), highlight=False)
            case _:
                self._line(f"[dim]({escape(name)} cannot be drawn here)[/]")


def _metric_card(props: Mapping[str, Any]) -> Panel:
    value = f"{props['value']:,}" + (f" {props['unit']}" if "unit" in props else "")
    lines = [Text(value, style="bold"), *([Text(props["note"], style="dim")] if "note" in props else [])]
    return Panel(Group(*lines), title=Text(props["title"]), title_align="left", expand=False)


def _segment_table(props: Mapping[str, Any]) -> Table:
    table = Table(title=Text(props["title"]), title_justify="left", box=box.SIMPLE_HEAD)
    for header in ("id", "name", "tier", "status"):
        table.add_column(header)
    table.add_column("members", justify="right")
    for row in props["rows"]:
        members = "" if row.get("member_count") is None else f"{row['member_count']:,}"
        table.add_row(str(row["id"]), Text(row["name"]), row["tier"], row["status"], members)
    if props["truncated"]:
        table.caption = f"{len(props['rows'])} of {props['total']}"
    return table


def _chart(props: Mapping[str, Any]) -> Group:
    points = props["points"][-_MOST_BARS:]
    widest = max((len(point["x"]) for point in points), default=0)
    most = max((point["y"] for point in points), default=0) or 1
    lines = [Text(f"{props['title']} ({props['unit']})", style="bold")]
    for point in points:
        bar = "█" * max(round(point["y"] / most * _BAR_CELLS), 1 if point["y"] else 0)
        lines.append(Text.assemble(f"  {point['x']:<{widest}} ", (bar, "cyan"), f" {point['y']:,}"))
    return Group(*lines)


def _draft(draft: Mapping[str, Any]) -> Panel:
    preview = draft["preview"]
    lines = [
        Text(draft["words"]),
        Text.assemble(
            (f"{preview['count']:,}", "bold"),
            f" of {preview['universe']:,} users ({preview['percent']:g} %) as of {preview['as_of']}",
        ),
        Text(f"{draft['tier']}: {draft['tier_reason']}", style="dim"),
    ]
    lines.extend(Text(f"Assumed: {told}", style="yellow") for told in draft["assumptions"])
    lines.extend(Text(f"Not expressed: {told}", style="red") for told in draft["unmapped"])
    lines.extend(Text(f"Note: {warning['detail']}", style="yellow") for warning in draft["warnings"])
    return Panel(Group(*lines), title=Text(f"Draft: {draft['name']}"), title_align="left")


def _save_command(save: Mapping[str, Any], url: str) -> str:
    """A curl that saves the draft as it stands."""
    body = shlex.quote(msgspec.json.encode(save["body"]).decode())
    return (
        f"curl -X {save['method']} {url}{save['path']} \\\n"
        f'  -H "Authorization: ApiKey $API_KEY" -H "Content-Type: application/json" \\\n  -d {body}'
    )
