"""The reference interpreter: the second reading of the language, in Python that is slow and obvious.

It was written from the language's page, not from the compiler, and shares no code with it; `test_semantics` compares
the two. It takes definitions as plain JSON that was found valid, and knows the whole language, also what the compiler
has yet to learn.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct, field

from tests.support.language.reference_times import Clock, Span, back, fixed_length, is_at, nth_period, window_span
from tests.support.language.reference_values import (
    MISSING,
    Schemas,
    as_number,
    compares,
    declared_type,
    look_up,
    passes,
    passes_beside,
    wanted_values,
)

Json = dict[str, Any]

IDENTIFY = "context_identified"
MILLION = 1_000_000
MAX_SUMMAND = 9e12
REMEMBERED = timedelta(days=90)


class Event(Struct, frozen=True):
    """An event as a client delivered it. An empty *event_id* is none; *occurred_at* is aware."""

    user_id: str
    event_type: str
    occurred_at: datetime
    payload: Json = field(default_factory=dict)
    event_id: str = ""
    accepted_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    @property
    def age(self) -> tuple[datetime, bytes]:
        """The newest event is the one with the greatest."""
        return self.occurred_at, self.event_id.encode()


class Person(Struct, frozen=True):
    """What is known of one user at one instant; events in order of time."""

    user_id: str
    events: tuple[Event, ...]
    traits: Json


def accept(deliveries: Iterable[Event]) -> list[Event]:
    """Each event once, in the order of acceptance: the first delivery of an id stands for as long as it is known.

    An event without an id gets one that sorts by the order of acceptance.
    """
    known: dict[str, datetime] = {}
    accepted: list[Event] = []
    for number, event in enumerate(deliveries):
        if not event.event_id:
            accepted.append(_with_id(event, f"019f0000-0000-7000-8000-{number:012x}"))
        elif event.event_id not in known or event.accepted_at - known[event.event_id] > REMEMBERED:
            known[event.event_id] = event.accepted_at
            accepted.append(event)
    return accepted


class Said(Struct, frozen=True):
    """What was said of two ids: that an anonymous one is a user (`alias`), or that a user is another (`merge`)."""

    kind: Literal["alias", "merge"]
    id: str
    of: str


def canonical_ids(said: Iterable[Said]) -> dict[str, str]:
    """Whose each id is that is somebody else's: of what was said of an anonymous id the first counts, a merge always.

    Nobody is merged into one of their own: the drawn ones are such.
    """
    edges: dict[str, str] = {}
    for one in said:
        if one.kind == "merge":
            assert one.id not in {one.of, *_chain(edges, one.of)}
            edges[one.id] = one.of
        elif one.id not in edges and one.id not in {one.of, *_chain(edges, one.of)}:
            edges[one.id] = one.of
    return {id_: _chain(edges, id_)[-1] for id_ in edges}


def _chain(edges: Mapping[str, str], id_: str) -> list[str]:
    """Those that an id leads to, in order."""
    found: list[str] = []
    while id_ in edges:
        id_ = edges[id_]
        found.append(id_)
    return found


def is_circle(said: Sequence[Said], merge: Said) -> bool:
    """Whether a merge would make somebody one of their own, after what was said before."""
    edges: dict[str, str] = {}
    for one in said:
        if one.kind == "merge" or (one.id not in edges and one.id not in {one.of, *_chain(edges, one.of)}):
            edges[one.id] = one.of
    return merge.id in {merge.of, *_chain(edges, merge.of)}


def _with_id(event: Event, event_id: str) -> Event:
    return Event(event.user_id, event.event_type, event.occurred_at, event.payload, event_id, event.accepted_at)


def people(deliveries: Iterable[Event], as_of: datetime, said: Iterable[Said] = ()) -> dict[str, Person]:
    """The universe: everyone ever seen, in an event or an identify, up to *as_of*; *said* counts whenever it was said."""
    whose = canonical_ids(said)
    events: dict[str, list[Event]] = {}
    for event in accept(deliveries):
        if event.occurred_at <= as_of:
            events.setdefault(whose.get(event.user_id, event.user_id), []).append(event)
    found: dict[str, Person] = {}
    for user_id, mine in events.items():
        mine.sort(key=lambda event: event.age)
        found[user_id] = Person(user_id, tuple(mine), _merged(mine))
    return found


def _merged(events: Iterable[Event]) -> Json:
    """Key by key the newest identify wins; a null removes the trait."""
    traits: Json = {}
    for event in events:
        if event.event_type == IDENTIFY:
            traits.update(event.payload)
    return {name: value for name, value in traits.items() if value is not None}


def members(
    definition: Json,
    history: Iterable[Event],
    *,
    as_of: datetime,
    tenant_zone: str = "UTC",
    references: Mapping[int, Json] | None = None,
    schemas: Schemas | None = None,
) -> set[str]:
    """The users that *definition* means at *as_of*, of one tenant.

    *history* is the tenant's deliveries in the order they came. *references* are the current definitions of other
    segments. *schemas* say what type a property was declared to have.
    """
    reading = Reading(as_of, tenant_zone, references or {}, schemas or {})
    return reading.members(definition, people(history, as_of))


class Reading(Struct, frozen=True):
    """Everything a definition's answer depends on, besides the data."""

    as_of: datetime
    tenant_zone: str
    references: Mapping[int, Json]
    schemas: Schemas
    universe: Mapping[str, Person] = field(default_factory=dict[str, Person])
    ranked: dict[str, list[str]] = field(default_factory=dict[str, list[str]])  # who is ranked by what, in order

    def members(self, definition: Json, universe: Mapping[str, Person]) -> set[str]:
        """Those of *universe* (see `people`) whom *definition* means."""
        reading = msgspec.structs.replace(self, universe=universe, ranked={})
        return {user_id for user_id, person in universe.items() if reading.has(definition, person)}

    def has(self, definition: Json, person: Person) -> bool:
        """Whether *person* is in what the definition includes, and not in what it excludes."""
        clock = Clock(self.as_of, ZoneInfo(definition.get("timezone") or self.tenant_zone))
        included = self._group(definition, person, clock)
        return included and not ("exclude" in definition and self._group(definition["exclude"], person, clock))

    def _group(self, group: Json, person: Person, clock: Clock) -> bool:
        verdicts = [self.holds(condition, person, clock) for condition in group["conditions"]]
        if group["logic"].upper() == "AT_LEAST":
            return sum(verdicts) >= group["at_least"]
        return _joined(group["logic"], verdicts)

    def holds(self, condition: Json, person: Person, clock: Clock) -> bool:
        """Two-valued: true or false for every user, and `negate` is the complement."""
        verdict = getattr(self, f"_{condition['type']}")(condition, person, clock)
        return verdict != condition.get("negate", False)

    # Which events match.

    def _matching(self, person: Person, match: Json, clock: Clock, span: Span | None = None) -> list[Event]:
        """In order of time."""
        return [
            event
            for event in person.events
            if (span is None or span.holds(event.occurred_at)) and self._matches(event, match, clock, person)
        ]

    def _matches(self, event: Event, match: Json, clock: Clock, person: Person) -> bool:
        return (
            _is_named(event, match["event_type"])
            and self._where(event, match, clock, person)
            and ("at" not in match or is_at(event.occurred_at, match["at"], clock.zone))
        )

    def _where(self, event: Event, match: Json, clock: Clock, person: Person) -> bool:
        where = match.get("where")
        if where is None:
            return True
        tests, logic = (where, "AND") if isinstance(where, list) else (where["conditions"], where["logic"])
        verdicts = [
            self._where_test(test, event, match["event_type"], clock, person) != test.get("negate", False)
            for test in tests
        ]
        return _joined(logic, verdicts)

    def _where_test(self, test: Json, event: Event, event_types: Any, clock: Clock, person: Person) -> bool:
        """A test of a property or, with `any_of`, whether some item of a list passes all tests."""
        if "any_of" not in test:
            return self._tested(test, event, event_types, clock, person)
        items = look_up(event.payload, test["any_of"])
        return isinstance(items, list) and any(
            all(
                self._tested(one, event, event_types, clock, person, item=item) != one.get("negate", False)
                for one in test["conditions"]
            )
            for item in items
        )

    def _tested(
        self, test: Json, event: Event | None, event_types: Any, clock: Clock, person: Person, *, item: Any = MISSING
    ) -> bool:
        """The test on the payload of *event*, or of an item in it; without an event the value is missing."""
        declared = None
        if item is not MISSING:
            value = (MISSING if item is None else item) if test["property"] == "." else look_up(item, test["property"])
        else:
            value = MISSING if event is None else look_up(event.payload, test["property"])
            declared = declared_type(self.schemas, event_types, test["property"])
        match test.get("value"):
            case {"trait": path}:
                other = look_up(person.traits, path)
                declared = declared or declared_type(self.schemas, IDENTIFY, path)
            case {"property": path}:
                other = MISSING if event is None else look_up(event.payload, path)
                declared = declared or declared_type(self.schemas, event_types, path)
            case _:
                return passes(test, value, clock=clock, declared=declared)
        return passes_beside(test, value, other, clock=clock, declared=declared)

    # One method for each type of condition.

    def _event_count(self, condition: Json, person: Person, clock: Clock) -> bool:
        count = len(self._matching(person, condition, clock, window_span(condition, clock)))
        test = {"operator": "gte", "value": 1} | condition
        return compares(test, count, wanted_values(test))

    def _recency(self, condition: Json, person: Person, clock: Clock) -> bool:
        matching = self._matching(person, condition, clock)
        if not matching:
            return False  # missing, and recency has no negative operator
        last, days = matching[-1].occurred_at, condition["window_days"]
        bound = back(clock, f"{days}d")
        match condition["operator"]:
            case "gt":
                return last < bound
            case "gte":
                return last <= bound
            case "lt":
                return last > bound
            case "lte":
                return last >= bound
            case "between":
                return back(clock, f"{condition['value2']}d") <= last <= bound
            case _:
                return back(clock, f"{days + 1}d") < last <= bound

    def _event_time(self, condition: Json, person: Person, clock: Clock) -> bool:
        matching = self._matching(person, condition, clock)
        value: Any = MISSING
        if matching:
            chosen = matching[-1 if condition.get("occurrence") == "last" else 0]
            value = chosen.occurred_at.replace(tzinfo=None).isoformat()  # without an offset it is UTC
        return passes({**condition, "value_type": "datetime"}, value, clock=clock)

    def _monetary(self, condition: Json, person: Person, clock: Clock) -> bool:
        matching = self._matching(person, condition, clock, window_span(condition, clock))
        values = [look_up(event.payload, condition["property"]) for event in matching]
        return _aggregate_test(condition, values)

    def _event_property(self, condition: Json, person: Person, clock: Clock) -> bool:
        matching = self._matching(person, condition, clock, window_span(condition, clock))
        occurrence = condition.get("occurrence", "latest")
        if occurrence in {"any", "every"}:
            verdicts = [self._tested(condition, event, condition["event_type"], clock, person) for event in matching]
            return bool(verdicts) and (any(verdicts) if occurrence == "any" else all(verdicts))
        chosen = matching[-1 if occurrence == "latest" else 0] if matching else None
        return self._tested(condition, chosen, condition["event_type"], clock, person)

    def _user_property(self, condition: Json, person: Person, clock: Clock) -> bool:
        traits = Event(person.user_id, IDENTIFY, clock.as_of, person.traits)  # as if they were one event's
        return self._tested(condition, traits, IDENTIFY, clock, person)

    def _event_sequence(self, condition: Json, person: Person, clock: Clock) -> bool:
        steps = [_event_match(step) for step in condition["events"]]
        span = window_span(condition, clock, "search_window")
        found = [self._matching(person, step, clock, span) for step in steps]
        longest = _longest_span(condition)
        held = condition.get("same", [])
        for first in found[0]:
            values = [_identity(look_up(first.payload, path)) for path in held]
            if None in values:
                continue
            reached = [first]
            for step, candidates in zip(steps[1:], found[1:], strict=True):
                reached = [
                    event
                    for event in candidates
                    if [_identity(look_up(event.payload, path)) for path in held] == values
                    and any(self._may_follow(person, before, event, step, condition, clock) for before in reached)
                ]
            if any(longest is None or event.occurred_at - first.occurred_at <= longest for event in reached):
                return True
        return False

    def _may_follow(
        self, person: Person, before: Event, event: Event, step: Json, condition: Json, clock: Clock
    ) -> bool:
        """Whether *event* may be the step after *before*: all that is asked of two consecutive steps."""
        if event.occurred_at <= before.occurred_at:
            return False
        if "within" in step and event.occurred_at - before.occurred_at > fixed_length(step["within"]):
            return False
        between = [one for one in person.events if before.occurred_at < one.occurred_at < event.occurred_at]
        if condition.get("strict") and any(_is_named(one, "*") for one in between):
            return False
        banned = [_event_match(match) for match in condition.get("none_between", [])]
        return not any(self._matches(one, match, clock, person) for one in between for match in banned)

    def _event_periods(self, condition: Json, person: Person, clock: Clock) -> bool:
        """Active in how many of the last calendar periods, the current one included."""
        today = clock.as_of.astimezone(clock.zone).date()
        matching = self._matching(person, condition, clock)
        active = 0
        for ago in range(condition["last"]):
            span = nth_period(today, condition["period"], ago, clock.zone)
            count = sum(span.holds(event.occurred_at) for event in matching)
            active += count >= condition.get("min_per_period", 1)
        return compares(condition, active, wanted_values(condition))

    def _measure_compare(self, condition: Json, person: Person, clock: Clock) -> bool:
        left, right = (self.measured(condition[side], person, clock) for side in ("left", "right"))
        return measures_compare(left, condition["operator"], right, condition.get("factor", 1))

    def measured(self, measure: Json, person: Person, clock: Clock) -> Fraction | None:
        """A number made of a user's events, exactly; None where it is missing."""
        matching = self._matching(person, measure, clock, window_span(measure, clock))
        return measure_of(measure["measure"], measure.get("property"), matching, clock)

    def _rank(self, condition: Json, person: Person, clock: Clock) -> bool:
        """Among the first of all users for whom there is something to measure; ties by id."""
        is_top, measure = bool(condition.keys() & {"top", "top_percent"}), condition["by"]
        key = json.dumps([measure, is_top, str(clock.zone), clock.as_of.isoformat(), person.user_id in self.universe])
        if key not in self.ranked:
            everybody = self.universe if person.user_id in self.universe else {person.user_id: person}
            amounts = {one.user_id: self._ranked_by(measure, one, clock) for one in everybody.values()}
            found = [(amount, user_id) for user_id, amount in amounts.items() if amount is not None]
            found.sort(key=lambda one: (-one[0] if is_top else one[0], one[1].encode()))
            self.ranked[key] = [user_id for _, user_id in found]
        order = self.ranked[key]
        places = condition.get("top") or condition.get("bottom")
        if places is None:
            share = Fraction(repr(condition.get("top_percent") or condition["bottom_percent"]))
            places = math.ceil(share * len(order) / 100)
        return person.user_id in order[:places]

    def _ranked_by(self, measure: Json, person: Person, clock: Clock) -> Fraction | None:
        """As `measured`, but None where nothing took part, and the numbers themselves of the lowest and highest."""
        matching = self._matching(person, measure, clock, window_span(measure, clock))
        values = [look_up(event.payload, measure["property"]) for event in matching if "property" in measure]
        numbers = [number for value in values if (number := as_number(value)) is not None]
        match measure["measure"]:
            case "min" | "max" as name:
                return Fraction(min(numbers) if name == "min" else max(numbers)) if numbers else None
            case "count" | "days_active":
                is_any = bool(matching)
            case "count_distinct":
                is_any = any(_identity(value) is not None for value in values)
            case _:
                is_any = any(abs(number) <= MAX_SUMMAND for number in numbers)
        return self.measured(measure, person, clock) if is_any else None

    def _segment_membership(self, condition: Json, person: Person, clock: Clock) -> bool:  # noqa: ARG002
        """The other segment's current definition at the same `as_of`; it keeps its own zone."""
        named = condition["segment_ids"] if "segment_ids" in condition else [condition["segment_id"]]
        is_member = any(self.has(self.references[segment_id], person) for segment_id in named)
        return is_member == (condition.get("operator", "in") == "in")

    def _sample(self, condition: Json, person: Person, clock: Clock) -> bool:  # noqa: ARG002
        salted = condition["salt"].encode() + b"\0" + person.user_id.encode()
        share = Fraction(100 * int.from_bytes(hashlib.sha256(salted).digest()[:8], "big"), 2**64)
        return Fraction(condition["from"]) <= share < Fraction(condition["to"])


