"""`GET /metrics`: everything this process counted."""

from __future__ import annotations

from litestar import Response, get
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from segment_copilot.api.http.routes import Route


@get("/metrics", opt=Route(public=True, probe=True).opt, include_in_schema=False, sync_to_thread=False)
def metrics() -> Response[bytes]:
    """Return everything this process counted, in Prometheus' text format."""
    answer = Response(generate_latest())
    answer.headers["content-type"] = CONTENT_TYPE_LATEST  # as a media type Litestar would add its charset to it
    return answer
