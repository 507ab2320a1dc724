"""Ingestion over HTTP takes events in, one at a time or in batches, and tells how far they are."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, NoReturn

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, JSONBody
from msgspec import Meta, Struct

from segment_copilot.access.keys import Caller
from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.bodies import check_body
from segment_copilot.api.http.requests import ApiRequest
from segment_copilot.api.http.routes import Route
from segment_copilot.documents import items_of, read_json
from segment_copilot.errors import Finding, InvalidInput
from segment_copilot.events import Ingestion, IngestionStatus, SkippedEvent
from segment_copilot.events.identity_links import MAX_ANONYMOUS_LENGTH
from segment_copilot.events.validation import MAX_ID_LENGTH, MAX_TYPE_LENGTH, MAX_USER_LENGTH
from segment_copilot.mistakes import TOO_DEEP, unreadable

# SegOps documents 500, but its Python client sends its whole queue at once and loses it on a 4xx.
MAX_BATCH: Final = 5_000
MAX_ERRORS: Final = 20
MAX_BATCH_BYTES: Final = 16 * 2**20


_INSTANT: Final = (
    "^(?:19|2[0-2])[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    "(?:[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?"
    "(?: ?(?:[Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?))?)?$"
)


class TrackedEvent(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something a user did at a moment. `context_identified` is an identify: its payload is a set of traits.

    One of `user_id` and `anonymous_id` is there; both link the two.
    """

    event_type: Annotated[str, Meta(min_length=1, max_length=MAX_TYPE_LENGTH)]
    user_id: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=MAX_USER_LENGTH,
                description="Without it, the event is that of `anon_<anonymous_id>`",
            ),
        ]
        | None
    ) = None
    occurred_at: (
        Annotated[
            str,
            Meta(description="ISO 8601; UTC without an offset; default: now", extra_json_schema={"pattern": _INSTANT}),
        ]
        | None
    ) = None
    payload: dict[str, Any] | None = None
    event_id: (
        Annotated[str, Meta(max_length=MAX_ID_LENGTH, description="Counts once, however often it is sent")] | None
    ) = None
    anonymous_id: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=MAX_ANONYMOUS_LENGTH,
                description="Of somebody before they are known; beside a user_id, whose it is from now on, if nobody's yet",
            ),
        ]
        | None
    ) = None


# Raw, because each event is judged by itself: one that is wrong does not stop the others.
_EVENT_SCHEMA: Final = msgspec.json.schema_components([TrackedEvent])[1]["TrackedEvent"]
RawEvent = Annotated[msgspec.Raw, Meta(extra_json_schema=_EVENT_SCHEMA)]


class Batch(Struct, frozen=True, forbid_unknown_fields=True):
    """Events to store together; those that are wrong are skipped."""

    events: Annotated[list[RawEvent], Meta(max_length=MAX_BATCH)]


class Tracked(Struct, frozen=True):
    """The event is stored and will be forwarded."""

    queued: bool = True


class BatchError(Struct, frozen=True):
    """Why the event at *index* was skipped; *pointer* is RFC 6901 into the request body."""

    index: int
    pointer: str
    code: str
    detail: str


class BatchTracked(Struct, frozen=True):
    """*queued* events are stored (or were before, by their id); the rest were skipped, with the first reasons."""

    queued: int
    skipped: int
    errors: tuple[BatchError, ...] = ()


class IngestionRequest(ApiRequest):
    """A request in whose body half a surrogate pair, or depth, is one event's fault and not the body's."""

    async def json(self) -> Any:
        """Decode the body; where the fast parser gives up on the whole of it, it is cut up event by event."""
        field = self.route_handler.parsed_data_field
        is_batch = field is not None and field.annotation is Batch
        try:
            decoded = await super().json()
        except InvalidInput as error:
            if error.code != "malformed_json":
                raise
            body = await self.body()
            reason = unreadable(body)
            if reason and not (is_batch and reason == TOO_DEEP):
                raise
            return _cut_up(body, error, is_deep=bool(reason)) if is_batch else msgspec.Raw(body)
        if is_batch and len(_KEY.findall(body := await self.body())) > 1 and items_of(body.decode()) is None:
            _refuse_two_lists()
        return decoded


