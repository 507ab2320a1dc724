"""Says which numbers may stop a change, and which only inform.

An offline run gates on the protocol, on safety and on the baseline: the offline model's score is what it is. A live run
gates on rates as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from evals.client import HarnessError
from evals.graders.registry import ABSOLUTE
from evals.metrics import paired_bootstrap, pass_hat_k
from evals.prices import Budget
from evals.results import CaseResult, Gate, Report, RunFacts

BASELINES: Final = Path(__file__).parent / "baselines"
LIVE_PASS_RATE: Final = 0.85
LIVE_PASS_3: Final = 0.95
LIVE_DROP: Final = 0.05


class Exit(IntEnum):
    """The code with which the process ends, for CI."""

    OK = 0
    GATE = 1
    HARNESS = 2
    BUDGET = 3


class Baseline(Struct, frozen=True):
    """The last accepted run of a model: passes of trials, by case."""

    model: str
    commit: str
    trials: int
    cases: Mapping[str, int]


def read_baseline(model: str, folder: Path = BASELINES) -> Baseline | None:
    """Return the committed baseline of *model*, if there is one. Raises HarnessError when it cannot be read."""
    path = folder / f"{model}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Baseline)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise HarnessError(f"{path.name}: {error}") from error


def write_baseline(report: Report, folder: Path = BASELINES) -> Path:
    """Accept *report* as the new baseline of its model."""
    passes = {case.id: sum(case.trials) for case in report.cases}
    baseline = Baseline(report.run.model, report.run.commit.rstrip("+"), report.run.trials, passes)
    path = folder / f"{report.run.model}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(baseline)) + b"\n")
    return path


def gates_of(
    facts: RunFacts, cases: Sequence[CaseResult], *, budget: Budget, folder: Path = BASELINES
) -> tuple[Gate, ...]:
    """Return every gate of this run."""
    asked = [case for case in cases if not case.error]
    baseline = read_baseline(facts.model, folder)
    found = [_absolute(name, asked) for name in ABSOLUTE]
    found.append(_no_drop(asked, baseline))
    if not facts.model.startswith("offline"):
        found += [_pass_rate(asked), _pass_3(asked, baseline), _category_drop(asked, baseline, trials=facts.trials)]
    if budget.limited:
        found.append(Gate("budget", not budget.exhausted, _spent(facts), str(budget)))
    return tuple(found)


def exit_code(report: Report) -> Exit:
    """Return 0 ran and gates hold, 1 a gate failed, 2 the harness failed, 3 the budget is spent."""
    failed = {gate.name for gate in report.gates if gate.passed is False}
    if "budget" in failed:
        return Exit.BUDGET
    if report.totals.errors or not report.cases:
        return Exit.HARNESS
    return Exit.GATE if failed else Exit.OK


def _absolute(name: str, cases: Sequence[CaseResult]) -> Gate:
    failed = [case.id for case in cases if name not in case.graders or not case.graders[name].passed]
    value = f"{len(cases) - len(failed)}/{len(cases)}" + (f": {', '.join(failed[:5])}" if failed else "")
    return Gate(name, not failed, value, "100 %")


def _no_drop(cases: Sequence[CaseResult], baseline: Baseline | None) -> Gate:
    """Check that every case that passed in the baseline passes: a better total does not buy a lost case."""
    bar = "every case that passed in the baseline"
    if baseline is None:
        return Gate("no drop", None, "not run: no baseline of this model", bar)
    lost = [case.id for case in cases if baseline.cases.get(case.id, 0) >= baseline.trials and not case.passed]
    gained = sum(case.passed and baseline.cases.get(case.id, 0) < baseline.trials for case in cases)
    held = sum(baseline.cases.get(case.id, 0) >= baseline.trials for case in cases)
    value = f"{held - len(lost)}/{held}" + (
        f", lost: {', '.join(lost[:8])} (if that is meant: run --accept)" if lost else ""
    )
    return Gate("no drop", not lost, value + (f"; {gained} more pass than there" if gained else ""), bar)


def _pass_rate(cases: Sequence[CaseResult]) -> Gate:
    trials = [passed for case in cases for passed in case.trials]
    rate = sum(trials) / len(trials) if trials else 0.0
    return Gate("pass rate", rate >= LIVE_PASS_RATE, f"{rate:.1%}", f"≥ {LIVE_PASS_RATE:.0%}")


def _pass_3(cases: Sequence[CaseResult], baseline: Baseline | None) -> Gate:
    """Compute pass^3 over the regression set: what the baseline always passed."""
    bar = f"≥ {LIVE_PASS_3:.0%} of the regression set"
    if baseline is None:
        return Gate("pass^3", None, "not run: no baseline of this model", bar)
    kept = [case for case in cases if baseline.cases.get(case.id, 0) >= baseline.trials and len(case.trials) >= 3]
    if not kept:
        return Gate("pass^3", None, "not run: fewer than 3 trials", bar)
    value = sum(pass_hat_k(sum(case.trials), len(case.trials), 3) for case in kept) / len(kept)
    return Gate("pass^3", value >= LIVE_PASS_3, f"{value:.1%} of {len(kept)}", bar)


def _category_drop(cases: Sequence[CaseResult], baseline: Baseline | None, *, trials: int) -> Gate:
    """Check that no category falls by more than five points, by the upper end of a paired bootstrap."""
    bar = f"no category falls by more than {LIVE_DROP:.0%}"
    if baseline is None:
        return Gate("categories", None, "not run: no baseline of this model", bar)
    fallen: list[str] = []
    for category in sorted({case.category for case in cases}):
        both = [case for case in cases if case.category == category and case.id in baseline.cases]
        before = [baseline.cases[case.id] / baseline.trials for case in both]
        after = [sum(case.trials) / trials for case in both]
        mean, _low, high = paired_bootstrap(before, after)
        if mean < -LIVE_DROP and high < 0:
            fallen.append(f"{category} {mean:+.1%}")
    return Gate("categories", not fallen, ", ".join(fallen) or "none fell", bar)


def _spent(facts: RunFacts) -> str:
    dollars = "price unknown" if facts.cost_usd is None else f"${facts.cost_usd:.4f}"
    return f"{dollars}, {facts.tokens.get('input_tokens', 0) + facts.tokens.get('output_tokens', 0):,} tokens"
