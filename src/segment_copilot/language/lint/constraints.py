"""Reads each condition as a constraint on one value of a user: which values, of what, it holds for (see `subjects`)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, assert_never, cast
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, Struct, UnsetType

from segment_copilot.language.calendar_periods import period_bounds, period_of
from segment_copilot.language.canonical import settle
from segment_copilot.language.checks import as_date_test
from segment_copilot.language.lengths import (
    EARLIEST,
    LATEST,
    MICROSECOND,
    Length,
    after,
    before,
    day_start,
    parse_length,
    to_instant,
    to_microseconds,
    whole_days,
)
from segment_copilot.language.lint.subjects import (
    HIGHEST,
    LOWEST,
    Constraint,
    Span,
    Subject,
    Term,
    Values,
    above,
    below,
    complement,
    join,
    spans,
)
from segment_copilot.language.nodes import (
    AnyWindow,
    DateWindow,
    EventCondition,
    EventCount,
    EventPeriods,
    EventProperty,
    EventSequence,
    EventTime,
    Leaf,
    MeasureCompare,
    Monetary,
    PropertyTest,
    Rank,
    Recency,
    Sample,
    SegmentMembership,
    UserProperty,
    Window,
)
from segment_copilot.language.operators import DATETIMES, LENGTHS, OPERATORS, POSITIVE_OF, NumberOperator, Sign
from segment_copilot.language.recency import recency_bounds
from segment_copilot.language.value_types import (
    AnyTest,
    operands,
    other_value,
    parse_date,
    resolve_type,
    to_millionths,
)

_MAX_SPANS: Final = 50  # of a longer list it is only known that it is the same list, so that looking stays quick
_LAST_CHARACTER: Final = "\U0010ffff"

_FLAG: Final = spans((below(0, whole=True), above(1, whole=True)))
_COUNTS: Final = spans((below(0, whole=True), HIGHEST))
_NUMBERS: Final = spans((LOWEST, HIGHEST))
_TEXTS: Final = spans((below(""), HIGHEST))
_PERCENT: Final = spans((below(0), below(100)))
_MONTHS: Final = spans((below(1, whole=True), above(12, whole=True)))
_YES: Final = spans((below(1, whole=True), above(1, whole=True)))


class Clock(Struct, frozen=True):
    """A clock is the instant and the zone that a definition is asked with."""

    as_of: datetime
    zone: ZoneInfo

    def span(self, text: str) -> tuple[datetime, datetime]:
        """Return the first and last instant of a value in a definition: a bare date is its whole local day."""
        value = parse_date(text)
        if isinstance(value, datetime):
            instant = value.astimezone(UTC) if value.tzinfo else to_instant(value, self.zone)
            return instant, instant
        if value is None:
            raise ValueError(f"not a date: {text!r}")  # checks refused it before
        return day_start(value, self.zone), day_start(value + timedelta(days=1), self.zone) - MICROSECOND

    def reach(self, window: AnyWindow) -> tuple[datetime, datetime]:
        """Return the first and last instant of a window of `from` and `to`, without regard to `as_of`."""
        start = EARLIEST if window.from_ is UNSET else self.span(window.from_)[0]
        end = LATEST if window.to is UNSET else self.span(window.to)[0] - MICROSECOND
        return max(start, EARLIEST), min(end, LATEST)


_Dated = tuple[tuple[Any, ...], Values, Values]
"""What a test of a date is a test of, all that this could be, and what passes."""


class Reader(Struct, frozen=True):
    """Turns leaves and tests into constraints, all for one clock."""

    clock: Clock

    def whole(self, leaf: Leaf) -> Term:
        """Read the leaf as a thing that holds or does not, and nothing more."""
        plain = msgspec.structs.replace(leaf, negate=False)
        term = Constraint(Subject(("leaf", _key(plain)), _FLAG), _YES)
        return complement(term) if leaf.negate else term

    def leaf(self, leaf: Leaf) -> Term | bool:
        """Read the leaf, `negate` left out of account."""
        match leaf:
            case EventCount() | EventPeriods():
                return self._count(leaf)
            case Recency():
                return self._recency(leaf)
            case EventTime():
                events = _events(leaf)
                return self._test(as_date_test(leaf), ("time", *events, leaf.occurrence), events=events)
            case Monetary():
                return self._monetary(leaf)
            case EventProperty():
                return self._event_property(leaf)
            case UserProperty():
                return self._test(leaf, ("trait", leaf.property))
            case Sample():
                subject = Subject(("sample", leaf.salt), _PERCENT)
                return Constraint(subject, spans((below(leaf.from_), below(leaf.to))))
            case SegmentMembership():
                members = [Constraint(Subject(("segment", one), _FLAG), _YES) for one in leaf.targets]
                term = join("OR", members)
                return term if leaf.operator == "in" or isinstance(term, bool) else complement(term)
            case EventSequence() | Rank():
                return self.whole(msgspec.structs.replace(leaf, negate=False))
            case MeasureCompare():
                is_equal = self.whole(msgspec.structs.replace(leaf, operator="eq", negate=False))
                if leaf.operator == "neq":
                    return complement(is_equal)
                return self.whole(msgspec.structs.replace(leaf, negate=False))

    def payload_test(self, test: PropertyTest) -> Term | bool:
        """Read a test of a `where`, about one event; `negate` left out of account."""
        if test.any_of is UNSET:
            return self._test(test, ("payload", test.property))
        inner = [self._test(one, ("item", one.property)) for one in test.conditions or []]
        terms = [
            complement(term) if one.negate else term for one, term in zip(test.conditions or [], inner, strict=True)
        ]
        if join("AND", terms) is False:  # no item passes all
            return False
        plain = settle(msgspec.to_builtins(msgspec.structs.replace(test, negate=False)))
        place = ("payload", test.any_of)
        return Constraint(
            Subject((*place, "items", _key(plain)), Values(_FLAG.spans, missing=True), "other", place), _YES
        )

    def lies_ahead(self, leaf: EventTime) -> bool:
        """Return whether the instant would have to be later than `as_of`, for a test that could hold one day."""
        term = self._test(as_date_test(leaf), ("time",))
        if leaf.operator in LENGTHS or leaf.operator in POSITIVE_OF or not isinstance(term, Constraint):
            return False
        reachable = spans((LOWEST, above(to_microseconds(self.clock.as_of), whole=True)))
        return not term.values.empty and (term.values & reachable).empty

    # Counts and aggregates

    def _count(self, leaf: EventCount | EventPeriods) -> Term:
        if isinstance(leaf, EventCount):
            events = _events(leaf, leaf.window_days, leaf.window)
            subject = Subject(("count", *events), _COUNTS, "count", events=events)
        else:
            events = _events(leaf)
            name = ("periods", *events, leaf.period, leaf.last, leaf.min_per_period)
            domain = spans((below(0, whole=True), above(leaf.last, whole=True)))
            subject = Subject(name, domain, events=events)
        return _compared(subject, leaf.operator, operands(leaf), whole=True)

    def _monetary(self, leaf: Monetary) -> Term:
        events = _events(leaf, leaf.window_days, leaf.window)
        name = ("aggregate", *events, leaf.property, leaf.metric)
        bounds = [float(number) for number in operands(leaf)]
        match leaf.metric:
            case "count_distinct":
                return _compared(Subject(name, _COUNTS, events=events), leaf.operator, bounds, whole=True)
            case "sum":
                subject = Subject(name, _NUMBERS, events=events)
            case "avg" | "min" | "max" | "median":
                subject = Subject(name, Values(_NUMBERS.spans, missing=True), events=events)
        if leaf.metric in {"sum", "avg", "median"}:
            bounds = [to_millionths(bound) for bound in bounds]
        return _compared(subject, leaf.operator, bounds)

    def _recency(self, leaf: Recency) -> Term:
        """Read days since the last event as instants at which it happened."""
        ends = recency_bounds(leaf, self.clock.as_of, self.clock.zone)
        events = _events(leaf)
        domain = Values(_instants(EARLIEST, self.clock.as_of).spans, missing=True)
        return Constraint(Subject(("recency", *events), domain, events=events), _instants(*ends) & domain)

    def _event_property(self, leaf: EventProperty) -> Term | bool:
        events = _events(leaf, leaf.window_days, leaf.window)
        if leaf.occurrence in {"latest", "first"}:
            place = ("property", *events, leaf.occurrence, leaf.property)
            return self._test(leaf, place, events=events)
        test = join("AND", [self._test(leaf, ("payload", leaf.property))])
        if test is False:  # and no event passes what none can pass
            return False
        plain = msgspec.structs.replace(leaf, negate=False)
        return Constraint(Subject(("leaf", _key(plain)), _FLAG, events=events), _YES)

    # Tests of stored values

    def _test(self, test: AnyTest, place: tuple[Any, ...], *, events: tuple[Any, ...] = ()) -> Term:
        positive = POSITIVE_OF.get(test.operator, test.operator)
        if (other := other_value(test)) is None:
            term = self._positive(test, positive, place, events)
        else:  # only that it is the same comparison is known, and that what is missing passes none
            name = (*place, "other", positive, resolve_type(test, None) or "", _key(other), test.ignore_case)
            term = Constraint(Subject(name, Values(_FLAG.spans, missing=True), "other", place, events), _YES)
        return term if positive == test.operator else complement(term)

    def _positive(self, test: AnyTest, operator: str, place: tuple[Any, ...], events: tuple[Any, ...]) -> Constraint:
        def subject(reading: tuple[Any, ...], domain: Values) -> Subject:
            role = "presence" if reading == ("presence",) else "other"
            return Subject((*place, *reading), Values(domain.spans, missing=True), role, place, events)

        if operator == "is_set":
            return Constraint(subject(("presence",), _YES), _YES)
        if operator in {"is_true", "is_false"}:
            flag = operator == "is_true"
            return Constraint(subject(("boolean",), _FLAG), _interval("=", [(flag, flag)], whole=True))
        values = operands(test)
        kind = resolve_type(test, None)
        if kind in DATETIMES and (dated := self._dated(test, operator, kind, is_over=place[0] == "time")):
            reading, domain, found = dated
            return Constraint(subject(reading, domain), found & domain)
        row = OPERATORS[operator]
        if row.seeks == "start" and (texts := _texts(cast("list[str]", values), fold=test.ignore_case)):
            found = _prefixed(texts)
            if found is not None:
                return Constraint(subject(("string", test.ignore_case), _TEXTS), found & _TEXTS)
        elif row.sign is not None and len(values) <= _MAX_SPANS:
            match kind:
                case "number":
                    ends = [(float(value), float(value)) for value in values]
                    return Constraint(subject(("number",), _NUMBERS), _interval(row.sign, ends))
                case "boolean":
                    ends = [(value, value) for value in values]
                    return Constraint(subject(("boolean",), _FLAG), _interval(row.sign, ends, whole=True))
                case "datetime" | "epoch_s" | "epoch_ms":
                    spanned = [self.clock.span(cast("str", value)) for value in values]
                    ends = [(to_microseconds(first), to_microseconds(last)) for first, last in spanned]
                    domain = _instants(EARLIEST, LATEST)
                    return Constraint(subject((kind,), domain), _interval(row.sign, ends, whole=True) & domain)
                case "string" if texts := _texts(cast("list[str]", values), fold=test.ignore_case):
                    found = _interval(row.sign, [(text, text) for text in texts])
                    return Constraint(subject(("string", test.ignore_case), _TEXTS), found & _TEXTS)
                case "string" | "list" | None:
                    pass
                case _:
                    assert_never(kind)
        reading = ("test", operator, kind or "", _key(values), test.ignore_case)
        return Constraint(subject(reading, _FLAG), _YES)

    def _moving(self, operator: str, length: Length) -> Values:
        """Return the last or the next such length of time. Lengths of one unit are longer or shorter at any instant."""
        if operator == "in_last":
            return _instants(before(self.clock.as_of, length, self.clock.zone), self.clock.as_of)
        return _instants(self.clock.as_of + MICROSECOND, after(self.clock.as_of, length, self.clock.zone))

    def _dated(self, test: AnyTest, operator: str, kind: str, *, is_over: bool) -> _Dated | None:
        """Read a length or a window; None for what is compared with dates.

        Those of one kind (of lengths one unit, of the calendar one period) have the same in common at any instant.
        """
        clock, instants = self.clock, _instants(EARLIEST, self.clock.as_of if is_over else LATEST)
        match operator, test.value:
            case "in_last" | "in_next", str(text):
                length = parse_length(text)
                return ("clock", kind, length.unit), instants, self._moving(operator, length)
            case "anniversary_in", DateWindow(month=int(month)):
                return ("month", kind), _MONTHS, spans((below(month, whole=True), above(month, whole=True)))
            case "in_window", DateWindow(last=str(last), days=UnsetType()):
                length = parse_length(last)
                return ("clock", kind, length.unit), instants, self._moving("in_last", length)
            case "in_window", DateWindow(last=str(last), days=days):
                today, with_today = clock.as_of.astimezone(clock.zone).date(), days == "with_today"
                start = day_start(today - timedelta(whole_days(parse_length(last)) - with_today), clock.zone)
                end = clock.as_of if with_today else day_start(today, clock.zone) - MICROSECOND
                return ("clock", kind, "day"), instants, _instants(start, end)
            case "in_window", DateWindow(between=[far, near]) if far.lstrip("0123456789") == near.lstrip("0123456789"):
                ends = (before(clock.as_of, parse_length(end, least=0), clock.zone) for end in (far, near))
                return ("clock", kind, parse_length(far).unit), instants, _instants(*ends)
            case "in_window", DateWindow(period=str(period)):
                start, end = period_bounds(period, clock.as_of, clock.zone)
                return ("clock", kind, period_of(period)[0]), instants, _instants(start, end - MICROSECOND)
            case "in_window", DateWindow(between=UnsetType()) as window:
                return (kind,), _instants(EARLIEST, LATEST), _instants(*clock.reach(window))
            case _, DateWindow() as window:
                return ("test", operator, kind, _key(msgspec.to_builtins(window))), _FLAG, _YES
            case _:
                return None


def _events(
    leaf: EventCondition,
    days: int | UnsetType = UNSET,
    window: Window | UnsetType = UNSET,
) -> tuple[Any, ...]:
    """Return a name of the events: equal names are the same events. The window is last, "" for all history."""
    names = (leaf.event_type,) if isinstance(leaf.event_type, str) else tuple(sorted(set(leaf.event_type)))
    fields = {"where": leaf.where, "at": leaf.at, "window": Window(last=f"{days}d") if days is not UNSET else window}
    document = settle(
        {"type": "", **{name: msgspec.to_builtins(value) for name, value in fields.items() if value is not UNSET}}
    )
    return (
        names,
        _key([document.get("where", ""), document.get("at", "")]),
        _key(document["window"]) if "window" in document else "",
    )


def _key(value: Any) -> bytes:
    """Return a key, equal only for what is written alike: 1 and true are equal to Python, not to the language."""
    return msgspec.json.encode(value, order="sorted")


def _compared(subject: Subject, operator: NumberOperator, bounds: list[Any], *, whole: bool = False) -> Term:
    row = OPERATORS[operator]
    values = _interval(cast("Sign", row.sign), [(bound, bound) for bound in bounds], whole=whole) & subject.domain
    term = Constraint(subject, values)
    return term if row.positive else complement(term)


def _interval(sign: Sign, ends: list[tuple[Any, Any]], *, whole: bool = False) -> Values:
    """Return the values that pass; each end is the first and the last value of what is compared with."""
    first, last = ends[0]
    found: list[Span]
    match sign:
        case ">":
            found = [(above(last, whole=whole), HIGHEST)]
        case ">=":
            found = [(below(first, whole=whole), HIGHEST)]
        case "<":
            found = [(LOWEST, below(first, whole=whole))]
        case "<=":
            found = [(LOWEST, above(last, whole=whole))]
        case "..":
            found = [(below(first, whole=whole), above(ends[1][1], whole=whole))]
        case "=":
            found = [(below(start, whole=whole), above(end, whole=whole)) for start, end in ends]
        case _:
            assert_never(sign)
    return spans(*found)


def _prefixed(prefixes: list[str]) -> Values | None:
    """Return the strings that begin with one of these; those of one prefix stand together, ordered by code point."""
    if not all(prefixes):
        return _TEXTS
    if len(prefixes) > _MAX_SPANS or any(prefix[-1] == _LAST_CHARACTER for prefix in prefixes):
        return None
    return spans(*((below(prefix), below(prefix[:-1] + chr(ord(prefix[-1]) + 1))) for prefix in prefixes))


def _texts(values: list[str], *, fold: bool) -> list[str] | None:
    """Return the strings compared with; in lower case where that is beyond dispute, else None."""
    if not fold:
        return values
    return [value.lower() for value in values] if all(value.isascii() for value in values) else None


def _instants(earliest: datetime, latest: datetime) -> Values:
    """Return the instants from *earliest* to *latest*, both in; none when they are the other way round."""
    return spans((below(to_microseconds(earliest), whole=True), above(to_microseconds(latest), whole=True)))
