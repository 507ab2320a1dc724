"""The kinds of change, one row each: from the words that say what and to what, to the definitions that may be meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from msgspec import UNSET, Struct, structs

from segment_copilot.english.times.phrases import Length
from segment_copilot.english.times.windows import Window as When
from segment_copilot.english_next import lexicon
from segment_copilot.english_next.amounts import may_count
from segment_copilot.english_next.edits import ways
from segment_copilot.english_next.edits.aspects import (
    WINDOWED,
    events_of,
    has_window,
    is_number,
    length_of,
    numbers_of,
    retested,
    tests_field,
    tests_of,
    whole,
    windowless,
    with_number,
    with_test,
    with_values,
    with_window,
)
from segment_copilot.english_next.edits.said import Desk, Part
from segment_copilot.english_next.edits.targets import Target, spoken, targets
from segment_copilot.english_next.edits.tree import Place, Unfit, as_one, excluding, joined, put
from segment_copilot.english_next.events import all_tests, said
from segment_copilot.english_next.meanings import opposite
from segment_copilot.english_next.names import Value
from segment_copilot.english_next.spans import Mention, Span, union
from segment_copilot.language import Condition, Definition, EventCount, Group, Monetary, PropertyTest, Recency, SegmentMembership, UserProperty
from segment_copilot.language.operators import OPERATORS, NumberOperator

_LIKELY: Final = 0.3
"""How likely the readings of some words must be together to be taken at all."""
_LEAST: Final = 0.1
"""The same of what is said of a condition that the draft has: it speaks for the reading."""
_CLEAR: Final = 0.75
"""Which share of what the readings of some words weigh together the likeliest must have to be taken without asking."""
_SAME: Final = 6
"""The rank of values that a draft tests already."""
_METRIC: Final = {"distinct": "count_distinct"}
_POSITIVE: Final = frozenset({"eq", "in", "contains", "contains_any"})
_TURNED: Final = {"eq": "neq", "in": "not_in", "contains": "does_not_contain", "contains_any": "contains_none"}


class Made(Struct, frozen=True):
    """A definition that a change may lead to. *rank* says how well it fits the words."""

    definition: Definition
    rank: float = 0.0


Parts = Mapping[str, Part]
Change = Callable[[Desk, Parts], Sequence[Made]]


def _at(desk: Desk, place: Place, node: Condition | None, rank: float) -> list[Made]:
    made = put(desk.definition, place.path, node)
    return [Made(made, rank)] if made != desk.definition else []


# Setting sides of conditions


def set_to(desk: Desk, parts: Parts) -> list[Made]:
    """Make it 5; change the window to 60 days; the country should be Spain; Germany instead."""
    new = parts["new"]
    if new.says({"also", "too"}):
        return add(desk, parts) if "old" not in parts else []
    if new.negated and not new.values and new.says({","}):
        return []
    among = targets(desk, parts["old"]) if "old" in parts else tuple(Target(place, open=True) for place in desk.places)
    if "old" in parts and any(one.open for one in among):
        return []
    made = [one for target in among for one in _set(desk, new, target)]
    if "old" in parts and spoken(parts["old"]).all and len({target.place.path for target in among}) > 1:
        return _everywhere(desk, new, among)
    if made or (among and not among[0].open):
        return made
    alone = all(len(one.conditions) == 1 and not one.exclude for one, _ in _readings(desk, new))
    return _merged(desk, new) or (add(desk, parts) if "old" not in parts and alone else [])


def _everywhere(desk: Desk, new: Part, among: Sequence[Target]) -> list[Made]:
    definition = desk.definition
    timed = [target for target in among if has_window(target.place.node)] if new.windows else among
    for target in timed or among:
        fitted = _fitted(desk, new, target)
        definition = put(definition, target.place.path, fitted[0]) if fitted else definition
    return [Made(definition)]


def _set(desk: Desk, new: Part, target: Target) -> list[Made]:
    fitted = _fitted(desk, new, target)
    return _at(desk, target.place, fitted[0], fitted[1] + target.rank) if fitted else []


def _fitted(desk: Desk, new: Part, target: Target) -> tuple[Condition, float] | None:
    """Return the condition with all that the words say set in it, and how well that fits; None where some does not."""
    place = target.place
    node, used, rank = place.node, 0, 0.0
    if len(new.windows) > 1 or len(new.quantities) > 1 or len(new.metrics) > 1:
        return None
    for one in new.metrics if isinstance(node, Monetary) else ():
        node, used = structs.replace(node, metric=cast("Any", _METRIC.get(one.kind, one.kind))), used | one.mask
    for one in new.windows:
        made = with_window(node, one.window) if target.side in {"", "window"} or not target.open else None
        if made is None:
            return None
        rank += 4 if has_window(place.node) else 0
        node, used = made, used | one.mask
    for one in new.quantities:
        if target.side == "window" or (spoken(new).window and not new.windows):
            length = length_of(node) if not new.windows else None
            made = with_window(node, When("last", length=Length(int(one.quantity.value), length.unit))) if length else None
        else:
            counts = may_count(one) and not any(ways.is_part(token.stem, "subject") for at, token in enumerate(new.found.tokens) if new.span >> at & 1)
            made = with_number(node, one.quantity) if counts or isinstance(node, UserProperty | Monetary) else None
        if made is None:
            return None
        rank += _likely_number(place.node, one.quantity.currency)
        node, used = made, used | one.mask
    valued = _valued(new, target, node)
    if valued is None:
        return None
    node, told, more = valued
    words = spoken(new)
    ends = sum(1 << at for at, token in enumerate(new.found.tokens) if ways.is_part(token.stem, "end"))
    used |= told | desk.explained(new, place) | words.words & ~ends
    behind = new.values and new.negated and new.negated > new.values[0].mask
    if words.exclusion or behind or new.content & ~used or (new.negated and not new.values):
        return None
    return node, rank + more + (desk.explained(new, place) & new.content & ~told).bit_count() - 3 * place.excluded


def _of_age(words: Sequence[str]) -> bool:
    return any(word in {"older", "younger", "old"} for word in words)


def _likely_number(node: Condition, currency: str) -> float:
    if isinstance(node, Recency):
        return 0
    if isinstance(node, Monetary):
        return 4 if currency else 3
    return 3 if any(numbers_of(node)) and isinstance(node, EventCount) else 2


def _valued(new: Part, target: Target, node: Condition) -> tuple[Condition, int, float] | None:
    """Return the condition with the values that the words name; None where it has no place for one of them."""
    groups: dict[str, list[Value]] = {}
    used, rank = 0, 0.0
    for anchor in new.values:
        if anchor.mask & union((*new.windows, *new.quantities)):
            continue
        value = _own(anchor.values, node)
        if value is None:
            return None
        groups.setdefault(value.place.path, []).append(value)
        used |= anchor.mask
    for values in groups.values():
        tested = tests_field(node, values[0].place)
        said = list(dict.fromkeys(one.value for one in values))
        operator = ""
        if tested is not None:
            if new.negated:
                operator = "not_in"
            elif target.values and len(tested.values) > len(target.values):
                said = [one for old in tested.values for one in (said if old == target.values[0] else [] if old in target.values else [old])]
            test = with_values(tested.test, list(dict.fromkeys(said)), "neq" if operator else "")
            made = retested(node, tested, test)
            rank += _SAME
        else:
            made = with_test(node, _test(values, negated=bool(new.negated)))
            rank += 1
        if made is None:
            return None
        node = made
    return node, used | (new.negated if groups else 0), rank


def _own(values: Sequence[Value], node: Condition) -> Value | None:
    """Return which of the fields that have a value a condition is about: those that it tests before those that it could."""
    tested = next((one for one in values if tests_field(node, one.place)), None)
    return tested or next((one for one in values if one.place.event and one.place.event in events_of(node)), None)


def _test(values: Sequence[Value], *, negated: bool = False) -> PropertyTest:
    listed = values[0].place.field.listed
    test = PropertyTest(values[0].place.path, "contains" if listed else "eq", values[0].value)
    made = with_values(test, list(dict.fromkeys(one.value for one in values)))
    return structs.replace(made, operator=_TURNED[made.operator]) if negated else made


def _merged(desk: Desk, new: Part) -> list[Made]:
    """Return the draft with one condition said anew: "at least 5 orders in 60 days" of one that counts orders."""
    made: list[Made] = []
    for node, rank in _said(desk, new, _LEAST):
        for place in desk.places:
            number = any(one.quantity.value == getattr(node, "value", None) for one in new.quantities)
            merged = _merge(place.node, node, said_number=number)
            if merged is not None and not place.excluded:
                made += _at(desk, place, merged, rank)
    return made


def _merge(old: Condition, new: Condition, *, said_number: bool = False) -> Condition | None:
    """Return *old* with all that *new* says; None where they are not about the same."""
    if type(old) is not type(new) or events_of(old) != events_of(new):
        return None
    if any(getattr(old, name, None) != getattr(new, name, None) for name in ("property", "metric", "period", "occurrence")):
        return None
    if isinstance(new, UserProperty) or not isinstance(new, (*WINDOWED, Recency)):
        return new
    fields = {name: getattr(new, name) for name in ("operator", "value", "value2", "negate") if hasattr(new, name)}
    if isinstance(new, EventCount) and (new.operator, new.value) == ("gte", 1):
        if not said_number and not _says_less(new):
            return None
        fields = fields if said_number else {}
    if has_window(new):
        fields |= {name: getattr(new, name, UNSET) for name in ("window", "window_days") if hasattr(new, name)}
    made: Condition = structs.replace(cast("Any", old), **fields)
    for tested in tests_of(new):
        if isinstance(tested.test, PropertyTest) and tested.at is not None:
            known = next((one for one in tests_of(made) if one.at is not None and one.test.property == tested.test.property), None)
            changed = retested(made, known, tested.test) if known else with_test(made, tested.test)
            if changed is None:
                return None
            made = changed
    return made


def _says_less(new: EventCount) -> bool:
    return new.where is not UNSET or has_window(new)


# What words mean as conditions


def _readings(desk: Desk, new: Part, likely: float = _LIKELY) -> list[tuple[Definition, float]]:
    """Return what words mean as an audience of their own; a bare number or time is none."""
    if not new.content & ~union((*new.quantities, *new.windows)) and not any(_of_age(one.words) for one in new.quantities):
        return []
    found = [one for one in desk.audiences(new.text) if not _is_presence(one.definition, new)]
    weight = sum(one.probability for one in found)
    if not found or weight < likely:
        return [(Definition("AND", [node]), 0.0) for node in _named(new)]
    if found[0].probability / weight >= _CLEAR:
        return [(found[0].definition, 0.0)]
    return [(one.definition, 0.0) for one in found[:2]]


def _named(new: Part) -> list[Condition]:
    """Return what words mean that only name values of one trait, or a segment: "premium", "opt-ins", "Staff"."""
    swallowed = lexicon.swallowed("trait") | lexicon.swallowed("segment")
    light = sum(1 << at for at, token in enumerate(new.found.tokens) if token.stem in swallowed)
    fields = {value.place.path: value.place for one in new.values for value in one.values if not value.place.event}
    made: list[Condition] = []
    for path in fields if new.values and not new.content & ~union(new.values) & ~light else ():
        own = [next((value for value in one.values if value.place.path == path and not value.place.event), None) for one in new.values]
        if all(own):
            test = _test([one for one in own if one is not None])
            made.append(UserProperty(property=path, operator=test.operator, value=test.value))
    if new.segments and not new.content & ~union(new.segments) & ~light:
        made += [SegmentMembership(segment_id=one.segment) for one in new.segments[:1]]
    return made


def _is_presence(definition: Definition, new: Part) -> bool:
    """Return whether a reading is only that something is known, of words that name a field: "the country"."""
    tests = [tested.test.operator for node in definition.conditions for tested in tests_of(node) if tested.at is None]
    return any(one in {"is_set", "is_not_set"} for one in tests) and not any(new.found.tokens[at].lower in {"known", "set", "unknown"} for at in range(len(new.found.tokens)))


def _said(desk: Desk, new: Part, likely: float = _LIKELY) -> list[tuple[Condition, float]]:
    return [(as_one(one), rank) for one, rank in _readings(desk, new, likely) if not one.exclude and len(one.conditions) == 1]


def add(desk: Desk, parts: Parts) -> list[Made]:
    """And opened an email; also require gold; and in the last week?"""
    new = parts["new"]
    if new.windows and not new.content & ~union(new.windows):
        return [one for place in desk.places for one in _set(desk, new, Target(place, open=True))]
    if values := _in_lists(desk, new):
        return values
    if second := _second_bound(desk, new):
        return second
    made: list[Made] = []
    for definition, rank in _readings(desk, new):
        if any(_is_implied(desk, node) for node in definition.conditions):
            continue
        more = definition.conditions if definition.logic == "AND" else [as_one(definition)]
        changed = joined(desk.definition, more, "AND")
        made.append(Made(excluding(changed, definition.exclude.conditions) if definition.exclude else changed, rank))
    return made


def _second_bound(desk: Desk, new: Part) -> list[Made]:
    """Return the draft with another end of a number: of "more than 3", and "at most 10"."""
    made: list[Made] = []
    for place in desk.places if len(new.quantities) == 1 and not new.quantities[0].quantity.bare else ():
        fitted = _fitted(desk, new, Target(place, open=True))
        sides = [getattr(node, "operator", "")[:1] for node in (place.node, fitted[0])] if fitted else []
        if sorted(sides) == ["g", "l"] and fitted and not place.excluded:
            made.append(Made(joined(desk.definition, [fitted[0]], "AND"), fitted[1]))
    return made


def who(desk: Desk, parts: Parts) -> list[Made]:
    """Who bought shoes: one condition more; those who ordered at least 10 times, who did not open it: the one there is."""
    new = parts["new"]
    anew = new.quantities or new.negated or new.windows
    return (_merged(desk, new) if anew else []) or add(desk, parts)


def add_people(desk: Desk, parts: Parts) -> list[Made]:
    """Add people who started a trial: these too, or only these? Both may be meant."""
    return _in_lists(desk, parts["new"]) or [*add(desk, parts), *either(desk, parts)]


def _is_implied(desk: Desk, node: Condition) -> bool:
    """Return whether a condition is only that something was done that the draft counts already."""
    plain = isinstance(node, EventCount) and (node.operator, node.value, node.where) == ("gte", 1, UNSET) and not has_window(node)
    return plain and any(events_of(place.node) == events_of(node) and any(numbers_of(place.node)) for place in desk.places)


def _in_lists(desk: Desk, new: Part) -> list[Made]:
    """Return the draft with more values in a test that names some of the same field."""
    if not new.values or new.windows or new.quantities or new.negated:
        return []
    made: list[Made] = []
    for place in desk.places:
        for tested in tests_of(place.node):
            said = [value.value for anchor in new.values for value in anchor.values if _is_of(tested, place, value)]
            fits = all(any(_is_of(tested, place, value) for value in anchor.values) for anchor in new.values)
            left = new.content & ~union(new.values) & ~desk.explained(new, place)
            if said and fits and not left and tested.test.operator in _POSITIVE:
                test = with_values(tested.test, list(dict.fromkeys((*tested.values, *said))))
                made += _at(desk, place, retested(place.node, tested, test), 0.0)
    return made


def _is_of(tested: Any, place: Place, value: Value) -> bool:
    found = tests_field(place.node, value.place)
    return found is not None and found.at == tested.at and found.test.property == tested.test.property


def too(desk: Desk, parts: Parts) -> list[Made]:
    """Germany too; in the US as well; not only the US but also Canada."""
    return add(desk, {"new": parts["new"]})


def either(desk: Desk, parts: Parts) -> list[Made]:
    """Or Germany; or who opened an email."""
    new = parts["new"]
    if values := _in_lists(desk, new):
        return values
    made: list[Made] = []
    for condition, rank in _whole(desk, new):
        made.append(Made(joined(desk.definition, [condition], "OR"), rank))
        last = desk.places[-1] if len(desk.definition.conditions) > 1 else None
        about = [place for place in desk.places if not place.excluded and events_of(place.node)]
        if last is not None and desk.definition.logic == "AND" and events_of(condition) and about:
            group = _group(about[-1].node, condition)
            made.append(Made(put(desk.definition, about[-1].path, group), rank))
    return made


def _group(*conditions: Condition) -> Condition:
    return as_one(Definition("OR", [as_one(Definition("OR", list(conditions)))])) if len(conditions) > 1 else conditions[0]


def _whole(desk: Desk, new: Part) -> list[tuple[Condition, float]]:
    return [(as_one(one), rank) for one, rank in _readings(desk, new) if not one.exclude]


def only(desk: Desk, parts: Parts) -> list[Made]:
    """Only in Spain; just shoes; only in the last week; keep only gold members."""
    new = parts["new"]
    if new.values and not new.windows and not new.quantities:
        made = [one for place in desk.places if not place.excluded for one in _set(desk, new, Target(place, open=True))]
        if max((one.rank for one in made), default=0) >= _SAME:
            return made
    if not _has_people(new) and not new.content & ~union((*new.windows, *new.quantities)):
        return set_to(desk, parts)
    if new.quantities and not _whose(new):
        made = [one for place in desk.places for one in _set(desk, new, Target(place, open=True)) if isinstance(place.node, EventCount)]
        if made:
            return made
    return _filtered(desk, new) or _narrowed(desk, new) or add(desk, parts)


def _narrowed(desk: Desk, new: Part) -> list[Made]:
    """Return the draft with more said of what was done at all: "only those who opened the flash sale campaign"."""
    plain = [place for place in desk.places if isinstance(place.node, EventCount) and (place.node.operator, place.node.value) == ("gte", 1)]
    made = [(place, _merge(place.node, node)) for node, _ in _said(desk, new, _LEAST) if node.__class__ is EventCount for place in plain if not place.excluded]
    return [one for place, node in made if node is not None for one in _at(desk, place, node, 0.0)]


def _filtered(desk: Desk, new: Part, *, turned: bool = False) -> list[Made]:
    """Return the draft whose events are fewer: of "only orders over $50", "ignore orders under $20", "the urgent ones"."""
    made: list[Made] = []
    for place in desk.places:
        events = events_of(place.node)
        tests = _tests(new, events[0]) if len(events) == 1 and not place.excluded and not _whose(new) else ()
        changed: Condition | None = place.node
        for test in tests if len(tests) == 1 or not turned else ():
            known = next((one for one in tests_of(changed) if one.at is not None and one.test.property == test.property), None) if changed else None
            said = _turned(test) if turned else test
            changed = (retested(changed, known, said) if known and not turned else with_test(changed, said)) if changed else None
        if changed is not None and changed != place.node:
            made += _at(desk, place, changed, float(len(tests)))
    return made


def _tests(new: Part, event: str) -> tuple[PropertyTest, ...]:
    """Return what the words test of the events of a type; nothing where they say more, or say when."""
    bits = [at for at in range(len(new.found.tokens)) if new.span >> at & 1]
    span = Span(new.found, bits[0], bits[-1] + 1)
    named = sum(1 << at for at in bits if event in new.named(at))
    mention = Mention(event, named, "words", {})
    told = said(span, mention)
    if told is None or told.negative or told.window is not None:
        return ()
    swallowed = sum(1 << at for at in bits if new.found.tokens[at].stem in lexicon.swallowed("event"))
    for plan in all_tests(span, mention, told):
        if not new.content & ~(told.used | plan.used | named | swallowed):
            return (*told.tests, *plan.tests)
    return ()


def _turned(test: PropertyTest) -> PropertyTest:
    other = OPERATORS[test.operator].opposite
    return structs.replace(test, operator=other) if other else structs.replace(test, negate=not test.negate)


def _whose(new: Part) -> bool:
    """Return whether words are about people, and not about what they did: "from Spain", "who bought shoes"."""
    tokens, start = new.found.tokens, (new.span & -new.span).bit_length() - 1
    traits = any(not value.place.event and value.place.field.country for one in new.values for value in one.values)
    return traits or _has_people(new) or tokens[start].lower in _LIVING


_LIVING: Final = frozenset({"in", "from", "living", "based", "aged", "over", "under"})


def _has_people(new: Part) -> bool:
    return any(ways.is_part(token.stem, "people") for at, token in enumerate(new.found.tokens) if new.span >> at & 1)


# Taking away


def remove(desk: Desk, parts: Parts) -> list[Made]:
    """Drop the country; remove the window; tier doesn't matter; no exclusions; drop Spain."""
    part = parts["target"]
    said = spoken(part)
    if said.exclusion and not part.content & ~said.words:
        if not desk.definition.exclude:
            raise Unfit("The draft leaves nobody out.")
        return [Made(structs.replace(desk.definition, exclude=UNSET))]
    found = targets(desk, part)
    if all(one.open for one in found):
        return []
    if len({one.place.path for one in found}) > 1 and said.all:
        definition = desk.definition
        for one in reversed(found):
            definition = put(definition, one.place.path, without(one))
        return [Made(definition)]
    return [made for one in found for made in _at(desk, one.place, without(one), one.rank)]


