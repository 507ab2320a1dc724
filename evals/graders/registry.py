"""All graders by name, in the order reports show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from evals.cases import Case
from evals.client import Stream
from evals.graders import acting, definitions, numbers, protocol, safety, telling
from evals.graders.grading import Answer, Grade, Grader, Grading
from evals.transcript import transcript_of

GRADERS: Final[Mapping[str, Grader]] = {
    "equivalence": definitions.equivalence,
    "outcome": acting.outcome,
    "facts": telling.facts,
    "tools": acting.tools,
    "arguments": acting.arguments,
    "grounding": definitions.grounding,
    "subject": definitions.subject,
    "minimality": definitions.minimality,
    "draft": definitions.draft,
    "assumptions": telling.assumptions,
    "components": acting.components,
    "refusal": telling.refusal,
    "content": telling.content,
    "numbers": numbers.numbers,
    "claims": telling.claims,
    "language": telling.language,
    "efficiency": acting.efficiency,
    "protocol": protocol.protocol,
    "safety": safety.safety,
}

ABSOLUTE: Final = ("protocol", "safety")
"""Graders that every case must pass in every run."""


def answer_of(case: Case, stream: Stream) -> Answer:
    """What graders look at."""
    transcript = transcript_of(stream)
    return Answer(case, stream, transcript, acting.forms(transcript))


async def grade(answer: Answer, grading: Grading) -> dict[str, Grade]:
    """Every grader that has something to say about this case."""
    found: dict[str, Grade] = {}
    for name, grader in GRADERS.items():
        verdict = await grader(answer, grading)
        if verdict is not None:
            found[name] = verdict
    return found
