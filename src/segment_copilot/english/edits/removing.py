"""Takes away conditions, their sides and values, and people; or turns a condition around."""

from __future__ import annotations

from typing import Any, cast

from msgspec import UNSET, structs

from segment_copilot.english.edits import ways
from segment_copilot.english.edits.adding import POSITIVE, filtered
from segment_copilot.english.edits.aspects import events_of, has_window, retested, tests_of, windowless, with_values
from segment_copilot.english.edits.meant import TURNED, Made, Parts, is_of, placed, readings
from segment_copilot.english.edits.said import Desk, Part
from segment_copilot.english.edits.targets import Target, spoken, targets
from segment_copilot.english.edits.tree import Unfit, as_one, excluding, put
from segment_copilot.english.reading.meanings import opposite
from segment_copilot.english.reading.spans import union
from segment_copilot.language import Condition, EventCount, Group, SegmentMembership, UserProperty


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
    told = part.found.tokens[: (part.span & -part.span).bit_length() - 1]
    never = bool(told) and told[-1].lower in {"without", "no"}  # "without orders" may be who did not order
    return [
        made
        for one in found
        for made in placed(
            desk, one.place, without(one), one.rank, sure=not (never and not one.side and events_of(one.place.node))
        )
    ]


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
    if new.text.lower().startswith(("only ", "it,", "that,", "this,")) or (new.negated and not new.has("people")):
        return []
    if made := _out_of_lists(desk, new):
        return made
    made = filtered(desk, new, turned=True)
    if made and all(one.rank > 0 for one in made) and not _is_of_people(desk):
        return made
    made = [structs.replace(one, sure=False) for one in made]
    for one in readings(desk, new):
        definition = one.definition
        known = next(
            (place for place in desk.places if not place.excluded and [place.node] == definition.conditions), None
        )
        if known is not None and desk.definition.logic == "AND":
            made += placed(desk, known, opposite(known.node), one.rank, sure=one.sure)
        elif not definition.exclude:
            each = definition.logic == "OR" or (_is_list(new) and all(map(_is_who, definition.conditions)))
            more = definition.conditions if each else [as_one(definition)]
            made.append(Made(excluding(desk.definition, more), one.rank, one.sure or each))
    return made


def _is_of_people(desk: Desk) -> bool:
    """Return whether the draft only asks that something was done, so that who did it otherwise might be left out as well."""
    counted = [place.node for place in desk.places if isinstance(place.node, EventCount)]
    return all((one.operator, one.value) in {("gte", 1), ("eq", 0)} for one in counted)


def _is_list(new: Part) -> bool:
    """Return whether words name one and another: of "staff and the subscribers", both are left out."""
    return new.says({"and", ",", "&", "+", "nor"}) and not new.has("people")


def _is_who(node: Condition) -> bool:
    return isinstance(node, SegmentMembership | UserProperty)


def _out_of_lists(desk: Desk, new: Part) -> list[Made]:
    """Return the draft without some values of a list; where they are all of it, with everybody else."""
    made: list[Made] = []
    if not new.values or new.windows or new.quantities or new.segments:
        return made
    for place in desk.places:
        left = new.content & ~union(new.values) & ~desk.explained(new, place)
        for tested in tests_of(place.node):
            gone = {value.value for anchor in new.values for value in anchor.values if is_of(tested, place, value)}
            if (
                place.excluded
                or left
                or not gone
                or not gone <= {*tested.values}
                or tested.test.operator not in POSITIVE
            ):
                continue
            kept = [one for one in tested.values if one not in gone]
            test = with_values(tested.test, kept) or structs.replace(
                cast("Any", tested.test), operator=TURNED[tested.test.operator]
            )
            made += placed(desk, place, retested(place.node, tested, test), 0.0)
    return made


def drop_people(desk: Desk, parts: Parts) -> list[Made]:
    """Drop people in France; ignore orders under $20; remove the staff: verbs that take conditions away as well."""
    new = parts["new"]
    if (new.segments and not new.values) or new.has("people") or _is_of_people(desk):
        return exclude(desk, parts)
    return filtered(desk, new, turned=True)


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


def negate(desk: Desk, parts: Parts) -> list[Made]:
    """Flip the second condition; the opposite."""
    if "target" not in parts:
        one = as_one(desk.definition)
        node = structs.replace(one, negate=not one.negate) if isinstance(one, Group) else opposite(one)
        return [Made(structs.replace(desk.definition, conditions=[node]))]
    return [
        made
        for one in targets(desk, parts["target"])
        if not one.open or len(desk.places) == 1
        for made in placed(desk, one.place, opposite(one.place.node), one.rank)
    ]


def timeless(desk: Desk, parts: Parts) -> list[Made]:
    """Whenever; no time limit; of all time: of the one condition that has a time span, or of one of them."""
    del parts
    timed = [(place, windowless(place.node)) for place in desk.places if has_window(place.node) and not place.excluded]
    return [made for place, node in timed if node is not None for made in placed(desk, place, node, 0.0)]


def anywhere(desk: Desk, parts: Parts) -> list[Made]:
    """Worldwide; in any country: without what says where people live."""
    del parts
    named = (f"{getattr(place.node, 'property', '')}".lower() for place in desk.places)
    found = [place for place, name in zip(desk.places, named, strict=True) if name in ways.words("where")]
    return [made for place in found for made in placed(desk, place, None, 0.0)]


def same(desk: Desk, parts: Parts) -> list[Made]:
    """The window stays; keep the country; with the same 30 days: what the draft has, which changes nothing."""
    part = parts["target"]
    found = [one for one in targets(desk, part) if not one.open and not one.place.excluded]
    return [Made(desk.definition)] if found and part.content else []