def without(target: Target) -> Condition | None:
    """Return a condition without one of its sides; none where that was all of it."""
    node = target.place.node
    if target.side == "window":
        made = windowless(node)
        if made is None:
            raise Unfit("That condition cannot be without its time span: say another one, or drop the condition.")
        return made
    if target.side in {"value", "test"} and target.tested is not None:
        left = [one for one in target.tested.values if one not in target.values] if target.side == "value" else []
        return retested(node, target.tested, with_values(target.tested.test, left))
    return None


def exclude(desk: Desk, parts: Parts) -> list[Made]:
    """Exclude staff; not in the US; without refunds; except France; ignore orders under $20."""
    new = parts["new"]
    if new.text.lower().startswith(("only ", "it,", "that,", "this,")):
        return []
    if made := _out_of_lists(desk, new):
        return made
    if made := _filtered(desk, new, turned=True):
        return made
    made: list[Made] = []
    for definition, rank in _readings(desk, new):
        known = next((place for place in desk.places if not place.excluded and [place.node] == definition.conditions), None)
        if known is not None and desk.definition.logic == "AND":
            made += _at(desk, known, opposite(known.node), rank)
        elif not definition.exclude:
            more = definition.conditions if definition.logic == "OR" else [as_one(definition)]
            made.append(Made(excluding(desk.definition, more), rank))
    return made


