"""Serves the console, a page over the public API, at `/console/` where the setting allows it."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from segment_copilot.api.http.routes import Route
from segment_copilot.api.http.site import Site

FILES: Final = Site(str(files("segment_copilot.api").joinpath("console")))
_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
}


@get("/console", opt=Route(public=True).opt, include_in_schema=False, sync_to_thread=False)
def front(request: Request[Any, Any, State]) -> Redirect:
    """Lead to the page."""
    _check_on(request)
    return Redirect("/console/index.html", status_code=307)


@get("/console/{name:str}", opt=Route(public=True).opt, include_in_schema=False, sync_to_thread=False)
def asset(name: FromPath[str], request: Request[Any, Any, State]) -> Response[bytes]:
    """Return the page, or a file that it loads."""
    _check_on(request)
    if name not in FILES:
        raise NotFoundException
    file = FILES.file(name)
    return Response(file.content, media_type=file.media_type, headers=_HEADERS)


def _check_on(request: Request[Any, Any, State]) -> None:
    if not request.app.state.resources.settings.console:
        raise NotFoundException


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (front, asset)
