"""Derives the tier of a definition, Dynamic or Dynamic Plus; nobody chooses it by hand."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET

from segment_copilot.language.nodes import Definition, UserProperty
from segment_copilot.language.operators import LENGTHS

Tier = Literal["dynamic", "dynamic_plus"]


def tier_of(definition: Definition) -> tuple[Tier, str]:
    """Return the tier, and why in a sentence.

    Dynamic is one AND of plain trait conditions: their members change only when a user is identified anew, so they
    are re-tested at once. Everything else is recomputed on request and on a schedule.
    """
    if definition.exclude is not UNSET:
        return "dynamic_plus", "It has an exclusion."
    if len(definition.conditions) > 1 and definition.logic == "OR":
        return "dynamic_plus", "It joins several conditions by OR."
    clocked = [
        item.operator for item in definition.conditions if isinstance(item, UserProperty) and item.operator in LENGTHS
    ]
    if clocked:
        return "dynamic_plus", f"Its members change with the clock alone: it tests {clocked[0]}."
    others = [condition for condition in definition.conditions if not isinstance(condition, UserProperty)]
    if others:
        kind = type(others[0]).__struct_config__.tag
        return "dynamic_plus", f"It has a condition of type {kind}; dynamic segments test traits only."
    return "dynamic", "It tests traits only, all of which must hold."