def _joined(logic: str, verdicts: Sequence[bool]) -> bool:
    return all(verdicts) if logic.upper() == "AND" else any(verdicts)


def _is_named(event: Event, event_types: str | Sequence[str]) -> bool:
    """`"*"` is every event; an identify is an event only where it is named."""
    if event_types == "*":
        return event.event_type != IDENTIFY
    return event.event_type in ([event_types] if isinstance(event_types, str) else event_types)


def _event_match(match: str | Json) -> Json:
    return {"event_type": match} if isinstance(match, str) else match


def _longest_span(condition: Json) -> timedelta | None:
    """How far the last step of a sequence may be from the first."""
    if "window_days" in condition:
        return fixed_length(f"{condition['window_days']}d")
    return fixed_length(condition["window"]["last"]) if "window" in condition else None


# Measures.


def measure_of(name: str, path: str | None, events: Sequence[Event], clock: Clock) -> Fraction | None:
    """What is made of events: whole numbers and millionths, so that it is exact; None where it is missing."""
    values = [] if path is None else [look_up(event.payload, path) for event in events]
    numbers = [number for value in values if (number := as_number(value)) is not None]
    whole = [round(number * MILLION) for number in numbers if abs(number) <= MAX_SUMMAND]
    match name:
        case "count":
            return Fraction(len(events))
        case "days_active":
            return Fraction(len({event.occurred_at.astimezone(clock.zone).date() for event in events}))
        case "count_distinct":
            return Fraction(len({_identity(value) for value in values} - {None}))
        case "sum":
            return Fraction(sum(whole), MILLION)
        case "avg":
            return Fraction(sum(whole), MILLION * len(whole)) if whole else None
        case "min":
            return Fraction(min(whole), MILLION) if whole else None
        case _:
            return Fraction(max(whole), MILLION) if whole else None


