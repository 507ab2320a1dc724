"""Binds a definition to a catalog: the same definition with every type settled, and what is odd about it.

A name the tenant has never seen is a warning (the laws make it zero or missing), and so is a test that nothing stored can
pass (`stored`), where the catalog's facts tell; where they do not, there is a question. A segment that does not exist,
a cycle, or an operator that its type does not have is an error; all are found in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType

from segment_copilot.compiler.stored import (
    Judgement,
    Stored,
    judge_aggregate,
    judge_same,
    judge_test,
    judge_type,
    named_elsewhere,
    stored_of,
)
from segment_copilot.errors import Finding
from segment_copilot.language import (
    Condition,
    Definition,
    EventMatch,
    EventProperty,
    EventSequence,
    Group,
    Leaf,
    Located,
    Measure,
    MeasureCompare,
    Monetary,
    Parsed,
    PropertyTest,
    Rank,
    Sample,
    SegmentMembership,
    Step,
    UserProperty,
    WhereGroup,
    invalid,
)
from segment_copilot.language.catalog import IDENTIFY, Catalog, Property, Question, nearest
from segment_copilot.language.checks import check_typed_test
from segment_copilot.language.nodes import EventTypes, OtherValue, Where
from segment_copilot.language.operators import ValueType
from segment_copilot.language.value_types import AnyTest, is_untyped, other_value, resolve_type

MAX_REFERENCE_DEPTH: Final = 8
MAX_REACHED_LEAVES: Final = 500

MatchT = TypeVar("MatchT", Step, EventMatch)
TestT = TypeVar("TestT", PropertyTest, EventProperty, UserProperty)


class Static(Struct, frozen=True):
    """A segment without a definition: its members are those that *run_id* stored; None where nothing was uploaded yet."""

    run_id: UUID | None


Referenced = Definition | Static | None
"""What stands behind the id of a segment that a definition refers to; None is a draft without a definition."""


class Bound(Struct, frozen=True):
    """Holds a definition that compiles, with `value_type` written where the schema decided it."""

    definition: Definition
    warnings: tuple[Finding, ...] = ()
    questions: tuple[Question, ...] = ()  # to the store; with its answers in the catalog, binding may tell more


def bind(parsed: Parsed, catalog: Catalog, references: Mapping[int, Referenced], *, own_id: int | None = None) -> Bound:
    """Settle types and check names.

    Args:
        parsed: What `language.parse` read.
        catalog: What exists in the tenant.
        references: What stands behind all segments that can be reached from *parsed*.
        own_id: The segment being saved, to see a cycle through itself.

    Raises:
        InvalidDefinition: With the findings of *parsed* and of every leaf that could be read.
    """
    binder = _Binder(catalog)
    leaves = [binder.leaf(located) for located in parsed.leaves]
    errors = [*parsed.findings, *binder.errors]
    errors.extend(_check_references(parsed.leaves, references, own_id))
    if parsed.definition is None or errors:
        raise invalid(sorted(errors, key=lambda finding: finding.pointer))
    return Bound(_rebuild(parsed.definition, iter(leaves)), tuple(binder.warnings), tuple(binder.questions))


def referenced_segments(conditions: Iterable[Condition]) -> Iterator[int]:
    """Yield the ids of the segments that *conditions* name, nested groups included."""
    for condition in conditions:
        match condition:
            case Group():
                yield from referenced_segments(condition.conditions)
            case SegmentMembership():
                yield from condition.targets
            case _:
                pass


def all_conditions(definition: Referenced) -> list[Condition]:
    """Return the conditions of the include and of the exclude tree; none of what has no definition."""
    if definition is None or isinstance(definition, Static):
        return []
    return [*definition.conditions, *(definition.exclude.conditions if definition.exclude else [])]


def count_leaves(conditions: Iterable[Condition]) -> int:
    """Count the conditions that are not groups."""
    return sum(count_leaves(item.conditions) if isinstance(item, Group) else 1 for item in conditions)


class _Binder:
    """Collects errors and warnings while it settles the types of each leaf."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.errors: list[Finding] = []
        self.warnings: list[Finding] = []
        self.questions: list[Question] = []

    def leaf(self, located: Located) -> Leaf:
        pointer, leaf = located.pointer, located.leaf
        match leaf:
            case SegmentMembership() | Sample():
                return leaf
            case UserProperty():
                self._trait(f"{pointer}/property", leaf.property)
                return self._test(pointer, leaf, None)
            case EventSequence():
                return self._sequence(pointer, leaf)
            case Rank():
                return msgspec.structs.replace(leaf, by=self._measure(f"{pointer}/by", leaf.by))
            case MeasureCompare():
                left, right = (self._measure(f"{pointer}/{side}", getattr(leaf, side)) for side in ("left", "right"))
                return msgspec.structs.replace(leaf, left=left, right=right)
            case _:
                pass
        self._event_types(f"{pointer}/event_type", leaf.event_type)
        leaf = msgspec.structs.replace(leaf, where=self._where(f"{pointer}/where", leaf.event_type, leaf.where))
        if isinstance(leaf, Monetary | EventProperty):
            self._property(f"{pointer}/property", leaf.event_type, leaf.property)
        if isinstance(leaf, Monetary):
            self._judge(leaf.event_type, leaf.property, lambda stored: judge_aggregate(pointer, leaf.metric, stored))
        if isinstance(leaf, EventProperty):
            return self._test(pointer, leaf, leaf.event_type)
        return leaf

    def _measure(self, pointer: str, measure: Measure) -> Measure:
        self._event_types(f"{pointer}/event_type", measure.event_type)
        if measure.property is not UNSET:
            metric, path = measure.measure, measure.property
            self._property(f"{pointer}/property", measure.event_type, path)
            self._judge(measure.event_type, path, lambda stored: judge_aggregate(pointer, metric, stored))
        where = self._where(f"{pointer}/where", measure.event_type, measure.where)
        return msgspec.structs.replace(measure, where=where)

    def _sequence(self, pointer: str, leaf: EventSequence) -> EventSequence:
        events = list(self._matches(f"{pointer}/events", leaf.events))
        self._same(f"{pointer}/same", leaf)
        if leaf.none_between is UNSET:
            return msgspec.structs.replace(leaf, events=events)
        none_between = list(self._matches(f"{pointer}/none_between", leaf.none_between))
        return msgspec.structs.replace(leaf, events=events, none_between=none_between)

    def _same(self, pointer: str, leaf: EventSequence) -> None:
        """Check that the events of all steps have what is to be the same of them."""
        steps = dict.fromkeys(
            tuple(self._names(one if isinstance(one, str) else one.event_type)) for one in leaf.events
        )
        for index, path in enumerate(leaf.same or ()):
            here, types = f"{pointer}/{index}", list[frozenset[ValueType]]()
            for names in steps:
                self._property(here, list(names), path)
                known = [one[path] for one in self._properties(list(names)) if path in one]
                types.append(frozenset(kind for one in known for kind in one.types))
            self.warnings = list(dict.fromkeys(self.warnings))  # steps of which the same is to be told
            self.warnings.extend(judge_same(here, path, types))

    def _matches(self, pointer: str, matches: Sequence[str | MatchT]) -> Iterator[str | MatchT]:
        for index, match in enumerate(matches):
            here = f"{pointer}/{index}"
            if isinstance(match, str):
                self._event_types(here, match)
                yield match
            else:
                self._event_types(f"{here}/event_type", match.event_type)
                where = self._where(f"{here}/where", match.event_type, match.where)
                yield msgspec.structs.replace(match, where=where)

    def _where(self, pointer: str, event_type: EventTypes, where: Where | UnsetType) -> Where | UnsetType:
        if where is UNSET:
            return UNSET
        inside = f"{pointer}/conditions" if isinstance(where, WhereGroup) else pointer
        tests = list[PropertyTest]()
        for index, test in enumerate(where.conditions if isinstance(where, WhereGroup) else where):
            tests.append(self._where_test(f"{inside}/{index}", test, event_type))
        return WhereGroup(where.logic, tests) if isinstance(where, WhereGroup) else tests

    def _where_test(self, pointer: str, test: PropertyTest, event_type: EventTypes) -> PropertyTest:
        if test.any_of is UNSET:
            self._property(f"{pointer}/property", event_type, test.property)
            return self._test(pointer, test, event_type)
        self._property(f"{pointer}/any_of", event_type, test.any_of)
        remedy = "Values that are no lists are tested without any_of."
        self._judge(event_type, test.any_of, lambda stored: judge_type(f"{pointer}/any_of", "list", stored, remedy))
        items = [
            self._test(f"{pointer}/conditions/{index}", one, event_type, of_item=True)
            for index, one in enumerate(test.conditions or [])
        ]
        return msgspec.structs.replace(test, conditions=items)

    def _test(self, pointer: str, test: TestT, event_type: EventTypes | None, *, of_item: bool = False) -> TestT:
        """Settle the type of a test of an event's property or, without an event type, of a trait.

        What is *of an item* of a list has no declared type, and of its values nothing is known.
        """
        declared = None if of_item else _declared(self._properties(event_type), test.property)
        if (other := other_value(test)) is not None:
            declared_beside = self._declared_of(pointer, other, event_type)
            declared = declared or declared_beside
            if is_untyped(test, declared):
                self._untyped(pointer, test, other, event_type)
                return test
        settled = resolve_type(test, declared)
        mistakes = [*check_typed_test(pointer, test, settled)]
        self.errors.extend(mistakes)
        if not mistakes and not of_item:
            self._judge(event_type, test.property, lambda stored: judge_test(pointer, test, settled, stored))
            self._judge_other(pointer, other, event_type, settled)
        if declared is not None and settled is not None and (other or settled != resolve_type(test, None)):
            return msgspec.structs.replace(test, value_type=settled)
        return test

    def _declared_of(self, pointer: str, other: OtherValue, event_type: EventTypes | None) -> ValueType | None:
        """Return the declared type of the value that a test compares with; its name is checked."""
        if other.kind == "trait":
            self._trait(f"{pointer}/value/trait", other.path)
            return _declared([self.catalog.traits], other.path)
        self._property(f"{pointer}/value/property", event_type or "*", other.path)
        return _declared(self._properties(event_type), other.path)

    def _untyped(self, pointer: str, test: AnyTest, other: OtherValue, event_type: EventTypes | None) -> None:
        """Find that nothing says how two values compare; what is stored of them is suggested."""
        beside = [self.catalog.traits] if other.kind == "trait" else self._properties(event_type)
        places = [
            *((one, test.property) for one in self._properties(event_type)),
            *((one, other.path) for one in beside),
        ]
        seen = {kind for known, path in places if path in known for kind in known[path].types}
        suggested = tuple(kind for kind in ("number", "string", "boolean", "datetime") if kind in seen)
        detail = "Say value_type, as what the two values compare: number, string, boolean or datetime."
        self.errors.append(Finding(f"{pointer}/value_type", "missing_field", detail, suggested))

    def _judge_other(
        self, pointer: str, other: OtherValue | None, event_type: EventTypes | None, settled: ValueType | None
    ) -> None:
        if other is None or settled is None:
            return
        place = f"{pointer}/value/{other.kind}"
        names = None if other.kind == "trait" else event_type
        self._judge(names, other.path, lambda stored: judge_type(place, settled, stored))

    def _judge(self, event_type: EventTypes | None, path: str, judge: Callable[[Stored], Judgement]) -> None:
        """Judge a test by what is stored under *path*; nothing is said of a name that nobody has."""
        known = {
            name: one[path]
            for name, one in zip(self._names(event_type), self._properties(event_type), strict=True)
            if path in one
        }
        names = () if event_type is None else tuple(known)
        if (stored := stored_of(names, path, known.values())) is None:
            return
        judged = judge(stored)
        self.warnings.extend(judged.findings)
        if (question := judged.question(stored)) is not None:
            self.questions.append(question)

    # Names

    def _names(self, event_type: EventTypes | None) -> Sequence[str]:
        """Return the event types that are named; "" stands for the traits."""
        if event_type is None:
            return ("",)
        if event_type == "*":
            return tuple(self.catalog.event_types)
        return (event_type,) if isinstance(event_type, str) else event_type

    def _properties(self, event_type: EventTypes | None) -> list[Mapping[str, Property]]:
        """Return the properties of each named event type, or the traits; one that nobody knows has none."""
        return [self._properties_of(name) for name in self._names(event_type)]

    def _properties_of(self, name: str) -> Mapping[str, Property]:
        if name in {"", IDENTIFY}:
            return self.catalog.traits
        known = self.catalog.event_types.get(name)
        return known.properties if known else {}

    def _event_types(self, pointer: str, event_type: EventTypes) -> None:
        if isinstance(event_type, str):
            self._event_type(pointer, event_type)
            return
        for index, name in enumerate(event_type):
            self._event_type(f"{pointer}/{index}", name)

    def _event_type(self, pointer: str, name: str) -> None:
        if name not in self.catalog.event_types and name not in {"*", IDENTIFY}:
            self._warn(pointer, "event type", name, self.catalog.event_types)
        elif (known := self.catalog.event_types.get(name)) and known.event_count == 0:
            detail = f"{name!r} is declared but was never received; the condition counts it as nothing until it is."
            received = (other.name for other in self.catalog.event_types.values() if other.event_count)
            self.warnings.append(Finding(pointer, "never_received", detail, nearest(name, received)))

    def _property(self, pointer: str, event_type: EventTypes, path: str) -> None:
        known = {name for properties in self._properties(event_type) for name in properties}
        if not _is_known(path, known):
            self._warn(pointer, "property", path, known)
            if known:
                self._elsewhere(pointer, path, self.catalog.traits)
            return
        kinds = [kind for name in self._names(event_type) if (kind := self.catalog.event_types.get(name))]
        self._received(pointer, path, [kind.properties for kind in kinds if kind.event_count])

    def _trait(self, pointer: str, path: str) -> None:
        if not _is_known(path, self.catalog.traits):
            self._warn(pointer, "trait", path, self.catalog.traits)
            self._elsewhere(pointer, path, {})
            return
        self._received(pointer, path, [self.catalog.traits])

    def _received(self, pointer: str, path: str, known: Sequence[Mapping[str, Property]]) -> None:
        """Warn of a name that schemas declare and of which no value has come, though its events have."""
        named = [one for properties in known for name, one in properties.items() if _is_at(name, path)]
        if named and all(one.schema_type and not one.types for one in named):
            detail = f"{path!r} is declared but was never received; the condition counts it as missing until it is."
            self.warnings.append(Finding(pointer, "never_received", detail))

    def _elsewhere(self, pointer: str, path: str, traits: Mapping[str, Property]) -> None:
        events = {name: one.properties for name, one in self.catalog.event_types.items()}
        self.warnings.extend(named_elsewhere(pointer, path, traits, events))

    def _warn(self, pointer: str, kind: str, name: str, known: Iterable[str]) -> None:
        suggestions = nearest(name, known)
        hint = f"; the nearest is {suggestions[0]}" if suggestions else ""
        detail = f"No {kind} {name!r} has been seen yet{hint}. The condition counts it as nothing until it is."
        self.warnings.append(Finding(pointer, "unknown_name", detail, suggestions))