def _out_of_lists(desk: Desk, new: Part) -> list[Made]:
    """Return the draft without some values of a list; where they are all of it, with everybody else."""
    made: list[Made] = []
    if not new.values or new.windows or new.quantities or new.segments:
        return made
    for place in desk.places:
        left = new.content & ~union(new.values) & ~desk.explained(new, place)
        for tested in tests_of(place.node):
            gone = {value.value for anchor in new.values for value in anchor.values if _is_of(tested, place, value)}
            if place.excluded or left or not gone or not gone <= {*tested.values} or tested.test.operator not in _POSITIVE:
                continue
            kept = [one for one in tested.values if one not in gone]
            test = with_values(tested.test, kept) or structs.replace(cast("Any", tested.test), operator=_TURNED[tested.test.operator])
            made += _at(desk, place, retested(place.node, tested, test), 0.0)
    return made


def drop_people(desk: Desk, parts: Parts) -> list[Made]:
    """Drop people in France; ignore orders under $20; remove the staff: verbs that take conditions away as well."""
    new = parts["new"]
    if (new.segments and not new.values) or _has_people(new):
        return exclude(desk, parts)
    return _filtered(desk, new, turned=True)


def include(desk: Desk, parts: Parts) -> list[Made]:
    """Include staff: out of the exclusion; include Mexico: into the list; include people who never ordered: or."""
    new = parts["new"]
    out = [place for place in desk.places if place.excluded and not new.content & ~desk.explained(new, place)]
    if out and new.content:
        return [one for place in out for one in _at(desk, place, None, 0.0)]
    return _in_lists(desk, new) or either(desk, parts)


