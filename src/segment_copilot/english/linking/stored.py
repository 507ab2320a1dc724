"""Fits tests to how values are stored: as texts that are numbers or dates, and as numbers beside texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from msgspec import UNSET, structs

from segment_copilot.english.linking.fields import Place
from segment_copilot.english.linking.names import Names
from segment_copilot.language import Condition, Definition, EventProperty, Group, MeasureCompare, Rank, UserProperty
from segment_copilot.language.nodes import EventSequence, Measure, PropertyTest, Scalar, Step
from segment_copilot.language.operators import PropertyOperator

_T = TypeVar("_T", PropertyTest, EventProperty, UserProperty)
_COMPARED: Final = {"eq", "neq", "gt", "gte", "lt", "lte", "between", "not_between"}


_DATED: Final = {
    "gt",
    "gte",
    "lt",
    "lte",
    "between",
    "not_between",
    "in_last",
    "not_in_last",
    "in_next",
    "anniversary_in_next",
    "anniversary_in_last",
    "anniversary_in",
    "in_window",
    "not_in_window",
}


_LISTS: Final[Mapping[str, PropertyOperator]] = {"in": "eq", "not_in": "neq"}


def as_stored(definition: Definition, names: Names) -> Definition:
    """Return the definition with its tests fitted to the values that the tenant has."""
    exclude = definition.exclude
    if exclude is not UNSET:
        exclude = structs.replace(exclude, conditions=[_fitted(one, names) for one in exclude.conditions])
    conditions = [_fitted(one, names) for one in definition.conditions]
    return structs.replace(definition, conditions=conditions, exclude=exclude)


def _fitted(condition: Condition, names: Names) -> Condition:
    match condition:
        case Group():
            return structs.replace(condition, conditions=[_fitted(one, names) for one in condition.conditions])
        case UserProperty() if (
            isinstance(condition.value, list) and len({isinstance(one, str) for one in condition.value}) > 1
        ):
            return _each(condition, names)
        case UserProperty():
            return _test(condition, names.by_path.get(("", condition.property)))
        case EventSequence():
            return structs.replace(condition, events=[_step(step, names) for step in condition.events])
        case Rank():
            return structs.replace(condition, by=_measure(condition.by, names))
        case MeasureCompare():
            left, right = _measure(condition.left, names), _measure(condition.right, names)
            return structs.replace(condition, left=left, right=right)
        case _ if hasattr(condition, "where"):
            made: Any = condition
            event = made.event_type if isinstance(made.event_type, str) else made.event_type[0]
            if isinstance(made, EventProperty):
                made = _test(made, names.by_path.get((event, made.property)))
            return structs.replace(made, where=_where(made.where, event, names))
        case _:
            return condition


def _each(condition: UserProperty, names: Names) -> Condition:
    """Return a test of numbers and texts as one of each: the language compares a list in one type."""
    made: list[Condition] = []
    values = cast("list[Scalar]", condition.value)
    for texts in (False, True):
        some = [value for value in values if isinstance(value, str) == texts]
        one: Any = (
            {"in": "eq", "not_in": "neq"}.get(condition.operator, condition.operator)
            if len(some) == 1
            else condition.operator
        )
        made.append(_fitted(structs.replace(condition, operator=one, value=some[0] if len(some) == 1 else some), names))
    return Group(logic="AND" if condition.operator == "not_in" else "OR", conditions=made)


def _measure(measure: Measure, names: Names) -> Measure:
    event = measure.event_type if isinstance(measure.event_type, str) else measure.event_type[0]
    return structs.replace(measure, where=_where(measure.where, event, names))


def _step(step: str | Step, names: Names) -> str | Step:
    if isinstance(step, str) or not isinstance(step.event_type, str):
        return step
    return structs.replace(step, where=_where(step.where, step.event_type, names))


def _where(where: Any, event: str, names: Names) -> Any:
    if not isinstance(where, list):
        return where
    return [_test(test, names.by_path.get((event, test.property))) for test in cast("list[PropertyTest]", where)]


def _test(test: _T, place: Place | None) -> _T:
    if place is None:
        return test
    if test.operator in _COMPARED and _is_number(test.value) and place.texts_are_numbers:
        return structs.replace(test, value_type="number")
    if place.texts_are_dates and test.operator in _DATED:
        return structs.replace(test, value_type="datetime")
    if test.operator in _LISTS and isinstance(test.value, list) and _is_one_text(test.value):
        one = _best_spelled(str(test.value[0]), place)
        return structs.replace(test, operator=_LISTS[test.operator], value=one, ignore_case=True)
    if test.ignore_case and isinstance(test.value, str):
        return structs.replace(test, value=_best_spelled(test.value, place))
    return test


def _is_one_text(values: Sequence[Scalar]) -> bool:
    """Return whether values are one text in several spellings."""
    return all(isinstance(one, str) for one in values) and len({str(one).lower() for one in values}) == 1


def _best_spelled(text: str, place: Place) -> str:
    """Return a text as it is written best: "Sydney" before "sydney" and "SYDNEY"."""
    same = [one for one in place.field.texts if one.lower() == text.lower()] or [text]
    return min(same, key=lambda one: (one.islower() or one.isupper(), one))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
