"""USE CASE: copy a segment: its definition, or of a static one its members."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from segment_copilot.access.keys import Caller
from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.members import Members
from segment_copilot.audiences.segments import SavedSegment, Segments
from segment_copilot.audiences.uploads import Uploads
from segment_copilot.errors import Conflict, SegmentCopilotError

MAX_MEMBERS: Final = 500_000
"""So many members can be copied within a request."""

_PAGE: Final = 50_000


class Copies:
    """Copies segments of all tenants; every method takes the tenant."""

    def __init__(self, segments: Segments, members: Members, uploads: Uploads) -> None:
        self._segments = segments
        self._members = members
        self._uploads = uploads

    async def copy(
        self, tenant: Tenant, segment_id: int, *, name: str | None = None, caller: Caller | None = None
    ) -> SavedSegment:
        """Save another segment with what this one has now; members are applied by a computation, as an upload's are.

        Raises:
            NotFound: There is no such segment.
            Conflict: It has more members than can be copied.

        """
        source = await self._segments.get(tenant, segment_id)
        user_ids = await self._listed(tenant, segment_id) if source.segment_type == "static" else ()
        saved = await self._segments.copy(tenant, segment_id, name=name, caller=caller)
        if not user_ids:
            return saved
        try:
            await self._uploads.receive(tenant, saved.segment.id, user_ids, mode="replace", allow_empty=True)
        except SegmentCopilotError:  # a copy without its members would look like one of nobody
            with suppress(SegmentCopilotError):
                await self._segments.delete(tenant, saved.segment.id)
            raise
        return SavedSegment(await self._segments.get(tenant, saved.segment.id), saved.warnings)

    async def _listed(self, tenant: Tenant, segment_id: int) -> list[str]:
        user_ids: list[str] = []
        cursor: str | None = None
        while True:
            page = await self._members.page(tenant, segment_id, limit=_PAGE, cursor=cursor)
            if page.count > MAX_MEMBERS:
                detail = (
                    f"Segment {segment_id} has {page.count:,} members, and up to {MAX_MEMBERS:,} are copied at once. "
                    "Export them, and upload the file to a new static segment."
                )
                raise Conflict(detail, code="too_many_members_to_copy")
            user_ids += [one.user_id for one in page.members]
            cursor = page.cursor
            if cursor is None:
                return user_ids
