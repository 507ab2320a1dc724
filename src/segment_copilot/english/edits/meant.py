"""Says what some words mean as conditions of their own, or as tests of the events that a draft counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET, Struct, structs

from segment_copilot.english import lexicon
from segment_copilot.english.edits.aspects import WINDOWED, events_of, has_window, tests_field, tests_of, with_values
from segment_copilot.english.edits.said import Desk, Part
from segment_copilot.english.edits.tree import Place, as_one, put
from segment_copilot.english.linking.names import Value
from segment_copilot.english.reading.audience import CLEAR
from segment_copilot.english.reading.rules.told import all_tests, said
from segment_copilot.english.reading.spans import Mention, Span, union
from segment_copilot.language import Condition, Definition, PropertyTest, SegmentMembership, UserProperty
from segment_copilot.language.operators import OPERATORS

_LIKELY: Final = 0.3
"""How likely the readings of some words must be together to be taken at all."""


LEAST: Final = 0.1
"""The same of what is said of a condition that the draft has: it speaks for the reading."""


_CLEAR: Final = 0.75
"""Which share of what the readings of some words weigh together the likeliest must have to be taken without asking."""


_HAVING: Final = {"with", "without", "has", "have", "having", "had", "used", "using", "no", "any", "a", "some"}
_YEARS: Final = range(1900, 2101)
_AGES: Final = frozenset({"older", "younger", "old"})
_LIVING: Final = frozenset({"in", "from", "living", "based", "aged", "over", "under"})


TURNED: Final = {"eq": "neq", "in": "not_in", "contains": "does_not_contain", "contains_any": "contains_none"}


class Made(Struct, frozen=True):
    """A definition that a change may lead to. *rank* says how well it fits the words; what is not *sure* is asked about."""

    definition: Definition
    rank: float = 0.0
    sure: bool = True


Parts = Mapping[str, Part]


Change = Callable[[Desk, Parts], Sequence[Made]]


def placed(desk: Desk, place: Place, node: Condition | None, rank: float, *, sure: bool = True) -> list[Made]:
    """Return the draft with another condition in a place, where that changes it."""
    made = put(desk.definition, place.path, node)
    return [Made(made, rank, sure)] if made != desk.definition else []


def readings(desk: Desk, new: Part, likely: float = _LIKELY) -> list[Made]:
    """Return what words mean as an audience of their own; a bare number or time is none."""
    again = (new.again,) if new.again else ()
    numbers = union((*new.quantities, *new.windows, *again))
    if not new.content & ~numbers and not any({*one.words} & _AGES for one in new.quantities):
        return []
    country = any(value.place.field.country for value in _values(new))
    told = sum(1 << at for at, token in enumerate(new.found.tokens) if token.stem in lexicon.swallowed("segment"))
    told = told if new.says({"segment", "list", "audience"}) else 0  # "the members of the Staff segment"
    named = [one.segment for one in new.segments if one.share == 1 and not new.content & ~one.mask & ~told]
    named = named if told or not country else []
    if named:  # the whole name of a segment comes before a value that is called so
        return [Made(Definition("AND", [SegmentMembership(segment_id=named[0])]))]
    found = [one for one in desk.audiences(_said_of(new)) if not _is_presence(one.definition, new)]
    weight = sum(one.probability for one in found)
    if not found or weight < likely:
        return [Made(Definition("AND", [node])) for node in _named(new)]
    clear = found[0].probability / weight >= _CLEAR
    year = any(one.quantity.bare and int(one.quantity.value) in _YEARS for one in new.quantities)
    more = bool(new.values) and not new.quantities and new.says({"more", "above", "higher", "better", "upwards"})
    order = new.says({"before", "after"}) and new.says({"it", "that", "this"})  # what it comes before is in the draft
    sure = found[0].probability >= CLEAR and not (year or more or order)
    return [
        Made(_timed_as(desk, one.definition) if new.again else one.definition, sure=sure)
        for one in found[: 1 if clear else 2]
    ]


def _values(new: Part) -> list[Value]:
    return [value for one in new.values for value in one.values]


def _said_of(new: Part) -> str:
    """Return the words of a part but those that only say that it is the same time: "in that time", "the same 30 days"."""
    bits = [at for at in range(len(new.found.tokens)) if new.span >> at & 1]
    kept = (
        [[at for at in bits if at < new.again.start], [at for at in bits if at >= new.again.end]]
        if new.again
        else [bits]
    )
    return " ".join(filter(None, (new.found.sentence.said(some) for some in kept))).strip(" ,.;:!?")


def _timed_as(desk: Desk, definition: Definition) -> Definition:
    """Return what was read with the one time span that the draft has, where it says no other."""
    spans = {
        repr(span): span
        for place in desk.places
        for span in [{name: getattr(place.node, name, UNSET) for name in ("window", "window_days")}]
        if isinstance(place.node, WINDOWED) and has_window(place.node)
    }
    if len(spans) != 1:
        return definition
    fields: Any = next(iter(spans.values()))
    timed = [
        structs.replace(one, **fields) if isinstance(one, WINDOWED) and not has_window(one) else one
        for one in definition.conditions
    ]
    return structs.replace(definition, conditions=timed)


def _named(new: Part) -> list[Condition]:
    """Return what words mean that only name values of one trait, or a segment: "premium", "opt-ins", "Staff"."""
    swallowed = lexicon.swallowed("trait") | lexicon.swallowed("segment")
    light = sum(1 << at for at, token in enumerate(new.found.tokens) if token.stem in swallowed)
    fields = {value.place.path: value.place for one in new.values for value in one.values if not value.place.event}
    made: list[Condition] = []
    for path in fields if new.values and not new.content & ~union(new.values) & ~light else ():
        own = [
            next((value for value in one.values if value.place.path == path and not value.place.event), None)
            for one in new.values
        ]
        if all(own):
            test = any_of([one for one in own if one is not None])
            made.append(UserProperty(property=path, operator=test.operator, value=test.value))
    country = any(place.field.country for place in fields.values())
    if new.segments and not (made and country) and not new.content & ~union(new.segments) & ~light:
        made += [SegmentMembership(segment_id=one.segment) for one in new.segments[:1]]
    return made


def _is_presence(definition: Definition, new: Part) -> bool:
    """Return whether a reading is only that something is known, of words that name a field: "the country"."""
    tests = [tested for node in definition.conditions for tested in tests_of(node)]
    inner = [one.at is not None for one in tests if one.test.operator in {"is_set", "is_not_set"}]
    said = {token.lower for token in new.found.tokens} & {"known", "set", "unknown"}
    return bool(inner) and not said and not (all(inner) and new.says(_HAVING))


def wholes_said(desk: Desk, new: Part, likely: float = _LIKELY) -> list[tuple[Condition, Made]]:
    """Return what words mean as one condition, a group where they say several."""
    return [(as_one(one.definition), one) for one in readings(desk, new, likely) if not one.definition.exclude]


def leaves_said(desk: Desk, new: Part, likely: float = _LIKELY) -> list[Condition]:
    """Return what words mean that is one condition."""
    return [node for node, one in wholes_said(desk, new, likely) if len(one.definition.conditions) == 1]


def tests_said(new: Part, event: str) -> tuple[PropertyTest, ...]:
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


def opposite_test(test: PropertyTest) -> PropertyTest:
    """Return the test that holds where another does not."""
    other = OPERATORS[test.operator].opposite
    return structs.replace(test, operator=other) if other else structs.replace(test, negate=not test.negate)


def whose(new: Part) -> bool:
    """Return whether words are about people, and not about what they did: "from Spain", "who bought shoes"."""
    tokens, start = new.found.tokens, (new.span & -new.span).bit_length() - 1
    traits = any(not value.place.event and value.place.field.country for value in _values(new))
    return traits or new.has("people") or tokens[start].lower in _LIVING


def own_value(values: Sequence[Value], node: Condition) -> Value | None:
    """Return which of the fields that have a value a condition is about: those that it tests before those that it could."""
    tested = next((one for one in values if tests_field(node, one.place)), None)
    return tested or next((one for one in values if one.place.event and one.place.event in events_of(node)), None)


def any_of(values: Sequence[Value], *, negated: bool = False) -> PropertyTest:
    """Return the test that something is one of some values."""
    listed = values[0].place.field.listed
    test = PropertyTest(values[0].place.path, "contains" if listed else "eq", values[0].value)
    made = with_values(test, list(dict.fromkeys(one.value for one in values)))
    return structs.replace(made, operator=TURNED[made.operator]) if negated else made


def is_of(tested: Any, place: Place, value: Value) -> bool:
    """Return whether a value is of the field that is tested."""
    found = tests_field(place.node, value.place)
    return found is not None and found.at == tested.at and found.test.property == tested.test.property