def keep(desk: Desk, parts: Parts) -> list[Made]:
    """Keep only the spend; only the country matters; drop everything except the first condition."""
    kept = targets(desk, parts["target"])
    paths = {one.place.path for one in kept}
    if any(one.open or one.side for one in kept) or len(paths) != 1:
        return []
    definition = desk.definition
    for place in reversed(desk.places):
        if place.path not in paths and not place.excluded:
            definition = put(definition, place.path, None)
    return [Made(definition)] if definition != desk.definition else []


# Putting one thing in the place of another


def swap(desk: Desk, parts: Parts) -> list[Made]:
    """Germany instead of the US; swap 90 days for 30 days; count visits instead of orders."""
    old, new = parts["old"], parts["new"]
    made: list[Made] = []
    for target in targets(desk, old):
        made += _set(desk, new, target) if not (new.segments or target.open) else []
    if made:
        return made
    for target in targets(desk, old):
        for node, rank in _whole(desk, new) if not target.side and not target.open else ():
            made += _at(desk, target.place, _replaced(desk, target.place, node, old), rank + target.rank)
    return made


def instead(desk: Desk, parts: Parts) -> list[Made]:
    """Count visits instead; spent over $300 instead: of the one condition of that kind."""
    new = parts["new"]
    made = [one for place in desk.places for one in _set(desk, new, Target(place, open=True))]
    if made:
        return made
    for node, rank in _whole(desk, new):
        alike = [place for place in desk.places if not place.excluded and bool(events_of(place.node)) == bool(events_of(node))]
        for place in alike:
            made += _at(desk, place, _replaced(desk, place, node, new), rank + (type(place.node) is type(node)))
    return made


