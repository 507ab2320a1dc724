"""Dependencies of segments over HTTP: a client asks what a segment refers to, and what uses it, before it deletes one."""

from __future__ import annotations

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.etags import UNLESS_KNOWN, unless_known
from segment_copilot.api.http.routes import Route
from segment_copilot.audiences.dependencies import Dependencies, DependenciesOfSegment


class DependencyController(Controller):
    """Reads what hangs on segments."""

    path = "/api/segments/{segment_id:int}/dependencies"
    tags = ("segments",)

    @get(opt=Route(parameters=UNLESS_KNOWN).opt, response_description="What it refers to, and what uses it.")
    async def get_dependencies(
        self,
        segment_id: FromPath[int],
        dependencies: NamedDependency[Dependencies],
        tenant: NamedDependency[Tenant],
    ) -> Response[DependenciesOfSegment]:
        """Say what a segment refers to, and what uses it.

        It refers to segments, event types, properties and traits. While segments or activations use it, it cannot be
        deleted.
        """
        return unless_known(await dependencies.of(tenant, segment_id))
