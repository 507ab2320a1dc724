"""Shows a run on a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evals.reporting.summary import Rate, by_category, by_grader, failures_first, judged, overall, percent
from evals.results import Report

_CELLS = 24


def show_report(report: Report, console: Console) -> None:
    """Show rates, graders, gates, and why each failed case failed."""
    run, whole = report.run, overall(report)
    low, high = whole.rate.interval
    console.print(
        f"\n[bold]{whole.rate.passed} of {whole.rate.total} cases passed[/] "
        f"({percent(whole.rate.share)}, 95 % interval {percent(low)} to {percent(high)}) · model [bold]{escape(run.model)}[/]"
        f" · as of {run.as_of} · commit {run.commit or 'unknown'} · {run.seconds:.1f} s"
    )
    console.print(_rates("category", by_category(report)))
    console.print(_rates("grader", by_grader(report)))
    failed = [case for case in failures_first(report) if not case.passed]
    if failed:
        table = Table(title="Failed", title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        table.add_column("case", no_wrap=True)
        table.add_column("why", overflow="fold")
        for case in failed:
            why = case.error or "; ".join(
                f"[bold]{name}[/] {escape(one.detail)}" for name, one in case.graders.items() if not one.passed
            )
            table.add_row(case.id, why)
        console.print(table)
    for gate in report.gates:
        mark = {True: "[green]✓[/]", False: "[bold red]✗[/]", None: "[dim]–[/]"}[gate.passed]
        console.print(f"{mark} gate {gate.name}: {escape(gate.value)} [dim](bar: {escape(gate.bar)})[/]")
    console.print(f"[dim]{escape(judged(report))}[/]")


def _rates(title: str, rates: list[Rate]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(title, min_width=14)
    for header in ("passed", "rate", "95 % interval"):
        table.add_column(header, justify="right")
    table.add_column("")
    for rate in rates:
        low, high = rate.interval
        full = round(rate.share * _CELLS)
        colour = "green" if rate.share == 1 else "yellow" if rate.share >= 0.5 else "red"
        bar = f"[{colour}]{'█' * full}[/][dim]{'░' * (_CELLS - full)}[/]"
        table.add_row(
            rate.name, f"{rate.passed}/{rate.total}", percent(rate.share), f"{percent(low)} – {percent(high)}", bar
        )
    return table
