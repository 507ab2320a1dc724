"""Writes the parts of a sentence: what somebody did, what a value is, when, and values themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from msgspec import UNSET, UnsetType

from segment_copilot.language import WhereGroup, Window
from segment_copilot.language.catalog import IDENTIFY
from segment_copilot.language.lengths import Length, parse_length
from segment_copilot.language.nodes import EventTypes, Where
from segment_copilot.language.operators import DATETIMES, EVERY_TYPE, OPERATORS, Takes
from segment_copilot.language.value_types import AnyTest, parse_date, resolve_type

_LISTED: Final = 12  # of more values the first ten are named
_SAME = "bought built found heard held kept left lost made met paid put read sent set sold spent told won"
_PAST: Final = dict(
    begun="began",
    chosen="chose",
    done="did",
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

_THEN: Final = {
    "is": "was",
    "has": "had",
    "does": "did",
    "contains": "contained",
    "starts": "started",
    "ends": "ended",
    "matches": "matched",
    "sorts": "sorted",
}
"""What the phrases of operators say of now, said of then."""


# Events


def tell_deed(event_type: EventTypes, where: Where | UnsetType, *, done: bool = False) -> str:
    """Say what people did, or with *done* what they have done: "placed an order (where total is more than 5)"."""
    names = [event_type] if isinstance(event_type, str) else list(dict.fromkeys(event_type))
    told = listed([tell_event(name, done=done) for name in names])
    if where is UNSET:
        return told
    logic, tests = (where.logic.lower(), where.conditions) if isinstance(where, WhereGroup) else ("and", where)
    joined = f" {logic} ".join(f"{printable(test.property)} {tell_test(test, turned=test.negate)}" for test in tests)
    return f"{told} ({'each ' if len(names) > 1 else ''}where {joined})"


def tell_event(name: str, *, done: bool) -> str:
    """Say one event type: `order_placed` is "placed an order", `cart_add` is "did “cart_add”" (or "done")."""
    did = "done" if done else "did"
    if name == "*":
        return f"{did} anything"
    if name == IDENTIFY:
        return "been identified" if done else "were identified"
    tokens = [token.lower() for token in re.findall(r"[A-Z]?[^\W_A-Z]+|[A-Z]+(?![a-z])", name)]
    verb, noun = (tokens[-1], " ".join(tokens[:-1])) if tokens else ("", "")
    if "_".join(tokens) != name or not (verb.endswith("ed") or verb in _PAST):
        return f"{did} “{printable(name)}”"
    verb = verb if done else _PAST.get(verb, verb)
    return f"{verb} {_article(noun)}{noun}" if noun else verb


def _article(noun: str) -> str:
    if noun.endswith("s") and not noun.endswith(("ss", "us")):  # viewed items
        return ""
    sounds_like_a_consonant = re.match(r"(user|uni[^mn]|use|eu|one)", noun)
    return "an " if noun[0] in "aeiou" and not sounds_like_a_consonant else "a "


# Tests of a value


def tell_test(test: AnyTest, *, turned: bool, then: bool = False) -> str:
    """Say the test, *turned* round, as it is now or as it was then: "is not “ES” (or is unknown)"."""
    told, notes = tell_test_and_notes(test, turned=turned, then=then)
    return told + tell_notes(notes)


def tell_test_and_notes(test: AnyTest, *, turned: bool, then: bool = False) -> tuple[str, list[str]]:
    """Say the test, *turned* round, and what a reader must know besides."""
    operator = OPERATORS[test.operator]
    type_ = resolve_type(test, None)
    phrase = operator.phrase_for(type_)
    template = phrase.denied if turned else phrase.affirmed
    if then:
        template = re.sub(r"^\w+", lambda word: _THEN[word[0]], template)
    notes = ["ignoring case"] if test.ignore_case else []
    if operator.positive == turned and operator.types != EVERY_TYPE:  # "is unknown" says it itself
        notes.append("or was unknown" if then else "or is unknown")
    return template.format(*_values(test, operator.takes, type_)), notes


def _values(test: AnyTest, takes: Takes, type_: str | None) -> list[str]:
    values = test.value if isinstance(test.value, list) else [] if test.value is UNSET else [test.value]
    if takes == "length":
        return [parse_length(str(values[0])).words]
    told = [_moment(str(value)) if type_ in DATETIMES else _value(value) for value in values]
    if test.value2 is not UNSET:
        told.append(_moment(str(test.value2)) if type_ in DATETIMES else _value(test.value2))
    if takes in {"any", "all"}:
        return [listed(told, "and" if takes == "all" else "or")]
    return told


def tell_notes(notes: Sequence[str]) -> str:
    """Write notes in brackets, with a space before them; nothing for none."""
    return f" ({', '.join(notes)})" if notes else ""


# Time


def tell_window(days: int | UnsetType, window: Window | UnsetType) -> str:
    """Say when, with a space before it: " in the last 30 days"; nothing for all history."""
    if days is not UNSET:
        return f" in the last {Length(days, 'd').words}"
    if window is UNSET:
        return ""
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
    months = "January February March April May June July August September October November December"
    return f"{day.day} {months.split()[day.month - 1]} {day.year}"


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
    return f"“{printable(value)}”" if isinstance(value, str) else tell_number(value)


def printable(text: str) -> str:
    """Return *text* with line breaks and the like as escapes, so that the sentence stays on one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def tell_number(number: Any) -> str:
    """Write a number with commas between thousands; nothing for none."""
    if number is None or number is UNSET:
        return ""
    return f"{number:,}" if isinstance(number, int) else f"{number:,.15g}"


def listed(words: Iterable[str], word: str = "or") -> str:
    """Join words, each once: "one", "one or two", "one, two or three"; of many the first ten and how many more."""
    told = list(dict.fromkeys(words))
    if len(told) > _LISTED:
        told = [*told[:10], f"{len(told) - 10:,} others"]
    *most, last = told
    return f"{', '.join(most)} {word} {last}" if most else last
