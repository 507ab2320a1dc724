"""Compiles tests alone, for questions that count events instead of users, or look for a stored value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from segment_copilot.compiler.bind import bind
from segment_copilot.compiler.fragments import CompiledQuery, query
from segment_copilot.compiler.moves import known_of
from segment_copilot.compiler.plan import plan
from segment_copilot.compiler.predicates import render_filter, render_test
from segment_copilot.compiler.slots import CountSlot, Slot, TraitSlot, leaves
from segment_copilot.errors import Finding
from segment_copilot.language import invalid, parse
from segment_copilot.language.catalog import Catalog

WHERE_POINTER: Final = "/conditions/0/where"
"""Where the findings point to: the tests stand in a definition of one condition."""


def render_event_filter(
    event_type: str, where: Sequence[Mapping[str, Any]], *, catalog: Catalog, as_of: datetime
) -> CompiledQuery:
    """Return one parenthesised expression over `payload` that is 0 or 1 for an event of *event_type*.

    Raises:
        InvalidDefinition: With every mistake in *where*, pointers beginning with WHERE_POINTER.
    """
    slot = _slot({"type": "event_count", "event_type": event_type, "where": list(where)}, catalog, as_of)
    if not isinstance(slot, CountSlot) or slot.matching.filter is None:
        raise AssertionError("a count with a filter is planned as one")
    _refuse_known(slot)
    return query(render_filter("payload", slot.matching.filter))


def render_trait_filter(test: Mapping[str, Any], *, catalog: Catalog, as_of: datetime) -> CompiledQuery:
    """Return one parenthesised expression over `value` that is 0 or 1 for a value of the trait that *test* names.

    Raises:
        InvalidDefinition: With every mistake in *test*.
    """
    slot = _slot({"type": "user_property", **test}, catalog, as_of)
    if isinstance(slot, TraitSlot):
        _refuse_known(slot)
        return query(render_test("value", slot.test))
    raise AssertionError("a test of a trait is planned as one")


def _refuse_known(slot: Slot) -> None:
    """Raise where a trait would have to be known: of tests alone, no user stands beside the value."""
    if known_of(slot):
        detail = "Here values are looked at without their users, so none is compared with a trait: use a segment."
        raise invalid([Finding(WHERE_POINTER, "unread_field", detail)])


def _slot(condition: Mapping[str, Any], catalog: Catalog, as_of: datetime) -> Slot:
    bound = bind(parse({"logic": "AND", "conditions": [condition]}), catalog, {})
    planned = plan(bound.definition, tenant_id=0, as_of=as_of, timezone=catalog.timezone, references={})
    return leaves(planned.root)[0].slot