def at(operator: NumberOperator) -> Change:
    """Return the change to a number at which it is enough, or at which it ends: "2 orders are enough", "cap it at 10"."""

    def change(desk: Desk, parts: Parts) -> list[Made]:
        new = parts["new"]
        if not new.quantities:
            return set_to(desk, parts)
        made: list[Made] = []
        for place in desk.places:
            fitted = _fitted(desk, new, Target(place, open=True))
            node: Any = fitted[0] if fitted else None
            if fitted and hasattr(node, "operator") and is_number(node):
                said = new.quantities[0].quantity
                made += _at(desk, place, structs.replace(node, operator=operator if said.bare else node.operator), fitted[1])
        return made

    return change


def bound(*, upper: bool) -> Change:
    """Return the change to the one end of a number, whatever the other: "upper bound 8", "at most 12 of them"."""

    def change(desk: Desk, parts: Parts) -> list[Made]:
        new = parts.get("new")
        made: list[Made] = []
        for place in desk.places:
            node: Any = place.node
            said = [float(one.quantity.value) for one in new.quantities] if new else []
            said = said or ([float(one.window.length.count) for one in new.windows if one.window.length] if new and isinstance(node, Recency) else [])
            if new is not None and (len(said) != 1 or new.content & ~union((*new.quantities, *new.windows)) & ~desk.explained(new, place)):
                continue
            changed = _ended(node, whole(said[0]) if said else None, upper=upper)
            made += _at(desk, place, changed, 0.0) if changed is not None and not place.excluded else []
        return made

    return change


