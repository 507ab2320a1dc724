"""Changes over HTTP: a client reads who entered a segment and who left it."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.pages import Cursor, CursorPage, Limit, Offset, PageNumber, PageSize, slice_of
from segment_copilot.audiences.changes import Change, MembershipChanges
from segment_copilot.language.lengths import Instant


class ChangeList(CursorPage[Change], frozen=True):
    """A page of changes."""


class ChangeController(Controller):
    """Reads how the members of segments change."""

    path = "/api/segments"
    tags = ("segments",)

    @get("/{segment_id:int}/changes", response_description="A page of them.")
    async def list_changes(
        self,
        request: Request[Any, Any, State],
        segment_id: FromPath[int],
        changes: NamedDependency[MembershipChanges],
        tenant: NamedDependency[Tenant],
        since: Annotated[
            Instant | None, QueryParameter(description="Only those published at this instant or later")
        ] = None,
        page: PageNumber = None,
        page_size: PageSize = None,
        limit: Limit = None,
        offset: Offset = None,
        cursor: Cursor = None,
    ) -> ChangeList:
        """List who entered the segment and who left it, the oldest first.

        The members of one state and the changes after it are the members of the next. `at` is when the computation
        that found it was published; changes of one computation are in the order of user ids. A cursor does not expire.
        """
        part = slice_of(page=page, page_size=page_size, limit=limit, offset=offset, cursor=cursor)
        found = await changes.page(
            tenant, segment_id, since=since, limit=part.limit, offset=part.offset, cursor=part.cursor
        )
        following = part.next(request, more=found.cursor is not None, cursor=found.cursor)
        return ChangeList(found.count, following, part.previous(request), found.changes, found.cursor)
