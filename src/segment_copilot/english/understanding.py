"""A question to a plan."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import structs

from segment_copilot.english.answers.about_answers import chatters, read_about_this
from segment_copilot.english.answers.drafting import Count, Draft
from segment_copilot.english.audience import refusals
from segment_copilot.english.audience.audit import amounts_counted, numbers_lost
from segment_copilot.english.audience.choices import question_of
from segment_copilot.english.audience.draft import Inexpressible, Proposal, propose
from segment_copilot.english.audience.leaves import Problem
from segment_copilot.english.audience.sentences import Audience, read_audience
from segment_copilot.english.budget import TooInvolved
from segment_copilot.english.edits.following import read_edit
from segment_copilot.english.otherwise import ABILITIES, AHEAD, ahead, analysis, otherwise, unanswered
from segment_copilot.english.plan import Context, Plan, Say
from segment_copilot.english.questions.counting import counted
from segment_copilot.english.questions.kinds import read_question, read_user_question
from segment_copilot.english.questions.names import user_in
from segment_copilot.english.questions.question_words import QUESTION_WORDS
from segment_copilot.english.times import dates
from segment_copilot.english.times.windows import window
from segment_copilot.english.words.command import Command, strip_command
from segment_copilot.english.words.instructions import without_instructions
from segment_copilot.english.words.languages import foreign_language
from segment_copilot.english.words.lexer import Token, depth, read, written
from segment_copilot.english.words.lexicon import PEOPLE, stems
from segment_copilot.english.words.phrasebook import rewritten
from segment_copilot.english.words.spelling import corrected
from segment_copilot.english.words.stems import irregular_past, listed
from segment_copilot.language.decode import MAX_DEPTH

_EVERYBODY = Proposal(
    "All users",
    "Every user.",
    {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "*", "operator": "gte", "value": 0}]},
    (),
)
"""Everybody has had no event or more: a group without conditions would be an error."""


def understand(text: str, context: Context, *, follows: bool = False) -> Plan:
    """The plan that answers *text*; *follows* when it is not the first message of the conversation.

    Raises:
        TooInvolved: It takes more steps than it may, or is nested deeper than a definition.
    """
    index = context.index
    plain = read(text)
    if depth(plain) > MAX_DEPTH:  # nothing that is nested so can be drafted
        raise TooInvolved
    if context.drafted is not None and foreign_language(text, index.vocabulary) is None:
        edit = read_edit(text, context.drafted, context, recent=context.recent)
        if edit is not None:
            return edit
    said = otherwise(text, plain, follows=follows, index=index)
    if said is not None:
        return Say(said)
    if (told := read_about_this(text)) is not None:
        return told
    mended, notes = corrected(plain, index)
    asked = without_instructions(rewritten(mended))
    tokens = asked.tokens
    today = dates.local_date(context.as_of, context.timezone)
    command = strip_command(tokens)
    if (said := ahead(mended)) is not None:
        return Say(said)
    question = without_instructions(
        _as_asked(plain, mended)
    ).tokens  # as it was written: the phrase book is for audiences
    plan = asked_about(text, question, notes, context) or asked_about(text, tokens, notes, context)
    if plan is None and (last := _last_question(question)):
        plan = asked_about(text, last, notes, context)
    if plan is not None and _ahead(tokens, today):
        return Say(AHEAD)
    if plan is None and (said := analysis(question, index)) is not None:
        return Say(said)
    if plan is not None and not isinstance(plan, Say) and not _asks(tokens):
        drafted = _audience(command, question, notes, context, orders=asked.left)
        plan = drafted if isinstance(drafted, Draft) and _is_audience(drafted, question) else plan
    return plan or _audience(command, question, notes, context, orders=asked.left)


def _last_question(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """The question behind remarks: "that sounds wrong. How many members does it have?"; empty where there is none."""
    ends = [at for at, token in enumerate(tokens[:-1]) if token.text in {".", "!", "?"}]
    return tokens[ends[-1] + 1 :] if ends and tokens[-1].text == "?" else ()


def _as_asked(plain: Sequence[Token], mended: Sequence[Token]) -> tuple[Token, ...]:
    """The mended tokens, but for words that questions are made of: they are no slips of others."""
    if len(plain) != len(mended):
        return tuple(mended)
    return tuple(token if token.stem in QUESTION_WORDS else read for token, read in zip(plain, mended, strict=True))


def asked_about(text: str, tokens: tuple[Token, ...], notes: tuple[str, ...], context: Context) -> Plan | None:
    """The plan for a question about the workspace; None for an audience."""
    index, today = context.index, dates.local_date(context.as_of, context.timezone)
    user, rest, sure = user_in(text)
    if user:
        mended, _ = corrected(read(rest), index)
        plan = read_user_question(mended, index, today, user=user, sure=sure)
        if plan is not None:
            return plan
    viewed = context.drafted.segment_id if context.drafted is not None else None
    return read_question(tokens, strip_command(tokens), index, today, notes=notes, viewed=viewed)


_QUESTIONS = frozenset(listed(
    "what which how when where why is are was were do does did has have can could show list give tell display get top name chart plot graph compare "
    "explain describe values value properties property segments connectors schemas events conditions members size count busiest latest recent newest largest smallest biggest most least number share percentage trend volume"
))  # fmt: skip


def _is_audience(draft: Draft, tokens: Sequence[Token]) -> bool:
    """Whether a message that could be a question as well is an audience: it says what people did, or more than one thing of them.

    "Orders over $200 last week" asks for events, "ordered over $200 last week" and "more than two orders" for people;
    "who is in VIP Buyers" asks about that segment.
    """
    definition = draft.proposal.definition
    if len(definition["conditions"]) > 1 or "exclude" in definition:
        return True
    only = definition["conditions"][0]
    if only["type"] != "event_count":
        return only["type"] != "segment_membership" and only.get("operator") != "is_set"  # "users by country"
    said = tokens[0].lower if tokens else ""
    told = said.endswith("ed") or said == "who" or irregular_past(said)
    tested = "where" in only and bool({token.lower for token in tokens} & {"with", "=", "where", "whose"})
    return told or tested or (only["operator"], only["value"]) != ("gte", 1)


def _asks(tokens: tuple[Token, ...]) -> bool:
    """Whether the message begins like a question; "who …" is asked of people, and an audience where it can be drafted as one."""
    first = next(
        (token for token in tokens if token.kind != "sign" and token.lower not in {"please", "and", "so", "ok", "hey"}),
        None,
    )
    return first is None or first.lower in _QUESTIONS


def _ahead(tokens: tuple[Token, ...], today: date) -> bool:
    found = (window(tokens, at, today) for at in range(len(tokens)))
    return any(read and read[0].kind == "next" for read in found)


def _audience(
    command: Command,
    asked: tuple[Token, ...],
    notes: tuple[str, ...],
    context: Context,
    *,
    orders: tuple[str, ...] = (),
) -> Plan:
    index, today = context.index, dates.local_date(context.as_of, context.timezone)
    people = counted(command.rest) or counted(asked)
    tokens = people if people is not None else command.rest
    audience = read_audience(tokens, index, today)
    if audience.problems:
        open_ones = [problem for problem in audience.problems if problem.kind in {"vague", "ambiguous"}]
        if len(open_ones) == len(audience.problems):
            return question_of(open_ones, index, today)
        if _asks_about_things(asked) or chatters(written(asked)):
            return Say(
                unanswered(
                    asked, tuple(dict.fromkeys(name for one in audience.problems for name in one.suggestions))[:5]
                )
            )
        return Say(refusal(audience.problems, notes))
    if audience.include is None and audience.exclude is None:
        return Count(_EVERYBODY) if people is not None else Say(nothing(tokens))
    things = (_COUNTS_USERS,) if people is not None and _counts_things(asked) else ()
    noted = structs.replace(audience, notes=(*notes, *things, *audience.notes))
    proposal = propose(noted, named=command.name, text=written(strip_command(asked).rest), orders=orders)
    if isinstance(proposal, Inexpressible):
        return Say((*proposal.details, "Nothing is drafted."))
    if lost := numbers_lost(tokens, proposal.definition, today):
        problem = Problem("unknown", written(tokens), f"I could not place {' and '.join(lost)}")
        return Say(refusal((problem,), notes))
    if unread := amounts_counted(tokens, proposal.definition, index):
        problems = tuple(refusals.not_read(written(tokens), field) for field in unread)
        return Say(refusal(problems, notes))
    return Count(proposal) if people is not None else Draft(proposal)


_COUNTS_USERS = "the users who did it are counted, not what they did"


def _counts_things(tokens: Sequence[Token]) -> bool:
    """Whether "how many" was asked of events: "how many carts were abandoned"."""
    words = [token for token in tokens if token.kind != "sign"]
    at = next(
        (at + 2 for at in range(len(words) - 1) if (words[at].lower, words[at + 1].lower) == ("how", "many")), None
    )
    return at is not None and not any(
        (token.stem in PEOPLE and not token.lower.endswith("ed")) or token.stem in stems("vip")
        for token in words[at : at + 4]
    )


def _asks_about_things(tokens: Sequence[Token]) -> bool:
    """Whether it is a question, and not about people: no audience was meant."""
    words = [token for token in tokens if token.kind != "sign"]
    people = any(token.stem in PEOPLE - stems("account contact lead one those") for token in words)
    return not people and bool(words) and words[0].lower in _QUESTION_WORDS


_QUESTION_WORDS = {"what", "when", "where", "how", "will", "is", "are", "does", "do", "can", "which", "did", "was", "were", "has", "why", "could", "should", "would", "who"}  # fmt: skip


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