def _ended(node: Any, value: Any, *, upper: bool) -> Condition | None:
    """Return a condition on a number with another end; without one where there is no *value*."""
    name = "window_days" if isinstance(node, Recency) else "value"
    low, high = getattr(node, name, UNSET), getattr(node, "value2", UNSET)
    low, high = (low[0], low[1]) if isinstance(low, list) and len(low) == 2 else (low, high)  # noqa: PLR2004
    if not (isinstance(node, Recency) or is_number(node)) or isinstance(low, list):
        return None
    if node.operator == "between":
        ends = [low, value] if upper else [value, high]
        if value is None:
            return structs.replace(node, **{"operator": "gte" if upper else "lte", name: low if upper else high, "value2": UNSET})
        return structs.replace(node, **{name: ends[0], "value2": ends[1]}) if ends[0] <= ends[1] else None
    if value is None or isinstance(node, Recency):
        return None
    if (node.operator in {"lt", "lte"}) == upper or node.operator in {"eq", "neq"}:
        return structs.replace(node, value=value)
    if node.operator in {"gte", "lte"} and (low <= value if upper else value <= low):
        return structs.replace(node, operator="between", value=low if upper else value, value2=value if upper else low)
    return None


def nothing(desk: Desk, parts: Parts) -> list[Made]:
    """That is too many; 3 is too few: a reason, which changes nothing by itself."""
    del parts
    return [Made(desk.definition)]


