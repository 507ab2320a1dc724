"""Members over HTTP: a client reads who is in a segment, and which segments a user is in."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.pages import Cursor, CursorPage, Limit, Offset, PageNumber, PageSize, slice_of
from segment_copilot.api.http.routes import Route
from segment_copilot.audiences.members import Member, Members, SegmentOfUser
from segment_copilot.errors import Gone
from segment_copilot.events.validation import MAX_USER_LENGTH


class MemberList(CursorPage[Member], frozen=True):
    """A page of members."""


class MembershipOfUser(Struct, frozen=True):
    """The segments a user is in."""

    user_id: str
    segments: tuple[SegmentOfUser, ...]


class MemberController(Controller):
    """Reads the members of segments."""

    path = "/api/segments"
    tags = ("segments",)

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
