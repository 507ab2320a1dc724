"""Checks every request on its way to a handler: its parameters are known and storable, its body is typed JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import unquote

from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import HTTPException, InternalServerException, NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from segment_copilot.api.http.bodies import decode_body
from segment_copilot.api.http.deadlines import late_body
from segment_copilot.api.http.parameters import check_headers, check_query, given_type
from segment_copilot.api.http.routes import is_id, route_of
from segment_copilot.errors import InvalidInput

_JSON = "application/json"
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

T = TypeVar("T")


class ClientLeft(HTTPException):
    """The client left and will not read the answer; the status is for the log."""

    status_code = 499
    detail = "The client left."

    def __init__(self) -> None:
        super().__init__(detail=self.detail)


class ApiRequest(Request[Any, Any, State]):
    """A request whose JSON is decoded into what the handler declares, once, with a finding for each mistake."""

    body_seconds = 10.0  # a client that sends more slowly is not waited for

    async def body(self) -> bytes:
        """Return the whole body, once it is declared as JSON.

        Raises:
            HTTPException: 408, 413 or 415.

        """
        body = await self.undeclared_body()
        if body:
            self._check_content_type()
        elif (field := self.route_handler.parsed_data_field) and not field.is_optional:
            raise InvalidInput("This route needs a body.", code="missing_body")
        return body

    async def undeclared_body(self) -> bytes:
        """Return the whole body, whatever it is declared as.

        Raises:
            HTTPException: 408 or 413.

        """
        try:
            async with asyncio.timeout(self.body_seconds):
                return await super().body()
        except TimeoutError:
            raise late_body(self.body_seconds) from None
        except InternalServerException:  # Litestar's word for a client that left
            raise ClientLeft from None

    async def json(self) -> Any:
        """Decode the body as the type of the handler's `data`."""
        field = self.route_handler.parsed_data_field
        strict = not route_of(self.route_handler).judges_items
        body = await self.body()
        return decode_body(body, given_type(field) if field else Any, strict=strict) if body else None

    def _check_content_type(self) -> None:
        kind, options = self.content_type
        if bodies := route_of(self.route_handler).bodies:
            if kind not in bodies:
                raise HTTPException(status_code=415, detail=f"Send the body as {', '.join(bodies)}.")
            return
        is_json = kind == _JSON or (kind.startswith("application/") and kind.endswith("+json"))
        if not is_json or options.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
            raise HTTPException(status_code=415, detail=f"Send the body as {_JSON} in UTF-8.")


async def run_while_connected(request: Request[Any, Any, Any], work: Coroutine[Any, Any, T]) -> T:
    """Return what *work* gives. It is cancelled, and its queries with it, when the client leaves first.

    Raises:
        ClientLeft: it did.

    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientLeft
    finally:
        leaving.cancel()
        working.cancel()
        await asyncio.wait({working, leaving})


async def _wait_for_disconnect(request: Request[Any, Any, Any]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def check_parameters(app: ASGIApp) -> ASGIApp:
    """Refuse parameters that a route does not have, and values that a parameter cannot have, ids of the path among them.

    A body is refused where a route has none: whoever sends one believes that it counts.
    """

    async def check(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path_params"]:
            scope["path_params"] = _path_parameters(scope)
        check_query(scope["query_string"], scope["route_handler"])
        check_headers(scope["headers"], scope["route_handler"])
        if scope["type"] == "http" and scope["method"] in _WITH_BODY and not _takes_body(scope["route_handler"]):
            await _check_no_body(scope, receive)
        await app(scope, receive, send)

    return check


def _takes_body(handler: BaseRouteHandler) -> bool:
    return handler.parsed_data_field is not None or bool(route_of(handler).bodies)


async def _check_no_body(scope: Scope, receive: Receive) -> None:
    """Refuse a body that says something; clients that always send one send nothing, `{}` or `null`."""
    named = {name: value for name, value in scope["headers"] if name in {b"content-length", b"transfer-encoding"}}
    if not named or named.get(b"content-length") == b"0":
        return
    body = await ApiRequest(scope, receive).undeclared_body()
    if body.strip() not in {b"", b"{}", b"null"}:
        raise InvalidInput("This route takes no body, and this one would count for nothing.", code="unexpected_body")


def _path_parameters(scope: Scope) -> dict[str, Any]:
    """Return text as it was before `edge` quoted it, without NUL, and ids in their one spelling and within 64 bits."""
    parameters = cast("Mapping[str, str | int]", scope["path_params"])
    segments = scope["path"].split("/")
    for value in parameters.values():
        if isinstance(value, int) and not (is_id(str(value)) and str(value) in segments):
            raise NotFoundException
        if isinstance(value, str) and "%00" in value:
            raise NotFoundException
    return {name: unquote(value) if isinstance(value, str) else value for name, value in parameters.items()}
