"""Which question is asked, if it is not an audience: about segments, users and connectors, or about events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from msgspec import Struct, structs

from segment_copilot.english.linking.index import Index
from segment_copilot.english.plan import Context, Plan, Result, Turn
from segment_copilot.english.questions.asking import (
    CONNECTORS,
    EVENTS,
    PROPERTIES,
    SCHEMAS,
    SEGMENTS,
    TREND,
    Question,
    sort_question,
)
from segment_copilot.english.questions.event_questions import read_about_events
from segment_copilot.english.questions.movement_questions import read_movements
from segment_copilot.english.questions.segment_questions import (
    RULES,
    read_about_segments,
    read_about_user,
    read_members,
)
from segment_copilot.english.words.command import Command
from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.lexicon import PEOPLE, stems

_NOUNS: Final = (
    RULES | TREND | EVENTS | SEGMENTS | CONNECTORS | SCHEMAS | PROPERTIES
    | stems("size big large count member membership many number population mean consist made filter contain built work include")
)  # fmt: skip
_CLAUSES: Final = {"who", "whose", "except", "excluding", "but", "never", "unless"}


class Noted(Struct, frozen=True):
    """An answer that also says how a name was read."""

    plan: Plan
    notes: tuple[str, ...]

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The plan's turn; the last one says the notes first."""
        turn = self.plan.turn(results, context)
        return (
            turn
            if turn.calls
            else structs.replace(turn, sentences=(*(f"{note}." for note in self.notes), *turn.sentences))
        )


def read_question(
    tokens: Sequence[Token],
    command: Command,
    index: Index,
    today: date,
    *,
    notes: tuple[str, ...] = (),
    viewed: int | None = None,
) -> Plan | None:
    """The plan for a question; None when it is an audience, or nothing known."""
    question = sort_question(tuple(tokens), index, today, viewed=viewed)
    if command.creates or (question.first == "why" and question.segment is None):
        return None
    members = read_members(question) or read_movements(question)
    if members is None and _tells(question):
        return None
    plan = (
        members
        or read_about_segments(question)
        or (None if question.first == "why" else read_about_events(question, today))
    )
    said = (*notes, *question.notes)
    return Noted(plan, said) if plan is not None and said else plan


def read_user_question(tokens: Sequence[Token], index: Index, today: date, *, user: str, sure: bool) -> Plan | None:
    """The plan for a question about a single user; None when the id is another code, or the sentence is about more."""
    question = sort_question(tuple(tokens), index, today, user=user)
    return read_about_user(question) if sure or question.segment is not None else None


def _tells(question: Question) -> bool:
    """Whether it speaks of people and what they did, rather than asks: "users in Staff who made a purchase"."""
    if question.how_many or question.first in _ASKING_FIRST:
        return False
    people = next((at for at in range(len(question.rest)) if _is_people(question, at)), None)
    asked = next((at for at, token in enumerate(question.rest) if token.stem in _NOUNS), None)
    if question.lowers & {"by", "per", "breakdown", "average", "mean", "median"} and not question.lowers & _CLAUSES:
        return False
    clause = _CLAUSES & {token.lower for token in question.rest[1:]}
    return bool(clause) or (people is not None and (asked is None or people < asked))


def _is_people(question: Question, at: int) -> bool:
    token, following = question.rest[at], question.rest[at + 1] if at + 1 < len(question.rest) else None
    owner = following is not None and following.stem in PROPERTIES | SCHEMAS
    return token.stem in PEOPLE and token.lower not in {"account", "contact", "lead"} and not owner


_ASKING_FIRST: Final = {
    "what",
    "which",
    "who",
    "where",
    "when",
    "how",
    "is",
    "are",
    "does",
    "do",
    "was",
    "were",
    "did",
    "any",
    "why",
    "compare",
    "overlap",
}
