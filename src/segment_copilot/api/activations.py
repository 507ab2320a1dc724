"""Activations over HTTP: a client connects segments to destinations, tries them, and sets what is sent on or off."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Self

from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.activations import (
    Activation,
    ActivationChanges,
    Activations,
    CheckResult,
    ConnectorSummary,
    Only,
    Order,
    Status,
)
from segment_copilot.api.http.bodies import ReadOnly
from segment_copilot.api.http.pages import FIELDS, LISTING, ORDER, CursorPage, listing_of
from segment_copilot.api.http.parameters import Names
from segment_copilot.api.http.routes import MAX_ID, Route
from segment_copilot.errors import Conflict, Finding, InvalidInput, NotFound
from segment_copilot.lists import Listed

Id = Annotated[int, Meta(ge=1, le=MAX_ID)]
ConnectorType = Annotated[
    str, Meta(min_length=1, max_length=64, examples=["webhook"], description="As GET /api/connectors/ lists them")
]
ConfigObject = Annotated[
    Mapping[str, Any],
    Meta(
        examples=[{"url": "https://hooks.example.com/segments"}],
        description="As the connector's schema says; secrets are kept sealed and answered as ***",
    ),
]
Shrink = Annotated[
    int,
    Meta(
        ge=0,
        le=100,
        description="Percent of the members that may go from one sync to the next; beyond it, and when nobody is left, a "
        "sync is held until somebody asks for one with allow_empty",
    ),
]


class _AsRead(Struct, frozen=True, kw_only=True):
    """Fields that only the server writes."""

    id: ReadOnly = None
    segment_name: ReadOnly = None
    last_synced_at: ReadOnly = None
    last_error: ReadOnly = None
    created_at: ReadOnly = None
    updated_at: ReadOnly = None


class ActivationCreate(_AsRead, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An activation to make."""

    segment: Annotated[Id, Meta(examples=[1], description="Whose members are sent")]
    connector_type: ConnectorType
    config: ConfigObject = {}
    status: Annotated[Status, Meta(description="active: sync after every computation that changes somebody")] = (
        "inactive"
    )
    max_shrink_percent: Shrink = 50


