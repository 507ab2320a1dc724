"""Adds conditions, values and alternatives to a draft, or keeps only some of its people or events."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, structs

from segment_copilot.english.edits.aspects import (
    events_of,
    has_window,
    is_number,
    numbers_of,
    retested,
    tests_of,
    with_more,
    with_own_test,
    with_test,
    with_values,
)
from segment_copilot.english.edits.meant import (
    LEAST,
    Made,
    Parts,
    is_of,
    leaves_said,
    opposite_test,
    placed,
    readings,
    tests_said,
    wholes_said,
    whose,
)
from segment_copilot.english.edits.said import Desk, Part
from segment_copilot.english.edits.setting import SAME, fit_in, merge, merged, set_in, set_to
from segment_copilot.english.edits.targets import Target, targets
from segment_copilot.english.edits.tree import as_one, excluding, joined, put
from segment_copilot.english.reading.spans import union
from segment_copilot.language import (
    Condition,
    Definition,
    EventCount,
    EventProperty,
    EventSequence,
    Recency,
    UserProperty,
    meaning,
)

_PLAIN: Final = 0.9
_YOUNGEST: Final = 14
_OLDEST: Final = 99
_AGED: Final = frozenset({"over", "under", "above", "below"})
POSITIVE: Final = frozenset({"eq", "in", "contains", "contains_any"})


def set_or_add(desk: Desk, parts: Parts) -> list[Made]:
    """Make it 5; 60 days; in Spain: a side of what the draft has; where it has nothing of it, one condition more."""
    new, old = parts["new"], "old" in parts
    if new.says({"also", "too", "well"}):
        return [] if old else add(desk, parts)
    if (made := set_to(desk, parts)) or old or (new.negated and not new.values and new.says({","})):
        return [*made, *_of_age(desk, new, made)]
    fitted = [(place, fit_in(desk, new, Target(place, open=True))) for place in desk.places]
    if any(fit is not None and fit[0] == place.node for place, fit in fitted):
        return [Made(desk.definition)]  # it says again what the draft has
    alone = all(len(one.definition.conditions) == 1 and not one.definition.exclude for one in readings(desk, new))
    plain = all(one.probability >= _PLAIN for one in desk.audiences(new.text)[:1])  # no verb says that it is one more
    return [structs.replace(one, sure=one.sure and plain) for one in _once(desk, add(desk, parts))] if alone else []


def _once(desk: Desk, made: list[Made]) -> list[Made]:
    """Return changes that count again what the draft counts already as not sure: it may be that it is spoken of."""
    counts = (EventCount, EventSequence, EventProperty, Recency)
    counted = {name for place in desk.places if isinstance(place.node, counts) for name in events_of(place.node)}

    def is_again(node: Condition) -> bool:
        return (
            isinstance(node, counts) and node not in desk.definition.conditions and bool(counted & {*events_of(node)})
        )

    return [structs.replace(one, sure=one.sure and not any(map(is_again, one.definition.conditions))) for one in made]


def _of_age(desk: Desk, new: Part, made: list[Made]) -> list[Made]:
    """Return what "over 18" means too where nothing says what is counted: people of that age."""
    one = new.quantities[0] if len(new.quantities) == 1 and not new.content & ~new.quantities[0].mask else None
    if not made or one is None or not {*one.words} & _AGED or not _YOUNGEST <= one.quantity.value <= _OLDEST:
        return []
    top = max(one.rank for one in made)
    if any(isinstance(place.node, UserProperty) and is_number(place.node) for place in desk.places):
        return []
    found = [one.definition for one in desk.audiences(new.text) if len(one.definition.conditions) == 1]
    ages = [one.conditions[0] for one in found if isinstance(one.conditions[0], UserProperty)]
    return [Made(joined(desk.definition, [one], "AND"), top) for one in ages[:1]]


def add(desk: Desk, parts: Parts) -> list[Made]:
    """And opened an email; also require gold; and in the last week?"""
    new = parts["new"]
    if new.windows and not new.content & ~union(new.windows):
        return [one for place in desk.places for one in set_in(desk, new, Target(place, open=True))]
    if values := _in_lists(desk, new):
        return values
    if second := _second_bound(desk, new):
        return second
    if new.quantities and not new.windows and not new.values and (same := set_to(desk, {"new": new})):
        return same
    made: list[Made] = []
    pointing = new.text.lower().startswith(("it ", "before ", "after "))
    for one in readings(desk, new):
        definition = one.definition
        if _is_known(desk, definition):
            made.append(Made(desk.definition, one.rank))
        if _is_known(desk, definition) or any(_is_implied(desk, node) for node in definition.conditions):
            continue
        more = definition.conditions if definition.logic == "AND" else [as_one(definition)]
        changed = joined(desk.definition, more, "AND")
        made.append(
            Made(
                excluding(changed, definition.exclude.conditions) if definition.exclude else changed, one.rank, one.sure
            )
        )
    return _once(desk, made) if pointing else made


def _second_bound(desk: Desk, new: Part) -> list[Made]:
    """Return the draft with another end of a number: of "more than 3", and "at most 10"."""
    made: list[Made] = []
    for place in desk.places if len(new.quantities) == 1 and not new.quantities[0].quantity.bare else ():
        fitted = fit_in(desk, new, Target(place, open=True))
        sides = [getattr(node, "operator", "")[:1] for node in (place.node, fitted[0])] if fitted else []
        if sorted(sides) == ["g", "l"] and fitted and not place.excluded:
            made.append(Made(joined(desk.definition, [fitted[0]], "AND"), fitted[1]))
    return made


def who(desk: Desk, parts: Parts) -> list[Made]:
    """Add one condition more ("who bought shoes"), or change the one there is: those who ordered at least 10 times, who did not open it: the one there is."""
    new = parts["new"]
    anew = new.quantities or new.negated or new.windows
    return (merged(desk, new) if anew else []) or _once(desk, add(desk, parts))


def add_people(desk: Desk, parts: Parts) -> list[Made]:
    """Add people who started a trial: these too, or only these? Both may be meant."""
    return _in_lists(desk, parts["new"]) or [*either(desk, parts), *add(desk, parts)]


def is_plain(node: EventCount) -> bool:
    """Return whether a condition asks only that something was done."""
    return (node.operator, node.value, node.where) == ("gte", 1, UNSET)


def _is_implied(desk: Desk, node: Condition) -> bool:
    """Return whether a condition is only that something was done that the draft counts already."""
    return (
        isinstance(node, EventCount)
        and is_plain(node)
        and not has_window(node)
        and any(events_of(place.node) == events_of(node) and any(numbers_of(place.node)) for place in desk.places)
    )


def _is_known(desk: Desk, more: Definition) -> bool:
    """Return whether the draft has all of a definition already."""
    has = {meaning(Definition("AND", [node])) for node in desk.definition.conditions}
    asks = {meaning(Definition("AND", [node])) for node in more.conditions}
    return desk.definition.logic == more.logic == "AND" and asks <= has and not more.exclude


def _in_lists(desk: Desk, new: Part) -> list[Made]:
    """Return the draft with more values in a test that names some of the same field."""
    if not new.values or new.windows or new.quantities or new.negated:
        return []
    made: list[Made] = []
    for place in desk.places:
        for tested in tests_of(place.node):
            said = [value.value for anchor in new.values for value in anchor.values if is_of(tested, place, value)]
            fits = all(any(is_of(tested, place, value) for value in anchor.values) for anchor in new.values)
            left = new.content & ~union(new.values) & ~desk.explained(new, place)
            if said and fits and not left and tested.test.operator in POSITIVE:
                test = with_values(tested.test, list(dict.fromkeys((*tested.values, *said))))
                made += placed(desk, place, retested(place.node, tested, test), 0.0)
    return made


def too(desk: Desk, parts: Parts) -> list[Made]:
    """Germany too; in the US as well; not only the US but also Canada; April as well, where it is beside May."""
    new = parts["new"]
    if new.windows and not new.content & ~union(new.windows):
        said = [(place, with_more(place.node, one.window)) for place in desk.places for one in new.windows[:1]]
        return [made for place, node in said if node for made in placed(desk, place, node, 0.0)]
    return add(desk, {"new": new})


def either(desk: Desk, parts: Parts) -> list[Made]:
    """Or Germany; or who opened an email."""
    new = parts["new"]
    if values := _in_lists(desk, new):
        return values
    made: list[Made] = []
    for condition, one in wholes_said(desk, new):
        if _is_implied(desk, condition):
            continue
        made.append(structs.replace(one, definition=joined(desk.definition, [condition], "OR")))
        last = desk.places[-1] if len(desk.definition.conditions) > 1 else None
        about = [place for place in desk.places if not place.excluded and events_of(place.node)]
        if last is not None and desk.definition.logic == "AND" and events_of(condition) and about:
            group = _group(about[-1].node, condition)
            made.append(Made(put(desk.definition, about[-1].path, group), one.rank))
    return made


def _either_event(desk: Desk, new: Part) -> list[Made]:
    """Return the draft that takes another event too where it takes one at all: of "clicks count as well"."""
    places = [
        one for one in desk.places if isinstance(one.node, EventCount) and is_plain(one.node) and not one.excluded
    ]
    said = [one for one in leaves_said(desk, new) if isinstance(one, EventCount) and is_plain(one)]
    return [
        made
        for place in places
        for one in said
        if not new.has("people") and not has_window(one) and not new.says({"who", "that"})
        for made in placed(
            desk, place, structs.replace(place.node, event_type=[*events_of(place.node), *events_of(one)]), 0.0
        )
    ]


def _group(*conditions: Condition) -> Condition:
    return as_one(Definition("OR", list(conditions)))


def only(desk: Desk, parts: Parts) -> list[Made]:
    """Only in Spain; just shoes; only in the last week; keep only gold members."""
    new = parts["new"]
    if "old" in parts:
        found = targets(desk, parts["old"])
        of = frozenset(one.place.path for one in found if not one.open)
        return only(structs.replace(desk, among=of), {"new": new}) if of else []
    if new.values and not new.windows and not new.quantities:
        made = [
            one for place in desk.places if not place.excluded for one in set_in(desk, new, Target(place, open=True))
        ]
        if max((one.rank for one in made), default=0) >= SAME:
            return made
    if not new.has("people") and not new.content & ~union((*new.windows, *new.quantities)):
        return set_to(desk, parts)
    if new.quantities and not whose(new):
        made = [
            one
            for place in desk.places
            for one in set_in(desk, new, Target(place, open=True))
            if isinstance(place.node, EventCount)
        ]
        if made:
            return made
    return filtered(desk, new) or _narrowed(desk, new) or _once(desk, add(desk, parts))


def _narrowed(desk: Desk, new: Part) -> list[Made]:
    """Return the draft with more said of what was done: "only those who opened the flash sale campaign", "only orders with a coupon"."""
    places = [one for one in desk.places if isinstance(one.node, EventCount) and not one.excluded]
    if new.has("people"):  # who did it once so may have done it otherwise as well
        places = [
            one
            for one in places
            if isinstance(one.node, EventCount) and (one.node.operator, one.node.value) == ("gte", 1)
        ]
    said = [node for node in leaves_said(desk, new, LEAST) if isinstance(node, EventCount)]
    made = [(place, merge(place.node, node)) for node in said for place in places]
    return [one for place, node in made if node is not None for one in placed(desk, place, node, 0.0)]


def filtered(desk: Desk, new: Part, *, turned: bool = False) -> list[Made]:
    """Return the draft whose events are fewer: of "only orders over $50", "ignore orders under $20", "the urgent ones"."""
    made: list[Made] = []
    for place in desk.places:
        events = () if turned and getattr(place.node, "value", 1) == 0 else events_of(place.node)
        tests = tests_said(new, events[0]) if len(events) == 1 and not place.excluded and not whose(new) else ()
        changed: Condition | None = place.node
        for test in tests if len(tests) == 1 or not turned else ():
            said = opposite_test(test) if turned else test
            if changed is not None:
                changed = with_test(changed, said) if turned else with_own_test(changed, said)
        if changed is not None and changed != place.node:
            made += placed(desk, place, changed, float(len(tests)))
    return made


def include(desk: Desk, parts: Parts) -> list[Made]:
    """Include staff: out of the exclusion; include Mexico: into the list; include people who never ordered: or."""
    new = parts["new"]
    out = [place for place in desk.places if place.excluded and not new.content & ~desk.explained(new, place)]
    if out and new.content:
        return [one for place in out for one in placed(desk, place, None, 0.0)]
    return _in_lists(desk, new) or _either_event(desk, new) or either(desk, parts)
