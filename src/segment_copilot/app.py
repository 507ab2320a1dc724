"""The composition root: settings in, the HTTP application out. Nothing is opened before it starts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from segment_copilot.access.sessions import SessionSigner
from segment_copilot.api.capabilities import CapabilitiesController
from segment_copilot.api.copilot import CopilotController
from segment_copilot.api.explorer import ExplanationController, ExplorerController
from segment_copilot.api.feedback import FeedbackController
from segment_copilot.api.http import docs, health, metrics
from segment_copilot.api.http.auth import Keyring, authenticated, provide_caller, provide_tenant
from segment_copilot.api.http.edge import Edge
from segment_copilot.api.http.health import drained_on_sigterm
from segment_copilot.api.http.openapi import document
from segment_copilot.api.http.problems import problem_response
from segment_copilot.api.http.requests import ApiRequest, parameters_checked
from segment_copilot.api.ingestion import IngestionController
from segment_copilot.api.segments import SegmentController
from segment_copilot.api.sessions import SessionController
from segment_copilot.copilot.models.choice import open_model
from segment_copilot.copilot.runs.breaker import Breaker
from segment_copilot.copilot.runs.run import Copilot
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings

MAX_BODY_BYTES: Final = 1024 * 1024  # where a route does not say otherwise

ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    health.HealthRouter,
    metrics.metrics,
    *docs.ROUTES,
    IngestionController,
    SegmentController,
    ExplanationController,
    ExplorerController,
    CopilotController,
    CapabilitiesController,
    FeedbackController,
    SessionController,
)


def create_app(settings: Settings) -> Litestar:
    """The application, ready to be served by any ASGI server; its stores are opened by the lifespan."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        async with open_resources(settings) as resources, open_model(settings) as model:
            app.state.resources = resources
            breaker = Breaker(failures=settings.copilot_breaker_failures, seconds=settings.copilot_breaker_seconds)
            app.state.copilot = Copilot(resources, model, breaker)
            app.state.sessions = SessionSigner(resources.postgres)
            app.state.keyring = Keyring(resources.postgres, app.state.sessions)
            app.state.draining = asyncio.Event()
            with drained_on_sigterm(app.state.draining):
                yield

    def provide_resources() -> Resources:
        return app.state.resources

    def provide_copilot() -> Copilot:
        return app.state.copilot

    def provide_sessions() -> SessionSigner:
        return app.state.sessions

    def provide_draining() -> asyncio.Event:
        return app.state.draining

    app = Litestar(
        route_handlers=ROUTES,
        lifespan=[lifespan],
        middleware=[authenticated, parameters_checked],
        dependencies={
            "resources": Provide(provide_resources, sync_to_thread=False),
            "copilot": Provide(provide_copilot, sync_to_thread=False),
            "draining": Provide(provide_draining, sync_to_thread=False),
            "sessions": Provide(provide_sessions, sync_to_thread=False),
            "tenant": Provide(provide_tenant, sync_to_thread=False),
            "caller": Provide(provide_caller, sync_to_thread=False),
        },
        request_class=ApiRequest,
        request_max_body_size=MAX_BODY_BYTES,
        exception_handlers={Exception: problem_response},
        cors_config=cors(settings),
        openapi_config=None,  # api/http/openapi.py writes the document
        logging_config=None,
    )
    app.asgi_handler = Edge(app.asgi_handler)
    return app


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document of this code; needs no stores."""
    return document(create_app(Settings()))


def cors(settings: Settings) -> CORSConfig | None:
    """Which browsers may call; none when no origin is set."""
    if not settings.cors_origins:
        return None
    return CORSConfig(
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "If-Match", "Idempotency-Key", "X-Request-Id"],
        expose_headers=[
            "ETag",
            "Location",
            "Retry-After",
            "X-Request-Id",
            "X-Copilot-Run-Id",
            "X-Copilot-Protocol",
        ],
    )
