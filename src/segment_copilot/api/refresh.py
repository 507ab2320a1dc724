"""Refreshes over HTTP: a client pauses what keeps a segment true, and resumes it."""

from __future__ import annotations

from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.etags import ETAG, etag_of
from segment_copilot.api.http.routes import Route
from segment_copilot.audiences.refresh import Refreshing
from segment_copilot.audiences.segments import Segment
from segment_copilot.errors import Conflict


class RefreshController(Controller):
    """Pauses and resumes refreshes. How a segment is refreshed is a field of it: `refresh`."""

    path = "/api/segments/{segment_id:int}/refresh"
    tags = ("segments",)

    @post(
        "/pause",
        status_code=200,
        opt=Route(problems=(Conflict,)).opt,
        response_headers=ETAG,
        response_description="The segment, paused.",
    )
    async def pause_refresh(
        self, segment_id: FromPath[int], refreshing: NamedDependency[Refreshing], tenant: NamedDependency[Tenant]
    ) -> Response[Segment]:
        """Refresh a segment no more until it is resumed.

        Its members stay and are read as before, and `refresh.paused_since` says how old they may be; a computation that is
        under way ends, and one can be asked for. To pause twice changes nothing. A segment whose mode is manual is 409.
        """
        return _answer(await refreshing.pause(tenant, segment_id))

    @post(
        "/resume",
        status_code=200,
        opt=Route().opt,
        response_headers=ETAG,
        response_description="The segment, as it is refreshed again.",
    )
    async def resume_refresh(
        self, segment_id: FromPath[int], refreshing: NamedDependency[Refreshing], tenant: NamedDependency[Tenant]
    ) -> Response[Segment]:
        """Refresh a segment again.

        It is due at once. One that is not paused stays as it is.
        """
        return _answer(await refreshing.resume(tenant, segment_id))


def _answer(segment: Segment) -> Response[Segment]:
    return Response(segment, headers={"ETag": etag_of(segment.revision, segment)})
