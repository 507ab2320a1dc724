"""In how many calendar periods: "in at least 4 of the last 8 weeks", "on 3 different days", "every week for 2 months"."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from segment_copilot.english.audience import refusals
from segment_copilot.english.audience.chunks import Chunk
from segment_copilot.english.audience.leaves import NONE_INCLUDED, Leaf, Problem
from segment_copilot.english.linking.index import Index
from segment_copilot.english.linking.linker import chosen, link_event
from segment_copilot.english.linking.values import Item
from segment_copilot.english.times.phrases import Length, Operator, Quantity
from segment_copilot.english.times.windows import Window
from segment_copilot.english.words.lexer import Token, written
from segment_copilot.english.words.lexicon import stems

_PERIODS = {"day": "day", "days": "day", "week": "week", "weeks": "week", "month": "month", "months": "month"}
_UNITS = {"d": "day", "w": "week", "mo": "month"}
_DIFFERENT = stems("different distinct separate unique calendar")
_EVERY = {"every", "each"}
_MOST = 366
_SPANS = {"day": {"d": 1, "w": 7, "mo": 30}, "week": {"w": 1}, "month": {"mo": 1, "y": 12}}


class _Said(Struct, frozen=True):
    """What was said about periods. *used* are the places of its items; no *count* is every one of them."""

    period: str
    used: frozenset[int]
    count: Quantity | None = None


def read_periods(chunk: Chunk, index: Index) -> Leaf | Problem | None:
    """A clause that counts periods; None for any other."""
    said = _said(chunk)
    if said is None:
        return None
    window = chunk.window
    last = _how_many(window, said.period)
    if window is None or last is None or chunk.negated:
        detail = (
            f"tell me in how many of the last {said.period}s: for example 'in at least 3 of the last 4 {said.period}s'"
        )
        return Problem("unsupported", chunk.text, detail)
    items = tuple(item for at, item in enumerate(chunk.items) if at not in said.used)
    links = link_event(items, index)
    if not links:
        return None
    link = chosen(links, written([item for item in items if isinstance(item, Token)]))
    each = _in_each(link.quantities)
    if link.unknown_values or link.unexplained or each is None:
        return refusals.partly(chunk, link, index)
    condition: dict[str, Any] = {"type": "event_periods", "event_type": link.event_type}
    if link.tests:
        condition["where"] = [test.json() for test in link.tests]
    condition |= {
        "period": said.period,
        "last": last,
        **({"min_per_period": each} if each > 1 else {}),
        **_compared(said.count, last),
    }
    now = f"the {last} {said.period}s of {window.text!r} are calendar {said.period}s, the current one included"
    notes = tuple(note for note in (link.note, *(test.note for test in link.tests), *_notes(said.count), now) if note)
    return Leaf(condition, chunk.text, notes, link, windowed=True)


def _in_each(counts: tuple[Quantity, ...]) -> int | None:
    """How often at least in a period that counts; None where that cannot be said."""
    match counts:
        case ():
            return 1
        case (Quantity(operator="gte" | "gt" as operator, value=value, currency="", none=False),) if float(
            value
        ).is_integer():
            return int(value) + (operator == "gt")
        case (Quantity(operator="eq", value=1),):
            return 1
        case _:
            return None


def _notes(count: Quantity | None) -> tuple[str, ...]:
    if count is None:
        return ()
    bare = (f"{count.text!r} is read as at least {count.value}",) if count.bare else ()
    return (*bare, NONE_INCLUDED) if count.operator in {"lt", "lte"} else bare


def _compared(count: Quantity | None, last: int) -> dict[str, Any]:
    if count is None:
        return {"operator": "eq", "value": last}
    operator: Operator = count.operator
    more = {} if count.value2 is None else {"value2": count.value2}
    return {"operator": operator, "value": count.value, **more}


def _said(chunk: Chunk) -> _Said | None:
    """The number of periods among a clause's words."""
    for at, item in enumerate(chunk.items):
        if isinstance(item, Quantity):
            found = _days_apart(chunk.items, at, item) or _of_the_last(chunk, at, item)
        else:
            found = _every(chunk.items, at, item)
        if found:
            return found
    return None


def _days_apart(items: tuple[Item, ...], at: int, count: Quantity) -> _Said | None:
    """Of "on 3 different days"."""
    end = at + 1
    while end < len(items) and isinstance(item := items[end], Token) and item.stem in _DIFFERENT:
        end += 1
    item = items[end] if end < len(items) else None
    if not isinstance(item, Token) or item.lower not in _PERIODS or count.times or count.none or count.currency:
        return None
    return _Said(_PERIODS[item.lower], frozenset(range(at, end + 1)), count)


def _of_the_last(chunk: Chunk, at: int, count: Quantity) -> _Said | None:
    """Of "in at least 4 of the last 8 weeks": the window stands right behind the "of"."""
    window = chunk.window
    if window is None or not window.rolling or window.length is None or window.length.unit not in _UNITS:
        return None
    before = f" {count.text} of the {window.text.removeprefix('the ')} ".lower()
    short = f" {count.text} of {window.text} ".lower()
    text = f" {written(chunk.tokens)} ".lower()
    if count.times or count.none or count.currency or not (before in text or short in text):
        return None
    return _Said(_UNITS[window.length.unit], frozenset({at}), count)


def _every(items: tuple[Item, ...], at: int, item: Token) -> _Said | None:
    """Of "every week"."""
    following = items[at + 1] if at + 1 < len(items) else None
    if item.lower not in _EVERY or not isinstance(following, Token) or following.lower not in {"day", "week", "month"}:
        return None
    return _Said(following.lower, frozenset({at, at + 1}))


def _how_many(window: Window | None, period: str) -> int | None:
    length: Length | None = window.length if window and window.kind == "last" and window.operator is None else None
    scale = _SPANS[period].get(length.unit) if length else None
    last = length.count * scale if length and scale else None
    return last if last and last <= _MOST else None
