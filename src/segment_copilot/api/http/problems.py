"""Turns errors into RFC 9457 problems: one shape for every failure, and the one place that gives it a status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException, ValidationException
from msgspec import Struct

from segment_copilot import errors
from segment_copilot.api.http.routes import methods_of, nearest_path
from segment_copilot.errors import Finding, SegmentCopilotError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"

STATUS: Mapping[type[SegmentCopilotError], int] = {
    errors.InvalidInput: 400,
    errors.IdempotencyKeyReused: 422,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.PreconditionFailed: 412,
    errors.OutOfRange: 416,
    errors.TooManyRequests: 429,
    errors.Unavailable: 503,
    errors.QueryTimeout: 504,
}
"""A class that is not listed has the status of its nearest base."""

HTTP_CODES: Mapping[int, str] = {
    400: "invalid_input",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "body_too_large",
    415: "unsupported_media_type",
    499: "client_left",
    503: "unavailable",
}
"""Codes of what the framework itself refuses."""

TITLES: Mapping[str, str] = {
    "activation_not_found": "Nothing is here",
    "activation_paused": "The activation is paused",
    "bad_cursor": "The cursor was not made for this list",
    "body_too_large": "The body is too large",
    "client_left": "The client left before the answer",
    "conflict": "The request contradicts what is stored",
    "computation_finished": "The computation is over",
    "computation_not_found": "Nothing is here",
    "delivery_held": "The delivery waits for somebody to allow it",
    "delivery_not_found": "Nothing is here",
    "delivery_open": "The delivery is not over",
    "delivery_superseded": "A later delivery came after this one",
    "no_secrets_key": "The service has no key to keep secrets with",
    "secret_unreadable": "A stored secret cannot be opened",
    "unknown_connector": "There is no such connector",
    "cursor_expired": "What the cursor goes through is no longer kept",
    "duplicate_key": "A key occurs twice in one JSON object",
    "head_too_large": "The request line and its headers are too large",
    "forbidden": "This key may not do that",
    "gone": "It was here and is no more",
    "internal_error": "Something went wrong on our side",
    "idempotency_in_progress": "The first request with this key is still at work",
    "idempotency_key_reused": "This key came with another request",
    "invalid_definition": "The definition has mistakes",
    "invalid_input": "The request has mistakes",
    "invalid_list": "The list of users cannot be read",
    "unexpected_body": "The route takes no body",
    "empty_list": "The list of users is empty",
    "invalid_row": "Some lines of the list name no user",
    "malformed_json": "The body is not JSON",
    "malformed_request": "This is not HTTP",
    "missing_scope": "The credential may not do this",
    "method_not_allowed": "This path does not take that method",
    "not_found": "Nothing is here",
    "nothing_to_pause": "Nothing refreshes the segment",
    "precondition_failed": "It has changed since it was read",
    "segment_without_definition": "The segment has no definition yet",
    "query_timeout": "The query took too long",
    "query_too_expensive": "The query costs too much",
    "request_timeout": "The request did not arrive in time",
    "range_not_satisfiable": "The file ends before this range",
    "rate_limited": "Too many requests in a minute",
    "too_many_requests": "Too much at once",
    "segment_is_not_static": "The segment has a definition",
    "segment_is_static": "The segment has no definition",
    "unauthenticated": "A valid API key is needed",
    "unavailable": "A service behind this one does not answer",
    "unsupported_media_type": "The body is not declared as what this route reads",
}
"""What a code means, the same at every occurrence; other codes are titled by their own words."""

UNEXPECTED = "The failure was logged under this request_id."
RETRY_AFTER_SECONDS = 2
CHALLENGE = 'ApiKey realm="segment-copilot"'
PROBLEM_CODE = "problem_code"
"""Where, in a request's state, stands the code that it was answered with, for the log."""


class ProblemError(Finding, frozen=True, omit_defaults=True):
    """One thing that is wrong, and where: *pointer* is RFC 6901 into the request body, "" when no part of it is meant."""

    parameter: str = ""  # of the query, the path or the headers


