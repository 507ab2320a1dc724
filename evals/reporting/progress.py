"""Shows how far a run is: a bar on a terminal, a line for each tenth elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from evals.results import CaseResult

Done = Callable[[CaseResult], None]
"""Is told of every case that is done."""


@contextmanager
def show_progress(console: Console, total: int) -> Generator[Done]:
    """Show the progress of *total* cases while the context is open."""
    if console.is_terminal:
        yield from _bar(console, total)
    else:
        yield _lines(console, total)


def _bar(console: Console, total: int) -> Generator[Done]:
    columns = (TextColumn("asking"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[failed]} failed"))
    failed = 0
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task("", total=total, failed=0)

        def done(case: CaseResult) -> None:
            nonlocal failed
            failed += not case.passed
            progress.update(task, advance=1, failed=failed)

        yield done


def _lines(console: Console, total: int) -> Done:
    began = time.monotonic()
    count = failed = 0

    def done(case: CaseResult) -> None:
        nonlocal count, failed
        count, failed = count + 1, failed + (not case.passed)
        if count * 10 // total > (count - 1) * 10 // total:
            console.print(f"{count} of {total} cases asked, {failed} failed, {time.monotonic() - began:.0f} s")

    return done
