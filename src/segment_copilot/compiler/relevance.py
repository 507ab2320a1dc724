"""Tells which slots an event can change: those that read its type, or a trait that it sets."""

from __future__ import annotations

from collections.abc import Collection
from typing import assert_never

from segment_copilot.compiler.moves import known_of
from segment_copilot.compiler.slots import (
    AggregateSlot,
    CompareSlot,
    CountSlot,
    ListedSlot,
    Matching,
    MembersSlot,
    OccurrenceSlot,
    PeriodsSlot,
    RankSlot,
    SampleSlot,
    SequenceSlot,
    Slot,
    TimeSlot,
    TraitSlot,
)
from segment_copilot.language.catalog import IDENTIFY


def can_change(slot: Slot, event_type: str, traits: Collection[str]) -> bool:
    """Return whether an event of this type, which sets these traits, could bring its user into the slot or out of it."""
    match slot:
        case CountSlot() | TimeSlot() | PeriodsSlot() | OccurrenceSlot() | AggregateSlot():
            return _is_of(slot.matching, event_type) or _is_known(slot, event_type, traits)
        case CompareSlot():
            is_read = _is_of(slot.left.matching, event_type) or _is_of(slot.right.matching, event_type)
            return is_read or _is_known(slot, event_type, traits)
        case RankSlot():
            return _is_of(slot.measured.matching, event_type) or _is_known(slot, event_type, traits)
        case TraitSlot():
            names = {slot.property, *(known.trait for known in known_of(slot))}
            return event_type == IDENTIFY and not names.isdisjoint(traits)
        case SequenceSlot():
            return True  # events between its steps may count against it
        case SampleSlot() | ListedSlot():
            return False  # of the id alone
        case MembersSlot():
            raise TypeError("references are opened before")
        case _:
            assert_never(slot)


def _is_of(matching: Matching, event_type: str) -> bool:
    names = matching.event_types
    return event_type != IDENTIFY if names is None else event_type in names


def _is_known(slot: Slot, event_type: str, traits: Collection[str]) -> bool:
    """Return whether a trait that values are compared with is set."""
    return event_type == IDENTIFY and any(known.trait in traits for known in known_of(slot))
