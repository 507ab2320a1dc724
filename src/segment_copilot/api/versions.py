"""Versions of segments over HTTP: a client reads what a segment said before, and what changed."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath

from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.etags import UNLESS_KNOWN, unless_known
from segment_copilot.api.http.pages import FIELDS, LISTING, ORDER, CursorPage, listing_of
from segment_copilot.api.http.parameters import Names
from segment_copilot.api.http.routes import Route
from segment_copilot.audiences.versions import Difference, Version, VersionOrder, Versions


class VersionList(CursorPage[Version], frozen=True):
    """A page of versions."""


class VersionController(Controller):
    """Reads what segments said before."""

    path = "/api/segments/{segment_id:int}/versions"
    tags = ("segments",)

    @get(opt=Route(parameters=LISTING).opt, response_description="A page of them.")
    async def list_versions(
        self,
        request: Request[Any, Any, State],
        segment_id: FromPath[int],
        versions: NamedDependency[Versions],
        tenant: NamedDependency[Tenant],
        order: Annotated[VersionOrder, ORDER] = "-version",
        fields: Annotated[str | None, FIELDS, Names(Version)] = None,
    ) -> Response[VersionList]:
        """List the versions of a segment.

        Each is a definition as it was saved, the newest first. A draft without a definition has none.
        """
        listing = listing_of(request)
        return listing.answer(await versions.list(tenant, segment_id, listing.window, order=order), fields)

    @get("/{version:int}", opt=Route(parameters=UNLESS_KNOWN).opt, response_description="The version.")
    async def get_version(
        self,
        segment_id: FromPath[int],
        version: FromPath[int],
        versions: NamedDependency[Versions],
        tenant: NamedDependency[Tenant],
    ) -> Response[Version]:
        """Read a version of a segment."""
        return unless_known(await versions.get(tenant, segment_id, version))

    @get("/{before:int}/diff/{after:int}", opt=Route(parameters=UNLESS_KNOWN).opt, response_description="What changed.")
    async def compare_versions(
        self,
        segment_id: FromPath[int],
        before: FromPath[int],
        after: FromPath[int],
        versions: NamedDependency[Versions],
        tenant: NamedDependency[Tenant],
    ) -> Response[Difference]:
        """Compare two versions of a segment.

        The patch (RFC 6902) makes the second definition of the first. The changes tell the same in words, condition by
        condition: added, removed, changed or moved. Pointers lead into the second definition, of what was removed into
        the first.
        """
        return unless_known(await versions.difference(tenant, segment_id, before, after))
