"""Questions about the values of a property or trait, and how often each occurs."""

from __future__ import annotations

from datetime import date
from typing import Final

from segment_copilot.english.answers import value_answers
from segment_copilot.english.linking.index import stems_of
from segment_copilot.english.plan import Plan, declined
from segment_copilot.english.questions.asking import PROPERTIES, Question
from segment_copilot.english.questions.fields import owned_by, property_in
from segment_copilot.english.questions.question_words import BOTTOM, BUSIEST, BY, DAYS, MADE, MEANS, TOP, VALUE_WORDS
from segment_copilot.english.words.lexicon import PEOPLE, stems


def busy_days(question: Question) -> bool:
    """Whether it asks for the busiest or quietest day."""
    return question.has(DAYS) and question.has(BUSIEST)


def read_values(question: Question, today: date) -> Plan | None:
    """The values of a property, by how often they occur."""
    del today
    asks = (
        question.first
        in {
            "which",
            "what",
            "where",
            "how",
            "show",
            "list",
            "give",
            "top",
            "breakdown",
            "split",
            "distribution",
            "most",
        }
        or question.has(BY)
        or question.lowers & {"values", "options"}
        or _ends_in_plural(question)
    )
    ranked = bool(question.words & (TOP | BOTTOM))
    if question.focus == "segments" or not (asks or ranked) or question.daily or busy_days(question):
        return None
    counted = question.how_many and not question.has(BY)
    if counted and (
        question.windows
        or not question.says("are there", "do we have", "are in use", "do we use", "exist", "different", "distinct")
    ):
        return None
    if (origin := _origin(question)) is not None:
        return origin
    owned = property_in(
        question,
        VALUE_WORDS
        | PROPERTIES
        | TOP
        | BOTTOM
        | BY
        | MADE
        | MEANS
        | stems("look say go customer's rank sorted number volume count popularity frequency of"),
    )
    if owned is None or (counted and isinstance(owned, tuple)):
        return None
    if isinstance(owned, tuple):
        return declined(owned) if ranked or question.has(BY) else None
    return value_answers.Values(owned.path, owned.event_type, owned.note, question.window, question.number, least=question.has(BOTTOM), ranked=ranked or question.has(BY), counted=counted)  # fmt: skip


def _ends_in_plural(question: Question) -> bool:
    """Whether it is only a noun in the plural: "refund reasons"."""
    words = [token for token in question.rest if token.kind != "sign"]
    return 0 < len(words) <= _SHORT and words[-1].lower.endswith("s") and not question.number


_SHORT: Final = 3


def _origin(question: Question) -> Plan | None:
    """Of "where do our visitors come from", "where do people live"."""
    if question.first != "where" and not question.says("from where"):
        return None
    if question.left(
        PEOPLE, stems("come from live located based reside visit traffic find visitor session visits world")
    ):
        return None
    visits = bool(question.words & stems("visitor traffic visit session find"))
    wanted = (
        ("utm_source", "source", "referrer", "utm_medium", "channel")
        if visits
        else ("country", "region", "city", "location")
    )
    for name in wanted:
        for owned in owned_by(question.index, name):
            return value_answers.Values(
                owned.path, owned.event_type, owned.note, question.window, question.number, ranked=True
            )
    return _origin_described(question) if not visits else None


def _origin_described(question: Question) -> Plan | None:
    for field in question.index.traits:
        if stems("residence country city live") & set(stems_of(field.known.description)):
            return value_answers.Values(field.path, None, "", None, question.number, ranked=True)
    return None
