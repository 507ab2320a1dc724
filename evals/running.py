"""Run the cases: ask, grade, and put the results together."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

from evals.cases import Case
from evals.client import HarnessError
from evals.fixtures.rows import AS_OF, Dataset
from evals.gates import gates_of
from evals.graders.drafts import drafted
from evals.graders.grading import Grade, Grading
from evals.graders.registry import answer_of, grade
from evals.prices import Budget
from evals.results import CaseResult, Report, RunFacts, totals_of
from evals.service import Service
from evals.transcript import Transcript
from evals.truth import Truth

AT_ONCE: Final = 2


class Trial(Struct, frozen=True):
    """One answer to one case, graded."""

    passed: bool
    grades: Mapping[str, Grade]
    transcript: Transcript
    definition: Mapping[str, Any] | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """Says what to run, and how."""

    cases: tuple[Case, ...]
    datasets: tuple[Dataset, ...]
    trials: int = 1
    budget: Budget
    target: str = "embedded"
    origin: str = "live"
    stale: int = 0


def grading_of(service: Service, datasets: Sequence[Dataset]) -> Grading:
    """Put together what graders need besides the answers."""
    tenants = dict.fromkeys(dataset.tenant for dataset in datasets)
    truths = {tenant: Truth([one for one in datasets if one.tenant == tenant]) for tenant in tenants}
    return Grading(service, truths)


async def run(service: Service, plan: Plan, *, done: Callable[[CaseResult], None] = lambda _case: None) -> Report:
    """Ask every case *trials* times, and tell *done* of each. What is not asked, for the budget is spent, is an error."""
    began, started_at = time.monotonic(), datetime.now(UTC)
    grading = grading_of(service, plan.datasets)
    room = asyncio.Semaphore(AT_ONCE)

    async def one(case: Case) -> CaseResult:
        async with room:
            result = await _case(case, grading, plan)
        done(result)
        return result

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(case)) for case in plan.cases]
    cases = tuple(task.result() for task in tasks)
    facts = RunFacts(
        id=f"{started_at:%Y%m%dT%H%M%SZ}-{service.model}",
        model=service.model,
        commit=commit(),
        as_of=AS_OF.isoformat().replace("+00:00", "Z"),
        started_at=started_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        target=plan.target,
        trials=plan.trials,
        seconds=round(time.monotonic() - began, 2),
        cost_usd=plan.budget.spent_usd,
        tokens=plan.budget.tokens,
        origin=plan.origin,
    )
    return Report(facts, totals_of(cases), gates_of(facts, cases, budget=plan.budget), cases)


async def _case(case: Case, grading: Grading, plan: Plan) -> CaseResult:
    trials: list[Trial] = []
    error = ""
    began = time.monotonic()
    for _ in range(plan.trials):
        if plan.budget.exhausted:
            error = "not asked: the budget is spent"
            break
        try:
            trials.append(await ask(case, grading))
        except HarnessError as failed:
            error = str(failed)
            break
        plan.budget.spend(grading.service.model, trials[-1].transcript.usage)
    shown = next((trial for trial in trials if not trial.passed), trials[0] if trials else None)
    seconds = [trial.transcript.seconds for trial in trials]
    return CaseResult(
        id=case.id,
        category=case.category,
        passed=bool(trials) and not error and all(trial.passed for trial in trials),
        graders=shown.grades if shown else {},
        duration_ms=round(1000 * (sum(seconds) / len(seconds) if seconds else time.monotonic() - began), 1),
        trials=tuple(trial.passed for trial in trials),
        error=error,
        case=case,
        transcript=shown.transcript if shown else None,
        definition=shown.definition if shown else None,
    )


async def ask(case: Case, grading: Grading) -> Trial:
    """Return one answer, graded. Raises HarnessError."""
    answer = answer_of(case, await grading.home(case).ask(case))
    grades = await grade(answer, grading)
    return Trial(all(one.passed for one in grades.values()), grades, answer.transcript, drafted(answer, grading))


def commit() -> str:
    """Return the commit of this tree, `+` behind it when there are changes; empty outside a repository."""
    if given := os.environ.get("EVALS_COMMIT"):
        return given
    try:
        found = _git("rev-parse", "--short=12", "HEAD")
        return found + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603, S607
