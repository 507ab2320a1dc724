"""Holds what a definition may refer to in a tenant, as plain data, and finds the names nearest to a wrong one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec import Struct, field
from rapidfuzz import fuzz, process, utils

from segment_copilot.language.nodes import Scalar
from segment_copilot.language.operators import ValueType

IDENTIFY = "context_identified"
"""The event type whose payload is a set of traits."""


class Property(Struct, frozen=True):
    r"""A property of an event type, or a trait.

    *path* is as in a definition: dots walk into objects, a literal dot is ``\.``.
    """

    path: str
    types: tuple[ValueType, ...] = ()  # as observed; empty when only a schema names it
    declared: ValueType | None = None  # from the event schema
    description: str = ""
    samples: tuple[Scalar, ...] = ()  # distinct values seen, at most 50


class EventType(Struct, frozen=True):
    """An event type that was seen or has a schema."""

    name: str
    description: str = ""
    event_count: int = 0  # forwarded so far; 0: only a schema names it
    last_seen: datetime | None = None
    properties: Mapping[str, Property] = field(default_factory=dict[str, Property])


class SegmentName(Struct, frozen=True):
    """A segment as others refer to it."""

    id: int
    name: str
    description: str = ""


class Catalog(Struct, frozen=True):
    """Everything one tenant's definitions may refer to, at one moment."""

    timezone: str = "UTC"
    event_types: Mapping[str, EventType] = field(default_factory=dict[str, EventType])  # without context_identified
    traits: Mapping[str, Property] = field(default_factory=dict[str, Property])
    segments: Mapping[int, SegmentName] = field(default_factory=dict[int, SegmentName])


def nearest(name: str, names: Iterable[str], *, limit: int = 3) -> tuple[str, ...]:
    """Return the most similar of *names*, best first; empty when nothing is near."""
    found = process.extract(
        name, list(names), scorer=fuzz.WRatio, processor=utils.default_process, limit=limit, score_cutoff=60
    )
    return tuple(choice for choice, _, _ in found)
