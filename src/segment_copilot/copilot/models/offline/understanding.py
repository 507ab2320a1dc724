"""A question to a plan."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import structs

from segment_copilot.copilot.models.offline import dates
from segment_copilot.copilot.models.offline.audience import Audience, read_audience
from segment_copilot.copilot.models.offline.choices import question_of
from segment_copilot.copilot.models.offline.command import Command, strip_command
from segment_copilot.copilot.models.offline.draft import Inexpressible, Proposal, propose
from segment_copilot.copilot.models.offline.drafting import Count, Draft
from segment_copilot.copilot.models.offline.edits.following import read_edit
from segment_copilot.copilot.models.offline.index import Index, index_of
from segment_copilot.copilot.models.offline.instructions import without_instructions
from segment_copilot.copilot.models.offline.leaves import Problem
from segment_copilot.copilot.models.offline.lexer import Token, read, written
from segment_copilot.copilot.models.offline.names import user_in
from segment_copilot.copilot.models.offline.otherwise import ABILITIES, analysis, foreign, otherwise
from segment_copilot.copilot.models.offline.phrasebook import rewritten
from segment_copilot.copilot.models.offline.plan import Context, Plan, Say
from segment_copilot.copilot.models.offline.questions import read_question, read_user_question
from segment_copilot.copilot.models.offline.spelling import corrected
from segment_copilot.copilot.models.offline.windows import window

_COUNTING = (("how", "many"), ("what", "number", "of"), ("the", "number", "of"), ("number", "of"), ("count", "of"), ("what", "percentage", "of"),
             ("what", "percent", "of"), ("what", "share", "of"), ("percentage", "of"), ("count",))  # fmt: skip


_EVERYBODY = Proposal(
    "All users",
    "Every user.",
    {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "*", "operator": "gte", "value": 0}]},
    (),
)
"""Everybody has had no event or more: a group without conditions would be an error."""


def understand(text: str, context: Context, *, follows: bool = False) -> Plan:
    """The plan that answers *text*; *follows* when it is not the first message of the conversation."""
    index = index_of(context.catalog)
    plain = read(text)
    if context.drafted is not None and not foreign(text):
        edit = read_edit(text, context.drafted, context, recent=context.recent)
        if edit is not None:
            return edit
    said = otherwise(text, plain, follows=follows)
    if said is not None:
        return Say(said)
    mended, notes = corrected(plain, index)
    asked = without_instructions(rewritten(mended))
    tokens = asked.tokens
    today = dates.local_date(context.as_of, context.timezone)
    command = strip_command(tokens)
    plan = asked_about(text, tokens, notes, context)
    if plan is not None and _ahead(tokens, today):
        return Say(("I can only look at what has happened, not at a time that is still to come.",))
    if plan is None and (said := analysis(tokens)) is not None:
        return Say(said)
    return plan or _audience(command, notes, index, context, unmapped=asked.left)


def asked_about(text: str, tokens: tuple[Token, ...], notes: tuple[str, ...], context: Context) -> Plan | None:
    """The plan for a question about the workspace; None for an audience."""
    index, today = index_of(context.catalog), dates.local_date(context.as_of, context.timezone)
    user, rest, sure = user_in(text)
    if user:
        mended, _ = corrected(read(rest), index)
        plan = read_user_question(mended, index, today, user=user, sure=sure)
        if plan is not None:
            return plan
    return read_question(tokens, strip_command(tokens), index, today, notes=notes)


def _ahead(tokens: tuple[Token, ...], today: date) -> bool:
    found = (window(tokens, at, today) for at in range(len(tokens)))
    return any(read and read[0].kind == "next" for read in found)


def _audience(
    command: Command, notes: tuple[str, ...], index: Index, context: Context, *, unmapped: tuple[str, ...] = ()
) -> Plan:
    today = dates.local_date(context.as_of, context.timezone)
    counted = _counted(command.rest)
    tokens = counted if counted is not None else command.rest
    audience = read_audience(tokens, index, today)
    if audience.problems:
        open_ones = [problem for problem in audience.problems if problem.kind in {"vague", "ambiguous"}]
        if len(open_ones) == len(audience.problems):
            return question_of(open_ones[0], index, today)  # one at a time
        return Say(refusal(audience.problems, notes))
    if audience.include is None and audience.exclude is None:
        return Count(_EVERYBODY) if counted is not None else Say(nothing(tokens))
    noted = structs.replace(audience, notes=(*notes, *audience.notes))
    proposal = propose(noted, named=command.name, text=written(tokens), unmapped=unmapped)
    if isinstance(proposal, Inexpressible):
        return Say((*proposal.details, "Nothing is drafted."))
    return Count(proposal) if counted is not None else Draft(proposal)


def _counted(tokens: Sequence[Token]) -> tuple[Token, ...] | None:
    """What follows "how many"; None when no number is asked for."""
    words = tuple(token.lower for token in tokens)
    for phrase in _COUNTING:
        if words[: len(phrase)] == phrase:
            rest = _without_filler(tuple(tokens[len(phrase) :]))
            return tuple(
                token
                for at, token in enumerate(rest)
                if not (token.lower in {"are", "is", "there"} and at in {1, 2}) or _needed(rest, at)
            )
    return None


def _without_filler(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Without the "do we have" of "how many users do we have in Spain"."""
    words = tuple(token.lower for token in tokens)
    for filler in (("do", "we", "have"), ("do", "i", "have"), ("have", "we", "got"), ("are", "there")):
        for at in (1, 2):
            if words[at : at + len(filler)] == filler:
                return (*tokens[:at], *tokens[at + len(filler) :])
    return tokens


def _needed(tokens: Sequence[Token], at: int) -> bool:
    """Whether "are" belongs to a condition: "are not in", "are tagged"."""
    following = tokens[at + 1].lower if at + 1 < len(tokens) else ""
    return following in {"not", "tagged", "on", "in", "from"}


def refusal(problems: Sequence[Problem], notes: Sequence[str] = ()) -> tuple[str, ...]:
    """What was not understood, clause by clause, and what would fit."""
    sentences: list[str] = []
    for problem in problems:
        near = f" Nearest: {', '.join(f'`{name}`' for name in problem.suggestions)}." if problem.suggestions else ""
        match problem.kind:
            case "vague":
                sentences.append(f"{problem.detail}.")
            case "ambiguous":
                sentences.append(f"In {problem.phrase!r}: {problem.detail}")
            case _:
                sentences.append(f"I cannot draft {problem.phrase!r}: {problem.detail}.{near}")
    end = "Nothing is drafted, so that no part of your request is lost; please write the sentence again with this settled."
    return (*(f"{note}." for note in notes), *sentences, end)


def nothing(tokens: Sequence[Token]) -> tuple[str, ...]:
    """No condition was found."""
    about = f" in {written(tokens)!r}" if tokens else ""
    return (f"I found nothing{about} that I can look up or draft.", ABILITIES)


__all__ = ["ABILITIES", "Audience", "refusal", "understand"]
