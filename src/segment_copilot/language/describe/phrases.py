"""Writes the parts of a sentence: what somebody did, what a value is, when, and values themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from msgspec import UNSET, UnsetType

from segment_copilot.language import WhereGroup
from segment_copilot.language.calendar_periods import period_of
from segment_copilot.language.catalog import IDENTIFY
from segment_copilot.language.lengths import Length, parse_length, whole_days
from segment_copilot.language.local_times import WEEKDAYS
from segment_copilot.language.nodes import (
    AnyWindow,
    DateWindow,
    EventCondition,
    EventMatch,
    LocalTime,
    Measure,
    PropertyTest,
    Step,
    Weekday,
    Where,
)
from segment_copilot.language.operand_checks import ITEM
from segment_copilot.language.operators import DATETIMES, EVERY_TYPE, OPERATORS, Takes
from segment_copilot.language.value_types import AnyTest, operands, other_value, parse_date, resolve_type

_WEEKDAYS: Final[dict[Weekday, str]] = {
    "mon": "Monday",
    "tue": "Tuesday",
    "wed": "Wednesday",
    "thu": "Thursday",
    "fri": "Friday",
    "sat": "Saturday",
    "sun": "Sunday",
}
_MONTHS: Final = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_LISTED: Final = 12  # of more values the first ten are named
_SAME = "bought built found heard held kept left lost made met paid put read sent set sold spent told won"
_PAST: Final = dict(
    begun="began",
    chosen="chose",
    perfect="did",
    given="gave",
    gone="went",
    run="ran",
    seen="saw",
    spoken="spoke",
    taken="took",
    written="wrote",
    **{word: word for word in _SAME.split()},
)
"""The past of verbs that do not end in -ed, by their participle, which is how event types are named."""

_PAST_TENSE: Final = {
    "is": "was",
    "has": "had",
    "had": "had",
    "does": "did",
    "contains": "contained",
    "starts": "started",
    "ends": "ended",
    "matches": "matched",
    "sorts": "sorted",
}
"""The first words of operators' phrases, and the same in the past tense."""


# Events


def tell_action(match: EventCondition | EventMatch | Step | Measure, *, perfect: bool = False) -> str:
    """Say what people did, or with *perfect* what they have done: "placed an order (where total is more than 5)"."""
    event_type = match.event_type
    names = [event_type] if isinstance(event_type, str) else list(dict.fromkeys(event_type))
    phrase = join_words([tell_event(name, perfect=perfect) for name in names])
    told = [] if match.where is UNSET else [_tell_where(match.where)]
    told += [] if match.at is UNSET else [_tell_at(match.at)]
    if not told:
        return phrase
    return f"{phrase} ({'each ' if len(names) > 1 else ''}{'; '.join(told)})"


def _tell_at(at: LocalTime) -> str:
    """Say weekdays and hours: "on a Saturday or Sunday, between 18:00 and 23:00"."""
    told = list[str]()
    if at.weekdays is not UNSET:
        days = [_WEEKDAYS[day] for day in WEEKDAYS if day in at.weekdays]
        is_working = days == list(_WEEKDAYS.values())[:5]
        told.append("from Monday to Friday" if is_working else f"on a {join_words(days)}")
    if at.hours is not UNSET:
        told.append("between {} and {}".format(*at.hours))
    return ", ".join(told)


def _tell_where(where: Where) -> str:
    logic, tests = (where.logic.lower(), where.conditions) if isinstance(where, WhereGroup) else ("and", where)
    return f"where {f' {logic} '.join(map(_tell_where_test, tests))}"


def _tell_where_test(test: PropertyTest) -> str:
    """Say a test of an event; of items: "one of products is such that (its sku is “A” and its price is more than 5)"."""
    if test.any_of is UNSET:
        return f"{escape_controls(test.property)} {tell_test(test, negate=test.negate)}"
    told = " and ".join(
        f"{'it' if one.property == ITEM else f'its {escape_controls(one.property)}'} {tell_test(one, negate=one.negate)}"
        for one in test.conditions or []
    )
    return f"{'none' if test.negate else 'one'} of {escape_controls(test.any_of)} is such that ({told})"


def tell_event(name: str, *, perfect: bool) -> str:
    """Say one event type: `order_placed` is "placed an order", `cart_add` is "did “cart_add”" (or "done")."""
    did = "done" if perfect else "did"
    if name == "*":
        return f"{did} anything"
    if name == IDENTIFY:
        return "been identified" if perfect else "were identified"
    tokens = [token.lower() for token in re.findall(r"[A-Z]?[^\W_A-Z]+|[A-Z]+(?![a-z])", name)]
    verb, noun = (tokens[-1], " ".join(tokens[:-1])) if tokens else ("", "")
    if "_".join(tokens) != name or not (verb.endswith("ed") or verb in _PAST):
        return f"{did} “{escape_controls(name)}”"
    verb = verb if perfect else _PAST.get(verb, verb)
    return f"{verb} {_article(noun)}{noun}" if noun else verb


def _article(noun: str) -> str:
    if noun.endswith("s") and not noun.endswith(("ss", "us")):  # viewed items
        return ""
    sounds_like_a_consonant = re.match(r"(user|uni[^mn]|use|eu|one)", noun)
    return "an " if noun[0] in "aeiou" and not sounds_like_a_consonant else "a "


# Tests of a value


def tell_test(test: AnyTest, *, negate: bool, past: bool = False) -> str:
    """Say the test, its negation with *negate*, now or with *past* then: "is not “ES” (or is unknown)"."""
    phrase, notes = tell_test_and_notes(test, negate=negate, past=past)
    return phrase + tell_notes(notes)


