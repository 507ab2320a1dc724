"""A question to a plan."""

from __future__ import annotations

from collections.abc import Sequence

from segment_copilot.copilot.models.offline import dates
from segment_copilot.copilot.models.offline.audience import Audience, read_audience
from segment_copilot.copilot.models.offline.command import strip_command
from segment_copilot.copilot.models.offline.draft import Inexpressible, propose
from segment_copilot.copilot.models.offline.drafting import Draft
from segment_copilot.copilot.models.offline.index import Index
from segment_copilot.copilot.models.offline.leaves import Problem
from segment_copilot.copilot.models.offline.lexer import Token, read, written
from segment_copilot.copilot.models.offline.plan import Context, Plan, Say

ABILITIES = (
    "I can draft a segment from a description (events with counts, amounts and time spans, traits, other segments, exclusions), "
    "count an audience, and answer questions about segments, their sizes, trends and conditions, "
    "events and their volumes, event schemas, and connectors."
)


def understand(text: str, context: Context) -> Plan:
    """The plan that answers *text*."""
    tokens = read(text)
    index = Index(context.catalog)
    if not any(token.kind != "sign" for token in tokens):
        return Say(("There is no question in this message.", ABILITIES))
    return _audience(tokens, index, context)


def _audience(tokens: Sequence[Token], index: Index, context: Context) -> Plan:
    today = dates.local_date(context.as_of, context.timezone)
    command = strip_command(tokens)
    audience = read_audience(command.rest, index, today)
    if audience.problems:
        return Say(refusal(audience.problems))
    if audience.include is None and audience.exclude is None:
        return Say(nothing(audience, command.rest))
    proposal = propose(audience, named=command.name, text=written(command.rest))
    if isinstance(proposal, Inexpressible):
        return Say(
            (f"I understood the audience, but this version cannot express it: {proposal.detail}", "I drafted nothing.")
        )
    return Draft(proposal)


def refusal(problems: Sequence[Problem]) -> tuple[str, ...]:
    """What was not understood, clause by clause, and what would fit."""
    asked = [problem for problem in problems if problem.kind in {"vague", "ambiguous"}]
    sentences = [
        f"{problem.detail}." if problem.kind == "vague" else f"In {problem.phrase!r}: {problem.detail}"
        for problem in asked
    ]
    for problem in problems:
        if problem not in asked:
            near = f" Nearest: {', '.join(f'`{name}`' for name in problem.suggestions)}." if problem.suggestions else ""
            sentences.append(f"I cannot draft {problem.phrase!r}: {problem.detail}.{near}")
    return (
        *sentences,
        "I drafted nothing, so that no part of the request is lost. Please write the sentence again with this settled.",
    )


def nothing(audience: Audience, tokens: Sequence[Token]) -> tuple[str, ...]:
    """No condition was found."""
    del audience
    return (
        f"I found no condition in {written(list(tokens))!r}: tell me at least one, for example 'users who purchased in the last 7 days'.",
        ABILITIES,
    )
