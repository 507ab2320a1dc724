"""Members over HTTP: a client reads who is in a segment, and which segments a user is in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from litestar import Controller, Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.pages import FIELDS, LISTING, CursorPage, listing_of
from segment_copilot.api.http.parameters import Names
from segment_copilot.api.http.routes import COUNTING_SECONDS, MAX_ID, Route
from segment_copilot.audiences.live import LiveMemberships, Unevaluated
from segment_copilot.audiences.look_ups import SegmentOfUser
from segment_copilot.audiences.members import Member, Members
from segment_copilot.errors import Gone, QueryTimeout
from segment_copilot.events.validation import MAX_USER_LENGTH
from segment_copilot.lists import Listed

AT: Final = QueryParameter(description="An instant that has passed: the members as they were published then")


class MemberList(CursorPage[Member], frozen=True):
    """A page of members."""


class MembershipOfUser(Struct, frozen=True):
    """The segments a user is in.

    Evaluated `live`: *as_of* is the instant of that, and *not_evaluated* the segments of which it cannot be told.
    """

    user_id: str
    segments: tuple[SegmentOfUser, ...]
    as_of: datetime | None = None
    not_evaluated: tuple[Unevaluated, ...] = ()


UserId = Annotated[str, Meta(min_length=1, max_length=MAX_USER_LENGTH)]


class MembershipRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Names the users whose segments are asked for, and the segments to look at; without those, all that are active."""

    user_ids: Annotated[tuple[UserId, ...], Meta(min_length=1, max_length=1_000, examples=[["ana", "ben"]])]
    segment_ids: (
        Annotated[tuple[Annotated[int, Meta(ge=1, le=MAX_ID)], ...], Meta(min_length=1, max_length=1_000)] | None
    ) = None


class SegmentsOfUser(Struct, frozen=True):
    """The segments that one of several users is in."""

    user_id: str
    segments: tuple[SegmentOfUser, ...]


class Memberships(Struct, frozen=True):
    """The segments of several users, in the order in which they were named."""

    results: tuple[SegmentsOfUser, ...]


class MemberController(Controller):
    """Reads the members of segments."""

    path = "/api/segments"
    tags = ("segments",)

    @get(
        "/{segment_id:int}/members",
        opt=Route(problems=(Gone,), parameters=LISTING).opt,
        response_description="A page of them.",
    )
    async def list_members(
        self,
        request: Request[Any, Any, State],
        segment_id: FromPath[int],
        members: NamedDependency[Members],
        tenant: NamedDependency[Tenant],
        as_of: Annotated[datetime | None, AT] = None,
        fields: Annotated[str | None, FIELDS, Names(Member)] = None,
    ) -> Response[MemberList]:
        """List the members as of the last computation, by user id.

        With `as_of`, as they were published at that instant: what had been computed by then, whatever was computed since. A
        cursor stays on the computation it began with when newer ones are published meanwhile. Members stay readable for
        `HISTORY_DAYS` after they were replaced; then the cursor, or the instant, has expired (410).
        """
        listing = listing_of(request)
        part = listing.window
        found = await members.page(
            tenant, segment_id, limit=part.limit, offset=part.offset, cursor=part.cursor, as_of=as_of
        )
        return listing.answer(Listed(found.members, found.count, found.cursor), fields)

    @get(
        "/membership",
        opt=Route(problems=(QueryTimeout,), seconds=COUNTING_SECONDS).opt,
        response_description="The segments.",
    )
    async def list_memberships(
        self,
        members: NamedDependency[Members],
        live_memberships: NamedDependency[LiveMemberships],
        tenant: NamedDependency[Tenant],
        user_id: Annotated[str, QueryParameter(min_length=1, max_length=MAX_USER_LENGTH, description="Whose")],
        live: Annotated[
            bool, QueryParameter(description="Evaluate the definitions now, instead of reading the members")
        ] = False,
    ) -> MembershipOfUser:
        """List the segments a user is in.

        As of their last computations, or, `live`, as they would be if all were computed now, computed before or not. A
        user nobody has seen is in none but the static ones that name them. Segments that are not active are left out.
        """
        if live:
            found = await live_memberships.segments_of_user(tenant, user_id)
            return MembershipOfUser(user_id, found.segments, found.as_of, found.not_evaluated)
        return MembershipOfUser(user_id, await members.segments_of_user(tenant, user_id))

    @post("/membership", status_code=200, opt=Route(asks=True).opt, response_description="The segments of each.")
    async def look_up_memberships(
        self, data: JSONBody[MembershipRequest], members: NamedDependency[Members], tenant: NamedDependency[Tenant]
    ) -> Memberships:
        """Look up the segments of up to 1,000 users.

        As of the last computations. `segment_ids` says which segments are looked at, active or not; without it, all
        that are active. A user who is named twice is answered once.
        """
        found = await members.segments_of_users(tenant, data.user_ids, segment_ids=data.segment_ids)
        return Memberships(tuple(SegmentsOfUser(user_id, segments) for user_id, segments in found.items()))
