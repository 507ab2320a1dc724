"""Changes over HTTP: a client reads who entered a segment and who left it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath

from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.pages import AFTER, FIELDS, LISTING, CursorPage, listing_of
from segment_copilot.api.http.parameters import Names
from segment_copilot.api.http.routes import Route
from segment_copilot.audiences.changes import MembershipChange, MembershipChanges


class ChangeList(CursorPage[MembershipChange], frozen=True):
    """A page of changes."""


class ChangeController(Controller):
    """Reads how the members of segments change."""

    path = "/api/segments"
    tags = ("segments",)

    @get("/{segment_id:int}/changes", opt=Route(parameters=LISTING).opt, response_description="A page of them.")
    async def list_changes(
        self,
        request: Request[Any, Any, State],
        segment_id: FromPath[int],
        changes: NamedDependency[MembershipChanges],
        tenant: NamedDependency[Tenant],
        since: Annotated[datetime | None, AFTER] = None,
        fields: Annotated[str | None, FIELDS, Names(MembershipChange)] = None,
    ) -> Response[ChangeList]:
        """List who entered the segment and who left it, the oldest first.

        The members of one state and the changes after it are the members of the next. `at` is when the computation
        that found it was published, and `since` is compared with that; changes of one computation are in the order of
        user ids. A cursor does not expire.
        """
        listing = listing_of(request)
        return listing.answer(await changes.page(tenant, segment_id, listing.window, since=since), fields)
