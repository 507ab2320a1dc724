"""Serves the OpenAPI document, and Swagger UI over it without a byte from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from segment_copilot.api.http.openapi import document
from segment_copilot.api.http.routes import Route

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>segment-copilot API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/api/swagger-ui.css">
<main id="swagger-ui"></main>
<script src="/docs/api/swagger-ui-bundle.js"></script>
<script src="/docs/api/start.js"></script>
</html>
"""
_START: Final = """SwaggerUIBundle({
  url: "/schema", dom_id: "#swagger-ui", validatorUrl: null, deepLinking: true, persistAuthorization: false,
});
"""
_POLICY: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}
_FILES: Final = {
    "swagger-ui-bundle.js": ("javascripts", "text/javascript"),
    "swagger-ui.css": ("stylesheets", "text/css"),
}
_CACHED: Final = {"Cache-Control": "public, max-age=3600"}


@get(["/schema", "/openapi.json"], opt=Route(public=True).opt, include_in_schema=False, sync_to_thread=False)
def schema(request: Request[Any, Any, State]) -> Response[bytes]:
    """Return the OpenAPI document."""
    state = request.app.state
    if "openapi" not in state:
        state.openapi = msgspec.json.encode(document(request.app))
    return Response(state.openapi, media_type="application/json")


@get("/docs/api", opt=Route(public=True).opt, include_in_schema=False, sync_to_thread=False)
def page() -> Response[str]:
    """Return the page itself."""
    return Response(_PAGE, media_type="text/html", headers=_POLICY)


@get("/docs/api/{name:str}", opt=Route(public=True).opt, include_in_schema=False, sync_to_thread=False)
def asset(name: FromPath[str]) -> Response[bytes]:
    """Return a file that the page loads."""
    if name == "start.js":
        return Response(_START.encode(), media_type="text/javascript", headers=_CACHED)
    if name not in _FILES:
        raise NotFoundException
    return Response(_read(name), media_type=_FILES[name][1], headers=_CACHED)


@cache
def _read(name: str) -> bytes:
    return files("mkdocs_swagger_ui_tag").joinpath("swagger-ui", _FILES[name][0], name).read_bytes()


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (schema, page, asset)
