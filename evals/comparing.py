"""Compares two runs: what changed, by how much, and whether that is more than noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from evals.metrics import paired_bootstrap
from evals.results import CaseResult, Report

_NAMED: Final = 5  # cases that only one run has


class Pair(Struct, frozen=True):
    """One case in both runs; scores are shares of trials that passed."""

    id: str
    category: str
    before: float
    after: float
    why: str


class Comparison(Struct, frozen=True):
    """Holds what both runs have, and what only one has."""

    before: str
    after: str
    pairs: tuple[Pair, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]

    def rows(self) -> Iterator[tuple[str, int, float, float, tuple[float, float, float]]]:
        """Count by category and in all: cases, both rates, the mean difference with its 95 % interval."""
        for category in [*sorted({pair.category for pair in self.pairs}), ""]:
            chosen = [pair for pair in self.pairs if category in ("", pair.category)]
            if chosen:
                before, after = [pair.before for pair in chosen], [pair.after for pair in chosen]
                count = len(chosen)
                yield category or "all", count, sum(before) / count, sum(after) / count, paired_bootstrap(before, after)

    def changed(self) -> list[Pair]:
        """Return what got worse, then what got better."""
        return sorted(
            (one for one in self.pairs if one.before != one.after), key=lambda one: (one.after > one.before, one.id)
        )


def compare(before: Report, after: Report) -> Comparison:
    """Compare two runs, case by case: they are paired by id."""
    old = {case.id: case for case in before.cases if not case.error}
    new = {case.id: case for case in after.cases if not case.error}
    pairs = [
        Pair(one, new[one].category, _share(old[one]), _share(new[one]), _why(old[one], new[one]))
        for one in new
        if one in old
    ]
    return Comparison(
        _name(before),
        _name(after),
        tuple(pairs),
        tuple(sorted(old.keys() - new.keys())),
        tuple(sorted(new.keys() - old.keys())),
    )


def _name(report: Report) -> str:
    return f"{report.run.model} at {report.run.commit[:8] or '?'} ({report.run.started_at})"


def _share(case: CaseResult) -> float:
    return sum(case.trials) / len(case.trials) if case.trials else float(case.passed)


def _why(old: CaseResult, new: CaseResult) -> str:
    told = [
        f"{name}: {(new if not one.passed else old).graders[name].detail}"
        for name, one in new.graders.items()
        if name in old.graders and old.graders[name].passed != one.passed
    ]
    return "; ".join(told)


def show_comparison(found: Comparison, console: Console) -> None:
    """Show a comparison on a terminal."""
    console.print(f"\n[bold]before[/] {found.before}\n[bold]after[/]  {found.after}")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for header in ("category", "cases", "before", "after", "change", "95 % interval"):
        table.add_column(header, justify="left" if header == "category" else "right")
    for name, count, before, after, (mean, low, high) in found.rows():
        colour = "green" if low > 0 else "red" if high < 0 else "default"
        table.add_row(
            name, str(count), f"{before:.0%}", f"{after:.0%}", f"[{colour}]{mean:+.1%}[/]", f"{low:+.1%} to {high:+.1%}"
        )
    console.print(table)
    if changed := found.changed():
        table = Table(box=box.SIMPLE_HEAD, show_edge=False)
        for header in ("", "case", "before", "after", "why"):
            table.add_column(header, overflow="fold")
        for pair in changed:
            mark = "[green]better[/]" if pair.after > pair.before else "[red]worse[/]"
            table.add_row(mark, pair.id, f"{pair.before:.0%}", f"{pair.after:.0%}", Text(pair.why, style="dim"))
        console.print(table)
    for title, ids in (("only before", found.only_before), ("only after", found.only_after)):
        if ids:
            more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
            console.print(f"[dim]{title}: {', '.join(ids[:_NAMED])}{more}[/]", soft_wrap=True)


def comparison_markdown(found: Comparison) -> str:
    """Write a comparison as Markdown."""
    lines: Sequence[str] = [
        f"**before** {found.before}  \n**after** {found.after}",
        "",
        "| category | cases | before | after | change | 95 % interval |",
        "|---|---:|---:|---:|---:|---|",
        *(
            f"| {name} | {count} | {before:.0%} | {after:.0%} | {mean:+.1%} | {low:+.1%} to {high:+.1%} |"
            for name, count, before, after, (mean, low, high) in found.rows()
        ),
        "",
        *(f"- `{one.id}` {one.before:.0%} → {one.after:.0%} {one.why}" for one in found.changed()),
    ]
    return "\n".join(lines) + "\n"