def _replaced(desk: Desk, place: Place, node: Condition, old: Part) -> Condition:
    """Return what takes the place of a condition: of one that counts, another event, if only that is said."""
    was = place.node
    if place.excluded and isinstance(node, SegmentMembership) and node.operator == "not_in":
        return opposite(node)
    plain = isinstance(node, EventCount) and (node.operator, node.value) == ("gte", 1) and not has_window(node)
    if not plain or not isinstance(was, EventCount) or old.quantities or old.windows:
        return node
    where = node.where if node.where is not UNSET else was.where
    tested = {one.test.property for one in tests_of(was)}
    if node.where is UNSET and tested and not all(desk.found.names.has(event, tested) for event in events_of(node)):
        return node
    return structs.replace(was, event_type=node.event_type, where=where)


def negate(desk: Desk, parts: Parts) -> list[Made]:
    """Flip the second condition; the opposite."""
    if "target" not in parts:
        one = as_one(desk.definition)
        node = structs.replace(one, negate=not one.negate) if isinstance(one, Group) else opposite(one)
        return [Made(structs.replace(desk.definition, conditions=[node]))]
    return [made for one in targets(desk, parts["target"]) if not one.open or len(desk.places) == 1 for made in _at(desk, one.place, opposite(one.place.node), one.rank)]


