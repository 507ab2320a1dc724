"""Checks every request on its way to a handler: its parameters are known and storable, its body is typed JSON."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Mapping
from functools import cache
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qsl, unquote

from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import HTTPException, InternalServerException, NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.params import QueryParameter
from litestar.types import ASGIApp, Receive, Scope, Send

from segment_copilot.api.http.bodies import decode_body
from segment_copilot.api.http.problems import ProblemError
from segment_copilot.api.http.routes import is_id, route_of
from segment_copilot.documents import unstorable
from segment_copilot.errors import InvalidInput
from segment_copilot.language.catalog import nearest

_WHOLE: Final = re.compile(r"-?[0-9]+")
_JSON = "application/json"

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
        try:
            async with asyncio.timeout(self.body_seconds):
                body = await super().body()
        except TimeoutError:
            raise HTTPException(
                status_code=408,
                detail=f"The body did not arrive within {self.body_seconds:g} seconds.",
                headers={"Connection": "close"},
            ) from None
        except InternalServerException:  # Litestar's word for a client that left
            raise ClientLeft from None
        if body:
            self._check_content_type()
        elif (field := self.route_handler.parsed_data_field) and not field.is_optional:
            raise InvalidInput("This route needs a body.", code="missing_body")
        return body

    async def json(self) -> Any:
        """Decode the body as the type of the handler's `data`."""
        field = self.route_handler.parsed_data_field
        strict = not route_of(self.route_handler).judges_items
        return decode_body(await self.body(), field.annotation if field else Any, strict=strict)

    def _check_content_type(self) -> None:
        kind, options = self.content_type
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
    """Refuse query parameters that a route does not have, and path parameters that no record can have."""

    async def check(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path_params"]:
            scope["path_params"] = _path_parameters(scope)
        if query := scope["query_string"]:
            _check_query(query, _query_parameters(scope["route_handler"]))
        await app(scope, receive, send)

    return check


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


@cache
def _query_parameters(handler: BaseRouteHandler) -> Mapping[str, bool]:
    """Return the names of the query parameters, and of each whether it is a whole number."""
    return {
        field.kwarg_definition.name or name: any(part.annotation is int for part in (field, *field.inner_types))
        for name, field in handler.parsed_fn_signature.parameters.items()
        if isinstance(field.kwarg_definition, QueryParameter)
    }


def _check_query(query: bytes, known: Mapping[str, bool]) -> None:
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:  # UnicodeDecodeError is one
        raise InvalidInput("The query is not percent-encoded UTF-8.", code="invalid_parameter") from None
    seen = set[str]()
    findings: list[ProblemError] = []
    for name, value in pairs:
        if name not in known:
            detail = f"There is no query parameter {name[:64]!r} here."
            findings.append(ProblemError("", "unknown_parameter", detail, nearest(name, known), parameter=name[:64]))
        elif name in seen:
            findings.append(ProblemError("", "duplicate_parameter", f"{name} is given twice.", parameter=name))
        elif known[name] and not _WHOLE.fullmatch(value):
            findings.append(ProblemError("", "invalid_parameter", f"{name} is a whole number.", parameter=name))
        else:
            findings += (ProblemError("", flaw.code, flaw.detail, parameter=name) for flaw in unstorable(value))
        seen.add(name)
    if findings:
        raise InvalidInput(findings[0].detail, code=findings[0].code, findings=findings)