def tell_test_and_notes(test: AnyTest, *, negate: bool, past: bool = False) -> tuple[str, list[str]]:
    """Say the test, its negation with *negate*, and what a reader must know besides."""
    operator = OPERATORS[test.operator]
    type_ = resolve_type(test, None)
    phrase = operator.phrase_for(type_)
    template = phrase.denial if negate else phrase.affirmation
    if past or _is_over(test.value):
        template = re.sub(r"^\w+", lambda word: _PAST_TENSE[word[0]], template)
    notes = ["ignoring case"] if test.ignore_case else []
    if operator.positive == negate and operator.types != EVERY_TYPE:  # "is unknown" says it itself
        which = "or is unknown" if other_value(test) is None else "or one of the two is unknown"
        notes.append(which.replace(" is ", " was ") if past else which)
    return template.format(*_values(test, operator.takes, type_)), notes


def _is_over(value: object) -> bool:
    """Return whether a value is a calendar period that lies behind."""
    return isinstance(value, DateWindow) and value.period is not UNSET and period_of(value.period)[1] > 0


def _values(test: AnyTest, takes: Takes, type_: str | None) -> list[str]:
    if (other := other_value(test)) is not None:
        whose = "their" if other.kind == "trait" else "the event’s"
        return [f"{whose} {escape_controls(other.path)}"]
    values = operands(test)
    if isinstance(test.value, DateWindow):
        return [_tell_dates(test.value)]
    if takes == "length":
        return [parse_length(str(values[0]), least=0).words]
    phrases = [_moment(str(value)) if type_ in DATETIMES else _value(value) for value in values]
    if takes in {"any", "all"}:
        return [join_words(phrases, "and" if takes == "all" else "or")]
    return phrases


def tell_notes(notes: Sequence[str]) -> str:
    """Write notes in brackets, with a space before them; nothing for none."""
    return f" ({', '.join(notes)})" if notes else ""


# Time


def _tell_dates(window: DateWindow) -> str:
    """Say in which window a date is, or in which month."""
    if window.month is not UNSET:
        return f"in {_MONTHS[window.month - 1]}"
    if window.from_ is not UNSET and window.to is UNSET:
        return f"on or after {_moment(window.from_)}"
    return tell_window(UNSET, window).strip()


def tell_window(days: int | UnsetType, window: AnyWindow | UnsetType) -> str:
    """Say when, with a space before it: " in the last 30 days"; nothing for all history."""
    if days is not UNSET:
        return f" in the last {Length(days, 'd').words}"
    if window is UNSET:
        return ""
    if window.last is not UNSET and window.days is not UNSET:
        length = parse_length(window.last)
        if window.days == "with_today":
            return (
                " today" if whole_days(length) == 1 else f" in the last {length.words}, today and whole days before it"
            )
        return " yesterday" if whole_days(length) == 1 else f" in the {_spoken(length)} before today"
    if window.last is not UNSET:
        return f" in the last {parse_length(window.last).words}"
    if window.period is not UNSET:
        return f" {window.period.replace('_', ' ')}"
    if window.between is not UNSET:
        far, near = (parse_length(end, least=0) for end in window.between)
        if near.count == 0:
            return f" in the last {far.words}"
        return f" between {_spoken(far)} and {_spoken(near)} ago" if far != near else f" exactly {_spoken(far)} ago"
    return _from_to(window.from_, window.to)


def _from_to(start: str | UnsetType, end: str | UnsetType) -> str:
    """Say a range: of whole days with its last one; any other ends before its end."""
    if start is UNSET:
        return "" if end is UNSET else f" before {_moment(end)}"
    if end is UNSET:
        return f" since {_moment(start)}"
    first, stop = parse_date(start), parse_date(end)
    if first is None or stop is None or isinstance(first, datetime) or isinstance(stop, datetime):
        return f" from {_moment(start)} until before {_moment(end)}"
    last = stop - timedelta(days=1)
    return f" on {_day(first)}" if first == last else f" from {_day(first)} to {_day(last)}, both days included"


def _moment(text: str) -> str:
    """Write a date or an instant: "1 June 2026", or "1 June 2026 at 10:30 UTC"."""
    found = parse_date(text)
    if not isinstance(found, datetime):
        return _value(text) if found is None else _day(found)
    clock = f"{found:%H:%M}" if not found.second and not found.microsecond else f"{found.time().isoformat()}"
    offset = "" if found.tzinfo is None else " UTC" if not found.utcoffset() else f" ({found.isoformat()[-6:]})"
    return f"{_day(found)} at {clock}{offset}"


def _day(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def tell_days(count: int) -> str:
    """Write a number of days: "1 day" or "90 days"."""
    return _spoken(Length(count, "d"))


def tell_length(text: str) -> str:
    """Write a length of time: "1 hour" or "36 hours"."""
    return _spoken(parse_length(text))


def _spoken(length: Length) -> str:
    """Write a length with its number, 1 included: "1 hour" or "90 days"."""
    return f"1 {length.words}" if length.count == 1 else length.words


# Values


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"“{escape_controls(value)}”" if isinstance(value, str) else tell_number(value)


def escape_controls(text: str) -> str:
    """Return *text* with line breaks and the like as escapes, so that the sentence stays on one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def tell_number(number: Any) -> str:
    """Write a number with commas between thousands; nothing for none."""
    if number is None or number is UNSET:
        return ""
    return f"{number:,}" if isinstance(number, int) else f"{number:,.15g}"


def join_words(words: Iterable[str], word: str = "or") -> str:
    """Join words, each once: "one", "one or two", "one, two or three"; of many the first ten and how many more."""
    unique = list(dict.fromkeys(words))
    if len(unique) > _LISTED:
        unique = [*unique[:10], f"{len(unique) - 10:,} others"]
    *most, last = unique
    return f"{', '.join(most)} {word} {last}" if most else last
