"""What a definition's form says of a person is what the reference interpreter finds, so equal forms have equal members."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from evals.corpus.notation import parse_definition
from segment_copilot.language import decode
from segment_copilot.language.equivalence import form_of
from segment_copilot.language.equivalence.history import Amount, Count, Events, OneEvent, Other, Periods, Trait
from segment_copilot.language.equivalence.propositions import Table
from segment_copilot.language.equivalence.spans import Bound, Span
from segment_copilot.language.equivalence.values import Atom
from tests.support.language import reference_times as times
from tests.support.language.data_sets import draw_deliveries, user_ids
from tests.support.language.reference import (
    IDENTIFY,
    Person,
    Reading,
    _identity,
    _is_named,
    _millionths,
    measure_of,
    measures_compare,
    people,
)
from tests.support.language.reference_times import Clock
from tests.support.language.reference_values import (
    MISSING,
    as_number,
    declared_type,
    look_up,
    passes,
    passes_beside,
    read,
)
from tests.support.language.strategies import AS_OFS, DECLARED, EVENT_TYPES, ZONES, Draw, world

SIGNS = {"=": "eq", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
SCHEMAS = {name: DECLARED if name in (*EVENT_TYPES[:2], IDENTIFY) else {} for name in (*EVENT_TYPES, IDENTIFY)}


def declared(event_types: Any, path: str) -> Any:
    return declared_type(SCHEMAS, IDENTIFY if event_types is None else event_types, path)


class Judge(msgspec.Struct):
    """Reads forms: what each atom says of a person, in the words of the reference interpreter."""

    reading: Reading
    clock: Clock

    def has(self, table: Table, person: Person) -> bool:
        case = sum(self.holds(atom, person) << place for place, atom in enumerate(table.atoms))
        return bool(table.cases >> case & 1)

    def holds(self, atom: Any, person: Person) -> bool:
        match atom:
            case Count():
                return len(self.found(atom.events, person)) >= atom.least
            case Trait():
                return self.passes(atom.test, look_up(person.traits, atom.test.path), person)
            case OneEvent():
                return self.one_event(atom, person)
            case Amount():
                return self.amount(atom, person)
            case Periods():
                today = self.clock.as_of.astimezone(self.clock.zone).date()
                spans = [times.nth_period(today, atom.period, ago, self.clock.zone) for ago in range(atom.last)]
                found = self.found(atom.events, person)
                active = [span for span in spans if sum(span.holds(one.occurred_at) for one in found) >= atom.each]
                return len(active) >= atom.least
            case Other("segment", number):
                return self.reading.has(self.reading.references[number], person)
            case Other("sample", (salt, start, end)):
                return self.reading._sample({"salt": salt, "from": start, "to": end}, person, self.clock)
            case Other("measures", (left, operator, right, factor)):
                measured = [
                    measure_of(name, path, self.found(events, person), self.clock)
                    for name, events, path in (left, right)
                ]
                return measures_compare(measured[0], operator, measured[1], factor)
            case Other("rank", (by, (name, value))):
                return self.rank(by, name, value, person)
            case Other("sequence", what):
                return self.sequence(what, person)
        raise TypeError(atom)

    def found(self, events: Events, person: Person) -> list[Any]:
        types = "*" if events.types == ("*",) else events.types
        return [
            one
            for one in person.events
            if _is_named(one, types)
            and self.is_in(events.span, one.occurred_at)
            and any(
                all(self.passes_event(test, one, person) == told for test, told in term) for term in events.alternatives
            )
        ]

    def passes_event(self, test: Atom, event: Any, person: Person) -> bool:
        if test.value_type == "clock":
            at = {"weekdays" if test.sign == "on" else "hours": list(test.value)}
            return times.is_at(event.occurred_at, at, self.clock.zone)
        if test.value_type == "items":
            items = look_up(event.payload, test.path)
            return isinstance(items, list) and any(self.passes_item(test, one, person, event) for one in items)
        return self.passes(test, look_up(event.payload, test.path), person, event.payload)

    def passes_item(self, test: Atom, item: Any, person: Person, event: Any) -> bool:
        def value(path: str) -> Any:
            return (MISSING if item is None else item) if path == "." else look_up(item, path)

        return any(
            all(self.passes(one, value(one.path), person, event.payload) == told for one, told in term)
            for term in test.value
        )

    def is_in(self, span: Span, instant: Any) -> bool:
        if span.lower:
            start = self.instant(span.lower)
            if instant < start or (instant == start and not span.lower.is_in):
                return False
        if span.upper:
            end = self.instant(span.upper)
            return instant < end or (instant == end and span.upper.is_in)
        return True

    def instant(self, bound: Bound) -> Any:
        match bound.kind:
            case "ago":
                return times.shift(self.clock.as_of, -bound.count, bound.unit, self.clock.zone)
            case "start":
                today = self.clock.as_of.astimezone(self.clock.zone).date()
                return times.nth_period(today, bound.unit, bound.count, self.clock.zone).start
            case _:
                span = times.wanted_span(bound.unit, self.clock.zone)
                assert span
                return span.start

    def passes(self, test: Atom, value: Any, person: Person, payload: Any = None) -> bool:
        match test.sign:
            case "is_not_empty":
                return passes({"operator": "is_not_empty"}, value, clock=self.clock)
            case "set":
                return passes({"operator": "is_set"}, value, clock=self.clock)
            case "there":
                assert test.value_type == "number"
                return as_number(value) is not None
            case "since" | "until":
                stored = read(value, test.value_type or "", self.clock)
                span = Span(test.value) if test.sign == "since" else Span(None, test.value)
                return stored is not None and self.is_in(span, stored)
            case "anniversary_in":
                wanted = dict([test.value[0]])
            case sign if sign in SIGNS:
                wanted = test.value
            case "contains_any" | "contains_all" | "equals_set" | "in":
                wanted = [one for _, one in test.value]
            case _:
                wanted = test.value[0][1] if isinstance(test.value, tuple) else test.value
        fields = {"operator": SIGNS.get(test.sign, test.sign), "value": wanted, "ignore_case": test.ignore_case}
        told = {} if test.value_type is None else {"value_type": test.value_type}
        if isinstance(test.value, tuple) and test.value[0] == "other":
            _, kind, path = test.value
            other = look_up(person.traits if kind == "trait" else payload or {}, path)
            return passes_beside(fields | told, value, other, clock=self.clock)
        return passes(fields | told, value, clock=self.clock)

    def one_event(self, atom: OneEvent, person: Person) -> bool:
        found = self.found(atom.events, person)
        chosen = found[-1 if atom.which.endswith("latest") else 0] if found else None
        if atom.which.startswith("when"):
            return self.passes(atom.test, chosen.occurred_at.isoformat() if chosen else MISSING, person)
        payload = chosen.payload if chosen else {}
        return self.passes(atom.test, look_up(payload, atom.test.path), person, payload)

    def amount(self, atom: Amount, person: Person) -> bool:
        values = [look_up(one.payload, atom.path) for one in self.found(atom.events, person)]
        if atom.metric == "count_distinct":
            condition = {"type": "monetary", "event_type": "*", "property": "p", "metric": "count_distinct"}
            listed = Person(
                "",
                tuple(
                    msgspec.structs.replace(one, payload={"p": value}, event_type="x")
                    for one, value in zip(self.found(atom.events, person), values, strict=True)
                ),
                {},
            )
            return self.reading.holds(condition | {"operator": "gte", "value": atom.value}, listed, self.clock)
        numbers = [number for value in values if (number := as_number(value)) is not None]
        parts = sorted(_millionths(number) for number in numbers if abs(number) <= 9e12)
        if atom.metric == "present":
            return bool(parts)
        if not parts and atom.metric != "sum":
            return False
        assert atom.value is not None
        times_ = {"sum": 1, "avg": len(parts), "median": 2}[atom.metric]
        whole = parts[(len(parts) - 1) // 2] + parts[len(parts) // 2] if atom.metric == "median" else sum(parts)
        return whole > atom.value * times_ or (atom.is_in and whole == atom.value * times_)

    def rank(self, by: Any, name: str, value: float, person: Person) -> bool:
        """Ask the interpreter of everybody's events that are measured, all of one type."""
        measure, events, path = by
        measured = {"measure": measure, "event_type": "x"} | ({"property": path} if path else {})
        universe = {
            one.user_id: Person(
                one.user_id,
                tuple(msgspec.structs.replace(event, event_type="x") for event in self.found(events, one)),
                {},
            )
            for one in self.reading.universe.values()
        }
        reading = msgspec.structs.replace(self.reading, universe=universe, ranked={})
        condition = {"type": "rank", "by": measured, name: value if "percent" in name else int(value)}
        return reading.holds(condition, universe[person.user_id], self.clock)

    def sequence(self, what: Any, person: Person) -> bool:
        steps, strict, banned, longest, same = what
        barred = [one for events in banned for one in self.found(events, person)]
        (first, _), *rest = steps
        for start in self.found(first, person):
            held = [_identity(look_up(start.payload, path)) for path in same]
            if None in held:
                continue
            reached = [start]
            for events, within in rest:
                reached = [
                    one
                    for one in self.found(events, person)
                    if [_identity(look_up(one.payload, path)) for path in same] == held
                    and any(self.may_follow(before, one, within, barred, person, strict=strict) for before in reached)
                ]
            if any(
                longest is None or (one.occurred_at - start.occurred_at).total_seconds() <= 60 * longest
                for one in reached
            ):
                return True
        return False

    def may_follow(
        self, before: Any, one: Any, within: int | None, barred: Any, person: Person, *, strict: bool
    ) -> bool:
        gap = (one.occurred_at - before.occurred_at).total_seconds()
        between = [other for other in person.events if before.occurred_at < other.occurred_at < one.occurred_at]
        return (
            before.occurred_at < one.occurred_at
            and (within is None or gap <= 60 * within)
            and not any(other in barred for other in between)
            and not (strict and any(_is_named(other, "*") for other in between))
        )


