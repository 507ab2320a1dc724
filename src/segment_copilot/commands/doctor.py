"""Prints what `doctor` found: as a table on a terminal with what to do below each, as lines with tabs elsewhere, as JSON."""

from __future__ import annotations

from collections import Counter
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from segment_copilot.commands.printing import print_json, print_rows, printable
from segment_copilot.doctor import Check, Report, Verdict

_STYLES: Final[dict[Verdict, str]] = {"ok": "green", "unknown": "dim", "warning": "yellow", "wrong": "bold red"}
_SENTENCES: Final[dict[Verdict, str]] = {
    "ok": "Nothing is wrong.",
    "unknown": "Nothing is wrong with what can be seen from here.",
    "warning": "It works, with warnings.",
    "wrong": "Something is wrong.",
}


def show_report(report: Report, *, strict: bool, as_json: bool) -> int:
    """Print *report*, and return the exit code: 1 when something is wrong, and where *strict* for a warning too."""
    if as_json:
        print_json(report)
    elif Console().is_terminal:
        _draw(report)
    else:
        print_rows((), ([one.verdict, one.name, one.detail, one.remedy] for one in report.checks))
    return int(report.verdict == "wrong" or (strict and report.verdict == "warning"))


def _draw(report: Report) -> None:
    console = Console(highlight=False)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in report.checks:
        table.add_row(Text(check.verdict, _STYLES[check.verdict]), check.name, _said(check))
    console.print(table)
    counts = Counter(check.verdict for check in report.checks)
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    console.print(f"\nsegment-copilot {report.version}: {_SENTENCES[report.verdict]} ({told})")


def _said(check: Check) -> Text:
    said = Text(printable(check.detail))
    if check.remedy:
        said.append(f"\n→ {printable(check.remedy)}", style="" if check.verdict == "wrong" else "dim")
    return said
