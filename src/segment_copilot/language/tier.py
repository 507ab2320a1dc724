"""Derives the tier of a definition, Dynamic or Dynamic Plus; nobody chooses it by hand."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET

from segment_copilot.language.nodes import Condition, DateWindow, Definition, UserProperty
from segment_copilot.language.operators import OPERATORS

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
    clocked = [name for condition in definition.conditions if (name := _clocked(condition))]
    if clocked:
        return "dynamic_plus", f"Its members change with the clock alone: it tests {clocked[0]}."
    others = [condition for condition in definition.conditions if not isinstance(condition, UserProperty)]
    if others:
        kind = type(others[0]).__struct_config__.tag
        return "dynamic_plus", f"It has a condition of type {kind}; dynamic segments test traits only."
    return "dynamic", "It tests traits only, all of which must hold."


def _clocked(condition: Condition) -> str:
    """Return the operator of a trait condition whose answer the clock alone changes; empty for any other."""
    if not isinstance(condition, UserProperty):
        return ""
    match OPERATORS[condition.operator].takes, condition.value:
        case "window", DateWindow() as window:
            moves = window.from_ is UNSET and window.to is UNSET
        case "length" | "season", _:
            moves = True
        case _:
            moves = False
    return condition.operator if moves else ""
