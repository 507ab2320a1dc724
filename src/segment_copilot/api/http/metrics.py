"""`GET /metrics`: everything this process counted, and what waits in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from segment_copilot.api.http.routes import Route
from segment_copilot.errors import SegmentCopilotError

COUNT_SECONDS: Final = 2.0


class Backlog(Struct, frozen=True):
    """Knows how what waits in PostgreSQL is counted."""

    count: Callable[[], Awaitable[None]]


@get("/metrics", opt=Route(public=True, probe=True).opt, include_in_schema=False)
async def metrics(backlog: NamedDependency[Backlog]) -> Response[bytes]:
    """Return everything this process counted, in Prometheus' text format; while PostgreSQL is silent, what it told last."""
    with suppress(SegmentCopilotError, TimeoutError):
        async with asyncio.timeout(COUNT_SECONDS):
            await backlog.count()
    answer = Response(generate_latest())
    answer.headers["content-type"] = CONTENT_TYPE_LATEST  # as a media type Litestar would add its charset to it
    return answer
