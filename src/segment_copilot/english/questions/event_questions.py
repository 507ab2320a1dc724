"""Questions about how many events there were, which, and when, to plans."""

from __future__ import annotations

from datetime import date
from typing import Final

from msgspec import structs

from segment_copilot.english.answers import event_answers
from segment_copilot.english.plan import Plan, declined
from segment_copilot.english.questions.asking import ASKING, EVENTS, SEGMENTS, TREND, Question, coarse
from segment_copilot.english.questions.named_events import named_event
from segment_copilot.english.questions.question_words import (
    ARRIVED,
    AVERAGES,
    BOTTOM,
    BUSIEST,
    BY,
    DAYS,
    FILLERS,
    INGESTED,
    LATEST,
    MADE,
    NOT_EVENTS,
    RISE,
    SPENT,
    SUMS,
    TOP,
    VOLUME,
)
from segment_copilot.english.questions.schema_questions import read_event_types, read_schema
from segment_copilot.english.questions.value_questions import busy_days, read_values
from segment_copilot.english.times import dates
from segment_copilot.english.times.windows import Window
from segment_copilot.english.words.lexicon import NOISE, PEOPLE, stems


def read_about_events(question: Question, today: date) -> Plan | None:
    """The plan for a question about events; None for any other."""
    for reader in _READERS:
        plan = reader(question, today)
        if plan is not None:
            return plan
    return None


def _busiest_day(question: Question, today: date) -> Plan | None:
    """Of "what was the busiest day last month", "which day had the most orders"."""
    if not busy_days(question) or question.segment is not None or question.people:
        return None
    if question.words & stems("weekday"):
        return declined(event_answers.BY_DAY)
    spent = BUSIEST | DAYS | MADE | EVENTS | stems("traffic with for on")
    low = bool(question.words & stems("quietest slowest worst fewest least lowest"))
    if not question.left(spent):
        return event_answers.Volume(None, question.window, extreme="low" if low else "high")
    named = named_event(question, today, spent)
    if named.link is None:
        return None
    return event_answers.Volume(
        named.link.event_type,
        question.window,
        where=named.link.tests,
        note=named.link.note,
        extreme="low" if low else "high",
    )


def _top(question: Question, today: date) -> Plan | None:
    del today
    ranked, least = question.has(TOP), question.has(BOTTOM)
    happens = question.says(
        "happens most", "happened most", "happens the most", "happens least", "happens most often", "happened the most"
    )
    by_type = question.focus == "events" and question.says(
        "by type", "by event type", "per type", "per event type", "by event", "per event"
    )
    if not happens and not by_type and (question.focus != "events" or not (ranked or least)):
        return None
    if (
        question.lowers & {"latest", "recent"}
        or question.daily
        or (question.how_many and not question.says("how often"))
    ):
        return None
    spent = (
        TOP
        | BOTTOM
        | EVENTS
        | MADE
        | BY
        | stems("type kind by number count frequency happen fire record track event sort tracked action thing")
    )
    if question.left(spent) or (
        question.words & stems("volume") and not question.words & (TOP - stems("volume")) and not least
    ):
        return None
    return event_answers.Top(question.number or 10, question.window, least=least)


def _latest(question: Question, today: date) -> Plan | None:
    """Of "latest orders", "when was the last refund", "what just came in"."""
    when = question.first == "when"
    last = question.has(LATEST) or question.lowers & {"last"}
    if not (when and last) and not (
        last
        and (
            question.first
            in {"show", "list", "give", "the", "latest", "newest", "recent", "last", "most", "what", "which"}
        )
    ):
        return None
    if question.people or question.words & SEGMENTS or (question.windows and not when):
        return None
    spent = LATEST | EVENTS | MADE | stems("most time when happen ever last the")
    if not question.left(spent):
        return event_answers.Recent(question.window, question.number) if not when else event_answers.Recent(None, 1)
    uncounted = tuple(token for token in question.rest if token.kind != "number" or token.value != question.number)
    named = named_event(structs.replace(question, rest=uncounted), today, spent)
    if named.link is None or named.link.tests:
        return None
    return event_answers.Latest(named.link.event_type, question.number, named.link.note)


def _arrived(question: Question, today: date) -> Plan | None:
    """What was ingested, of whatever type."""
    del today
    working = question.says(
        "tracking working",
        "tracking still working",
        "receiving data",
        "getting data",
        "receiving events",
        "getting events",
        "receiving anything",
    )
    if working and not question.people:
        return event_answers.Recent(question.window, question.number)
    happened = question.first in {
        "show",
        "list",
        "what",
        "anything",
        "any",
        "is",
        "was",
        "has",
        "did",
        "which",
    } and bool(question.words & stems("happen ingest track receive come arrive new news going in land"))
    if (
        (question.focus != "events" and not happened)
        or question.segment
        or question.words & SEGMENTS
        or question.people
    ):
        return None
    if not (
        question.has(ARRIVED)
        or question.has(LATEST)
        or question.windows
        or question.says("what is new", "anything new", "any news")
    ):
        return None
    if question.left(
        ARRIVED
        | EVENTS
        | LATEST
        | MADE
        | stems("new most far since on up data there type workspace store site shop business activity live moment")
    ):
        return None
    if question.windows and not (question.window and question.window.ends_now):
        return event_answers.Top(question.number or 10, question.window)
    if question.how_many and question.windows and not question.has(INGESTED):
        return None
    return event_answers.Recent(question.window, question.number)


