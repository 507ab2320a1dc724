"""A whole clause as the new part of an edit: laid over the condition of the same subject, or put beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, cast

from msgspec import Struct, structs

from segment_copilot.english.audience.draft import definition_of
from segment_copilot.english.audience.leaves import Leaf, leaves
from segment_copilot.english.audience.sentences import Audience, read_audience
from segment_copilot.english.edits import patches
from segment_copilot.english.edits.fragments import Fragment, sort_fragment
from segment_copilot.english.edits.listed import refuse
from segment_copilot.english.edits.patches import Op, Unfit, put
from segment_copilot.english.edits.spots import Json, Spot, filterable, spots
from segment_copilot.english.edits.which import Chooser
from segment_copilot.english.linking.index import Index
from segment_copilot.english.times.phrases import Quantity
from segment_copilot.english.words.lexer import Token, word, written
from segment_copilot.english.words.phrasebook import rewritten

_SUBJECT: Final = ("type", "event_type", "property", "metric", "occurrence", "segment_id", "period")
_LOWER: Final = {"gt", "gte"}
_UPPER: Final = {"lt", "lte"}


class Clause(Struct, frozen=True):
    """What a phrase says about people: conditions that all hold (or, of *logic* OR, any), and those that leave people out."""

    conditions: tuple[Json, ...]
    logic: str
    excluded: tuple[Json, ...]
    notes: tuple[str, ...]
    fragment: Fragment
    leaves: tuple[Leaf, ...] = ()

    def one(self) -> Json:
        """All of it as one condition."""
        if len(self.conditions) == 1:
            return self.conditions[0]
        return {"type": "group", "logic": self.logic, "conditions": list(self.conditions)}


def read_clause(tokens: Sequence[Token], index: Index, today: date) -> Clause:
    """Read a phrase as an audience; raises Unfit with the reason where it is none."""
    return _clause(read_audience(rewritten(tokens), index, today), tokens, today)


def read_exclusion(tokens: Sequence[Token], index: Index, today: date) -> Clause:
    """Read a phrase as whom to leave out."""
    every = [word(text) for text in ("everyone", "except")]
    read = read_audience(rewritten([*every, *tokens]), index, today)
    turned = structs.replace(read, include=read.exclude or read.include, exclude=None)
    return _clause(turned, tokens, today)


def _clause(read: Audience, tokens: Sequence[Token], today: date) -> Clause:
    if read.problems:
        refuse(read.problems[0])
    if read.include is None and read.exclude is None:
        raise Unfit(f"I find nothing in {written(tokens)!r} that I can test.")
    nothing: dict[str, Any] = {"logic": "AND", "conditions": []}
    definition = definition_of(structs.replace(read, exclude=None)) if read.include else nothing
    excluded = definition_of(Audience(include=read.exclude)) if read.exclude else nothing
    nodes = [node for node in (read.include, read.exclude) if node is not None]
    found = tuple(leaf for node in nodes for leaf in leaves(node))
    notes = tuple(dict.fromkeys((*read.notes, *(note for leaf in found for note in leaf.notes))))
    fragment = sort_fragment(tokens, today)
    return Clause(
        tuple(definition["conditions"]), definition["logic"], tuple(excluded["conditions"]), notes, fragment, found
    )


def same_subject(condition: Json, every: Sequence[Spot]) -> tuple[Spot, ...]:
    """The included conditions about the same thing: the same event, trait, sum or segment."""
    wanted = _subject(condition)
    return tuple(spot for spot in every if spot.whole and not spot.excluded and _subject(spot.condition) == wanted)


def _subject(condition: Json) -> dict[str, Any]:
    return {name: condition[name] for name in _SUBJECT if name in condition and condition["type"] != "group"} or {
        "": id(condition)
    }


def _absent_alike(condition: Json, every: Sequence[Spot]) -> tuple[Spot, ...]:
    """Of "no order in 45 days": the condition that nobody ordered for 60 days, told by the last time or by a count of 0."""
    new = Spot("", condition, "", condition, excluded=False, place=0)
    absent = (new.negative and new.kind == "event_count") or (new.kind == "recency" and _late(condition))
    if not absent or new.span is None:
        return ()
    return tuple(
        spot
        for spot in every
        if spot.whole
        and not spot.excluded
        and spot.event_types == new.event_types
        and spot.condition.get("where") == condition.get("where")
        and (
            (spot.kind == "recency" and _late(spot.condition))
            or (spot.kind == "event_count" and spot.negative and spot.span)
        )
        and spot.kind != new.kind
    )


def absent_already(condition: Json, every: Sequence[Spot]) -> bool:
    """Whether the draft says of the same event that it did not happen, so that a time span is all that is new."""
    same = [spot for spot in same_subject(condition, every) if spot.negative or _late(spot.condition)]
    return bool(same or _absent_alike(condition, every))


def _late(condition: Json) -> bool:
    return str(condition.get("operator")) in _LOWER


def there(condition: Json, every: Sequence[Spot]) -> bool:
    """Whether exactly this is tested already."""
    return any(spot.whole and not spot.excluded and dict(spot.condition) == dict(condition) for spot in every)


def denies(definition: Json, condition: Json) -> bool:
    """Whether the one says that something happened and the other that it never did, so that both together hold for nobody."""
    new = Spot("", condition, "", condition, excluded=False, place=0)
    same = same_subject(condition, spots(definition))
    filters = condition.get("where")
    return (
        new.kind == "event_count"
        and (new.span is None or not new.negative)
        and any(
            spot.negative != new.negative
            and (spot.span is None or not spot.negative)
            and spot.condition.get("where") == filters
            for spot in same
        )
    )


def widened(definition: Json, condition: Json) -> list[Op]:
    """One more value where a trait is tested for others: one person has one country. Nothing where the trait is not tested so."""
    if condition["type"] != "user_property" or condition["operator"] not in {"eq", "in"}:
        return []
    value = condition["value"]
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    found = [spot for spot in same_subject(condition, spots(definition)) if spot.node["operator"] in {"eq", "in"}]
    return patches.add_values(found[0], values) if len(found) == 1 else []


def laid_over(definition: Json, clause: Clause, choose: Chooser) -> list[Op]:
    """Each condition of the clause over the one of the same subject, as far as it says something; the others are added."""
    made: list[Op] = []
    now: Json = definition
    if clause.logic == "OR" and len(clause.conditions) > 1:
        made += patches.joined(now, clause.one(), "AND")
        return made
    for condition in clause.conditions:
        same = same_subject(condition, spots(now)) or _absent_alike(condition, spots(now))
        if same:
            more = _over(now, same, condition, clause.fragment, choose)
        else:
            more = _as_filter(now, condition, choose) or patches.joined(now, condition, "AND")
        made += more
        now = patches.applied(now, more)
    if clause.excluded:
        made += patches.excluded(now, clause.excluded)
    return made


def _as_filter(definition: Json, condition: Json, choose: Chooser) -> list[Op]:
    """Of "only card payments" where payments are added up: a filter of the same events; nothing where it says more."""
    plain = condition["type"] == "event_count" and (condition["operator"], condition["value"]) == ("gte", 1)
    if not plain or not condition.get("where") or {"window", "window_days"} & set(condition):
        return []
    wanted = (condition["event_type"],)
    able = [
        spot
        for spot in spots(definition)
        if spot.whole
        and not spot.excluded
        and spot.event_types == wanted
        and spot.kind in {"monetary", "event_periods"}
    ]
    return filtered(choose(able, "filter {}"), condition["where"]) if able else []


def _over(definition: Json, same: Sequence[Spot], condition: Json, said: Fragment, choose: Chooser) -> list[Op]:
    """One condition over another of the same subject."""
    new = Spot("", condition, "", condition, excluded=False, place=0)
    positive = [spot for spot in same if spot.negative == new.negative or spot.kind != new.kind]
    if not positive and new.span:
        return patches.joined(definition, condition, "AND")
    fitting = [spot for spot in positive or same if not _opposed(spot, new)]
    if not fitting:
        return patches.joined(definition, condition, "AND")
    spot = choose(fitting, f"make {{}} {said.text}")
    if spot.kind != new.kind and said.window is not None:
        return patches.set_span(spot, structs.replace(said.window, operator=None))
    if condition["type"] == "event_count":
        return _count_over(spot, condition, said, turned=not positive)
    fields = {name: value for name, value in condition.items() if name not in _SUBJECT}
    fields = {"value": None, "value2": None, **fields}
    if "window_days" in fields or "window" in fields:
        fields = {"window_days": None, "window": None, **fields} if condition["type"] != "recency" else fields
    return put(spot.condition, spot.home, fields)


def _opposed(spot: Spot, new: Spot) -> bool:
    """Whether the two bound one number from both sides: over 30, and under 50."""
    ways = {str(spot.node.get("operator"))} | {str(new.node.get("operator"))}
    return spot.slot in {"number", "amount"} and new.slot == spot.slot and bool(ways & _LOWER) and bool(ways & _UPPER)


def _count_over(spot: Spot, condition: Json, said: Fragment, *, turned: bool) -> list[Op]:
    """How often, when and which: only what the clause says."""
    made: list[Op] = []
    operator, value = condition["operator"], condition["value"]
    number = next((one for one in said.quantities if one.value == value or one.none), None)
    if turned or (operator, value) != ("gte", 1) or (number is not None and number.value == 1):
        counted = Quantity(operator, value, condition.get("value2"), bare=bool(number and number.bare))
        made += patches.set_number(spot, counted)
    if "window" in condition or "window_days" in condition:
        made += put(spot.condition, spot.home, {name: condition.get(name) for name in ("window_days", "window")})
    return made + filtered(spot, cast("list[Json]", condition.get("where", [])))


def filtered(spot: Spot, tests: Sequence[Json]) -> list[Op]:
    """Only events that pass the tests too; a test of a property that is tested takes its place."""
    if not tests:
        return []
    where = spot.condition.get("where")
    if not filterable(spot.condition):
        raise Unfit("The events of this condition cannot be filtered.")
    if where is None:
        return [{"op": "add", "path": f"{spot.home}/where", "value": list(tests)}]
    grouped = isinstance(where, Mapping)
    if grouped and cast("Json", where)["logic"].upper() == "OR":
        raise Unfit("The events of this condition pass any of several tests; say which of them should change.")
    known = cast("list[Json]", cast("Json", where)["conditions"] if grouped else where)
    path = f"{spot.home}/where/conditions" if grouped else f"{spot.home}/where"
    made: list[Op] = []
    for test in tests:
        place = next((at for at, one in enumerate(known) if one.get("property") == test["property"]), None)
        if place is None:
            made.append({"op": "add", "path": f"{path}/-", "value": test})
        else:
            made += put(
                known[place], f"{path}/{place}", {"value2": None, **{k: v for k, v in test.items() if k != "property"}}
            )
    return made
