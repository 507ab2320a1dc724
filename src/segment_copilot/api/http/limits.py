"""Limits requests per minute, and tells every caller what is left: the headers RateLimit and RateLimit-Policy, and 429.

They are as draft-ietf-httpapi-ratelimit-headers has them: a policy for the key and one for the tenant.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from litestar.types import ASGIApp, Receive, Scope, Send

from segment_copilot.access.keys import Caller
from segment_copilot.access.limits import WINDOW_SECONDS, Allowance, RateLimits
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
        if spent := [one for one in left if one.spent]:
            raise _too_many(spent[0])
        await app(scope, receive, send)

    return count


def _headers(left: tuple[Allowance, Allowance]) -> list[tuple[bytes, bytes]]:
    of_tenant, of_key = left
    nearest = of_key if of_key.remaining < of_tenant.remaining else of_tenant
    rest = f'"{nearest.name}";r={nearest.remaining};t={nearest.reset_seconds}'
    return [(b"ratelimit-policy", _policy(of_tenant.limit, of_key.limit)), (b"ratelimit", rest.encode())]


@cache
def _policy(of_tenant: int, of_key: int) -> bytes:
    return f'"tenant";q={of_tenant};w={WINDOW_SECONDS}, "key";q={of_key};w={WINDOW_SECONDS}'.encode()


def _too_many(spent: Allowance) -> TooManyRequests:
    whose = "this key" if spent.name == "key" else "this tenant, all its keys together,"
    detail = f"More than {spent.limit:,} requests in a minute: so many may {whose} send. Wait for Retry-After."
    return TooManyRequests(detail, code="rate_limited", context={"retry_after_seconds": spent.reset_seconds})
