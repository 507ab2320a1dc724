"""Tells which plans an event can matter to: those that read its type, or the traits that it sets."""

from __future__ import annotations

from collections.abc import Collection
from typing import assert_never

from segment_copilot.compiler.slots import (
    AggregateSlot,
    CountSlot,
    MembersSlot,
    OccurrenceSlot,
    PeriodsSlot,
    Plan,
    SampleSlot,
    SequenceSlot,
    Slot,
    TimeSlot,
    TraitSlot,
)
from segment_copilot.compiler.trees import normal, slots_of
from segment_copilot.language.catalog import IDENTIFY


def depends_on(plan: Plan, event_type: str, traits: Collection[str]) -> bool:
    """Return whether an event of this type, which sets these traits, could move a user in or out who is known without it."""
    return any(_reads(slot, event_type, traits) for slot in slots_of([normal(plan.root)]))


def _reads(slot: Slot, event_type: str, traits: Collection[str]) -> bool:
    match slot:
        case CountSlot() | TimeSlot() | PeriodsSlot() | OccurrenceSlot() | AggregateSlot():
            names = slot.matching.event_types
            return event_type != IDENTIFY if names is None else event_type in names
        case TraitSlot():
            return event_type == IDENTIFY and slot.property in traits
        case SequenceSlot():
            return True  # events between its steps may count against it
        case SampleSlot():
            return False  # of the id alone
        case MembersSlot():
            raise TypeError("references are opened before")
        case _:
            assert_never(slot)