@pytest.mark.parametrize("seed", range(5))
def test_a_form_says_of_everybody_what_the_definition_says(seed):
    drawn = world((AS_OFS[seed % len(AS_OFS)],), (ZONES[seed % len(ZONES)],))
    draw = Draw(seed, drawn)
    history = draw_deliveries(draw, user_ids(40))
    (as_of,), (zone,) = drawn.as_ofs, drawn.zones
    universe = people(history, as_of)
    references = {number: draw.definition() for number in (1, 2)}
    reading = Reading(as_of, zone, references, SCHEMAS, universe)
    judged = 0
    for _ in range(120):
        document = draw.definition([1, 2])
        form = form_of(decode(document), declared)
        if "statement" in repr(form) or isinstance(form.told, str):
            continue
        judged += 1
        judge = Judge(reading, Clock(as_of, ZoneInfo(document.get("timezone", zone))))
        told = {user_id for user_id, person in universe.items() if judge.has(form.told, person)}
        assert told == reading.members(document, universe), document
    assert judged > 80


SAME = [
    ("last(a)≤7d", "count(a)≥1 in 7d"),
    ("last(a)>7d", "count(a)≥1 & count(a)=0 in 1w"),
    ("last(a)>30d", "last(a)>30d & count(a)≥1"),
    ("last(a) in_last 30d", "count(a)≥1 in 30d"),
    ("last(a)<2026-01-01", "count(a)≥1 & count(a)=0 from 2026-01-01"),
    ("first(a)≥2026-01-01", "count(a)≥1 & count(a)=0 to 2026-01-01"),
    ("first(a) after 2025-12-31", "first(a)≥2026-01-01"),
    ("max(a.t)>5", "count(a[t>5])≥1"),
    ("min(a.t)<5 in 7d", "any(a.t)<5 in 7d"),
    ("count(a|b)≥1", "count(b)≥1 | count(a)≥1"),
    ("count(a[c in x,y])≥1", "count(a[c=x])≥1 | count(a[c=y])≥1"),
    ("count(a)<3", "count(a)≤2"),
    ("count(a) 1..2", "count(a)≥1 & count(a)<3"),
    ("count(a)=0", "not count(a)≥1"),
    ("count(a)≥1 & count(a)≥1 in 7d", "count(a)≥1 in 7d"),
    ("count(a)≥5 & count(a)≥2", "count(a)≥5"),
    ("count(a)≥1 in 2w | count(a)≥1 in 1y", "count(a)≥1 in 12mo"),
    ("any(a.c)=x in 7d", "count(a[c=x])≥1 in 7d"),
    ("every(a.c)=x", "count(a)≥1 & not count(a[c≠x])≥1"),
    ("periods(a)≥1 of 1 months", "count(a)≥1 this month"),
    ("country in DE,FR", "country=FR | country=DE"),
    ("country not_in DE,FR", "country≠FR & country≠DE"),
    ("country=DE & country≠FR", "country=DE"),
    ("country=DE & country is_set", "country=DE"),
    ("tags contains_any a,b", "tags contains_any b | tags contains_any a"),
    ("tags contains_none a,b", "not tags contains_any a & tags contains_none b"),
    ("d before 2026-01-02", "d≤2026-01-01"),
    ("age 18..25", "age≥18 & age≤25"),
    ("not (x=1 & y=2)", "x≠1 | y≠2"),
    ("x=1 - y=2", "x=1 & not y=2"),
    ("count(a)≥1 & (x=1 | y=2)", "(x=1 & count(a)≥1) | (count(a)≥1 & y=2)"),
    ("in segment 1 - in segment 2", "not in segment 2 & in segment 1"),
    ("count(a)≥1 in 1w complete", "count(a)≥1 in 7d complete"),
    ("count(a)≥1 in 1d complete", "count(a)≥1 yesterday"),
    ("count(a)≥1 in 1d with today", "count(a)≥1 today"),
    ("x is_empty", "not x is_not_empty"),
    ("x is_set & x is_not_empty", "x is_not_empty"),
    ("in any segment 1,2", "in segment 2 | in segment 1"),
    ("not in any segment 1,2", "not in segment 2 & not in segment 1"),
    ("tags equals_set a,b", "tags equals_set b,a,b"),
    ("count(a at mon,sun)≥1", "count(a at sun,mon)≥1"),
    ("count(a at mon,tue,wed,thu,fri,sat,sun)≥1", "count(a)≥1"),
    ("count(a at 09:00-12:00)≥1 & count(a)≥1", "count(a at 09:00-12:00)≥1"),
    ("compare count(a) > count(b)", "not compare count(a) ≤ count(b)"),
    ("compare count(a) > count(b)", "compare count(b) < count(a)"),
    ("top 5% by count(a) in 7d", "top 5.0% by count(a) in 1w"),
    ("compare avg(a.t) in 7d ≠ avg(b.t)", "not compare avg(b.t) = 1 * avg(a.t) in 1w"),
    ("2 of (x=1; y=2; z=3)", "(x=1 & y=2) | (y=2 & z=3) | (x=1 & z=3)"),
    ("not 2 of (x=1; y=2; z=3)", "2 of (z≠3; y≠2; x≠1)"),
    ("2 of (x=1; x=1; z=3)", "x=1"),
    ("2 of (x=1; y=2; count(a)≥0)", "x=1 | y=2"),
    ("3 of (x=1; y=2; z=3)", "x=1 & y=2 & z=3"),
    ("d in_last 30d", "d in_window in 30d"),
    ("d in_last 1w", "d in_window 7d..0h ago"),
    ("d in_next 1w", "d in_next 7d"),
    ("d not_in_window in 1w", "not d in_window in 7d"),
    ("d in_window in 1d complete", "d in_window yesterday"),
    ("d in_window in 2w complete", "d in_window in 14d complete"),
    ("d in_window from 2026-06-01 to 2026-07-01", "d≥2026-06-01 & d≤2026-06-30"),
    ("d in_window from 2026-06-01T10:00:00Z", 'd≥"2026-06-01T10:00:00Z"'),
    ("d in_window to 2026-06-01", "d before 2026-06-01"),
    ("d in_window in 7d & d in_window in 30d", "d in_last 7d"),
    ("d in_window this week & d in_window today", "d in_window today & d in_window this week"),
    ("first(a) in_window last month", "first(a) in_window last month & count(a)≥1"),
    ("last(a) in_window this month", "count(a)≥1 this month"),
    ("last(a) in_window in 7d complete", "last(a) in_window in 1w complete"),
    ("b anniversary_in today", "b anniversary_in_next 0d"),
    ("b anniversary_in_last 0w", "b anniversary_in_next 0d"),
    ("b anniversary_in_next 12mo", "b anniversary_in_next 1y"),
    ("b anniversary_in month 6 & b anniversary_in month 6", "b anniversary_in month 6"),
]
OTHER = [
    ("last(a)≤7d", "last(a)<7d"),
    ("last(a)>7d", "count(a)=0 in 7d"),
    ("count(a)≥1 in 24h", "count(a)≥1 in 1d"),
    ("count(a|b)≥2", "count(a)≥2 | count(b)≥2"),
    ("count(a[c=x & d=y])≥1", "count(a[c=x])≥1 & count(a[d=y])≥1"),
    ("count(a)≥1 last month", "count(a)≥1 in 1mo"),
    ("age<18", "not age≥18"),
    ("flag is_false", "not flag is_true"),
    ("min(a.t)>5", "not count(a[t≤5])≥1"),
    ("sum(a.t)>5", "sum(a.t)≥5"),
    ("amount=5", 'amount="5"'),
    ("x=1 | y=2", "x=1 & y=2"),
    ("x=1", "x=1 @Europe/Madrid"),
    ("seq(a > b)", "seq(b > a)"),
    ("top 5 by count(a)", "top 5% by count(a)"),
    ("top 5 by count(a)", "bottom 5 by count(a)"),
    ("top 5 by count(a)", "top 5 by count(a) in 7d"),
    ("compare avg(a.t) > avg(b.t)", "not compare avg(a.t) ≤ avg(b.t)"),
    ("compare count(a) > 2 * count(b)", "compare count(b) < 2 * count(a)"),
    ("compare count(a) > count(b)", "compare count(a) ≥ count(b)"),
    ("2 of (x=1; y=2; z=3)", "1 of (x=1; y=2; z=3)"),
    ("tags equals_set a,b", "tags contains_all a,b"),
    ("count(a)≥1 in 7d complete", "count(a)≥1 in 7d"),
    ("x is_empty", "x is_not_set"),
    ("count(a at mon)≥1", "count(a at tue)≥1"),
    ("count(a at 09:00-12:00)≥1", "count(a)≥1"),
    ("d in_window this month", "d in_window in 1mo"),
    ("d in_window today", "d in_window in 1d with today"),  # of today also what is to come
    ("d in_window next month", "d in_window this month"),
    ("d in_window tomorrow", "d in_next 1d"),
    ("d not_in_window next month", "d is_set & d not_in_window next month"),
    ("d in_window from 2026-06-01 to 2026-07-01", "d 2026-06-01..2026-07-01"),
    ("b anniversary_in month 6", "b anniversary_in month 7"),
    ("b anniversary_in this month", "b in_window this month"),
    ("b anniversary_in tomorrow", "b anniversary_in_next 1d"),
    ("count(context_identified)≥1 & count(*)≥1", "count(context_identified)≥1"),  # an identify is none of all events
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_selects_the_same_people_has_one_form(one, other):
    assert form_of(parse_definition(one)) == form_of(parse_definition(other))


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_what_selects_other_people_has_another_form(one, other):
    assert form_of(parse_definition(one)) != form_of(parse_definition(other))


def test_a_contradiction_and_what_is_always_true_are_told():
    assert form_of(parse_definition("count(a)≥1 in 7d & last(a)>30d")).is_nobody
    assert form_of(parse_definition("country=DE & country=FR")).is_nobody
    assert form_of(parse_definition("count(a)≥0 | x=1")).is_everybody
    assert not form_of(parse_definition("x=1")).is_nobody
    assert form_of(parse_definition("d in_window next month & d in_window last month")).is_nobody
    assert form_of(parse_definition("last(a) in_window tomorrow")).is_nobody
    assert not form_of(parse_definition("d in_window this week & d in_window last month")).is_nobody


def test_the_declared_type_is_what_a_test_compares_in():
    text = form_of(parse_definition("amount>5"), lambda _types, _path: "string")
    assert text != form_of(parse_definition("amount>5"))
    assert text == form_of(parse_definition("amount>5 as string"))


def test_too_many_conditions_are_compared_as_they_stand():
    many = " | ".join(f"t{number}=1" for number in range(20))
    turned = " | ".join(f"t{number}=1" for number in reversed(range(20)))
    assert form_of(parse_definition(many)) == form_of(parse_definition(turned))
    assert form_of(parse_definition(many)) != form_of(parse_definition(f"{many} | age=3"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("last(a)≤7d", "last(a)<7d"),
        ("last(a)<7d", "count(a)≥1 in 7d"),
        ("last(a)≥30d", "count(a)≥1 & count(a)=0 in 30d"),
        ("last(a) 7d..30d", "count(a)≥1 in 30d & count(a)=0 in 7d"),
    ],
)
def test_the_instant_at_which_a_length_begins_can_be_left_out_of_account(one, other):
    assert form_of(parse_definition(one), is_exact=False) == form_of(parse_definition(other), is_exact=False)
    assert form_of(parse_definition("last(a)<7d"), is_exact=False) != form_of(
        parse_definition("last(a)>7d"), is_exact=False
    )
