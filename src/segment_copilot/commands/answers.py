"""Speaks to the service for a command: whom it asks, and what it answers; a problem becomes one of our errors."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final

import httpx2
import msgspec
from msgspec import Struct, structs

from segment_copilot.errors import Finding, InvalidInput, SegmentCopilotError

MAX_PORT: Final = 65_535
NO_CONTENT: Final = 204


class _Problem(Struct, frozen=True):
    detail: str = ""
    code: str | None = None
    errors: tuple[Finding, ...] = ()


def check_url(url: str) -> None:
    """Raise InvalidInput unless *url* is the address of a web server."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        parsed = httpx2.URL()
    if parsed.scheme not in {"http", "https"} or not parsed.host or (parsed.port or 0) > MAX_PORT:
        raise InvalidInput(f"{url!r} is no address of a service. Write it as http://host:port.", code="bad_url")


def check_key(key: str) -> None:
    """Raise InvalidInput when *key* cannot be a key: blanks or other characters that no header takes."""
    if not (key.isascii() and key.isprintable() and " " not in key and key):
        raise InvalidInput("The key has characters that no key has. Copy it again, without blanks.", code="bad_key")


def not_ours(url: object) -> SegmentCopilotError:
    """Return the error of an answer that this service never gives."""
    return SegmentCopilotError(f"What answers at {url} is not segment-copilot. Check --url.", code="not_the_service")


async def read_answer(request: Awaitable[httpx2.Response]) -> dict[str, Any]:
    """Send *request* to the service and return the body of its answer.

    Raises:
        SegmentCopilotError: Nothing answers there, or the service's problem, with pointers into the definition sent.
    """
    try:
        response = await request
    except httpx2.TransportError as error:
        place = f"{error.request.url.scheme}://{error.request.url.netloc.decode()}"
        detail = f"The service does not answer at {place} ({error}). Start it, or check --url."
        raise SegmentCopilotError(detail, code="no_answer") from error
    if response.is_success and "x-request-id" not in response.headers:  # every answer of ours has one
        raise not_ours(response.url)
    if response.status_code == NO_CONTENT:
        return {}
    try:
        body = msgspec.json.decode(response.content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        if response.is_success:
            raise not_ours(response.url) from None
        body = {}
    if not response.is_success:
        raise _failure(body, response.status_code)
    return body


def _failure(body: dict[str, Any], status: int) -> SegmentCopilotError:
    """Return the error of a problem; of what a proxy may have answered in our place, only the status is told."""
    try:
        problem = msgspec.convert(body, type=_Problem)
    except msgspec.ValidationError:
        problem = _Problem()
    findings = [structs.replace(one, pointer=one.pointer.removeprefix("/definition")) for one in problem.errors]
    return SegmentCopilotError(
        problem.detail or f"The service answered {status}.", code=problem.code, findings=findings
    )
