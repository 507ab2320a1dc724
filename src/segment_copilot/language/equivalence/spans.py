"""A span is when something happened: from one instant to another, each told by what it hangs on."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from segment_copilot.language.calendar_periods import period_of
from segment_copilot.language.lengths import parse_length, whole_days
from segment_copilot.language.nodes import AnyWindow, DateWindow

_MONTH_DAYS: Final = (28, 31)  # at least, at most


class Bound(Struct, frozen=True):
    """An end of a span: so long *ago* (or ahead, of a negative count), the *start* of a period so many periods before, or *at* an instant or date."""

    kind: Literal["ago", "start", "at"]
    unit: str  # of ago: m, d or mo; of start: the period; of at: the instant as it is written
    count: int
    is_in: bool

    def opposite(self) -> Bound:
        """Return the end of what lies on the other side."""
        return Bound(self.kind, self.unit, self.count, not self.is_in)


class Span(Struct, frozen=True):
    """A span goes from *lower* to *upper*; None: from the beginning, and until now."""

    lower: Bound | None = None
    upper: Bound | None = None

    def loose(self) -> Span:
        """Return the span that holds its first instant and not its last, where these are lengths before now."""
        lower, upper = self.lower, self.upper
        if lower is not None and lower.kind == "ago":
            lower = replace(lower, is_in=True)
        if upper is not None and upper.kind == "ago":
            upper = replace(upper, is_in=False)
        return Span(lower, upper)

    def lies_in(self, other: Span) -> bool:
        """Return whether whatever happens in this span surely happens in the other."""
        starts = other.lower is None or (
            self.lower is not None and is_surely_later(self.lower, other.lower, is_end=False)
        )
        ends = other.upper is None or (self.upper is not None and is_surely_later(other.upper, self.upper, is_end=True))
        return starts and ends


EVER: Final = Span()
NOW: Final = Bound("ago", "m", 0, is_in=True)


def ago(length: str, *, is_in: bool = True) -> Bound:
    """Return the instant so long before now."""
    parsed = parse_length(length, least=0)
    match parsed.unit:
        case "d" | "w":
            return Bound("ago", "d", parsed.count * (7 if parsed.unit == "w" else 1), is_in)
        case "mo" | "y":
            return Bound("ago", "mo", parsed.count * (12 if parsed.unit == "y" else 1), is_in)
        case "m" | "h":
            return Bound("ago", "m", parsed.count * (60 if parsed.unit == "h" else 1), is_in)


def ahead(length: str) -> Bound:
    """Return the instant so long after now."""
    bound = ago(length)
    return replace(bound, count=-bound.count)


def normal_length(text: str) -> str:
    """Return a length in minutes, days or months; of no time, 0d."""
    length = ago(text)
    return f"{length.count}{length.unit}" if length.count else "0d"


def at(text: str, *, is_in: bool) -> Bound:
    """Return a date's first instant, or an instant."""
    return Bound("at", text, 0, is_in)


def start_of(unit: str, back: int, *, is_in: bool) -> Bound:
    """Return when the period began that is *back* periods before the current one."""
    return Bound("start", unit, back, is_in)


def next_day(day: str) -> str:
    """Return the date after a bare date."""
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


def is_bare_date(text: object) -> bool:
    """Return whether a text is a date without a time of day, and not the last one there is."""
    return isinstance(text, str) and len(text) == len("2026-01-01") and text < "2299-12-31"


def span_of(window: AnyWindow | UnsetType, days: int | UnsetType = UNSET) -> Span:
    """Return the span of a window, or of so many days."""
    if days is not UNSET:
        return Span(ago(f"{days}d"))
    if window is UNSET:
        return EVER
    if window.last is not UNSET and window.days is not UNSET:
        days = whole_days(parse_length(window.last))
        if window.days == "with_today":
            return Span(start_of("day", days - 1, is_in=True))
        return Span(start_of("day", days, is_in=True), start_of("day", 0, is_in=False))
    if window.last is not UNSET:
        return Span(ago(window.last))
    if window.between is not UNSET:
        near = ago(window.between[1])
        return Span(ago(window.between[0]), near if near.count else None)
    if window.period is not UNSET:
        unit, back = period_of(window.period)
        if back == 0:
            return Span(start_of(unit, 0, is_in=True))
        return Span(start_of(unit, back, is_in=True), start_of(unit, back - 1, is_in=False))
    lower = None if window.from_ is UNSET else at(window.from_, is_in=True)
    return Span(lower, None if window.to is UNSET else at(window.to, is_in=False))


def dates_in(window: DateWindow) -> Span:
    """Return the span of a window that stored dates lie in, which may be to come: nothing ends it by itself."""
    span = span_of(window)
    if window.period is not UNSET:
        unit, back = period_of(window.period)
        return Span(span.lower, start_of(unit, back - 1, is_in=False))
    if span.upper is None and (window.last is not UNSET or window.between is not UNSET):
        return Span(span.lower, NOW)
    return span


def is_surely_later(one: Bound, other: Bound, *, is_end: bool) -> bool:
    """Return whether *one* is at *other* or later, whenever now is; at the same instant what is in decides."""
    if (one.kind, one.unit, one.count) == (other.kind, other.unit, other.count):
        inner, outer = (other, one) if is_end else (one, other)
        return outer.is_in or not inner.is_in
    match one.kind, other.kind:
        case "ago", "ago":
            return (
                _days(one)[1] <= _days(other)[0]
                if {one.unit, other.unit} == {"d", "mo"}
                else (one.unit == other.unit and one.count < other.count)
            )
        case "start", "start":
            return one.unit == other.unit and one.count < other.count
        case "at", "at":
            return is_bare_date(one.unit) and is_bare_date(other.unit) and one.unit > other.unit
        case _:
            return False


def _days(length: Bound) -> tuple[int, int]:
    """Return how many days a length of days or months has, at least and at most."""
    if length.unit == "d":
        return length.count, length.count
    least, most = sorted(length.count * days for days in _MONTH_DAYS)
    return least, most
