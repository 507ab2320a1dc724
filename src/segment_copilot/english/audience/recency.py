"""Clauses about the last time: "last order within 60 days", "haven't visited in 30 days", "inactive for 2 weeks"."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from segment_copilot.english.audience import refusals
from segment_copilot.english.audience.chunks import Chunk
from segment_copilot.english.audience.leaves import NONE_INCLUDED, Leaf, Node, Problem, joined, leaves
from segment_copilot.english.linking.index import Index
from segment_copilot.english.linking.linker import Link, chosen, link_event
from segment_copilot.english.times.date_tests import date_tests, fixed
from segment_copilot.english.times.phrases import Length
from segment_copilot.english.times.windows import Window
from segment_copilot.english.words.lexer import Token, written
from segment_copilot.english.words.lexicon import ACTIONS, LIGHT, concept, stems
from segment_copilot.language.operators import POSITIVE_OF

_LAST = stems("last latest recent previous")
_FIRST = stems("first ever very")
_IDLE = stems("inactive dormant silent quiet idle disengage disengaged sleeping asleep")


def read_recency(chunk: Chunk, index: Index) -> Node | Problem | None:
    """A clause that names the last time or says that nothing happens any more; None for any other."""
    if any(word.stem in _IDLE for word in chunk.words):
        return _idle(chunk)
    if chunk.window and any(isinstance(item, Token) and item.lower == "first" for item in chunk.items):
        return _first_time(chunk, chunk.window, index)
    heads = [word for word in chunk.items if isinstance(word, Token) and word.stem in _LAST]
    if not heads or not chunk.window:
        return None
    rest = tuple(item for item in chunk.items if not (isinstance(item, Token) and item.stem in _LAST | {"most"}))
    links = link_event(rest, index)
    if not links:
        return None
    link = chosen(links, written([item for item in rest if isinstance(item, Token)]))
    if link.unknown_values or link.unexplained or link.quantities:
        return refusals.partly(chunk, link, index)
    return _last_time(chunk, link, chunk.window)


def _first_time(chunk: Chunk, window: Window, index: Index) -> Node | Problem | None:
    """Of "their first order in the last 30 days"."""
    rest = tuple(item for item in chunk.items if not (isinstance(item, Token) and item.stem in _FIRST))
    links = link_event(rest, index)
    if not links:
        return None
    link = chosen(links, written([item for item in rest if isinstance(item, Token)]))
    if link.unknown_values or link.unexplained or link.quantities:
        return None
    return _event_time(chunk, link, window, "first")


def first_in(leaf: Leaf, window: Window) -> Node | Problem:
    """Of "first-time buyers in the last 30 days", *leaf* being the first-time buyers."""
    chunk = Chunk((), (), (window,))
    if leaf.link is None:
        return Problem("unsupported", leaf.text, f"{window.text!r} has nothing there that it could bound")
    found = _event_time(chunk, leaf.link, window, "first")
    if isinstance(found, Problem):
        return found
    text = f"{leaf.text} {window.words()}"
    return joined("AND", tuple(structs.replace(one, text=text) for one in leaves(found)))


def _event_time(chunk: Chunk, link: Link, window: Window, occurrence: str) -> Node | Problem:
    """When it was first or last done, told by the calendar; who never did it has no such time."""
    tests = date_tests(window, negated=chunk.negated)
    if not tests or window.kind == "next":
        detail = f"the {occurrence} time can be compared with a day, a span of days, or a length such as 30 days"
        return Problem("unsupported", chunk.text, detail)
    event: dict[str, Any] = {"event_type": link.event_type}
    if link.tests:
        event["where"] = [test.json() for test in link.tests]
    made: list[dict[str, Any]] = [{"type": "event_time", **event, "occurrence": occurrence, **test} for test in tests]
    if made[0]["operator"] in POSITIVE_OF:
        made.insert(0, {"type": "event_count", **event, "operator": "gte", "value": 1})
    notes = tuple(note for note in (link.note, *(test.note for test in link.tests), *fixed(window)) if note)
    found = [Leaf(condition, chunk.text, notes, link, _verbs(chunk), windowed=True) for condition in made]
    return joined("AND", tuple(found))


def _idle(chunk: Chunk) -> Node | Problem:
    window = chunk.window
    others = [word for word in chunk.words if word.stem not in _IDLE | LIGHT | stems("become go account")]
    if others:
        return Problem("unknown", chunk.text, f"I do not know what {written(others)!r} means here")
    if window is None or window.kind not in {"last", "ago"}:
        return refusals.vague(chunk)
    link = Link(
        "*",
        (),
        1.0,
        note=f"{written([word for word in chunk.words if word.stem in _IDLE])!r} is read as no event of any kind",
    )
    idle = window.operator if window.operator in {"gt", "gte"} else "gt"
    return _longer_than(chunk, link, window, _turned(idle, chunk))


def _last_time(chunk: Chunk, link: Link, window: Window) -> Node | Problem:
    if window.kind == "ago":
        return from_age(chunk, link, window)
    if window.kind == "between":
        return _between(chunk, link, window)
    if window.kind == "period":
        return _last_period(chunk, link, window)
    if window.kind != "last" or not window.length:
        return _event_time(chunk, link, window, "last")
    return _longer_than(chunk, link, window, _turned("lt", chunk))


def _last_period(chunk: Chunk, link: Link, window: Window) -> Node | Problem:
    """Of "whose last order was last month": some in that month and none since."""
    if chunk.negated:
        return Problem("unsupported", chunk.text, "say instead when the last time was")
    event: dict[str, Any] = {"type": "event_count", "event_type": link.event_type}
    if link.tests:
        event["where"] = [test.json() for test in link.tests]
    some = event | {"operator": "gte", "value": 1} | window.json()
    notes = tuple(note for note in (link.note, *(test.note for test in link.tests)) if note)
    done = Leaf(some, chunk.text, notes, link, _verbs(chunk), windowed=True)
    current = {"yesterday": "today"}.get(window.name, window.name.replace("last_", "this_"))
    if current == window.name:
        return done
    none = event | {"operator": "eq", "value": 0, "window": {"period": current}}
    return joined("AND", (done, structs.replace(done, condition=none, text=f"not {current.replace('_', ' ')}")))


def _between(chunk: Chunk, link: Link, window: Window) -> Leaf | Problem:
    """Of "their last order 30 to 60 days ago"."""
    near, far = (length.days if length else None for length in (window.near, window.length))
    if near is None or far is None or chunk.negated:
        return Problem("unsupported", chunk.text, "a stretch for the last time is told in days or weeks")
    leaf = _longer_than(chunk, link, window, "between")
    return (
        leaf
        if isinstance(leaf, Problem)
        else structs.replace(leaf, condition=leaf.condition | {"window_days": near, "value2": far})
    )


def _turned(operator: str, chunk: Chunk) -> str:
    return {"lt": "gte", "gt": "lte", "gte": "lt", "lte": "gt", "eq": "eq"}[operator] if chunk.negated else operator


def rolls(window: Window) -> bool:
    """Whether the window ends now and has a length."""
    return window.kind == "last" and window.length is not None


def not_for(chunk: Chunk, link: Link, window: Window) -> Leaf | Problem:
    """Of "haven't done it in 30 days": the last time is longer ago. Who never did it has no last time."""
    operator = window.operator if window.operator in {"gt", "gte"} else "gt"
    return _longer_than(chunk, link, window, operator)


def from_age(chunk: Chunk, link: Link, window: Window) -> Leaf | Problem:
    """Of "more than 30 days ago": how long ago the last time was."""
    if chunk.negated and window.operator in {None, "eq"}:
        return Problem("unsupported", chunk.text, f"what did not happen exactly {window.text} cannot be tested")
    note = (
        ""
        if any(word.stem in _LAST for word in chunk.words)
        else f"{window.text!r} is read as the last time being {window.text}"
    )
    noted = Link(
        link.event_type,
        link.tests,
        link.score,
        link.known,
        link.quantities,
        link.unexplained,
        link.unknown_values,
        link.note or note,
    )
    return _longer_than(chunk, noted, window, _turned(window.operator or "eq", chunk))


def _longer_than(chunk: Chunk, link: Link, window: Window, operator: str) -> Leaf | Problem:
    length = window.length
    if length is None:
        return refusals.vague(chunk)
    tests = tuple(test.note for test in link.tests if test.note)
    notes = tuple(note for note in (link.note, *tests, never_note(link, operator)) if note)
    condition: dict[str, Any] = {"type": "recency", "event_type": link.event_type}
    if link.tests:
        condition["where"] = [test.json() for test in link.tests]
    days = length.days
    if days is None:
        days, note = _about(length)
        if days is None and operator in {"gt", "gte"} and chunk.negated:
            return _none_in(chunk, link, window)
        if days is None:
            return Problem(
                "unsupported",
                chunk.text,
                "the last time can be compared with days, weeks, months and years, not with hours or minutes",
            )
        notes = (*notes, note)
    condition |= {"operator": operator, "window_days": days}
    return Leaf(condition, chunk.text, notes, link, _verbs(chunk), negated=operator in {"gt", "gte"}, windowed=True)


def _none_in(chunk: Chunk, link: Link, window: Window) -> Leaf:
    """Of "have not ordered in the last 36 hours": the last time is compared with whole days, so none is counted."""
    condition: dict[str, Any] = {"type": "event_count", "event_type": link.event_type}
    if link.tests:
        condition["where"] = [test.json() for test in link.tests]
    condition |= {"operator": "eq", "value": 0} | structs.replace(window, operator=None).json()
    notes = tuple(note for note in (link.note, *(test.note for test in link.tests), NONE_INCLUDED) if note)
    return Leaf(condition, chunk.text, notes, link, _verbs(chunk), negated=True, windowed=True)


def _about(length: Length) -> tuple[int | None, str]:
    """Months and years in days: the last time is compared with whole days."""
    scale = {"mo": 30, "y": 365}.get(length.unit)
    if scale is None:
        days, hours = divmod(length.count, 24)
        whole = length.unit == "h" and not hours
        return (days, f"{length.words} is {days} days") if whole else (None, "")
    return length.count * scale, f"{length.words} is read as {length.count * scale} days"


def never_note(link: Link, operator: str) -> str:
    """Who is left out because they never did it."""
    if operator not in {"gt", "gte"}:
        return ""
    done = (
        "had any event" if link.event_type == "*" else f"had `{link.event_type}`{' of this kind' if link.tests else ''}"
    )
    return f"people who never {done} are not included; say 'or never' to include them"


def _verbs(chunk: Chunk) -> tuple[Token, ...]:
    return tuple(word for word in chunk.words if concept(word.stem) in ACTIONS or word.stem in LIGHT)