def _is_known(path: str, known: Iterable[str]) -> bool:
    """A path is known when it, or something below it, was seen."""
    return any(_is_at(name, path) for name in known)


def _is_at(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}.")


def _declared(properties: list[Mapping[str, Property]], path: str) -> ValueType | None:
    """Return the type that the schemas declare; None unless all the named event types agree."""
    found: set[ValueType | None] = {known[path].declared if path in known else None for known in properties}
    return found.pop() if len(found) == 1 else None


def _check_references(
    leaves: tuple[Located, ...], references: Mapping[int, Referenced], own_id: int | None
) -> Iterator[Finding]:
    named = [named for located in leaves for named in _named_segments(located)]
    reached = set[int]()
    for pointer, segment_id in named:
        if segment_id != own_id and segment_id not in references:
            yield Finding(pointer, "unknown_segment", f"There is no segment {segment_id}.")
            continue
        if segment_id != own_id and references[segment_id] is None:
            detail = f"Segment {segment_id} has no definition yet; give it one first."
            yield Finding(pointer, "segment_without_definition", detail)
            continue
        yield from _check_path_of(pointer, segment_id, references, own_id, reached)
    definitions = [one for segment_id in reached if (one := references[segment_id]) is not None]
    total = len(leaves) + sum(count_leaves(all_conditions(one)) for one in definitions)
    if named and total > MAX_REACHED_LEAVES:
        detail = f"All segments reached hold at most {MAX_REACHED_LEAVES} conditions together; these hold {total}."
        yield Finding("", "too_many_leaves", detail)


