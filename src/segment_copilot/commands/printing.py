"""Prints what a command found: as JSON for programs, as a table on a terminal, as lines with tabs elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BLANK: Final = re.compile(r"[\t\n]+")


def print_json(value: object) -> None:
    """Print *value* as indented JSON."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


def print_rows(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print *rows*: under *headers* on a terminal; elsewhere each as a line with tabs, for `cut` and its like."""
    console = Console(highlight=False)
    texts = [[_cell(value) for value in row] for row in rows]
    if not console.is_terminal:
        for row in texts:
            typer.echo("\t".join(row))
        return
    if not texts:
        console.print("[dim]none[/]")
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in texts:
        table.add_row(*map(Text, row))
    console.print(table)


def printable(value: Any) -> Any:
    """Return *value* with no text in it that a terminal would obey: what events are called, anybody may choose."""
    if isinstance(value, str):
        return _CONTROL.sub("", value)
    if isinstance(value, list):
        return [printable(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {name: printable(item) for name, item in cast("dict[str, Any]", value).items()}
    return value


def escape_controls(document: str) -> str:
    """Return JSON text with what a terminal would obey written as escapes: the same document."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def _cell(value: object) -> str:
    """Return a value as one line of text; None is empty."""
    text = "" if value is None else value.isoformat() if hasattr(value, "isoformat") else str(value)  # type: ignore[union-attr]
    return _BLANK.sub(" ", printable(text))
