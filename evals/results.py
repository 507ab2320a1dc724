"""Holds what a run found, as it is written to report.json: fields may be added, none renamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from evals.cases import Case
from evals.client import HarnessError
from evals.graders.grading import Grade
from evals.transcript import Transcript


class RunFacts(Struct, frozen=True, kw_only=True):
    """Says which run this is. *cost_usd* is null where the price of the model is not known."""

    id: str
    model: str
    commit: str
    as_of: str
    started_at: str
    target: str = "embedded"
    trials: int = 1
    seconds: float = 0
    cost_usd: float | None = None
    tokens: Mapping[str, int] = {}
    origin: str = "live"  # live, or what answered instead of a model


class Totals(Struct, frozen=True):
    """Counts cases. *errors* are those the harness could not finish; they are in neither of the others."""

    cases: int
    passed: int
    failed: int
    errors: int


class Gate(Struct, frozen=True):
    """A bar and what was measured. *passed* is null when it was not run, and *value* says why."""

    name: str
    passed: bool | None
    value: str
    bar: str


class CaseResult(Struct, frozen=True, kw_only=True):
    """One case. *graders* and *transcript* are of the trial that counts: the first that failed, else the first."""

    id: str
    category: str
    passed: bool
    graders: Mapping[str, Grade]
    duration_ms: float
    trials: tuple[bool, ...] = ()
    error: str = ""
    case: Case
    transcript: Transcript | None = None
    definition: Mapping[str, Any] | None = None  # the draft's, with the names of segments
    judge: Mapping[str, Any] | None = None


class Report(Struct, frozen=True):
    """A whole run."""

    run: RunFacts
    totals: Totals
    gates: tuple[Gate, ...]
    cases: tuple[CaseResult, ...]
    judge: Mapping[str, Any] = {}


def totals_of(cases: Sequence[CaseResult]) -> Totals:
    """Count cases."""
    errors = sum(bool(case.error) for case in cases)
    passed = sum(case.passed for case in cases)
    return Totals(len(cases), passed, len(cases) - passed - errors, errors)


def read_report(path: Path) -> Report:
    """Read a report.json, or the one in a folder. Raises HarnessError."""
    file = path / "report.json" if path.is_dir() else path
    try:
        return msgspec.json.decode(file.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError) as error:
        raise HarnessError(f"{file} is no report: {error}") from error