def _cut_up(body: bytes, error: InvalidInput, *, is_deep: bool) -> Batch:
    """Return the events as they were written, each a text of its own; raises *error* where this is no batch."""
    text = body.decode()
    if not is_deep:
        check_body(read_json(text), Batch)
    events = items_of(text)
    if is_deep and (events is None or not _FRAME.match(text)):
        raise error
    if events is None:
        _refuse_two_lists()
    if len(events) > MAX_BATCH:
        check_body({"events": events}, Batch)
    return Batch([msgspec.Raw(event.encode()) for event in events])


def _refuse_two_lists() -> NoReturn:
    finding = Finding("/events", "duplicate_key", "This key occurs twice in one object.")
    raise InvalidInput(finding.detail, code=finding.code, findings=[finding])


_KEY: Final = re.compile(rb'"(?:[events]|\\u00[0-9a-fA-F]{2}){6}"[ \t\r\n]*:')  # "events", however it is written
_FRAME: Final = re.compile(r'\s*\{\s*"events"\s*:\s*\[')


IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        max_length=255,
        description="Makes a repeated request harmless for events without an id: the same event at the same place counts once",
    ),
]


class IngestionController(Controller):
    """Takes what clients send, and tells whether it can be queried yet."""

    path = "/api/ingestion"
    tags = ("ingestion",)
    request_class = IngestionRequest

    @post(
        "/track",
        status_code=202,
        opt=Route(judges_items=True, tells_repetitions=True, pages=True).opt,
        response_description="Stored; to be forwarded in a moment.",
    )
    async def track_event(
        self,
        data: JSONBody[RawEvent],
        ingestion: NamedDependency[Ingestion],
        caller: NamedDependency[Caller],
        idempotency_key: IdempotencyKey = None,
    ) -> Tracked:
        """Store one event.

        With 202 it is on disk. An event whose id was seen before is not stored again. With a session's token it is the
        session's user's, whoever it names.
        """
        accepted = await ingestion.accept(
            caller.tenant,
            [data],
            received_at=datetime.now(UTC),
            idempotency_key=idempotency_key,
            user_id=caller.tracks_for,
        )
        for skipped in accepted.skipped:
            finding = Finding(skipped.pointer, skipped.code, skipped.detail)
            raise InvalidInput(skipped.detail, code="invalid_event", findings=[finding])
        return Tracked()

    @post(
        "/track/batch",
        status_code=202,
        opt=Route(judges_items=True, tells_repetitions=True, pages=True).opt,
        request_max_body_size=MAX_BATCH_BYTES,
        response_description="The queued events are stored; to be forwarded in a moment.",
    )
    async def track_events(
        self,
        data: JSONBody[Batch],
        ingestion: NamedDependency[Ingestion],
        caller: NamedDependency[Caller],
        idempotency_key: IdempotencyKey = None,
    ) -> BatchTracked:
        """Store up to 5,000 events.

        Each is judged by itself: what is wrong is skipped and named, the rest is on disk with the 202. With a session's
        token all are the session's user's, whoever they name.
        """
        accepted = await ingestion.accept(
            caller.tenant,
            data.events,
            received_at=datetime.now(UTC),
            idempotency_key=idempotency_key,
            user_id=caller.tracks_for,
        )
        errors = tuple(_batch_error(skipped) for skipped in accepted.skipped[:MAX_ERRORS])
        return BatchTracked(queued=accepted.queued, skipped=len(accepted.skipped), errors=errors)

    @get("/status", response_description="As of now.")
    async def get_ingestion_status(
        self, ingestion: NamedDependency[Ingestion], tenant: NamedDependency[Tenant]
    ) -> IngestionStatus:
        """How many events are stored and cannot be queried yet, and how many can.

        With `pending` 0 everything acknowledged before can be queried.
        """
        return await ingestion.status(tenant)


def _batch_error(skipped: SkippedEvent) -> BatchError:
    return BatchError(
        skipped.index,
        pointer=f"/events/{skipped.index}{skipped.pointer}",
        code=skipped.code,
        detail=skipped.detail,
    )