def _named_segments(located: Located) -> Iterator[tuple[str, int]]:
    """Yield the segments that a condition names, each where it stands."""
    leaf = located.leaf
    if not isinstance(leaf, SegmentMembership):
        return
    if leaf.segment_id is not UNSET:
        yield f"{located.pointer}/segment_id", leaf.segment_id
    for index, segment_id in enumerate(leaf.segment_ids or ()):
        yield f"{located.pointer}/segment_ids/{index}", segment_id


def _check_path_of(
    pointer: str, segment_id: int, references: Mapping[int, Referenced], own_id: int | None, reached: set[int]
) -> Iterator[Finding]:
    """Go depth-first over what *segment_id* refers to; yield one finding for the first problem met."""
    depth_of = dict[int, int]()

    def visit(current: int, path: tuple[int, ...]) -> Finding | None:
        if current == own_id or current in path:
            return Finding(pointer, "segment_cycle", _circle(path, current, own_id))
        if len(path) >= MAX_REFERENCE_DEPTH:
            return Finding(pointer, "references_too_deep", f"References nest at most {MAX_REFERENCE_DEPTH} deep.")
        if depth_of.get(current, -1) >= len(path):
            return None
        depth_of[current] = len(path)
        reached.add(current)
        inside = references.get(current)
        for target in referenced_segments(all_conditions(inside)) if inside else ():
            if finding := visit(target, (*path, current)):
                return finding
        return None

    if finding := visit(segment_id, ()):
        yield finding


def _circle(path: tuple[int, ...], current: int, own_id: int | None) -> str:
    """Return the sentence of a circle: who refers to whom, up to the one that was met before."""
    if not path:
        return "A segment may not refer to itself."
    steps = [*(f"segment {step}" for step in path[1:]), "this one" if current == own_id else f"segment {current}"]
    said = f"Segment {path[0]} refers to {', which refers to '.join(steps)}"
    return f"{said}: segments may not refer to one another in a circle."


def _rebuild(definition: Definition, leaves: Iterator[Leaf]) -> Definition:
    """Return *definition* with its leaves replaced, in the order in which `parse` met them."""

    def conditions(old: list[Condition]) -> list[Condition]:
        return [
            msgspec.structs.replace(item, conditions=conditions(item.conditions))
            if isinstance(item, Group)
            else next(leaves)
            for item in old
        ]

    definition = msgspec.structs.replace(definition, conditions=conditions(definition.conditions))
    if definition.exclude is not UNSET:
        exclude = msgspec.structs.replace(definition.exclude, conditions=conditions(definition.exclude.conditions))
        definition = msgspec.structs.replace(definition, exclude=exclude)
    return definition
