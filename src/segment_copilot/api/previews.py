"""Previews over HTTP: a client counts an audience, of a definition or of a stored segment, and nothing is saved."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from litestar import Controller, Request, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct

from segment_copilot.access.keys import Caller
from segment_copilot.api.http.definitions import (
    MAX_DEFINITION_BYTES,
    RawDefinition,
    point_into_body,
    relocate_findings,
)
from segment_copilot.api.http.requests import run_while_connected
from segment_copilot.api.http.routes import COUNTING_SECONDS, Route
from segment_copilot.audiences.previews import MAX_SAMPLE, Preview, Previews
from segment_copilot.errors import Conflict, Finding, QueryTimeout
from segment_copilot.language.lengths import Instant

SEES_MEMBERS: Final = "members:read"
"""Without this scope a count comes without a sample."""

SampleSize = Annotated[int, Meta(ge=0, le=MAX_SAMPLE, description="How many user ids to show")]


Sensitivity = Annotated[
    bool, Meta(description="Count each condition, and what the whole count would be at values near its own")
]


class PreviewRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A definition to count; nothing is saved."""

    definition: RawDefinition
    as_of: Instant | None = None
    limit: SampleSize = 10
    breakdown: Annotated[bool, Meta(description="Count each condition by itself too")] = False
    sensitivity: Sensitivity = False


class EstimateRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """How to count a stored segment."""

    as_of: Instant | None = None
    limit: SampleSize = 10
    breakdown: bool = False
    sensitivity: Sensitivity = False


class PreviewController(Controller):
    """Counts audiences."""

    path = "/api/segments"
    tags = ("segments",)
    request_max_body_size = MAX_DEFINITION_BYTES

    @post(
        "/preview",
        status_code=200,
        opt=Route(asks=True, problems=(QueryTimeout,), seconds=COUNTING_SECONDS).opt,
        response_description="The count.",
    )
    async def preview_segment(
        self,
        request: Request[Any, Any, State],
        data: JSONBody[PreviewRequest],
        previews: NamedDependency[Previews],
        caller: NamedDependency[Caller],
    ) -> Preview:
        """Count who would be in a segment.

        Nothing is saved. The count is exact, as of one instant, and the sample is the first users by id. The query
        is stopped when the client leaves.
        """
        with relocate_findings():
            work = previews.preview(
                caller.tenant,
                bytes(data.definition),
                as_of=data.as_of,
                limit=data.limit if caller.may(SEES_MEMBERS) else 0,
                breakdown=data.breakdown,
                sensitivity=data.sensitivity,
            )
            preview = await run_while_connected(request, work)
        return _tell_withheld(_relocate_preview(preview), caller, data.limit)

    @post(
        "/{segment_id:int}/estimate",
        status_code=200,
        opt=Route(asks=True, problems=(Conflict, QueryTimeout), seconds=COUNTING_SECONDS).opt,
        response_description="The count.",
    )
    async def estimate_segment(
        self,
        request: Request[Any, Any, State],
        segment_id: FromPath[int],
        previews: NamedDependency[Previews],
        caller: NamedDependency[Caller],
        data: JSONBody[EstimateRequest | None] = None,
    ) -> Preview:
        """Count who would be in a stored segment.

        Its members stay as the last computation left them. A draft has none to count until it has a definition.
        """
        wanted = data or EstimateRequest()
        with relocate_findings():
            work = previews.estimate(
                caller.tenant,
                segment_id,
                as_of=wanted.as_of,
                limit=wanted.limit if caller.may(SEES_MEMBERS) else 0,
                breakdown=wanted.breakdown,
                sensitivity=wanted.sensitivity,
            )
            preview = await run_while_connected(request, work)
        return _tell_withheld(_relocate_preview(preview), caller, wanted.limit)


def _tell_withheld(preview: Preview, caller: Caller, asked: int) -> Preview:
    """Warn that user ids are not in the answer because the caller may not see them."""
    if not asked or caller.may(SEES_MEMBERS):
        return preview
    detail = f"No user ids are shown: they need the scope {SEES_MEMBERS}."
    return msgspec.structs.replace(preview, warnings=(*preview.warnings, Finding("", "sample_withheld", detail)))


def _relocate_preview(preview: Preview) -> Preview:
    conditions = preview.conditions
    if conditions is not UNSET:
        conditions = point_into_body(conditions)
    return msgspec.structs.replace(preview, warnings=point_into_body(preview.warnings), conditions=conditions)
