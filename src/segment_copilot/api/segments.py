"""Segments over HTTP: a client previews, saves and computes them, and reads their members."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post, put
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from segment_copilot.access.keys import Caller
from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.definitions import (
    MAX_DEFINITION_BYTES,
    RawDefinition,
    point_into_body,
    relocate_findings,
)
from segment_copilot.api.http.etags import ETAG, IfMatch, IfNoneMatch, etag_of, revisions_of, unless_known
from segment_copilot.api.http.pages import (
    AFTER,
    BEFORE,
    FIELDS,
    LISTING,
    ORDER,
    Cursor,
    CursorPage,
    Limit,
    Offset,
    PageNumber,
    PageSize,
    listing_of,
    slice_of,
)
from segment_copilot.api.http.parameters import Names
from segment_copilot.api.http.requests import run_while_connected
from segment_copilot.api.http.routes import COUNTING_SECONDS, Route
from segment_copilot.audiences.computations import Computations
from segment_copilot.audiences.members import Member, Members, SegmentOfUser
from segment_copilot.audiences.previews import MAX_SAMPLE, Preview, Previews
from segment_copilot.audiences.segments import (
    Changes,
    Only,
    Order,
    SavedSegment,
    Segment,
    Segments,
    SegmentType,
    Status,
)
from segment_copilot.errors import Conflict, Finding, Gone, PreconditionFailed, QueryTimeout
from segment_copilot.events.validation import MAX_USER_LENGTH
from segment_copilot.language import Tier
from segment_copilot.language.lengths import Instant

SEES_MEMBERS: Final = "members:read"
"""Without this scope a count comes without a sample."""

ReadOnly = Annotated[
    Any, Meta(description="Ignored; here so that what was read can be sent back", extra_json_schema={"readOnly": True})
]
Name = Annotated[str, Meta(min_length=1, max_length=200, extra_json_schema={"pattern": r"\S"})]
WrittenType = Literal["rule", "ai"]  # of the types that are read; static segments cannot be made yet
Description = Annotated[str, Meta(max_length=10_000)]
SampleSize = Annotated[int, Meta(ge=0, le=MAX_SAMPLE, description="How many user ids to show")]


class PreviewRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A definition to count; nothing is saved."""

    definition: RawDefinition
    as_of: Instant | None = None
    limit: SampleSize = 10
    breakdown: Annotated[bool, Meta(description="Count each condition by itself too")] = False


class EstimateRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """How to count a stored segment."""

    as_of: Instant | None = None
    limit: SampleSize = 10
    breakdown: bool = False


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


class SegmentCreate(Struct, frozen=True, forbid_unknown_fields=True):
    """A segment to save."""

    name: Name
    definition: RawDefinition
    description: Description = ""
    segment_type: WrittenType = "rule"
    tenant: Annotated[Any, Meta(description="Ignored: the key says which tenant")] = None


class SegmentPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    name: Name | UnsetType = UNSET
    definition: RawDefinition | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    segment_type: WrittenType | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


