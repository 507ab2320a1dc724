"""Limits requests per minute, and tells every caller what is left: the headers RateLimit and RateLimit-Policy, and 429.

They are as draft-ietf-httpapi-ratelimit-headers has them: a policy for the key and one for the tenant.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from litestar.types import ASGIApp, Receive, Scope, Send

from segment_copilot.access.keys import Caller
from segment_copilot.access.limits import WINDOW_SECONDS, Allowance, Limit, RateLimits
from segment_copilot.api.http.edge import ANSWER_HEADERS
from segment_copilot.errors import TooManyRequests


def limited(app: ASGIApp) -> ASGIApp:
    """Let a request pass while its key and its tenant have requests left in this minute; streams count as they begin."""

    async def count(scope: Scope, receive: Receive, send: Send) -> None:
        caller = cast("Caller | None", cast("Any", scope).get("auth"))
        if caller is None:
            await app(scope, receive, send)
            return
        limits: RateLimits = scope["litestar_app"].state.rate_limits
        left = limits.take(caller)
        scope["state"][ANSWER_HEADERS] = _headers(left)  # of whatever the answer will be, this refusal too
        if left.spent:
            raise _too_many(left, left.spent)
        await app(scope, receive, send)

    return count


def _headers(left: Allowance) -> list[tuple[bytes, bytes]]:
    rest = f'"{left.nearest}";r={left.remaining};t={left.reset_seconds}'
    return [(b"ratelimit-policy", _policy(left.of_tenant, left.of_key)), (b"ratelimit", rest.encode())]


@cache
def _policy(of_tenant: int, of_key: int) -> bytes:
    return f'"tenant";q={of_tenant};w={WINDOW_SECONDS}, "key";q={of_key};w={WINDOW_SECONDS}'.encode()


def _too_many(left: Allowance, spent: Limit) -> TooManyRequests:
    most, whose = (
        (left.of_key, "this key") if spent == "key" else (left.of_tenant, "this tenant, all its keys together,")
    )
    detail = f"More than {most:,} requests in a minute: so many may {whose} send. Wait for Retry-After."
    return TooManyRequests(detail, code="rate_limited", context={"retry_after_seconds": left.reset_seconds})
