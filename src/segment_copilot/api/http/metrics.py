"""`GET /metrics`: everything this process counted, and how many events are set aside."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from litestar import Request, Response, get
from litestar.datastructures import State
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from segment_copilot.api.http.routes import Route
from segment_copilot.errors import SegmentCopilotError
from segment_copilot.telemetry.metrics import FAILED_EVENTS

COUNT_SECONDS: Final = 1.0


@get("/metrics", opt=Route(public=True, probe=True).opt, include_in_schema=False)
async def metrics(request: Request[Any, Any, State]) -> Response[bytes]:
    """Return everything this process counted, in Prometheus' text format; while PostgreSQL is silent, the last count."""
    with suppress(SegmentCopilotError, TimeoutError):
        async with asyncio.timeout(COUNT_SECONDS):
            FAILED_EVENTS.set(await request.app.state.resources.failed_events.count())
    answer = Response(generate_latest())
    answer.headers["content-type"] = CONTENT_TYPE_LATEST  # as a media type Litestar would add its charset to it
    return answer
