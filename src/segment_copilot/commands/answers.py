"""Reads an answer of the service; a problem becomes one of our errors."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import httpx2
import msgspec

from segment_copilot.errors import Finding, SegmentCopilotError


async def read_answer(request: Awaitable[httpx2.Response]) -> dict[str, Any]:
    """Send *request* to the service and return the body of its answer.

    Raises:
        SegmentCopilotError: Nothing answers there, or the service's problem, with pointers into the definition sent.
    """
    try:
        response = await request
    except httpx2.TransportError as error:
        raise SegmentCopilotError(f"The service does not answer ({error}). Is it running?", code="no_answer") from error
    try:
        body = msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.DecodeError:
        body = {}
    if not response.is_success:
        detail = body.get("detail", f"The service answered {response.status_code}.")
        findings = [
            Finding(error["pointer"].removeprefix("/definition"), error["code"], error["detail"])
            for error in body.get("errors", [])
        ]
        raise SegmentCopilotError(detail, code=body.get("code"), findings=findings)
    return body
