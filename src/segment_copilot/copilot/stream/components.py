"""Holds what a frontend draws: the props of each component, and the draft behind a CreateSegmentCTA."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from segment_copilot.audiences.sensitivity import ConditionCount
from segment_copilot.errors import Finding
from segment_copilot.language import Tier

Number = int | float


class MetricCard(Struct, frozen=True, tag_field="component", tag=True):
    """A metric card shows one number, which comes from a tool result of the same run."""

    title: str
    value: Number
    as_of: datetime
    unit: str | UnsetType = UNSET
    note: str | UnsetType = UNSET


class SegmentRow(Struct, frozen=True):
    """A row shows a segment in a table."""

    id: int
    name: str
    segment_type: str
    tier: str
    status: str
    member_count: int | None
    last_computed_at: datetime | None


class SegmentTable(Struct, frozen=True, tag_field="component", tag=True):
    """A table shows segments as stored, in the order asked for."""

    title: str
    rows: tuple[SegmentRow, ...]
    total: int
    truncated: bool


class Point(Struct, frozen=True):
    """A point is one bar; *x* is a local day (ISO date) or a name. Of a *partial* day only a part was counted."""

    x: str
    y: Number
    partial: bool | UnsetType = UNSET


Measure = Literal["events", "members", "event_types"]


class EventVolumeChart(Struct, frozen=True, tag_field="component", tag=True, rename={"from_": "from"}):
    """A chart shows bars: events or members per day, or events per type."""

    title: str
    measure: Measure
    unit: str
    points: tuple[Point, ...]
    from_: str
    to: str
    timezone: str


class SaveRequest(Struct, frozen=True):
    """Holds the HTTP request that saves a draft."""

    method: Literal["POST", "PATCH"]
    path: str
    body: Mapping[str, Any]


class CreateSegmentCTA(Struct, frozen=True, tag_field="component", tag=True):
    """A button saves a draft: it holds all a builder needs, nothing is stored.

    *save* makes a new segment. *update* is there when the draft was made from a saved segment: it gives that segment the
    new definition instead.
    """

    label: str
    draft_id: str
    name: str
    description: str
    definition: Mapping[str, Any]
    tier: Tier
    count: int
    save: SaveRequest
    update: SaveRequest | UnsetType = UNSET


Component = MetricCard | SegmentTable | EventVolumeChart | CreateSegmentCTA


class DraftPreview(Struct, frozen=True):
    """Says how many of whom a draft matches, and when."""

    count: int
    universe: int
    percent: float
    as_of: datetime
    duration_ms: float


class DraftBase(Struct, frozen=True):
    """Says what a draft was made from: an earlier draft, or else a saved segment.

    *segment_id* and *version* name the saved segment it goes back to, also through earlier drafts.
    """

    draft_id: str | UnsetType = UNSET
    revision: int | UnsetType = UNSET
    segment_id: int | UnsetType = UNSET
    version: int | UnsetType = UNSET


class ReadWords(Struct, frozen=True):
    """Tells what became of some words of the person: `text` is theirs from *start* to *end*, in characters.

    It has one of three. *pointers* are the places in the definition that the words made; without any they ask and greet,
    and say nothing of who is meant. *assumed* says how words were settled that left something open. *unmapped* words are
    in no condition. *message* is there when the words are not of the latest message: 1 is the one before it.
    """

    text: str
    start: int
    end: int
    pointers: tuple[str, ...] | UnsetType = UNSET
    assumed: str | UnsetType = UNSET
    unmapped: bool | UnsetType = UNSET
    message: int | UnsetType = UNSET


class Draft(Struct, frozen=True):
    """A draft is a validated, previewed, unsaved segment, as `segment.draft` carries it.

    *diff* is the JSON Patch (RFC 6902) that makes its definition from its base's; both are there when it has a base.
    *reading* has every word of the person's message once, in order; it is there when the model said how it read them.
    *conditions* has each condition with its number of users, and with the audience at values near its own (`neighbours`); it is
    not there where the tenant has so many events that a draft would wait for it, nor where it would not fit into an event.
    """

    draft_id: str
    revision: int
    name: str
    description: str
    definition: Mapping[str, Any]
    words: str
    tier: Tier
    tier_reason: str
    assumptions: tuple[str, ...]
    unmapped: tuple[str, ...]
    preview: DraftPreview
    warnings: tuple[Finding, ...]
    base: DraftBase | UnsetType = UNSET
    diff: tuple[Mapping[str, Any], ...] | UnsetType = UNSET
    reading: tuple[ReadWords, ...] | UnsetType = UNSET
    conditions: tuple[ConditionCount, ...] | UnsetType = UNSET
