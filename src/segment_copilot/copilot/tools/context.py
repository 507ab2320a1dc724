"""Holds what a tool may know: the tenant, the run's one instant, and what the run has found so far."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.deliveries import Deliveries
from segment_copilot.audiences.explanations import Explanations
from segment_copilot.audiences.members import Members
from segment_copilot.audiences.movements import Movements
from segment_copilot.audiences.previews import Previews
from segment_copilot.audiences.segments import Segments
from segment_copilot.copilot.guards.links import remove_links
from segment_copilot.copilot.stream.components import Component, CreateSegmentCTA, Draft, MetricCard
from segment_copilot.copilot.stream.run_events import Clarification, ComponentShown, Event, Unmapped
from segment_copilot.errors import Finding, Forbidden, InvalidInput
from segment_copilot.events.analytics import Analytics
from segment_copilot.events.discovery import Discovery
from segment_copilot.events.recent import RecentEvents
from segment_copilot.events.schemas import Schemas
from segment_copilot.language.catalog import Catalog
from segment_copilot.language.lengths import day_start, to_instant


class UseCases(Struct, frozen=True):
    """Holds what tools may call: each takes the tenant it reads for, and none writes."""

    discovery: Discovery
    schemas: Schemas
    recent_events: RecentEvents
    analytics: Analytics
    segments: Segments
    previews: Previews
    explanations: Explanations
    members: Members
    movements: Movements
    deliveries: Deliveries


class EarlierResult(Struct, frozen=True):
    """Holds the result of an earlier call of this run, as the model read it."""

    name: str
    document: Mapping[str, Any]


class View(Struct, frozen=True):
    """Holds what the person is looking at: a draft as their frontend sent it, a saved segment."""

    draft: Mapping[str, Any] | None = None
    segment_id: int | None = None


class Memory(Struct):
    """Remembers what a run has found and made. It lives as long as the run."""

    run_id: str
    results: dict[str, EarlierResult] = field(
        default_factory=dict[str, EarlierResult]
    )  # by tool call id, in order of completion
    drafts: dict[str, Draft] = field(default_factory=dict[str, Draft])
    earlier_drafts: dict[str, Draft] = field(default_factory=dict[str, Draft])  # of the thread's runs before this one
    offered_drafts: set[str] = field(default_factory=set[str])  # drafts that have their button
    failed_proposals: int = 0
    failed_definitions: set[bytes] = field(default_factory=set[bytes])  # the definitions of these
    question: Clarification | None = None  # what the person was asked; the run ends with it
    undrafted: tuple[Unmapped, ...] = ()  # what the latest definition could not express; none once one was counted
    captions: list[str] = field(default_factory=list[str])  # what the model wrote into what is drawn
    _issued: int = 0

    def new_id(self, kind: str) -> str:
        """Return a new id; ids differ in every run, so that a client may keep several."""
        self._issued += 1
        return f"{kind}_{self.run_id[-12:]}_{self._issued}"

    def latest(self, tool: str) -> Mapping[str, Any] | None:
        """Return the latest result of *tool* in this run."""
        found = [one.document for one in self.results.values() if one.name == tool]
        return found[-1] if found else None

    def knows_number(self, value: float) -> bool:
        """Return whether *value* stands in a result of this run."""
        return any(
            math.isclose(value, known, rel_tol=1e-12)
            for found in self.results.values()
            for known in _numbers(found.document)
        )


class ToolContext(Struct, frozen=True):
    """Holds one call's surroundings. The tenant comes from the caller's key, never from arguments."""

    use_cases: UseCases
    tenant: Tenant
    catalog: Catalog
    as_of: datetime
    timezone: str
    timezone_asked: bool  # whether the caller named it; else it is the tenant's
    memory: Memory
    tool_call_id: str
    view: View = View()
    said: tuple[str, ...] = ()  # what the person wrote, the latest last
    sees_users: bool = True  # whether the caller may know who somebody is
    effects: list[Event] = field(default_factory=list[Event])  # sent after this call's tool.result

    def show(self, component: Component) -> str:
        """Have *component* drawn after this call; return its id."""
        component_id = self.memory.new_id("component")
        if not isinstance(component, CreateSegmentCTA):
            self.memory.captions.append(component.title)
        if isinstance(component, MetricCard) and component.note is not UNSET:
            self.memory.captions.append(component.note)
        self.effects.append(component_event(component, component_id=component_id, tool_call_id=self.tool_call_id))
        return component_id

    def check_sees_users(self) -> None:
        """Raise Forbidden when the caller may know how many there are, and not who."""
        if not self.sees_users:
            raise Forbidden("The credential may have users counted, and see none of them.", code="users_withheld")

    def instant(self, text: str, pointer: str) -> datetime:
        """Read an RFC 3339 instant, or a date that is local midnight."""
        try:
            if len(text) == len("2026-01-01"):
                found = day_start(date.fromisoformat(text), ZoneInfo(self.timezone))
            else:
                found = msgspec.convert(text, datetime)
                found = found if found.tzinfo else to_instant(found, ZoneInfo(self.timezone))
        except (ValueError, msgspec.ValidationError, OverflowError) as error:
            detail = "Use a date (2026-06-01) or an instant with an offset (2026-06-01T12:00:00Z)."
            raise InvalidInput(
                detail, code="invalid_instant", findings=[Finding(pointer, "invalid_instant", detail)]
            ) from error
        return found


def component_event(component: Component, *, component_id: str, tool_call_id: str | UnsetType) -> ComponentShown:
    """Return the event that draws *component*."""
    return ComponentShown(
        id=component_id,
        name=type(component).__name__,
        schema_version=1,
        op="render",
        props=component,
        tool_call_id=tool_call_id,
    )


def require_words(text: str, pointer: str) -> str:
    """Return a model's text for a person, without links; raises InvalidInput when nothing is left of it."""
    if shown := remove_links(text).strip():
        return shown
    detail = "Write this in words, without links."
    raise InvalidInput(detail, code="no_words", findings=[Finding(pointer, "no_words", detail)])


def _numbers(value: object) -> Iterator[float]:
    match value:
        case bool():
            return
        case int() | float():
            yield value
        case dict():
            for child in cast("dict[str, Any]", value).values():
                yield from _numbers(child)
        case list():
            for child in cast("list[Any]", value):
                yield from _numbers(child)
        case _:
            return