def _volume(question: Question, today: date) -> Plan | None:
    """How many events there were: of all types or of one, with filters, in one span or two."""
    if question.segment is not None or question.words & SEGMENTS or question.left(NOT_EVENTS) != question.left():
        return None
    if question.says("per user", "per customer", "per person", "per member", "per head"):
        return (
            declined(event_answers.NO_SUMS) if not question.left(SPENT, PEOPLE, ASKING) or question.how_many else None
        )
    often = question.says("how often", "how many times")
    if question.people and not often:
        return None
    if question.lowers & {"not", "never", "without", "no", "nor", "neither"} - ({"no"} if question.how_many else set()):
        return None
    there = question.first in {"any", "anything", "there"} or question.says("was there", "were there", "are there", "is there", "did we", "do we", "have we", "has there", "have there")  # fmt: skip
    asked = question.how_many or question.daily or question.has(VOLUME) or question.has(TREND) or there
    fragment = _fragment(question)
    drawn = question.first in {"show", "chart", "plot", "draw", "graph", "give"} and (
        question.daily or bool(question.windows)
    )
    compares = len(question.windows) > 1
    if not (asked or fragment or drawn or compares):
        return None
    spent = (
        VOLUME
        | TREND
        | RISE
        | (PEOPLE if often else frozenset[str]())
        | stems("often time see any there step over-time going doing with tell hourly weekly monthly")
    )
    everything = not question.left(spent, EVENTS, stems("all data traffic get have there happen receive record"))
    windows = question.windows
    if (
        everything
        and question.focus in {"events", ""}
        and (question.focus == "events" or question.has(stems("traffic")) or compares)
        and not _compares(question)
    ):
        return (
            event_answers.Comparison(None, windows[:2])
            if compares
            else event_answers.Volume(None, question.window, ever=question.ever, step=coarse(question))
        )
    if len(windows) == 1 and _compares(question) and (now := _current(windows[0], today)) is not None:
        windows, compares = (now, *windows), True
    if everything and compares:
        return event_answers.Comparison(None, windows[:2])
    named = named_event(
        question, today, spent | EVENTS | stems("get got have receive happen record see saw place come")
    )
    if named.refusal:
        return declined(named.refusal)
    if named.link is None or named.link.event_type == "*":
        return None
    link = named.link
    if compares:
        return event_answers.Comparison(link.event_type, windows[:2], link.tests, link.note)
    return event_answers.Volume(
        link.event_type, question.window, where=link.tests, note=link.note, ever=question.ever, step=coarse(question)
    )


def _compares(question: Question) -> bool:
    """Whether what is now is compared with another time: "up compared to last week"."""
    return question.says(
        "than last",
        "than yesterday",
        "than the",
        "than in",
        "than before",
        "compared to",
        "compared with",
        "versus",
        "vs",
        "relative to",
        "against",
        "up from",
        "down from",
        "up on",
        "down on",
    )


def _current(window: Window, today: date) -> Window | None:
    """The period that follows one that is over: this week after last week."""
    name = {"yesterday": "today"}.get(window.name) or (
        f"this_{window.name.removeprefix('last_')}" if window.name.startswith("last_") else ""
    )
    if not name:
        return None
    first, after = dates.period(name, today)
    return Window("period", text=name.replace("_", " "), name=name, first=first, after=after)


def _fragment(question: Question) -> bool:
    """Whether it is only a noun of events, in the plural: "orders last week", "page views of /pricing"."""
    words = [token for token in question.rest if token.kind == "word" and token.stem not in NOISE]
    if not words or question.first in {"no", "not", "never", "repeat", "at", "more", "over"} or question.people:
        return False
    opening = words[0]
    if opening.lower.endswith("ed") or question.tokens[0].kind in {"number", "money", "sign"}:
        return False
    nouns = [
        token
        for token in words
        if token.lower.endswith("s") and token.stem != token.lower and not token.lower.endswith("ss")
    ]
    return bool(nouns) or bool(question.words & FILLERS)


def _sums(question: Question, today: date) -> Plan | None:
    """Of "how much revenue did we make": amounts are not added up here."""
    del today
    amount = question.has(SUMS) or question.says("how much did we earn", "how much did we sell", "how much money")
    average = question.has(AVERAGES)
    spending = question.first == "how" and question.says("how much") and question.words & stems("spend spent pay paid")
    if not (amount or average or spending) or question.segment is not None:
        return None
    if any(token.kind == "money" for token in question.rest) or any(token.kind == "number" for token in question.rest):
        return None  # "AOV over 120" is an audience
    asks = question.first in {
        "what",
        "how",
        "show",
        "which",
        "is",
        "total",
        "tell",
        "give",
        "average",
        "revenue",
        "sum",
        "median",
        "compare",
    } or bool(question.windows)
    if not asks or (question.first == "how" and question.says("how many")):
        return None
    return declined(event_answers.NO_SUMS)


_READERS: Final = (
    read_schema, read_event_types, _busiest_day, read_values, _top, _latest, _sums, _arrived, _volume,
)  # fmt: skip