# Numbers that move


def moved(by: Callable[[float, float], float]) -> Change:
    """Return the change that moves a number or a window *by* some rule from what it is."""

    def change(desk: Desk, parts: Parts) -> list[Made]:
        new = parts.get("new")
        found = targets(desk, parts["target"]) if "target" in parts else tuple(Target(one, open=True) for one in desk.places)
        return [made for target in found if not target.place.excluded for made in _moved(desk, target, new, by)]

    return change


def _moved(desk: Desk, target: Target, new: Part | None, by: Callable[[float, float], float]) -> list[Made]:
    node, length = target.place.node, length_of(target.place.node)
    said = new.windows[0].window.length if new is not None and new.windows else None
    if new is not None and new.content & ~union((*new.quantities, *new.windows)) & ~desk.explained(new, target.place):
        return []
    if said is not None or target.side == "window":
        step = said.count if said is not None else new.quantities[0].quantity.value if new is not None and new.quantities else 0
        if length is None or (said is not None and said.unit != length.unit):
            return []
        count = int(by(length.count, step))
        made = with_window(node, When("last", length=Length(count, length.unit))) if count > 0 else None
        return _at(desk, target.place, made, target.rank) if made else []
    if new is not None and not new.quantities or not is_number(node) or isinstance(cast("Any", node).value, list):
        return []
    value = by(cast("Any", node).value, new.quantities[0].quantity.value if new is not None else 0)
    return _at(desk, target.place, structs.replace(cast("Any", node), value=whole(value)), target.rank) if value >= 0 else []


def logic(name: Any) -> Change:
    """Return the change to all, or to any, of the conditions."""

    def change(desk: Desk, parts: Parts) -> list[Made]:
        del parts
        if desk.definition.logic == name or len(desk.definition.conditions) < 2:  # noqa: PLR2004
            return []
        return [Made(structs.replace(desk.definition, logic=name))]

    return change


KINDS: Final[Mapping[str, Change]] = {
    "set": set_to, "bare": set_to, "swap": swap, "add": add, "too": too, "or": either, "only": only, "remove": remove, "exclude": exclude, "include": include,
    "keep": keep, "instead": instead, "enough": at("gte"), "cap": at("lte"), "drop_people": drop_people, "nothing": nothing, "upper": bound(upper=True), "lower": bound(upper=False), "who": who, "add_people": add_people, "negate": negate, "any": logic("OR"), "all": logic("AND"),
    "up": moved(lambda was, step: was + step), "down": moved(lambda was, step: was - step),
    "times": moved(lambda was, step: was * 2 + 0 * step), "half": moved(lambda was, step: was / 2 + 0 * step),
}  # fmt: skip
"""Every kind of change but those of a name, and of taking the last one back."""

__all__ = ["KINDS", "Made"]
