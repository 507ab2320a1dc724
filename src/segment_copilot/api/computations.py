"""Computations over HTTP: a client has the members of segments found in the background."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from litestar import Controller, Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.definitions import MAX_DEFINITION_BYTES
from segment_copilot.api.http.etags import UNLESS_KNOWN, unless_known
from segment_copilot.api.http.pages import FIELDS, LISTING, ORDER, CursorPage, listing_of
from segment_copilot.api.http.parameters import Names
from segment_copilot.api.http.routes import Route
from segment_copilot.audiences.computation_records import Computation, ComputationRecords, Order, Status
from segment_copilot.audiences.computations import Computations
from segment_copilot.errors import Conflict
from segment_copilot.language.lengths import Instant


class ComputeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """When the members are to be true."""

    as_of: Instant | None = None


class Computing(Struct, frozen=True):
    """The computation is queued; `GET /api/computations/<computation_id>/` tells when it is done."""

    status: Literal["queued"]
    computation_id: int
    as_of: datetime


class ComputingAll(Struct, frozen=True):
    """Computations that were queued, one for each active segment."""

    status: Literal["queued"]
    segments: int
    as_of: datetime


class ComputationList(CursorPage[Computation], frozen=True):
    """A page of computations."""


class SegmentComputationController(Controller):
    """Computes the members of segments."""

    path = "/api/segments"
    tags = ("segments",)
    request_max_body_size = MAX_DEFINITION_BYTES

    @post(
        "/{segment_id:int}/compute",
        status_code=202,
        opt=Route(problems=(Conflict,)).opt,
        response_description="Queued.",
    )
    async def compute_segment(
        self,
        segment_id: FromPath[int],
        computations: NamedDependency[Computations],
        tenant: NamedDependency[Tenant],
        data: JSONBody[ComputeRequest | None] = None,
    ) -> Computing:
        """Compute the members in the background.

        The segment's status goes from queued to computing to computed, or to failed with the last good members kept. A
        draft cannot be computed until it has a definition, and a static segment not at all.
        """
        as_of = data.as_of if data else None
        queued = await computations.request(tenant, segment_id, as_of=as_of)
        return Computing("queued", queued.id, queued.as_of)

    @post("/compute", status_code=202, response_description="Queued.")
    async def compute_all_segments(
        self,
        computations: NamedDependency[Computations],
        tenant: NamedDependency[Tenant],
        data: JSONBody[ComputeRequest | None] = None,
    ) -> ComputingAll:
        """Compute the members of every active segment, all at one instant, in the background.

        They are computed together: what several of them ask is asked once.
        """
        count, as_of = await computations.request_all(tenant, as_of=data.as_of if data else None)
        return ComputingAll("queued", count, as_of)

    @get(
        "/{segment_id:int}/computations",
        opt=Route(parameters=LISTING).opt,
        response_description="A page of them.",
    )
    async def list_computations(
        self,
        request: Request[Any, Any, State],
        segment_id: FromPath[int],
        computation_records: NamedDependency[ComputationRecords],
        tenant: NamedDependency[Tenant],
        status: Annotated[Status | None, QueryParameter(description="Only those in this state")] = None,
        order: Annotated[Order, ORDER] = "-id",
        fields: Annotated[str | None, FIELDS, Names(Computation)] = None,
    ) -> Response[ComputationList]:
        """List the computations of a segment, the newest first."""
        listing = listing_of(request)
        found = await computation_records.list(tenant, segment_id, listing.window, status=status, order=order)
        return listing.answer(found, fields)


class ComputationController(Controller):
    """Follows computations, and stops them."""

    path = "/api/computations"
    tags = ("segments",)

    @get("/{computation_id:int}", opt=Route(parameters=UNLESS_KNOWN).opt, response_description="The computation.")
    async def get_computation(
        self,
        computation_id: FromPath[int],
        computation_records: NamedDependency[ComputationRecords],
        tenant: NamedDependency[Tenant],
    ) -> Response[Computation]:
        """Read a computation.

        It goes from queued to computing to done, and then says how many members it found, and how many entered and left
        since the members before; or to failed, and says why, or to cancelled.
        """
        return unless_known(await computation_records.get(tenant, computation_id))

    @post(
        "/{computation_id:int}/cancel",
        status_code=200,
        opt=Route(problems=(Conflict,)).opt,
        response_description="The computation, cancelled.",
    )
    async def cancel_computation(
        self,
        computation_id: FromPath[int],
        computation_records: NamedDependency[ComputationRecords],
        tenant: NamedDependency[Tenant],
    ) -> Computation:
        """Cancel a computation.

        One that is queued never begins; of one that is computing the query is killed, within five seconds. The members
        stay as the last computation left them. One that is done or failed stays what it is (409); to cancel twice
        changes nothing.
        """
        return await computation_records.cancel(tenant, computation_id)
