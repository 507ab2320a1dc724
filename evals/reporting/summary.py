"""Counts what all reports count in the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from evals.graders.registry import GRADERS
from evals.metrics import pass_at_k, pass_hat_k, percentile, wilson
from evals.results import CaseResult, Report


class Rate(Struct, frozen=True):
    """The share of cases that passed, with the 95 % Wilson interval."""

    name: str
    passed: int
    total: int

    @property
    def share(self) -> float:
        """The share that passed, between 0 and 1."""
        return self.passed / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval."""
        return wilson(self.passed, self.total)


def rates(cases: Sequence[CaseResult], key: Callable[[CaseResult], Sequence[str]]) -> list[Rate]:
    """Count by every name that *key* gives a case, in the order of the names; errors do not count."""
    asked = [case for case in cases if not case.error]
    names = sorted({name for case in asked for name in key(case)})
    return [
        Rate(name, sum(case.passed for case in asked if name in key(case)), sum(name in key(case) for case in asked))
        for name in names
    ]


def by_category(report: Report) -> list[Rate]:
    """Return the pass rate by category."""
    return rates(report.cases, lambda case: [case.category])


def by_feature(report: Report) -> list[Rate]:
    """Return the pass rate by what a definition needs; `plain` needs none of it."""
    return rates(report.cases, lambda case: list(case.case.features) or ["plain"])


def by_tenant(report: Report) -> list[Rate]:
    """Return the pass rate by tenant and language."""
    return rates(report.cases, lambda case: [f"{case.case.tenant}, {case.case.language}"])


def by_grader(report: Report) -> list[Rate]:
    """Count how often each grader passed of how often it had something to say."""
    return [
        Rate(name, sum(one.passed for one in spoke), len(spoke))
        for name in GRADERS
        if (spoke := [case.graders[name] for case in report.cases if name in case.graders])
    ]


class Overall(Struct, frozen=True):
    """The run in a few numbers."""

    rate: Rate
    likeness: float | None  # mean Jaccard of drafts to gold
    pass_hat: tuple[int, float] | None  # k, pass^k
    pass_at: tuple[int, float] | None
    p50_ms: float
    p95_ms: float
    asked_back: tuple[int, int, int]  # clarifications: right ones, given, wanted
    tool_calls: float


def overall(report: Report) -> Overall:
    """Sum up all cases together."""
    asked = [case for case in report.cases if not case.error]
    likeness = [case.graders["equivalence"].score for case in asked if "equivalence" in case.graders]
    trials = report.run.trials
    sums = [(sum(case.trials), len(case.trials)) for case in asked if len(case.trials) == trials]
    several = trials > 1 and bool(sums)
    durations = [case.duration_ms for case in asked]
    calls = [len(case.transcript.tools) for case in asked if case.transcript is not None]
    return Overall(
        rate=Rate("all", sum(case.passed for case in asked), len(asked)),
        likeness=sum(likeness) / len(likeness) if likeness else None,
        pass_hat=(trials, sum(pass_hat_k(c, n, trials) for c, n in sums) / len(sums)) if several else None,
        pass_at=(trials, sum(pass_at_k(c, n, trials) for c, n in sums) / len(sums)) if several else None,
        p50_ms=percentile(durations, 0.5),
        p95_ms=percentile(durations, 0.95),
        asked_back=_asked_back(asked),
        tool_calls=sum(calls) / len(calls) if calls else 0.0,
    )


def _asked_back(cases: Sequence[CaseResult]) -> tuple[int, int, int]:
    """Count questions to the person: where one was right, how many were given, where one was the best answer."""
    given = [
        case for case in cases if "outcome" in case.graders and case.graders["outcome"].detail.startswith("clarify")
    ]
    right = sum("clarify" in case.case.expect.outcome for case in given)
    return right, len(given), sum(case.case.expect.outcome[0] == "clarify" for case in cases)


def failures_first(report: Report) -> list[CaseResult]:
    """Sort cases: errors, then failures by category, then the rest."""
    return sorted(report.cases, key=lambda case: (not case.error, case.passed, case.category, case.id))


def percent(share: float) -> str:
    """Write a share without false precision."""
    return f"{100 * share:.0f} %"


def judged(report: Report) -> str:
    """Return the line about the judge, which never looks like a score when there is none."""
    if report.judge.get("status") != "done":
        return f"judge: not run ({report.judge.get('reason', 'no ANTHROPIC_API_KEY')})"
    means = ", ".join(f"{name} {value:.2f}" for name, value in report.judge["means"].items())
    return f"judge: {means} of 5 over {report.judge['cases']} answers by {report.judge['model']} ({report.judge['agreement']})"
