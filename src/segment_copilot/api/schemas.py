"""Event schemas over HTTP: a client declares what events look like, infers it, and reads what did not conform."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post, put
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.bodies import ReadOnly
from segment_copilot.api.http.etags import ETAG, UNLESS_KNOWN, IfMatch, etag_of, revisions_of, unless_known
from segment_copilot.api.http.pages import FIELDS, LISTING, ORDER, CursorPage, listing_of
from segment_copilot.api.http.parameters import Names
from segment_copilot.api.http.requests import run_while_connected
from segment_copilot.api.http.routes import COUNTING_SECONDS, Route
from segment_copilot.errors import Conflict, Finding, InvalidInput, PreconditionFailed, QueryTimeout
from segment_copilot.events.inference import Inference, Inferred
from segment_copilot.events.schemas import EventSchema, Order, SchemaChanges, Schemas, Validity
from segment_copilot.events.shapes import MAX_PROPERTIES, SchemaProperty
from segment_copilot.events.validation import MAX_TYPE_LENGTH
from segment_copilot.events.violations import KeptViolation, ViolationCount, Violations

MAX_EVENTS: Final = 5_000
MAX_EVENT_TYPES: Final = 50
MAX_EVENTS_BYTES: Final = 16 * 2**20

EventTypeName = Annotated[str, Meta(min_length=1, max_length=MAX_TYPE_LENGTH, examples=["order_placed"])]
Description = Annotated[str, Meta(max_length=10_000, examples=["A purchase was paid"])]
_PROPERTIES: Final = [{"name": "total", "type": "number", "required": True, "description": "With tax"}]
_EVENT: Final = {"user_id": "ada@example.com", "event_type": "order_placed", "payload": {"total": 12.5}}
Properties = Annotated[tuple[SchemaProperty, ...], Meta(max_length=MAX_PROPERTIES, examples=[_PROPERTIES])]
Strict = Annotated[
    bool, Meta(description="Refuse events in which a required property is missing or a value has another type")
]
RawEvent = Annotated[
    msgspec.Raw, Meta(description="An event as ingestion takes it", extra_json_schema={"type": "object"})
]


class _AsRead(Struct, frozen=True, kw_only=True):
    """Holds what a schema that was read has beside what it declares."""

    id: ReadOnly = None
    event_count: ReadOnly = None
    last_seen_at: ReadOnly = None
    violation_count: ReadOnly = None
    created_at: ReadOnly = None
    updated_at: ReadOnly = None


class SchemaCreate(_AsRead, frozen=True, forbid_unknown_fields=True):
    """Declares what the events of a type look like; an inferred schema can be sent as it is."""

    event_type: EventTypeName
    description: Description = ""
    properties: Properties = ()
    strict: Strict = False
    events: ReadOnly = None
    properties_left_out: ReadOnly = None


class SchemaPatch(_AsRead, frozen=True, forbid_unknown_fields=True):
    """Holds what to change; what is left out stays. Properties are replaced as a whole."""

    event_type: EventTypeName | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    properties: Properties | UnsetType = UNSET
    strict: Strict | UnsetType = UNSET


class SchemaPut(_AsRead, frozen=True, forbid_unknown_fields=True):
    """The whole schema, as it was read or as it shall be."""

    event_type: EventTypeName
    description: Description = ""
    properties: Properties = ()
    strict: Strict = False


class InferRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Holds what to infer from: events, or the stored events of some types."""

    events: Annotated[list[RawEvent], Meta(max_length=MAX_EVENTS, examples=[[_EVENT]])] | UnsetType = UNSET
    event_types: Annotated[list[EventTypeName], Meta(max_length=MAX_EVENT_TYPES)] | UnsetType = UNSET


class ValidateRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A payload to hold against the schema of an event type."""

    event_type: EventTypeName
    payload: Annotated[dict[str, Any], Meta(examples=[{"total": "12.50"}])] = {}


class SchemaList(CursorPage[EventSchema], frozen=True):
    """A page of event schemas."""


class ViolationList(CursorPage[KeptViolation], frozen=True):
    """A page of the newest violations, *count* of which are kept; *counts* are of all there ever were."""

    counts: tuple[ViolationCount, ...]


class EventSchemaController(Controller):
    """Manages what is declared of events."""

    path = "/api/schemas"
    tags = ("schemas",)

    @get(opt=Route(parameters=LISTING).opt, response_description="A page of them.")
    async def list_schemas(
        self,
        request: Request[Any, Any, State],
        schemas: NamedDependency[Schemas],
        tenant: NamedDependency[Tenant],
        order: Annotated[Order, ORDER] = "event_type",
        fields: Annotated[str | None, FIELDS, Names(EventSchema)] = None,
        event_type: Annotated[
            str, QueryParameter(max_length=MAX_TYPE_LENGTH, description="Only that of this type")
        ] = "",
        search: Annotated[
            str, QueryParameter(max_length=200, description="Only those with this in event type or description")
        ] = "",
    ) -> Response[SchemaList]:
        """List the event schemas.

        With values that occurred, and how many events there are of each type. What was only seen is in the catalog.
        """
        listing = listing_of(request)
        found = await schemas.page(tenant, listing.window, order=order, event_type=event_type, search=search)
        return listing.answer(found, fields)

    @post(opt=Route(problems=(Conflict,)).opt, response_headers=ETAG, response_description="Declared.")
    async def create_schema(
        self, data: JSONBody[SchemaCreate], schemas: NamedDependency[Schemas], tenant: NamedDependency[Tenant]
    ) -> Response[EventSchema]:
        """Declare an event type.

        It is in the catalog at once. Events that came before are not judged by it.
        """
        schema = await schemas.create(
            tenant,
            event_type=data.event_type,
            description=data.description,
            properties=data.properties,
            strict=data.strict,
        )
        return _answer(schema, Location=f"/api/schemas/{schema.id}/")

    @get("/{schema_id:int}", opt=Route(parameters=UNLESS_KNOWN).opt, response_description="The schema.")
    async def get_schema(
        self,
        schema_id: FromPath[int],
        schemas: NamedDependency[Schemas],
        tenant: NamedDependency[Tenant],
    ) -> Response[EventSchema]:
        """Read an event schema.

        Its ETag changes with every write, and when events of the type come in; If-Match minds the writes alone.
        """
        schema = await schemas.get(tenant, schema_id)
        return unless_known(schema, revision=schema.revision)

    @patch(
        "/{schema_id:int}",
        opt=Route(problems=(Conflict, PreconditionFailed)).opt,
        response_headers=ETAG,
        response_description="Saved.",
    )
    async def update_schema(
        self,
        schema_id: FromPath[int],
        data: JSONBody[SchemaPatch],
        schemas: NamedDependency[Schemas],
        tenant: NamedDependency[Tenant],
        if_match: IfMatch = None,
    ) -> Response[EventSchema]:
        """Change some fields of an event schema.

        Every process judges events by it within a second.
        """
        changes = SchemaChanges(data.event_type, data.description, data.properties, data.strict)
        return _answer(await schemas.update(tenant, schema_id, changes, if_revision=revisions_of(if_match)))

    @put(
        "/{schema_id:int}",
        opt=Route(problems=(Conflict, PreconditionFailed)).opt,
        response_headers=ETAG,
        response_description="Saved.",
    )
    async def replace_schema(
        self,
        schema_id: FromPath[int],
        data: JSONBody[SchemaPut],
        schemas: NamedDependency[Schemas],
        tenant: NamedDependency[Tenant],
        if_match: IfMatch = None,
    ) -> Response[EventSchema]:
        """Write all fields of an event schema.

        It must exist. What only the server writes may be sent and is ignored.
        """
        changes = SchemaChanges(data.event_type, data.description, data.properties, data.strict)
        return _answer(await schemas.update(tenant, schema_id, changes, if_revision=revisions_of(if_match)))

    @delete("/{schema_id:int}", opt=Route(problems=(PreconditionFailed,)).opt, response_description="It is gone.")
    async def delete_schema(
        self,
        schema_id: FromPath[int],
        schemas: NamedDependency[Schemas],
        tenant: NamedDependency[Tenant],
        if_match: IfMatch = None,
    ) -> None:
        """Delete an event schema, and what is kept of its violations.

        The events stay, and so does what the catalog has seen of them.
        """
        await schemas.delete(tenant, schema_id, if_revision=revisions_of(if_match))

    @get("/{schema_id:int}/violations", opt=Route(parameters=LISTING).opt, response_description="A page of them.")
    async def list_violations(
        self,
        request: Request[Any, Any, State],
        schema_id: FromPath[int],
        violations: NamedDependency[Violations],
        tenant: NamedDependency[Tenant],
    ) -> Response[ViolationList]:
        """List what did not conform, the newest first.

        The newest 1,000 of a schema are kept, of one batch at most 50; `counts` has all. With `outcome` `queued` the
        event was taken all the same, with `skipped` a strict schema refused it. Pointers lead into the event.
        """
        listing = listing_of(request)
        found = await violations.list(tenant, schema_id, listing.window)
        return listing.answer(found.kept, counts=found.counts)

    @post(
        "/infer",
        status_code=200,
        opt=Route(asks=True, judges_items=True, problems=(QueryTimeout,), seconds=COUNTING_SECONDS).opt,
        request_max_body_size=MAX_EVENTS_BYTES,
        response_description="What could be saved.",
    )
    async def infer_schemas(
        self,
        request: Request[Any, Any, State],
        data: JSONBody[InferRequest],
        inference: NamedDependency[Inference],
        tenant: NamedDependency[Tenant],
    ) -> Inferred:
        """Infer event schemas from events.

        From those that are sent, or from all that are stored of `event_types`; nothing is saved. A property is required
        where all events have it. Each schema can be sent to `POST /api/schemas/` as it is. `errors` names events that
        ingestion would refuse, and event types of which nothing is stored.
        """
        if (data.events is UNSET) == (data.event_types is UNSET):
            detail = "Give either events, or event_types of which events are stored."
            pointer, code = ("/events", "missing_field") if data.events is UNSET else ("/event_types", "unread_field")
            raise InvalidInput(detail, findings=[Finding(pointer, code, detail)])
        if data.events is not UNSET:
            return inference.from_events(data.events)
        assert data.event_types is not UNSET  # noqa: S101  # one of the two is there
        return await run_while_connected(request, inference.from_stored(tenant, data.event_types))

    @post("/validate", status_code=200, opt=Route(asks=True).opt, response_description="The judgement.")
    async def validate_payload(
        self, data: JSONBody[ValidateRequest], schemas: NamedDependency[Schemas], tenant: NamedDependency[Tenant]
    ) -> Validity:
        """Tell whether an event would conform to the schema of its type.

        Nothing is stored or counted. Where no schema declares the type, `schema_id` is null and every payload that
        ingestion takes is valid. What the schema does not name is in `warnings`: events may say more.
        """
        return await schemas.validate(tenant, data.event_type, data.payload)


def _answer(schema: EventSchema, **headers: str) -> Response[EventSchema]:
    return Response(schema, headers={"ETag": etag_of(schema.revision, schema), **headers})
