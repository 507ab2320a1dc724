"""Computations over HTTP: a client has the members of segments found in the background."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.definitions import MAX_DEFINITION_BYTES
from segment_copilot.audiences.computations import Computations
from segment_copilot.language.lengths import Instant


class ComputeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """When the members are to be true."""

    as_of: Instant | None = None


class Computing(Struct, frozen=True):
    """The computation is queued; the segment's status tells when it is done."""

    status: Literal["queued"]
    computation_id: int
    as_of: datetime


class ComputingAll(Struct, frozen=True):
    """Computations that were queued, one for each active segment."""

    status: Literal["queued"]
    segments: int
    as_of: datetime


class SegmentComputationController(Controller):
    """Computes the members of segments."""

    path = "/api/segments"
    tags = ("segments",)
    request_max_body_size = MAX_DEFINITION_BYTES

    @post("/{segment_id:int}/compute", status_code=202, response_description="Queued.")
    async def compute_segment(
        self,
        segment_id: FromPath[int],
        computations: NamedDependency[Computations],
        tenant: NamedDependency[Tenant],
        data: JSONBody[ComputeRequest | None] = None,
    ) -> Computing:
        """Compute the members in the background.

        The segment's status goes from queued to computing to computed, or to failed with the last good members kept.
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
        as_of = (data.as_of if data else None) or datetime.now(UTC)
        return ComputingAll("queued", await computations.request_all(tenant, as_of=as_of), as_of)
