"""The audit log over HTTP: a tenant reads who changed what, and where its keys are used."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from segment_copilot.access.audit import Audit, AuditEntry, OnlyEntries, Order
from segment_copilot.access.key_uses import KeyUse, KeyUses, OnlyUses
from segment_copilot.access.key_uses import Order as OrderOfUses
from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.pages import AFTER, BEFORE, FIELDS, LISTING, ORDER, CursorPage, listing_of
from segment_copilot.api.http.parameters import Names
from segment_copilot.api.http.routes import MAX_ID, Route
from segment_copilot.language.lengths import Instant

_KEY = QueryParameter(ge=1, le=MAX_ID, description="Only those of this key")


class AuditList(CursorPage[AuditEntry], frozen=True):
    """A page of the audit log."""


class KeyUseList(CursorPage[KeyUse], frozen=True):
    """A page of the uses of keys."""


class AuditController(Controller):
    """Reads what was changed, by whom, and where keys are used."""

    path = "/api/audit"
    tags = ("keys",)

    @get(opt=Route(parameters=LISTING).opt, response_description="A page of it.")
    async def list_audit_entries(  # filters
        self,
        request: Request[Any, Any, State],
        audit: NamedDependency[Audit],
        tenant: NamedDependency[Tenant],
        order: Annotated[Order, ORDER] = "-id",
        fields: Annotated[str | None, FIELDS, Names(AuditEntry)] = None,
        key_id: Annotated[int | None, _KEY] = None,
        operation: Annotated[
            str | None,
            QueryParameter(min_length=1, max_length=100, description="Only this operation, such as update_segment"),
        ] = None,
        request_id: Annotated[
            str | None, QueryParameter(min_length=1, max_length=64, description="Only the request of this X-Request-Id")
        ] = None,
        after: Annotated[Instant | None, AFTER] = None,
        before: Annotated[Instant | None, BEFORE] = None,
    ) -> Response[AuditList]:
        """List who changed what.

        Every request that changes something, or was refused to, the newest first; not events, nor sessions that were opened,
        which are counted as uses of their key. Kept for a year, unless the deployment says otherwise.
        """
        listing = listing_of(request)
        only = OnlyEntries(key_id, operation, request_id, after, before)
        return listing.answer(await audit.page(tenant, listing.window, order=order, only=only), fields)

    @get("/key-uses", opt=Route(parameters=LISTING).opt, response_description="A page of them.")
    async def list_key_uses(
        self,
        request: Request[Any, Any, State],
        key_uses: NamedDependency[KeyUses],
        tenant: NamedDependency[Tenant],
        order: Annotated[OrderOfUses, ORDER] = "-hour",
        fields: Annotated[str | None, FIELDS, Names(KeyUse)] = None,
        key_id: Annotated[int | None, _KEY] = None,
        address: Annotated[
            str | None, QueryParameter(min_length=1, max_length=100, description="Only those from this address")
        ] = None,
        after: Annotated[Instant | None, AFTER] = None,
        before: Annotated[Instant | None, BEFORE] = None,
    ) -> Response[KeyUseList]:
        """List where keys are used.

        Requests of each key by hour and address, with its sessions' together; a request is counted within five seconds.
        """
        listing = listing_of(request)
        only = OnlyUses(key_id, address, after, before)
        return listing.answer(await key_uses.page(tenant, listing.window, order=order, only=only), fields)
