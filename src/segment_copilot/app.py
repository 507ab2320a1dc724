"""The composition root makes the HTTP application of the settings. Nothing is opened before it starts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.types import ControllerRouterHandler

from segment_copilot.access.signed_links import SignedLinks
from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.deliveries import Deliveries
from segment_copilot.activations.syncing import Syncing
from segment_copilot.api.activations import ActivationController, ConnectorController
from segment_copilot.api.analytics import AnalyticsController
from segment_copilot.api.audit import AuditController
from segment_copilot.api.capabilities import CapabilitiesController
from segment_copilot.api.catalog import CatalogController
from segment_copilot.api.changes import ChangeController
from segment_copilot.api.computations import ComputationController, SegmentComputationController
from segment_copilot.api.copilot import CopilotController
from segment_copilot.api.deliveries import ActivationDeliveryController, DeliveryController
from segment_copilot.api.dependencies import DependencyController
from segment_copilot.api.erasures import ErasureController
from segment_copilot.api.explanations import ExplanationController, UserExplanationController
from segment_copilot.api.explorer import ExplorerController
from segment_copilot.api.exports import ExportController, ExportedController, SnapshotExportController
from segment_copilot.api.feedback import FeedbackController
from segment_copilot.api.http import console, docs, health, manual, metrics, site
from segment_copilot.api.http.audited import audited, counted
from segment_copilot.api.http.auth import authenticate, authorize, provide_caller, provide_tenant
from segment_copilot.api.http.compression import compressed
from segment_copilot.api.http.deadlines import answered_in_time
from segment_copilot.api.http.edge import Edge
from segment_copilot.api.http.health import Readiness, drain_on_signals
from segment_copilot.api.http.idempotency import idempotent
from segment_copilot.api.http.limits import limited
from segment_copilot.api.http.openapi import document
from segment_copilot.api.http.preflights import judge_preflights, open_to_pages
from segment_copilot.api.http.problems import problem_response
from segment_copilot.api.http.requests import ApiRequest, check_parameters
from segment_copilot.api.identity import IdentityController
from segment_copilot.api.ingestion import IngestionController
from segment_copilot.api.keys import KeyController
from segment_copilot.api.mcp import door
from segment_copilot.api.mcp.offered import registry
from segment_copilot.api.members import MemberController
from segment_copilot.api.previews import PreviewController
from segment_copilot.api.refresh import RefreshController
from segment_copilot.api.sandbox import SandboxController
from segment_copilot.api.schemas import EventSchemaController
from segment_copilot.api.segments import SegmentController
from segment_copilot.api.sessions import SessionController
from segment_copilot.api.snapshots import SegmentSnapshotController, SnapshotController
from segment_copilot.api.uploads import UploadController
from segment_copilot.api.usage import UsageController
from segment_copilot.api.versions import VersionController
from segment_copilot.api.webhook_deliveries import WebhookDeliveryController
from segment_copilot.api.webhooks import WebhookController
from segment_copilot.audiences.exports import Exports
from segment_copilot.audiences.live import LiveMemberships
from segment_copilot.audiences.members import Members
from segment_copilot.copilot.conversation.checkpoint import Secret
from segment_copilot.copilot.models import Model
from segment_copilot.copilot.models.choice import open_model
from segment_copilot.copilot.runs.breaker import Breaker
from segment_copilot.copilot.runs.run import Copilot
from segment_copilot.copilot.tools.context import UseCases
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.backlog import count_backlog
from segment_copilot.stores.migrations import lacking

MAX_BODY_BYTES: Final = 1024 * 1024  # where a route does not say otherwise

ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    health.HealthRouter,
    metrics.metrics,
    *docs.ROUTES,
    *site.ROUTES,
    *console.ROUTES,
    *manual.ROUTES,
    IngestionController,
    SegmentController,
    SnapshotController,
    SegmentSnapshotController,
    ExportController,
    ExportedController,
    SnapshotExportController,
    PreviewController,
    VersionController,
    DependencyController,
    SegmentComputationController,
    ComputationController,
    RefreshController,
    ChangeController,
    UploadController,
    MemberController,
    WebhookController,
    WebhookDeliveryController,
    ExplanationController,
    ExplorerController,
    UserExplanationController,
    SandboxController,
    EventSchemaController,
    CatalogController,
    ConnectorController,
    ActivationController,
    ActivationDeliveryController,
    DeliveryController,
    AnalyticsController,
    UsageController,
    CopilotController,
    *door.ROUTES,
    CapabilitiesController,
    FeedbackController,
    SessionController,
    IdentityController,
    ErasureController,
    KeyController,
    AuditController,
)


_Connection = ASGIConnection[Any, Any, Any, Any]

USE_CASES: Final = (
    "ingestion",
    "previews",
    "explanations",
    "segments",
    "versions",
    "dependencies",
    "computations",
    "computation_records",
    "refreshing",
    "changes",
    "uploads",
    "copies",
    "members",
    "exports",
    "snapshots",
    "schemas",
    "violations",
    "inference",
    "browsing",
    "sessions",
    "keys",
    "audit",
    "key_uses",
    "feedback",
    "identity",
    "erasures",
    "profiles",
    "sandbox",
    "standings",
    "usage",
    "activations",
    "webhooks",
    "webhook_deliveries",
    "webhook_feed",
    "deliveries",
)
"""Names the fields of `Resources` that a handler may take as an argument."""


def create_app(settings: Settings) -> Litestar:
    """Build the application, ready to be served by any ASGI server; its stores are opened by the lifespan."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        async with open_resources(settings) as resources, resources.key_uses.kept(), open_model(settings) as model:
            app.state.resources = resources
            app.state.copilot = build_copilot(resources, model)
            app.state.mcp_door = build_mcp_door(resources, browsers)
            app.state.keyring = resources.keyring
            app.state.rate_limits = resources.rate_limits
            app.state.idempotency = resources.idempotency
            app.state.draining = asyncio.Event()
            app.state.readiness = readiness(resources, app.state.draining)
            with drain_on_signals(app.state.draining):
                yield

    browsers = cors(settings)
    app = Litestar(
        route_handlers=ROUTES,
        lifespan=[lifespan],
        middleware=[
            answered_in_time,
            compressed,
            authenticate,
            counted,
            limited,
            audited,
            authorize,
            idempotent,
            check_parameters,
        ],
        dependencies=dependencies(),
        request_class=ApiRequest,
        request_max_body_size=MAX_BODY_BYTES,
        exception_handlers={Exception: problem_response},
        cors_config=browsers if browsers.allow_origins else None,
        openapi_config=None,  # api/http/openapi.py writes the document
        logging_config=None,
    )
    app.state.site = site.Site(settings.docs_directory)
    app.asgi_handler = Edge(open_to_pages(judge_preflights(app.asgi_handler, browsers), app, browsers))
    return app


