"""Draws a run of the copilot in a terminal, event by event: text, steps, components, drafts, questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from rich import box
from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from segment_copilot.commands.printing import escape_controls, printable
from segment_copilot.commands.shell import command_line
from segment_copilot.commands.wrapping import WordWrap
from segment_copilot.language.describe import in_percent

_BAR_CELLS: Final = 40
_MOST_BARS: Final = 31
_CHANGES: Final = {"add": ("+", "green"), "remove": ("-", "red"), "replace": ("~", "yellow"), "move": (">", "yellow")}


class Screen:
    """Draws one run as it comes, and keeps what the next request needs of it.

    *arguments* name the service to a command that is shown; *in_chat*, commands of the chat are shown instead.
    """

    def __init__(self, console: Console, *, in_chat: bool = False, arguments: Sequence[str] = ()) -> None:
        self.console = console
        self._in_chat = in_chat
        self._arguments = arguments
        self.end: Mapping[str, Any] | None = None
        """The last event; None while there was none."""
        self.question: Mapping[str, Any] | None = None
        """What the person is asked, when the run ended with it."""
        self.checkpoint: str | None = None
        self.offer: Mapping[str, Any] | None = None
        """What saves the draft that was shown last, as `save`, and as `update` where it was made from a segment."""
        self._wrap = WordWrap()
        self._texts: dict[str, str] = {}
        self._titles: dict[str, str] = {}
        self._in_text = False

    @property
    def text(self) -> str:
        """The text of the answer, as it stands."""
        return "\n\n".join(self._texts.values())

    @property
    def ended_well(self) -> bool:
        """True when the run ended with `run.finished`."""
        return self.end is not None and self.end["type"] == "run.finished"

    def show(self, event: Mapping[str, Any]) -> None:
        """Draw one event; those that say nothing to a person are passed over."""
        whole, event = event, printable(event)
        drawings: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "run.started": self._started,
            "text.delta": self._text,
            "text.end": lambda _event: self._end_text(),
            "tool.start": self._tool_start,
            "tool.result": self._tool_result,
            "turn.reset": self._reset,
            "segment.draft": lambda event: self._line(draft_panel(event)),
            "component": self._component,
            "clarification": self._clarification,
            "checkpoint": self._checkpoint,
            "warning": lambda event: self._line(f"[yellow]! {escape(event['message'])}[/]"),
            "run.finished": self._finished,
            "run.error": self._failed,
        }
        if event["type"] == "component" and event["name"] == "CreateSegmentCTA":
            self.offer = whole["props"]  # to be sent as it came
        if (draw := drawings.get(event["type"])) is not None:
            draw(event)

    def _started(self, event: Mapping[str, Any]) -> None:
        self._line(f"[dim]model {escape(event['model'])} · as of {event['as_of']}[/]")

    def _text(self, event: Mapping[str, Any]) -> None:
        self._in_text = True
        self._texts[event["id"]] = self._texts.get(event["id"], "") + event["delta"]
        text = event["delta"]
        if self.console.is_terminal:
            text = self._wrap.add(text, width=self.console.width)
        self.console.out(text, end="", highlight=False)

    def _reset(self, event: Mapping[str, Any]) -> None:
        for discarded in event["discard"]:
            self._texts.pop(discarded, None)
        self._line("[dim](that did not work; asking again)[/]")

    def _clarification(self, event: Mapping[str, Any]) -> None:
        self.question = event  # drawn at the end: the question is often the answer's text

    def _ask(self, question: Mapping[str, Any]) -> None:
        if question["question"] not in self.text:
            self._line(f"[bold]{escape(question['question'])}[/]")
        for index, option in enumerate(question["options"], 1):
            effect = f" [dim]{escape(option['effect'])}[/]" if "effect" in option else ""
            self._line(f"  [bold]{index}.[/] {escape(option['label'])}{effect}")

    def _checkpoint(self, event: Mapping[str, Any]) -> None:
        self.checkpoint = event["token"]

    def _finished(self, event: Mapping[str, Any]) -> None:
        self.end = event
        self._end_text()
        if self.question is not None:
            self._ask(self.question)
        if event["outcome"] not in {"completed", "input_required"}:
            limit = f" ({event['limit']})" if "limit" in event else ""
            self._line(f"[yellow]The run ended: {event['outcome']}{limit}.[/]")

    def _failed(self, event: Mapping[str, Any]) -> None:
        self.end = event
        self._line(f"[bold red]{escape(event['message'])}[/] [dim]({event['code']})[/]")

    def _tool_start(self, event: Mapping[str, Any]) -> None:
        self._titles[event["tool_call_id"]] = f"{escape(event['title'])} [dim]({escape(event['name'])})[/]"

    def _end_text(self) -> None:
        if self._in_text:
            self.console.out(self._wrap.finish(width=self.console.width), highlight=False)
            self._wrap = WordWrap()
        self._in_text = False

    def _line(self, renderable: Any) -> None:
        self._end_text()
        self.console.print(renderable)

    def _tool_result(self, event: Mapping[str, Any]) -> None:
        title = self._titles.get(event["tool_call_id"], "")
        mark = "[green]✓[/]" if event["ok"] else "[red]✗[/]"
        sentence = event["summary"] if event["ok"] else event["error"]["message"]
        self._line(f"{mark} {title} {escape(sentence)} [dim]{event['duration_ms']} ms[/]")

    def _component(self, event: Mapping[str, Any]) -> None:
        props = event["props"]
        match event["name"]:
            case "MetricCard":
                self._line(metric_card(props))
            case "SegmentTable":
                self._line(segment_table(props))
            case "EventVolumeChart":
                self._line(bar_chart(props))
            case "CreateSegmentCTA":
                self._tell_how_to_save(props)
            case other:
                self._line(f"[dim]({escape(other)} cannot be drawn here)[/]")

    def _tell_how_to_save(self, props: Mapping[str, Any]) -> None:
        """Say how to keep the draft: a terminal has no buttons."""
        label = f"[bold]{escape(props['label'])}[/]: nothing is stored yet."
        if self._in_chat:
            update = " [bold]/update[/] gives it to the segment that it was made from." if "update" in props else ""
            self._line(f"{label} [bold]/save[/] saves it.{update}")
        else:
            self._line(f"{label} To save it, type:")
            assert self.offer is not None  # noqa: S101  # set before anything is drawn
            self.console.out(_save_command(self.offer["save"], self._arguments), highlight=False)


def metric_card(props: Mapping[str, Any]) -> Panel:
    """Draw one number in a frame."""
    value = f"{props['value']:,}" + (f" {props['unit']}" if "unit" in props else "")
    lines = [Text(value, style="bold"), *([Text(props["note"], style="dim")] if "note" in props else [])]
    return Panel(Group(*lines), title=Text(props["title"]), title_align="left", expand=False)


def segment_table(props: Mapping[str, Any]) -> Table:
    """Draw a table with a row for each segment."""
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


def bar_chart(props: Mapping[str, Any]) -> Group:
    """Draw a bar for each point, at most the last 31."""
    points = props["points"][-_MOST_BARS:]
    widest = max((len(point["x"]) for point in points), default=0)
    most = max((point["y"] for point in points), default=0) or 1
    title = Text.assemble(
        (f"{props['title']} ({props['unit']})", "bold"), (f"  {props['from']} – {props['to']}", "dim")
    )
    lines = [title]
    for point in points:
        bar = "█" * max(round(point["y"] / most * _BAR_CELLS), 1 if point["y"] else 0)
        part = (" part of the day", "dim") if point.get("partial") else ""
        lines.append(Text.assemble(f"  {point['x']:<{widest}} ", (bar, "cyan"), f" {point['y']:,}", part))
    if len(points) < len(props["points"]):
        lines.append(Text(f"  the last {len(points)} of {len(props['points'])}", style="dim"))
    return Group(*lines)


def draft_panel(draft: Mapping[str, Any]) -> Panel:
    """Draw a draft: in words, counted, what was assumed and left out, what an edit changed."""
    preview = draft["preview"]
    lines = [
        Text(draft["words"]),
        Text.assemble(
            (f"{preview['count']:,}", "bold"),
            f" of {preview['universe']:,} users ({in_percent(preview['percent'])}) as of {preview['as_of']}",
        ),
        Text(f"{draft['tier']}: {draft['tier_reason']}", style="dim"),
        *_edit_lines(draft),
    ]
    lines.extend(Text(f"Assumed: {sentence}", style="yellow") for sentence in draft["assumptions"])
    lines.extend(Text(f"Not expressed: {sentence}", style="red") for sentence in draft["unmapped"])
    unread = [read["text"] for read in draft.get("reading", ()) if read.get("unmapped")]
    lines.extend(Text(f"In no condition: “{text}”", style="red") for text in unread)
    lines.extend(Text(f"Note: {warning['detail']}", style="yellow") for warning in draft["warnings"])
    return Panel(Group(*lines), title=Text(f"Draft: {draft['name']}"), title_align="left")


def _edit_lines(draft: Mapping[str, Any]) -> Iterable[Text]:
    """Yield what an edit changed, operation by operation."""
    if (base := draft.get("base")) is not None and "segment_id" in base:
        yield Text(f"Edited: segment {base['segment_id']}, version {base['version']}", style="dim")
    for operation in draft.get("diff", ()):
        mark, style = _CHANGES.get(operation["op"], ("?", "yellow"))
        value = " " + msgspec.json.encode(operation["value"]).decode() if "value" in operation else ""
        source = f"{operation['from']} → " if "from" in operation else ""
        yield Text(f"{mark} {source}{operation['path']}{value}", style=style)


def _save_command(save: Mapping[str, Any], arguments: Sequence[str]) -> str:
    """Return what to type in a shell to save the draft as it stands."""
    body = escape_controls(msgspec.json.encode(save["body"]).decode())
    return f"{command_line('segments', 'create', '-', *arguments)} <<'JSON'\n{body}\nJSON"