class ActivationPatch(_AsRead, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some changes of an activation; what is left out stays, in the config too. A secret sent as *** stays as well."""

    status: Status | UnsetType = UNSET
    config: ConfigObject | UnsetType = UNSET
    max_shrink_percent: Shrink | UnsetType = UNSET
    segment: Annotated[Id, Meta(description="As it is: it cannot be changed")] | UnsetType = UNSET
    connector_type: Annotated[str, Meta(max_length=64, description="As it is: it cannot be changed")] | UnsetType = (
        UNSET
    )


class ActivationRecord(Struct, frozen=True):
    """An activation connects a segment to a destination. In *error*, nothing is sent until it is set to active again."""

    id: Annotated[int, Meta(examples=[1])]
    segment: Annotated[int, Meta(examples=[1])]
    segment_name: str
    connector_type: str
    status: Status
    config: Annotated[Mapping[str, Any], Meta(description="Secrets are ***")]
    max_shrink_percent: int
    last_synced_at: datetime | None
    last_error: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, activation: Activation) -> Self:
        """Return the record of *activation*."""
        fields = structs.asdict(activation)
        return cls(segment=fields.pop("segment_id"), **fields)


class ActivationList(CursorPage[ActivationRecord], frozen=True):
    """A page of activations."""


_LOCATED: Final = Route(problems=(Conflict, NotFound)).opt


class ConnectorController(Controller):
    """Tells which kinds of destinations there are."""

    path = "/api/connectors"
    tags = ("activations",)

    @get(response_description="All of them.")
    async def list_connectors(
        self,
        activations: NamedDependency[Activations],
        tenant: NamedDependency[Tenant],  # noqa: ARG002  # whoever asks has a key
    ) -> list[ConnectorSummary]:
        """List the connectors.

        Each with the JSON Schema of its config; fields named in `secrets` are never returned.
        """
        return list(activations.connectors())


class ActivationController(Controller):
    """Manages where members are sent."""

    path = "/api/activations"
    tags = ("activations",)

    @get(opt=Route(parameters=LISTING).opt, response_description="A page of them.")
    async def list_activations(
        self,
        request: Request[Any, Any, State],
        activations: NamedDependency[Activations],
        tenant: NamedDependency[Tenant],
        order: Annotated[Order, ORDER] = "id",
        fields: Annotated[str | None, FIELDS, Names(ActivationRecord)] = None,
        segment: Annotated[
            int | None, QueryParameter(ge=1, le=MAX_ID, description="Only those of this segment")
        ] = None,
        connector_type: Annotated[
            str | None, QueryParameter(max_length=64, description="Only those of this connector")
        ] = None,
        status: Annotated[Status | None, QueryParameter(description="Only those of this status")] = None,
    ) -> Response[ActivationList]:
        """List the activations.

        How each fares is told by `/api/analytics/activations/`.
        """
        listing = listing_of(request)
        only = Only(segment, connector_type, status)
        found = await activations.page(tenant, listing.window, order=order, only=only)
        shown = Listed(tuple(ActivationRecord.of(one) for one in found.results), found.count, found.cursor)
        return listing.answer(shown, fields)

    @post(opt=_LOCATED, response_description="Made.")
    async def create_activation(
        self,
        data: JSONBody[ActivationCreate],
        activations: NamedDependency[Activations],
        tenant: NamedDependency[Tenant],
    ) -> Response[ActivationRecord]:
        """Connect a segment to a destination.

        It is inactive, unless the body says otherwise: `test/` it, `sync/` it, then set it to active. Its first sync sends
        all members.
        """
        if data.status == "error":
            detail = "status is set to error by a sync that failed; make it inactive, active or paused."
            raise InvalidInput(detail, findings=[Finding("/status", "fixed", detail)])
        made = await activations.create(
            tenant,
            data.segment,
            connector_type=data.connector_type,
            config=data.config,
            status=data.status,
            max_shrink_percent=data.max_shrink_percent,
        )
        location = {"Location": f"/api/activations/{made.id}/"}
        return Response(ActivationRecord.of(made), status_code=201, headers=location)

    @get("/{activation_id:int}", response_description="The activation.")
    async def get_activation(
        self,
        activation_id: FromPath[int],
        activations: NamedDependency[Activations],
        tenant: NamedDependency[Tenant],
    ) -> ActivationRecord:
        """Read an activation.

        `last_error` says why the last sync failed, or is held.
        """
        return ActivationRecord.of(await activations.get(tenant, activation_id))

    @patch("/{activation_id:int}", opt=_LOCATED, response_description="Saved.")
    async def update_activation(
        self,
        activation_id: FromPath[int],
        data: JSONBody[ActivationPatch],
        activations: NamedDependency[Activations],
        tenant: NamedDependency[Tenant],
    ) -> ActivationRecord:
        """Change an activation.

        `paused` holds back what waits, too; `inactive` only stops syncing after computations. Of a config that is given, what
        it leaves out stays, null unsets, and a secret sent as `***` stays. Where more changes than secrets, the next sync
        sends all members.
        """
        changes = ActivationChanges(
            data.status, data.config, data.max_shrink_percent, data.segment, data.connector_type
        )
        return ActivationRecord.of(await activations.update(tenant, activation_id, changes))

    @delete("/{activation_id:int}", response_description="It is gone.")
    async def delete_activation(
        self,
        activation_id: FromPath[int],
        activations: NamedDependency[Activations],
        tenant: NamedDependency[Tenant],
    ) -> None:
        """Delete an activation and its deliveries.

        Nothing is removed from the destination.
        """
        await activations.delete(tenant, activation_id)

    @post(
        "/{activation_id:int}/test",
        status_code=200,
        opt=Route(problems=(Conflict,), seconds=27.0).opt,
        response_description="What the destination said.",
    )
    async def test_activation(
        self,
        activation_id: FromPath[int],
        activations: NamedDependency[Activations],
        tenant: NamedDependency[Tenant],
    ) -> CheckResult:
        """Try the destination.

        Its credentials and settings are tried; nobody is sent, and nothing is changed there. `unknown_traits` would be sent,
        and nobody has them.
        """
        return await activations.check(tenant, activation_id)
