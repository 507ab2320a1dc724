"""What every answer is made of: calls, failures, days and instants in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from segment_copilot.english.plan import Call, Context, Result, Turn
from segment_copilot.english.times import dates
from segment_copilot.english.times.windows import Window


def called(name: str, arguments: Mapping[str, Any]) -> Turn:
    """A turn that calls one tool."""
    return Turn(calls=(Call(name, arguments),))


def failed(result: Result) -> Turn:
    """A turn that says why a tool gave nothing."""
    return unable(f"I could not look that up: {result.message}", result)


def unable(sentence: str, result: Result) -> Turn:
    """A turn that ends with *sentence*; it refuses where the request was what *result* failed of."""
    return Turn((sentence,), refused=bool(result.unmapped), unmapped=result.unmapped)


def stopped() -> Turn:
    """What is said when no look-up is left."""
    return Turn(("I stopped before I could look that up: this answer may make no more look-ups.",))


def asked(name: str, arguments: Mapping[str, Any], context: Context) -> Turn:
    """A turn that calls one tool, or says that none may be called any more."""
    return called(name, arguments) if context.tools_allowed else stopped()


def draws(tool: str, results: Sequence[Result], context: Context) -> bool:
    """Whether the frontend can draw with *tool*, and nothing was drawn with it yet."""
    return context.tools_allowed and tool in context.tools and not any(result.name == tool for result in results)


def rfc3339(instant: datetime) -> str:
    """As the tools take it."""
    return instant.isoformat().replace("+00:00", "Z")


def moment(instant: Any, context: Context) -> str:
    """An instant of a result for people: "10 June 2026 at 14:00", on the clocks of the person."""
    try:
        local = dates.local(datetime.fromisoformat(str(instant)), context.timezone)
    except ValueError:
        return str(instant)
    return f"{local:%-d %B %Y} at {local:%H:%M}"


def day(iso: Any) -> str:
    """A day of a result for people: "Tuesday 9 June 2026"."""
    try:
        return f"{date.fromisoformat(str(iso)):%A %-d %B %Y}"
    except ValueError:
        return str(iso)


def range_sentence(window: Window, context: Context) -> str:
    """From when to when a calendar stretch runs, for people; empty for rolling ones, which say so themselves."""
    if window.kind == "last":
        return ""
    start, end = window.span(context.as_of, context.timezone)
    until = "now" if end == context.as_of else f"{dates.local(end, context.timezone):%A %-d %B %Y %H:%M}"
    name = window.words()
    return (
        f"“{name}” runs from {dates.local(start, context.timezone):%A %-d %B %Y %H:%M} to {until} ({context.timezone})."
    )


def span(window: Window, context: Context) -> dict[str, Any]:
    """A time span as the tools take it."""
    start, end = window.span(context.as_of, context.timezone)
    return {"from": rfc3339(start), "to": rfc3339(end)}


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 segment", "1,204 events"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
