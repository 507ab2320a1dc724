"""Says what is told of a publication: its events, in order, and the body of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, Literal, get_args

import msgspec
from msgspec import Struct

from segment_copilot.audiences.publications import Change, Publication

Event = Literal["segment.recomputed", "segment.entered", "segment.left", "computation.failed"]
EVENTS: Final[tuple[Event, ...]] = get_args(Event)

MAX_USERS: Final = 1_000
"""In one body."""

_USUAL: Final = 800  # users of a part on average, so that chance never brings MAX_USERS of them together
_CHANGES: Final[tuple[tuple[Event, Change], ...]] = (("segment.entered", "entered"), ("segment.left", "left"))


class Piece(Struct, frozen=True):
    """An event of a publication, or one of the *parts* in which its users are told; *place* is its order within."""

    event: Event
    place: int
    part: int = 1
    parts: int = 1

    @property
    def change(self) -> Change | None:
        """Return whose users it tells, if it tells users."""
        return dict(_CHANGES).get(self.event)


class Recomputed(Struct, frozen=True, tag_field="event", tag="segment.recomputed"):
    """Says that a segment was computed and how many members it has; *computed_at* is the instant that it is of."""

    tenant_slug: str
    segment_id: int
    segment_name: str
    member_count: int
    computed_at: datetime
    entered: int
    left: int
    computation_id: int
    published_at: datetime


class _Changed(Struct, frozen=True):
    tenant_slug: str
    segment_id: int
    segment_name: str
    member_count: int
    computed_at: datetime
    user_ids: Sequence[str]
    user_count: int
    part: int
    parts: int
    computation_id: int
    published_at: datetime


class Entered(_Changed, frozen=True, tag_field="event", tag="segment.entered"):
    """Lists users who entered a segment: one of *parts*; *user_count* is of all of them together."""


class Left(_Changed, frozen=True, tag_field="event", tag="segment.left"):
    """Lists users who left a segment: one of *parts*; *user_count* is of all of them together."""


class Reason(Struct, frozen=True):
    """Says why a computation failed."""

    code: str
    detail: str


class Failed(Struct, frozen=True, tag_field="event", tag="computation.failed"):
    """Says that a computation failed, and why; the segment keeps the members that it had."""

    tenant_slug: str
    segment_id: int
    segment_name: str
    error: Reason
    computation_id: int
    as_of: datetime
    failed_at: datetime


Body = Recomputed | Entered | Left | Failed


def pieces(publication: Publication, events: Iterable[str]) -> Iterator[Piece]:
    """Yield what is told of a publication to who wants *events*: places are the same whichever they are."""
    wanted = frozenset(events)
    place = 0
    for event, parts in _told(publication):
        for part in range(1, parts + 1):
            if event in wanted:
                yield Piece(event, place, part, parts)
            place += 1


def _told(publication: Publication) -> Iterator[tuple[Event, int]]:
    if publication.error is not None:
        yield "computation.failed", 1
        return
    yield "segment.recomputed", 1
    for event, change in _CHANGES:
        if count := publication.count(change):
            yield event, 1 if count <= MAX_USERS else -(-count // _USUAL)


def body(publication: Publication, piece: Piece, *, tenant_slug: str, user_ids: Sequence[str] = ()) -> Body:
    """Return the body of one piece; SegOps' keys come first, in its order."""
    about = (tenant_slug, publication.segment_id, publication.segment_name)
    counted = (publication.member_count or 0, publication.computed_at)
    match piece.event:
        case "computation.failed":
            reason = msgspec.json.decode(publication.error or "{}", type=Reason)
            ended = (publication.computation_id, publication.computed_at, publication.published_at)
            return Failed(*about, reason, *ended)
        case "segment.recomputed":
            counts = (publication.entered, publication.left)
            return Recomputed(*about, *counted, *counts, publication.computation_id, publication.published_at)
        case "segment.entered" | "segment.left":
            kind, change = (Entered, "entered") if piece.event == "segment.entered" else (Left, "left")
            parts = (piece.part, piece.parts, publication.computation_id, publication.published_at)
            return kind(*about, *counted, user_ids, publication.count(change), *parts)


def message_id(publication_id: int, piece: Piece) -> str:
    """Return what a receiver knows a repetition by: the same with every attempt, replay and recovery."""
    return f"msg_{publication_id}_{piece.event.replace('.', '_')}_{piece.part}"
