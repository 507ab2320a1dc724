"""Translates what goes wrong with the SDK or below it to our codes; its text goes to the log only."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import anthropic
import httpx2
import structlog

from segment_copilot.errors import Unavailable

log = structlog.get_logger()

_CODES: Final[Mapping[str, str]] = {
    "overloaded_error": "upstream_overloaded",
    "billing_error": "upstream_spend_limit",
    "request_too_large": "context_too_long",
    "rate_limit_error": "upstream_rate_limited",
    "timeout_error": "upstream_timeout",
    "api_error": "upstream_disconnected",
    "authentication_error": "upstream_auth",
    "permission_error": "upstream_auth",
    "invalid_request_error": "upstream_bad_request",
    "not_found_error": "upstream_bad_request",
}
_STATUSES: Final[Mapping[int, str]] = {
    401: "upstream_auth",
    402: "upstream_spend_limit",
    403: "upstream_auth",
    408: "upstream_timeout",
    409: "upstream_disconnected",
    413: "context_too_long",
    429: "upstream_rate_limited",
    503: "upstream_overloaded",
    504: "upstream_timeout",
    529: "upstream_overloaded",
}
"""Codes for answers of a proxy, which have no type."""
_FOREVER: Final = 10**9
_SPEND_LIMITS: Final = {"enforced_spend_limit_reached", "contract_spend_limit_reached"}


def fault_of(error: Exception) -> Unavailable:
    """Return any fault of the SDK or below it as one of our codes; its text goes to the log only."""
    match error:
        case anthropic.APIStatusError():
            return _fault_of_answer(error)
        case anthropic.APITimeoutError() | httpx2.TimeoutException() | TimeoutError():
            code = "upstream_timeout"
        case _:
            code = "upstream_disconnected"
    log.warning("copilot.upstream_failed", code=code, error=type(error).__name__)
    return Unavailable("The language model could not be reached.", code=code)


def _fault_of_answer(error: anthropic.APIStatusError) -> Unavailable:
    """Return the fault of an answer that says no; an error inside a stream has status 200 and only its type tells what it is."""
    code = _code(error)
    log.warning(
        "copilot.upstream_refused",
        code=code,
        status=error.status_code,
        type=error.type,
        error_code=error.error_code,
        upstream_request_id=error.request_id,
    )
    context: dict[str, Any] = {}
    if error.request_id:
        context["upstream_request_id"] = error.request_id
    if (after := _retry_after_ms(error.response.headers.get("retry-after"))) is not None:
        context["retry_after_ms"] = after
    return Unavailable("The language model refused the request.", code=code, context=context)


def _code(error: anthropic.APIStatusError) -> str:
    if error.error_code in _SPEND_LIMITS:
        return "upstream_spend_limit"
    if error.type == "invalid_request_error" and "too long" in (error.api_message or ""):
        return "context_too_long"
    known = _CODES.get(error.type or "") or _STATUSES.get(error.status_code)
    if known is not None:
        return known
    refused = HTTPStatus.BAD_REQUEST <= error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
    return "upstream_bad_request" if refused else "upstream_disconnected"


def _retry_after_ms(header: str | None) -> int | None:
    """Read the form in seconds only; a date is not worth a clock that may differ."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return round(seconds * 1000) if 0 <= seconds < _FOREVER else None
