"""Lists the graders by name, in the order reports show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from evals.cases import Case
from evals.client import Stream
from evals.graders import acting, drafts, numbers, protocol, safety, texts
from evals.graders.grading import Answer, Grade, Grader, Grading
from evals.transcript import transcript_of

GRADERS: Final[Mapping[str, Grader]] = {
    "equivalence": drafts.equivalence,
    "outcome": acting.outcome,
    "facts": texts.facts,
    "tools": acting.tools,
    "arguments": acting.arguments,
    "grounding": drafts.grounding,
    "subject": drafts.subject,
    "minimality": drafts.minimality,
    "draft": drafts.draft,
    "assumptions": texts.assumptions,
    "components": acting.components,
    "refusal": texts.refusal,
    "content": texts.content,
    "numbers": numbers.numbers,
    "claims": texts.claims,
    "language": texts.language,
    "efficiency": acting.efficiency,
    "protocol": protocol.protocol,
    "safety": safety.safety,
}

ABSOLUTE: Final = ("protocol", "safety")
"""Graders that every case must pass in every run."""


def answer_of(case: Case, stream: Stream) -> Answer:
    """Put together what graders look at."""
    transcript = transcript_of(stream)
    return Answer(case, stream, transcript, acting.forms(transcript))


async def grade(answer: Answer, grading: Grading) -> dict[str, Grade]:
    """Ask every grader that has something to say about this case."""
    found: dict[str, Grade] = {}
    for name, grader in GRADERS.items():
        verdict = await grader(answer, grading)
        if verdict is not None:
            found[name] = verdict
    return found