class Problem(Struct, frozen=True, kw_only=True):
    """RFC 9457 problem details; some codes add members of their own."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    code: str
    errors: tuple[ProblemError, ...] = ()


def status_of(error: type[SegmentCopilotError]) -> int:
    """Return the HTTP status of an error class."""
    return next((STATUS[base] for base in error.__mro__ if base in STATUS), 500)


def status_for(error: Exception) -> int:
    """Return the HTTP status that an exception is answered with."""
    if isinstance(error, SegmentCopilotError):
        return status_of(type(error))
    if isinstance(error, HTTPException) and error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return error.status_code
    return HTTPStatus.INTERNAL_SERVER_ERROR


def title_of(code: str) -> str:
    """Return the fixed sentence for *code*."""
    return TITLES.get(code) or code.replace("_", " ").capitalize()


def problem_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer *error*; what we did not foresee is logged and its text kept from the caller."""
    if isinstance(error, SegmentCopilotError):
        return _foreseen_problem(request, error)
    if isinstance(error, HTTPException) and error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _framework_problem(request, error)
    log.error("http.unexpected_error", error=type(error).__name__, exc_info=error)
    return _response(request, 500, code="internal_error", detail=UNEXPECTED)


def _foreseen_problem(request: Request[Any, Any, Any], error: SegmentCopilotError) -> Response[bytes]:
    status = status_of(type(error))
    headers: dict[str, str] = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = CHALLENGE
    waits = status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}
    if waits or "retry_after_seconds" in error.context:
        headers["Retry-After"] = str(error.context.get("retry_after_seconds", RETRY_AFTER_SECONDS))
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        headers["Content-Range"] = f"bytes */{error.context['size']}"
    # What is wrong with a stored definition was not asked for by a parameter: its pointers stay, into the segment's record.
    of_parameters = request.method == "GET" and not isinstance(error, errors.InvalidDefinition)
    return _response(
        request,
        status,
        code=error.code,
        detail=error.detail,
        findings=_of_parameters(error.findings) if of_parameters else error.findings,
        members=error.context,
        headers=headers,
    )


def _of_parameters(findings: Sequence[Finding]) -> Sequence[Finding]:
    """Say of a request without a body that its parameters are meant: use cases do not know where a value came from."""
    return [
        ProblemError("", finding.code, finding.detail, finding.suggestions, parameter=finding.pointer[1:])
        if finding.pointer
        else finding
        for finding in findings
    ]


def _framework_problem(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer what Litestar refuses before a handler runs: routes, methods, sizes, parameters."""
    detail = ""
    if isinstance(error, MethodNotAllowedException):
        if not (methods := methods_of(request.scope)):
            error = NotFoundException()
        else:
            error.headers = {"allow": ", ".join(sorted(methods))}
            detail = f"This path takes {error.headers['allow']}."
    if isinstance(error, NotFoundException) and not methods_of(request.scope) and (near := nearest_path(request.scope)):
        detail = f"{_DETAILS[404]} Did you mean {near}?"
    findings = _parameter_findings(error) if isinstance(error, ValidationException) else ()
    return _response(
        request,
        error.status_code,
        code=HTTP_CODES.get(error.status_code, "invalid_input"),
        detail=detail
        or "; ".join(f"{finding.parameter or 'body'}: {finding.detail}" for finding in findings)
        or _DETAILS.get(error.status_code)
        or error.detail,
        findings=findings,
        headers=error.headers or {},
    )


# The framework's own sentences name its classes or only repeat the status.
_DETAILS: Mapping[int, str] = {
    404: "No route has this path.",
    413: "The body is larger than this route takes.",
}


def _parameter_findings(error: ValidationException) -> tuple[ProblemError, ...]:
    messages = cast("list[dict[str, str]]", error.extra if isinstance(error.extra, list) else [])
    return tuple(
        ProblemError("", "invalid_parameter", message["message"], parameter=message.get("key", ""))
        for message in messages
    )


def _response(
    request: Request[Any, Any, Any],
    status: int,
    *,
    code: str,
    detail: str,
    findings: Sequence[Finding] = (),
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    request.scope["state"][PROBLEM_CODE] = code
    body = problem_body(
        status,
        code=code,
        detail=detail,
        instance=request.scope["raw_path"].decode("latin-1"),
        request_id=request.scope["state"].get("request_id", ""),
        findings=findings,
        members=members,
    )
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def problem_body(
    status: int,
    *,
    code: str,
    detail: str,
    instance: str,
    request_id: str,
    findings: Sequence[Finding] = (),
    members: Mapping[str, Any] | None = None,
) -> bytes:
    """Encode a problem as JSON; *members* of its own never replace the ones that every problem has."""
    problem = Problem(
        type=f"/problems/{code}",
        title=title_of(code),
        status=status,
        detail=detail,
        instance=instance,
        request_id=request_id,
        code=code,
        errors=tuple(ProblemError(**msgspec.structs.asdict(finding)) for finding in findings),
    )
    return msgspec.json.encode(dict(members or {}) | msgspec.structs.asdict(problem))
