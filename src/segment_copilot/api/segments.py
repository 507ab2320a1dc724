"""Segments over HTTP: a client previews and saves them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, patch, post, put
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from segment_copilot.access.keys import Caller
from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.bodies import ReadOnly
from segment_copilot.api.http.definitions import (
    MAX_DEFINITION_BYTES,
    RawOrNull,
    as_sent,
    point_into_body,
    relocate_findings,
)
from segment_copilot.api.http.etags import ETAG, UNLESS_KNOWN, IfMatch, etag_of, revisions_of, unless_known
from segment_copilot.api.http.pages import (
    AFTER,
    BEFORE,
    FIELDS,
    LISTING,
    ORDER,
    CursorPage,
    listing_of,
)
from segment_copilot.api.http.parameters import Names
from segment_copilot.api.http.routes import COUNTING_SECONDS, Route
from segment_copilot.audiences.copies import Copies
from segment_copilot.audiences.schedules import Mode, Wanted
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
from segment_copilot.errors import Conflict, Finding, PreconditionFailed
from segment_copilot.language import Tier

Name = Annotated[str, Meta(min_length=1, max_length=200, extra_json_schema={"pattern": r"\S"})]
Description = Annotated[str, Meta(max_length=10_000)]


class _AsRead(Struct, frozen=True, kw_only=True):
    """Fields that only the server writes."""

    id: ReadOnly = None
    tier: ReadOnly = None
    status: ReadOnly = None
    words: ReadOnly = None
    version: ReadOnly = None
    member_count: ReadOnly = None
    last_computed_at: ReadOnly = None
    last_error: ReadOnly = None
    next_refresh_at: ReadOnly = None
    last_refreshed_at: ReadOnly = None
    created_at: ReadOnly = None
    updated_at: ReadOnly = None
    warnings: ReadOnly = None
    tenant: Annotated[Any, Meta(description="Ignored: the key says which tenant")] = None


class RefreshRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Says how a segment is to be kept true."""

    mode: Annotated[
        Mode,
        Meta(
            description="auto: at once when traits change, if it is dynamic, and at the usual interval; interval: each "
            "`every`; live: within a minute; manual: when asked to"
        ),
    ]
    every: Annotated[
        str | None, Meta(description="1m to 30d, in m, h, d or w; with the mode interval alone", examples=["3h"])
    ] = None
    paused_since: ReadOnly = None

    @property
    def wanted(self) -> Wanted:
        """Return it as the use case takes it."""
        return Wanted(self.mode, self.every)