class SegmentPut(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole segment, as it was read or as it shall be."""

    name: Name
    definition: RawDefinition
    description: Description = ""
    segment_type: WrittenType = "rule"
    is_active: bool = True
    id: ReadOnly = None
    tier: ReadOnly = None
    status: ReadOnly = None
    words: ReadOnly = None
    version: ReadOnly = None
    member_count: ReadOnly = None
    last_computed_at: ReadOnly = None
    last_error: ReadOnly = None
    created_at: ReadOnly = None
    updated_at: ReadOnly = None
    warnings: ReadOnly = None
    tenant: ReadOnly = None


class WrittenSegment(Segment, frozen=True):
    """A segment as it was saved, and what is odd about its definition."""

    warnings: tuple[Finding, ...] = ()


class SegmentList(CursorPage[Segment], frozen=True):
    """A page of segments."""


class MemberList(CursorPage[Member], frozen=True):
    """A page of members."""


class MembershipOfUser(Struct, frozen=True):
    """The segments a user is in."""

    user_id: str
    segments: tuple[SegmentOfUser, ...]


class SegmentController(Controller):
    """Manages saved audiences."""

    path = "/api/segments"
    tags = ("segments",)
    request_max_body_size = MAX_DEFINITION_BYTES

    @get(opt=Route(parameters=LISTING).opt, response_description="A page of them.")
    async def list_segments(
        self,
        request: Request[Any, Any, State],
        segments: NamedDependency[Segments],
        tenant: NamedDependency[Tenant],
        order: Annotated[Order, ORDER] = "id",
        fields: Annotated[str | None, FIELDS, Names(Segment)] = None,
        status: Annotated[Status | None, QueryParameter(description="Only those of this status")] = None,
        tier: Annotated[Tier | None, QueryParameter(description="Only those of this tier")] = None,
        segment_type: Annotated[SegmentType | None, QueryParameter(description="Only those of this type")] = None,
        is_active: Annotated[bool | None, QueryParameter(description="Only active ones, or only the others")] = None,
        created_after: Annotated[datetime | None, AFTER] = None,
        created_before: Annotated[datetime | None, BEFORE] = None,
        updated_after: Annotated[datetime | None, AFTER] = None,
        updated_before: Annotated[datetime | None, BEFORE] = None,
        search: Annotated[str, QueryParameter(max_length=200, description="Only those with this in their name")] = "",
    ) -> Response[SegmentList]:
        """List the segments.

        Definitions come with them, and the counts of the last computations. `largest` is `-member_count`, `newest` is
        `-created_at`.
        """
        only = Only(
            status=status,
            tier=tier,
            segment_type=segment_type,
            is_active=is_active,
            created_after=created_after,
            created_before=created_before,
            updated_after=updated_after,
            updated_before=updated_before,
            search=search,
        )
        listing = listing_of(request)
        found = await segments.list(tenant, listing.window, order=order, only=only)
        return listing.answer(found, fields)

    @post(opt=Route(problems=(Conflict,)).opt, response_headers=ETAG, response_description="Saved.")
    async def create_segment(
        self, data: JSONBody[SegmentCreate], segments: NamedDependency[Segments], tenant: NamedDependency[Tenant]
    ) -> Response[WrittenSegment]:
        """Save a segment.

        Its members are not computed by this.
        """
        with relocate_findings():
            saved = await segments.create(
                tenant,
                name=data.name,
                definition=bytes(data.definition),
                description=data.description,
                segment_type=data.segment_type,
            )
        return _saved_response(saved, headers={"Location": f"/api/segments/{saved.segment.id}/"})

    @get("/{segment_id:int}", response_description="The segment.")
    async def get_segment(
        self,
        segment_id: FromPath[int],
        segments: NamedDependency[Segments],
        tenant: NamedDependency[Tenant],
        if_none_match: IfNoneMatch = None,
    ) -> Response[Segment]:
        """Read a segment.

        Its ETag changes with every write and every computation; If-Match minds the writes alone.
        """
        segment = await segments.get(tenant, segment_id)
        return unless_known(segment, if_none_match, revision=segment.revision)

    @patch(
        "/{segment_id:int}",
        opt=Route(problems=(Conflict, PreconditionFailed)).opt,
        response_headers=ETAG,
        response_description="Saved.",
    )
    async def update_segment(
        self,
        segment_id: FromPath[int],
        data: JSONBody[SegmentPatch],
        segments: NamedDependency[Segments],
        tenant: NamedDependency[Tenant],
        if_match: IfMatch = None,
    ) -> Response[WrittenSegment]:
        """Change some fields of a segment.

        A new definition is a new version; the members stay until the segment is computed again.
        """
        changes = Changes(
            name=data.name,
            description=data.description,
            definition=data.definition if data.definition is UNSET else bytes(data.definition),
            segment_type=data.segment_type,
            is_active=data.is_active,
        )
        return await _change(segments, tenant, segment_id, changes, if_match)

    @put(
        "/{segment_id:int}",
        opt=Route(problems=(Conflict, PreconditionFailed)).opt,
        response_headers=ETAG,
        response_description="Saved.",
    )
    async def replace_segment(
        self,
        segment_id: FromPath[int],
        data: JSONBody[SegmentPut],
        segments: NamedDependency[Segments],
        tenant: NamedDependency[Tenant],
        if_match: IfMatch = None,
    ) -> Response[WrittenSegment]:
        """Write all fields of a segment.

        It must exist. What only the server writes may be sent and is ignored.
        """
        changes = Changes(data.name, data.description, bytes(data.definition), data.segment_type, data.is_active)
        return await _change(segments, tenant, segment_id, changes, if_match)

    @delete(
        "/{segment_id:int}", opt=Route(problems=(Conflict, PreconditionFailed)).opt, response_description="It is gone."
    )
    async def delete_segment(
        self,
        segment_id: FromPath[int],
        segments: NamedDependency[Segments],
        tenant: NamedDependency[Tenant],
        if_match: IfMatch = None,
    ) -> None:
        """Delete a segment, its versions and its members.

        One that other segments or activations use stays, and the answer names them.
        """
        await segments.delete(tenant, segment_id, if_revision=revisions_of(if_match))

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
            )
            preview = await run_while_connected(request, work)
        return _tell_withheld(_relocate_preview(preview), caller, data.limit)

    @post(
        "/{segment_id:int}/estimate",
        status_code=200,
        opt=Route(asks=True, problems=(QueryTimeout,), seconds=COUNTING_SECONDS).opt,
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

        Its members stay as the last computation left them.
        """
        wanted = data or EstimateRequest()
        with relocate_findings():
            work = previews.estimate(
                caller.tenant,
                segment_id,
                as_of=wanted.as_of,
                limit=wanted.limit if caller.may(SEES_MEMBERS) else 0,
                breakdown=wanted.breakdown,
            )
            preview = await run_while_connected(request, work)
        return _tell_withheld(_relocate_preview(preview), caller, wanted.limit)

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

    @get("/{segment_id:int}/members", opt=Route(problems=(Gone,)).opt, response_description="A page of them.")
    async def list_members(
        self,
        request: Request[Any, Any, State],
        segment_id: FromPath[int],
        members: NamedDependency[Members],
        tenant: NamedDependency[Tenant],
        page: PageNumber = None,
        page_size: PageSize = None,
        limit: Limit = None,
        offset: Offset = None,
        cursor: Cursor = None,
    ) -> MemberList:
        """List the members as of the last computation, by user id.

        A cursor stays on the computation it began with when a newer one is published meanwhile. Once two are, it has
        expired (410): start again without it.
        """
        part = slice_of(page=page, page_size=page_size, limit=limit, offset=offset, cursor=cursor)
        found = await members.page(tenant, segment_id, limit=part.limit, offset=part.offset, cursor=part.cursor)
        following = part.next(request, more=found.cursor is not None, cursor=found.cursor)
        return MemberList(found.count, following, part.previous(request), found.members, found.cursor)

    @get("/membership", response_description="The segments.")
    async def list_memberships(
        self,
        members: NamedDependency[Members],
        tenant: NamedDependency[Tenant],
        user_id: Annotated[str, QueryParameter(min_length=1, max_length=MAX_USER_LENGTH, description="Whose")],
    ) -> MembershipOfUser:
        """List the segments a user is in.

        As of their last computations; a user nobody has seen is in none.
        """
        return MembershipOfUser(user_id, await members.segments_of_user(tenant, user_id))


async def _change(
    segments: Segments, tenant: Tenant, segment_id: int, changes: Changes, if_match: str | None
) -> Response[WrittenSegment]:
    with relocate_findings():
        saved = await segments.update(tenant, segment_id, changes, if_revision=revisions_of(if_match))
    return _saved_response(saved)


def _saved_response(saved: SavedSegment, *, headers: dict[str, str] | None = None) -> Response[WrittenSegment]:
    fields = {name: getattr(saved.segment, name) for name in Segment.__struct_fields__}
    written = WrittenSegment(**fields, warnings=point_into_body(saved.warnings))
    return Response(written, headers={"ETag": etag_of(saved.segment.revision, saved.segment), **(headers or {})})


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