def create_probes(resources: Resources, draining: asyncio.Event) -> Litestar:
    """Build what a worker answers on a port of its own: whether it lives and can work, and what it counted."""
    ready, backlog = readiness(resources, draining), metrics.Backlog(lambda: count_backlog(resources.postgres))
    app = Litestar(
        route_handlers=[health.HealthRouter, metrics.metrics],
        dependencies={
            "readiness": Provide(lambda: ready, sync_to_thread=False),
            "backlog": Provide(lambda: backlog, sync_to_thread=False),
        },
        exception_handlers={Exception: problem_response},
        openapi_config=None,
        logging_config=None,
    )
    app.state.resources = resources
    app.asgi_handler = Edge(app.asgi_handler)
    return app


def readiness(resources: Resources, draining: asyncio.Event) -> Readiness:
    """Return what knows whether a process on these stores can do its work."""
    pings = {"postgres": resources.postgres.ping, "clickhouse": resources.clickhouse.ping}
    return Readiness(pings, lambda: lacking(resources.postgres, resources.clickhouse), draining)


def build_copilot(resources: Resources, model: Model) -> Copilot:
    """Return the copilot on *model*, with the use cases that its tools may call."""
    settings = resources.settings
    return Copilot(
        settings=settings,
        use_cases=UseCases(
            discovery=resources.discovery,
            schemas=resources.schemas,
            recent_events=resources.recent_events,
            analytics=resources.analytics,
            segments=resources.segments,
            previews=resources.previews,
            explanations=resources.explanations,
            members=resources.members,
            movements=resources.movements,
            deliveries=resources.deliveries,
        ),
        secret=Secret(resources.secrets, setting=settings.copilot_checkpoint_secret),
        model=model,
        breaker=Breaker(failures=settings.copilot_breaker_failures, seconds=settings.copilot_breaker_seconds),
    )


