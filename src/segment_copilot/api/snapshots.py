"""Snapshots over HTTP: a client freezes the members of a segment, reads them whenever it wants, and compares two."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, post
from litestar.datastructures import ResponseHeader, State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct
from msgspec.structs import replace

from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.etags import UNLESS_KNOWN, unless_known
from segment_copilot.api.http.pages import FIELDS, LISTING, ORDER, CursorPage, listing_of
from segment_copilot.api.http.parameters import Names
from segment_copilot.api.http.routes import MAX_ID, Route
from segment_copilot.audiences.members import Member
from segment_copilot.audiences.snapshots import Order, Side, Snapshot, Snapshots
from segment_copilot.errors import Conflict
from segment_copilot.language.lengths import Instant


class SnapshotCreate(Struct, frozen=True, forbid_unknown_fields=True):
    """A snapshot to take."""

    name: Annotated[
        str, Meta(min_length=1, max_length=200, examples=["June mail"], extra_json_schema={"pattern": r"\S"})
    ]
    as_of: Annotated[
        Instant | None,
        Meta(description="Whom the definition matched at this instant; left out or null: the members published now"),
    ] = None


class SnapshotList(CursorPage[Snapshot], frozen=True):
    """A page of snapshots."""


class SnapshotMemberList(CursorPage[Member], frozen=True):
    """A page of members of a snapshot; *computed_at* is its instant."""


class ComparedUser(Struct, frozen=True):
    """A user who is in one of two snapshots, or in both."""

    user_id: str


class SnapshotComparison(CursorPage[ComparedUser], frozen=True, kw_only=True):
    """A comparison of two snapshots, a and b, as the address names them. The page is of *list*, by user id."""

    only_in_a: int
    only_in_b: int
    in_both: int
    list: Side


class SegmentSnapshotController(Controller):
    """Takes snapshots of segments."""

    path = "/api/segments"
    tags = ("snapshots",)

    @post(
        "/{segment_id:int}/snapshots",
        status_code=202,
        opt=Route(problems=(Conflict,)).opt,
        response_headers=(ResponseHeader(name="Location", description="Where it is read", documentation_only=True),),
        response_description="Queued.",
    )
    async def take_snapshot(
        self,
        segment_id: FromPath[int],
        data: JSONBody[SnapshotCreate],
        snapshots: NamedDependency[Snapshots],
        tenant: NamedDependency[Tenant],
    ) -> Response[Snapshot]:
        """Freeze the members of a segment under a name.

        It is written in the background: read it until its status is complete. Neither a computation nor the end of the
        segment changes it.
        """
        snapshot = await snapshots.request(tenant, segment_id, name=data.name, as_of=data.as_of)
        return Response(snapshot, status_code=202, headers={"Location": f"/api/snapshots/{snapshot.id}/"})


class SnapshotController(Controller):
    """Reads, compares and deletes snapshots."""

    path = "/api/snapshots"
    tags = ("snapshots",)

    @get(opt=Route(parameters=LISTING).opt, response_description="A page of them.")
    async def list_snapshots(
        self,
        request: Request[Any, Any, State],
        snapshots: NamedDependency[Snapshots],
        tenant: NamedDependency[Tenant],
        order: Annotated[Order, ORDER] = "id",
        fields: Annotated[str | None, FIELDS, Names(Snapshot)] = None,
        segment_id: Annotated[
            int | None, QueryParameter(ge=1, le=MAX_ID, description="Only those of this segment, gone or not")
        ] = None,
    ) -> Response[SnapshotList]:
        """List the snapshots.

        Those of deleted segments are among them.
        """
        listing = listing_of(request)
        found = await snapshots.list(tenant, listing.window, order=order, segment_id=segment_id)
        return listing.answer(found, fields)

    @get("/{snapshot_id:int}", opt=Route(parameters=UNLESS_KNOWN).opt, response_description="The snapshot.")
    async def get_snapshot(
        self,
        snapshot_id: FromPath[int],
        snapshots: NamedDependency[Snapshots],
        tenant: NamedDependency[Tenant],
    ) -> Response[Snapshot]:
        """Read a snapshot.

        Once its status is complete, nothing of it changes.
        """
        return unless_known(await snapshots.get(tenant, snapshot_id))

    @delete("/{snapshot_id:int}", response_description="It is gone.")
    async def delete_snapshot(
        self, snapshot_id: FromPath[int], snapshots: NamedDependency[Snapshots], tenant: NamedDependency[Tenant]
    ) -> None:
        """Delete a snapshot, its members and its exports.

        Its segment is left alone.
        """
        await snapshots.delete(tenant, snapshot_id)

    @get(
        "/{snapshot_id:int}/members",
        opt=Route(parameters=LISTING, problems=(Conflict,)).opt,
        response_description="A page of them.",
    )
    async def list_snapshot_members(
        self,
        request: Request[Any, Any, State],
        snapshot_id: FromPath[int],
        snapshots: NamedDependency[Snapshots],
        tenant: NamedDependency[Tenant],
    ) -> Response[SnapshotMemberList]:
        """List the members of a snapshot, by user id.

        A cursor never expires: they are always the same.
        """
        listing = listing_of(request)
        return listing.answer(await snapshots.members(tenant, snapshot_id, listing.window))

    @get(
        "/{snapshot_id:int}/compare/{other_id:int}",
        opt=Route(parameters=LISTING, problems=(Conflict,)).opt,
        response_description="The comparison.",
    )
    async def compare_snapshots(
        self,
        request: Request[Any, Any, State],
        snapshot_id: FromPath[int],
        other_id: FromPath[int],
        snapshots: NamedDependency[Snapshots],
        tenant: NamedDependency[Tenant],
        side: Annotated[Side, QueryParameter(name="list", description="Whom to list")] = "only_in_a",
    ) -> Response[SnapshotComparison]:
        """Compare the members of two snapshots, of whatever segments.

        Three counts, and a page of one of the three lists. The first snapshot of the address is a, the second b.
        """
        listing = listing_of(request)
        found = await snapshots.compare(tenant, snapshot_id, other_id, listing.window, side=side)
        users = replace(found.users, results=tuple(ComparedUser(user) for user in found.users.results))
        return listing.answer(
            users, only_in_a=found.only_in_a, only_in_b=found.only_in_b, in_both=found.in_both, list=side
        )
