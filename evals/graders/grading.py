"""Holds what a grader gets, and what it gives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct

from evals.cases import Case, Outcome
from evals.client import Stream, Workspace
from evals.service import Service
from evals.transcript import Transcript
from evals.truth import Truth


class Grade(Struct, frozen=True):
    """A verdict: *score* from 0 to 1 says how near it was."""

    passed: bool
    score: float
    detail: str


class Grading(Struct, frozen=True):
    """Holds what all graders of a run share."""

    service: Service
    truths: Mapping[str, Truth]

    def home(self, case: Case) -> Workspace:
        """Return the workspace that was asked."""
        return self.service.workspace(case.tenant)


class Answer(Struct, frozen=True):
    """A case and what came back."""

    case: Case
    stream: Stream
    transcript: Transcript
    forms: frozenset[Outcome]  # what kind of answer it is; a text may ask and decline at once


Grader = Callable[[Answer, Grading], Awaitable[Grade | None]]
"""None: this grader has nothing to say about this case."""


def verdict(faults: list[str], *, good: str = "", score: float | None = None) -> Grade:
    """Grade an answer by its faults: it passes when there is none; the first three are told."""
    told = "; ".join(faults[:3]) + (f"; and {len(faults) - 3} more" if len(faults) > 3 else "")
    return Grade(not faults, (0.0 if faults else 1.0) if score is None else score, told or good)