def build_mcp_door(resources: Resources, browsers: CORSConfig) -> door.Door:
    """Return the door of MCP; pages of the origins that *browsers* allow may use it."""
    return door.Door(
        registry,
        lambda: resources.secrets.get_or_create("mcp"),
        allows_origin=lambda origin: bool(browsers.allow_origins) and browsers.is_origin_allowed(origin),
    )


def dependencies() -> dict[str, Provide]:
    """Return what a handler may name as an argument: who calls, the use case it calls, what belongs to the process.

    Each comes after another one: Litestar provides what is independent in a task group, which costs more than the rest
    of a request.
    """

    def provide_copilot(request: _Connection, tenant: NamedDependency[Tenant]) -> Copilot:  # noqa: ARG001
        return request.app.state.copilot

    def provide_mcp_door(request: _Connection, draining: NamedDependency[asyncio.Event]) -> door.Door:  # noqa: ARG001
        return request.app.state.mcp_door

    def provide_draining(request: _Connection, copilot: NamedDependency[Copilot]) -> asyncio.Event:  # noqa: ARG001
        return request.app.state.draining

    def provide_readiness(request: _Connection) -> Readiness:
        return request.app.state.readiness

    def provide_backlog(request: _Connection) -> metrics.Backlog:
        return metrics.Backlog(lambda: count_backlog(request.app.state.resources.postgres))

    def provide_site(request: _Connection) -> site.Site:
        return request.app.state.site

    def provide_file_exports(request: _Connection) -> Exports:  # for a link, of which the tenant is not known yet
        return request.app.state.resources.exports

    def provide_file_links(request: _Connection, file_exports: NamedDependency[Exports]) -> SignedLinks:  # noqa: ARG001
        return request.app.state.resources.signed_links

    def provide_signed_links(request: _Connection, exports: NamedDependency[Exports]) -> SignedLinks:  # noqa: ARG001
        return request.app.state.resources.signed_links

    def provide_live_memberships(request: _Connection, members: NamedDependency[Members]) -> LiveMemberships:  # noqa: ARG001
        return request.app.state.resources.live_memberships

    def provide_syncing(request: _Connection, deliveries: NamedDependency[Deliveries]) -> Syncing:  # noqa: ARG001
        return request.app.state.resources.syncing

    def use_case(name: str) -> Callable[..., Any]:
        def provide(request: _Connection, tenant: NamedDependency[Tenant]) -> Any:  # noqa: ARG001
            return getattr(request.app.state.resources, name)

        return provide

    providers: dict[str, Callable[..., Any]] = {
        "caller": provide_caller,
        "tenant": provide_tenant,
        "copilot": provide_copilot,
        "mcp_door": provide_mcp_door,
        "draining": provide_draining,
        "readiness": provide_readiness,
        "backlog": provide_backlog,
        "site": provide_site,
        "file_exports": provide_file_exports,
        "signed_links": provide_signed_links,
        "live_memberships": provide_live_memberships,
        "file_links": provide_file_links,
        "syncing": provide_syncing,
        **{name: use_case(name) for name in USE_CASES},
    }
    return {name: Provide(provide, sync_to_thread=False) for name, provide in providers.items()}


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document of this code; needs no stores."""
    return document(create_app(Settings()))


def cors(settings: Settings) -> CORSConfig:
    """Return which browsers may call, and what they may send; none when no origin is set."""
    return CORSConfig(
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "If-Match",
            "If-None-Match",
            "If-Range",
            "Range",
            "Idempotency-Key",
            "MCP-Protocol-Version",
            "Mcp-Method",
            "Mcp-Name",
            "X-Request-Id",
        ],
        expose_headers=[
            "Accept-Ranges",
            "Content-Disposition",
            "Content-Range",
            "ETag",
            "Idempotency-Replayed",
            "Location",
            "RateLimit",
            "RateLimit-Policy",
            "Repr-Digest",
            "Retry-After",
            "X-Request-Id",
            "X-Copilot-Run-Id",
            "X-Copilot-Protocol",
        ],
    )