class SegmentCreate(_AsRead, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A segment to save; without a definition, a draft."""

    name: Name
    definition: RawOrNull | UnsetType = UNSET
    description: Description = ""
    segment_type: SegmentType = "rule"
    is_active: bool = True
    refresh: RefreshRequest | None = None


class SegmentPatch(_AsRead, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    name: Name | UnsetType = UNSET
    definition: RawOrNull | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    segment_type: SegmentType | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    refresh: RefreshRequest | UnsetType | None = UNSET


class SegmentPut(_AsRead, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole segment, as it was read or as it shall be."""

    name: Name
    definition: RawOrNull
    description: Description = ""
    segment_type: SegmentType = "rule"
    is_active: bool = True
    refresh: RefreshRequest | UnsetType | None = UNSET


class CopyRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Names the copy."""

    name: Name | None = None


class WrittenSegment(Segment, frozen=True):
    """A segment as it was saved, and what is odd about its definition."""

    warnings: tuple[Finding, ...] = ()


class SegmentList(CursorPage[Segment], frozen=True):
    """A page of segments."""


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
        self,
        data: JSONBody[SegmentCreate],
        segments: NamedDependency[Segments],
        tenant: NamedDependency[Tenant],
        caller: NamedDependency[Caller],
    ) -> Response[WrittenSegment]:
        """Save a segment.

        Its members are computed in the background from then on, as its `refresh` says, or with the mode manual when you
        ask. Without a definition it is a draft: nothing can be asked of it, and nothing may refer to it, until a PATCH
        gives it one. A segment as it was read may be sent: it becomes another one.
        """
        with relocate_findings():
            saved = await segments.create(
                tenant,
                name=data.name,
                definition=None if data.definition is UNSET else as_sent(data.definition),
                description=data.description,
                segment_type=data.segment_type,
                is_active=data.is_active,
                refresh=data.refresh and data.refresh.wanted,
                caller=caller,
            )
        return _created(saved)

    @post(
        "/{segment_id:int}/copy",
        opt=Route(problems=(Conflict,), seconds=COUNTING_SECONDS).opt,
        response_headers=ETAG,
        response_description="Saved.",
    )
    async def copy_segment(
        self,
        segment_id: FromPath[int],
        copies: NamedDependency[Copies],
        tenant: NamedDependency[Tenant],
        caller: NamedDependency[Caller],
        data: JSONBody[CopyRequest | None] = None,
    ) -> Response[WrittenSegment]:
        """Save another segment with the same definition.

        Its name, unless the body says one, is "Copy of" and the name of this one. It is computed when you ask for it. Of a
        static segment the members that it has now are copied: the copy is `queued` until they are there.
        """
        with relocate_findings():
            return _created(await copies.copy(tenant, segment_id, name=data and data.name, caller=caller))

    @get("/{segment_id:int}", opt=Route(parameters=UNLESS_KNOWN).opt, response_description="The segment.")
    async def get_segment(
        self,
        segment_id: FromPath[int],
        segments: NamedDependency[Segments],
        tenant: NamedDependency[Tenant],
    ) -> Response[Segment]:
        """Read a segment.

        Its ETag changes with every write and every computation; If-Match minds the writes alone.
        """
        segment = await segments.get(tenant, segment_id)
        return unless_known(segment, revision=segment.revision)

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
        caller: NamedDependency[Caller],
        if_match: IfMatch = None,
    ) -> Response[WrittenSegment]:
        """Change some fields of a segment.

        Another definition is a new version; the members stay until the segment is computed again, which is at once unless
        its refresh is manual or paused. A `refresh` of null is what is usual here. A segment as it was
        read may be sent: what only the server writes is ignored, and the same definition is no new version.
        """
        changes = Changes(
            name=data.name,
            description=data.description,
            definition=UNSET if data.definition is UNSET else as_sent(data.definition),
            segment_type=data.segment_type,
            is_active=data.is_active,
            refresh=_wanted(data.refresh),
        )
        return await _change(segments, caller, segment_id, changes, if_match)

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
        caller: NamedDependency[Caller],
        if_match: IfMatch = None,
    ) -> Response[WrittenSegment]:
        """Write all fields of a segment.

        It must exist. What only the server writes may be sent and is ignored. The same definition is no new version. How
        it is refreshed stays, unless `refresh` says otherwise.
        """
        changes = Changes(
            data.name,
            data.description,
            as_sent(data.definition),
            data.segment_type,
            data.is_active,
            _wanted(data.refresh),
        )
        return await _change(segments, caller, segment_id, changes, if_match)

    @post(
        "/{segment_id:int}/versions/{version:int}/restore",
        status_code=200,
        opt=Route(problems=(Conflict, PreconditionFailed)).opt,
        response_headers=ETAG,
        response_description="Saved.",
    )
    async def restore_version(
        self,
        segment_id: FromPath[int],
        version: FromPath[int],
        segments: NamedDependency[Segments],
        tenant: NamedDependency[Tenant],
        caller: NamedDependency[Caller],
        if_match: IfMatch = None,
    ) -> Response[WrittenSegment]:
        """Give a segment the definition of one of its versions again.

        It is a new version, unless the segment says the same already; its name and its members stay.
        """
        revisions = revisions_of(if_match)
        with relocate_findings():
            saved = await segments.restore(tenant, segment_id, version, if_revision=revisions, caller=caller)
        return _saved_response(saved)

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


def _wanted(refresh: RefreshRequest | UnsetType | None) -> Wanted | UnsetType | None:
    return refresh.wanted if isinstance(refresh, RefreshRequest) else refresh


async def _change(
    segments: Segments, caller: Caller, segment_id: int, changes: Changes, if_match: str | None
) -> Response[WrittenSegment]:
    revisions = revisions_of(if_match)
    with relocate_findings():
        saved = await segments.update(caller.tenant, segment_id, changes, if_revision=revisions, caller=caller)
    return _saved_response(saved)


def _created(saved: SavedSegment) -> Response[WrittenSegment]:
    return _saved_response(saved, headers={"Location": f"/api/segments/{saved.segment.id}/"})


def _saved_response(saved: SavedSegment, *, headers: dict[str, str] | None = None) -> Response[WrittenSegment]:
    fields = {name: getattr(saved.segment, name) for name in Segment.__struct_fields__}
    written = WrittenSegment(**fields, warnings=point_into_body(saved.warnings))
    return Response(written, headers={"ETag": etag_of(saved.segment.revision, saved.segment), **(headers or {})})