def measures_compare(left: Fraction | None, operator: str, right: Fraction | None, factor: float) -> bool:
    """Whether one measure compares so with so many times another; the factor is what is written."""
    if left is None or right is None:
        return operator == "neq"  # the complement of eq, which is false
    times = Fraction(repr(factor)) * right
    return {
        "eq": left == times,
        "neq": left != times,
        "gt": left > times,
        "gte": left >= times,
        "lt": left < times,
        "lte": left <= times,
    }[operator]


# Aggregates.


def _aggregate_test(condition: Json, values: Sequence[Any]) -> bool:
    wanted = [float(value) for value in wanted_values(condition)]
    numbers = [number for value in values if (number := as_number(value)) is not None]
    match condition["metric"]:
        case "count_distinct":
            return compares(condition, len({_identity(value) for value in values} - {None}), wanted)
        case "min":
            return compares(condition, min(numbers, default=None), wanted)
        case "max":
            return compares(condition, max(numbers, default=None), wanted)
    parts = sorted(_millionths(number) for number in numbers if abs(number) <= MAX_SUMMAND)
    bounds = [_millionths(value) for value in wanted]
    match condition["metric"]:
        case "sum":
            return compares(condition, sum(parts), bounds)
        case "avg":
            return compares(condition, sum(parts) if parts else None, [bound * len(parts) for bound in bounds])
        case _:
            middle = parts[(len(parts) - 1) // 2] + parts[len(parts) // 2] if parts else None
            return compares(condition, middle, [2 * bound for bound in bounds])


def _millionths(number: float) -> float:
    """The integer nearest to number × 1,000,000, the product as a double, ties to even; a bound may be beyond them."""
    product = number * MILLION
    return round(product) if math.isfinite(product) else product


def _identity(value: Any) -> tuple[str, Any] | None:
    """What makes a scalar distinct: 1 and 1.0 are one, "1" and true are others."""
    if isinstance(value, (bool, str)):
        return type(value).__name__, value
    return ("number", as_number(value)) if isinstance(value, (int, float)) else None
