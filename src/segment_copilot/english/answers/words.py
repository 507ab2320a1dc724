"""Writes what answers are made of: counts, days, instants and time spans in words, and as the tools take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from segment_copilot.english.plan import CHART, Call, Context
from segment_copilot.english.times import dates
from segment_copilot.english.times.phrases import Length
from segment_copilot.english.times.windows import Window

CARD: Final = "display_metric_card"
TABLE: Final = "display_segment_table"
MONTH: Final = Window("last", rolling=True, length=Length(30, "d"))
YEAR: Final = Window("last", rolling=True, length=Length(365, "d"))


def card(title: str, value: float, unit: str, note: str = "") -> Call:
    """Return the call that draws one number."""
    return Call(CARD, {"title": title[:120], "value": value, "unit": unit} | ({"note": note} if note else {}))


def chart(title: str, measure: str) -> Call:
    """Return the call that draws the look-up before it."""
    return Call(CHART, {"title": title[:120], "measure": measure})


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 segment", "1,204 events"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def rfc3339(instant: datetime) -> str:
    """Return an instant as the tools take it."""
    return instant.isoformat().replace("+00:00", "Z")


def moment(instant: Any, context: Context) -> str:
    """Return an instant of a result for people: "10 June 2026 at 14:00", on the clocks of the person."""
    try:
        local = dates.local(datetime.fromisoformat(str(instant)), context.timezone)
    except ValueError:
        return str(instant)
    return f"{local:%-d %B %Y} at {local:%H:%M}"


def day(iso: Any) -> str:
    """Return a day of a result for people: "Tuesday 9 June 2026"."""
    try:
        return f"{date.fromisoformat(str(iso)):%A %-d %B %Y}"
    except ValueError:
        return str(iso)


def span(window: Window, context: Context) -> dict[str, Any]:
    """Return a time span as the tools take it."""
    start, end = window.span(context.as_of, context.timezone)
    return {"from": rfc3339(start), "to": rfc3339(end)}


def told_range(window: Window | None, context: Context) -> str:
    """Return from when to when a calendar stretch runs, for people; empty for rolling ones, which say so themselves."""
    if window is None or window.kind == "last":
        return ""
    start, end = window.span(context.as_of, context.timezone)
    until = "now" if end == context.as_of else f"{dates.local(end, context.timezone):%A %-d %B %Y %H:%M}"
    begun = f"{dates.local(start, context.timezone):%A %-d %B %Y %H:%M}"
    return f"“{window.words()}” runs from {begun} to {until} ({context.timezone})."


def listed(head: str, lines: Sequence[str]) -> str:
    """Return a heading with lines under it; empty without lines."""
    return "\n".join([head, *(f"- {line}" for line in lines)]) if lines else ""


def sized(item: Mapping[str, Any]) -> str:
    """Return a segment of a list with its count."""
    count = item.get("member_count")
    return f"{item['name']} ({counted(count, 'member')})" if count is not None else f"{item['name']} (not computed)"
