"""Tells readings that select the same people from readings that do not."""

from __future__ import annotations

from msgspec import UNSET, structs

from segment_copilot.language import Condition, Definition, Group, Recency
from segment_copilot.language.equivalence import Form, form_of

_EDGES = {"gte": "gt", "lte": "lt"}


def members(definition: Definition) -> Form:
    """Return what definitions with the same members have in common; the very instant at a window's edge is no difference."""
    exclude = definition.exclude
    if exclude is not UNSET:
        exclude = structs.replace(exclude, conditions=[_edgeless(one) for one in exclude.conditions])
    conditions = [_edgeless(one) for one in definition.conditions]
    return form_of(structs.replace(definition, conditions=conditions, exclude=exclude))


def _edgeless(condition: Condition) -> Condition:
    if isinstance(condition, Group):
        return structs.replace(condition, conditions=[_edgeless(one) for one in condition.conditions])
    if isinstance(condition, Recency) and condition.operator in _EDGES:
        return structs.replace(condition, operator=_EDGES[condition.operator])
    return condition
