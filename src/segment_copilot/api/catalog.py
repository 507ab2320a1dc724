"""The catalog over HTTP shows what a definition may refer to: event types, properties, traits, and their values."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.etags import UNLESS_KNOWN, unless_known
from segment_copilot.api.http.pages import FIELDS, LISTING, CursorPage, listing_of
from segment_copilot.api.http.parameters import Names
from segment_copilot.api.http.requests import run_while_connected
from segment_copilot.api.http.routes import COUNTING_SECONDS, Route
from segment_copilot.errors import QueryTimeout
from segment_copilot.events.browsing import (
    Browsing,
    CatalogEventType,
    CatalogOverview,
    CatalogProperty,
    FoundValues,
)

Search = Annotated[str, QueryParameter(max_length=200, description="Only those with this in name or description")]
SearchValues = Annotated[str, QueryParameter(max_length=200, description="Only values with this in them, in any case")]
MostValues = Annotated[int, QueryParameter(ge=1, le=1_000, description="How many values at most")]
VALUES = Route(problems=(QueryTimeout,), seconds=COUNTING_SECONDS)


class EventTypeList(CursorPage[CatalogEventType], frozen=True):
    """A page of event types."""


class TraitList(CursorPage[CatalogProperty], frozen=True):
    """A page of traits."""


class CatalogController(Controller):
    """Shows what is declared and what was seen, read only."""

    path = "/api/catalog"
    tags = ("catalog",)

    @get(opt=Route(parameters=UNLESS_KNOWN).opt, response_description="What there is, at most a second old.")
    async def get_catalog(
        self, browsing: NamedDependency[Browsing], tenant: NamedDependency[Tenant]
    ) -> Response[CatalogOverview]:
        """Read the whole catalog.

        Each name says whether an event schema declares it and whether it was seen in the data. Of very many names the
        first are here (`totals` counts all): 200 event types with 100 properties each, 500 traits, 500 segments.
        """
        return unless_known(await browsing.overview(tenant))

    @get("/events", opt=Route(parameters=LISTING).opt, response_description="A page of them.")
    async def list_catalog_events(
        self,
        request: Request[Any, Any, State],
        browsing: NamedDependency[Browsing],
        tenant: NamedDependency[Tenant],
        fields: Annotated[str | None, FIELDS, Names(CatalogEventType)] = None,
        search: Search = "",
    ) -> Response[EventTypeList]:
        """List the event types by name.

        With their properties; of more than 100 the first.
        """
        listing = listing_of(request)
        return listing.answer(await browsing.event_types(tenant, listing.window, search=search), fields)

    @get("/events/{event_type:str}", opt=Route(parameters=UNLESS_KNOWN).opt, response_description="The event type.")
    async def get_catalog_event(
        self,
        event_type: FromPath[str],
        browsing: NamedDependency[Browsing],
        tenant: NamedDependency[Tenant],
    ) -> Response[CatalogEventType]:
        """Read an event type with all its properties."""
        return unless_known(await browsing.event_type(tenant, event_type))

    @get(
        "/events/{event_type:str}/properties/{name:str}/values",
        opt=VALUES.opt,
        response_description="The most frequent first.",
    )
    async def list_property_values(
        self,
        request: Request[Any, Any, State],
        event_type: FromPath[str],
        name: FromPath[str],
        browsing: NamedDependency[Browsing],
        tenant: NamedDependency[Tenant],
        search: SearchValues = "",
        limit: MostValues = 25,
    ) -> FoundValues:
        """List the values of a property, with how many events have each.

        From all stored events, not from samples. `name` is the property's path, as conditions write it. Where a search
        finds nothing, `suggestions` are stored texts that are spelled nearly so.
        """
        work = browsing.property_values(tenant, event_type, name, search=search, limit=limit)
        return await run_while_connected(request, work)

    @get("/traits", opt=Route(parameters=LISTING).opt, response_description="A page of them.")
    async def list_catalog_traits(
        self,
        request: Request[Any, Any, State],
        browsing: NamedDependency[Browsing],
        tenant: NamedDependency[Tenant],
        fields: Annotated[str | None, FIELDS, Names(CatalogProperty)] = None,
        search: Search = "",
    ) -> Response[TraitList]:
        """List the traits by name.

        What `context_identified` events have told of users, and what its event schema declares.
        """
        listing = listing_of(request)
        return listing.answer(await browsing.traits(tenant, listing.window, search=search), fields)

    @get("/traits/{name:str}", opt=Route(parameters=UNLESS_KNOWN).opt, response_description="The trait.")
    async def get_catalog_trait(
        self,
        name: FromPath[str],
        browsing: NamedDependency[Browsing],
        tenant: NamedDependency[Tenant],
    ) -> Response[CatalogProperty]:
        """Read a trait."""
        return unless_known(await browsing.trait(tenant, name))

    @get("/traits/{name:str}/values", opt=VALUES.opt, response_description="The most frequent first.")
    async def list_trait_values(
        self,
        request: Request[Any, Any, State],
        name: FromPath[str],
        browsing: NamedDependency[Browsing],
        tenant: NamedDependency[Tenant],
        search: SearchValues = "",
        limit: MostValues = 25,
    ) -> FoundValues:
        """List the values of a trait, with how many users have each now.

        From all stored traits, not from samples. Where a search finds nothing, `suggestions` are stored texts that are
        spelled nearly so.
        """
        work = browsing.trait_values(tenant, name, search=search, limit=limit)
        return await run_while_connected(request, work)
