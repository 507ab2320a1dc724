"""Says which scope an operation needs: by its path and method, in this one place, unless its route says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from litestar.handlers import BaseRouteHandler

from segment_copilot.api.http.routes import route_of

RESOURCES: Final[Mapping[str, str]] = {
    "activations": "activations",
    "analytics": "analytics",
    "audit": "audit",
    "auth": "keys",
    "catalog": "catalog",
    "computations": "segments",
    "connectors": "activations",
    "copilot": "copilot",
    "deliveries": "activations",
    "erasures": "users",
    "explorer": "users",
    "exports": "exports",
    "identity": "users",
    "ingestion": "events",
    "schemas": "schemas",
    "segments": "segments",
    "snapshots": "members",
    "usage": "analytics",
    "webhooks": "webhooks",
}
"""First word of a path below /api → whose scopes it needs."""

WITHIN: Final[Mapping[str, Mapping[str, str]]] = {
    "segments": {
        "changes": "members",
        "export": "exports",
        "exports": "exports",
        "members": "members",
        "membership": "members",
        "memberships": "members",
        "snapshots": "members",
    },
    "activations": {"rejected": "members"},
    "members": {"export": "exports", "exports": "exports"},  # of a snapshot
    "schemas": {"violations": "users"},
}
"""Later words of a resource's paths that tell of users."""

_WHOLE: Final[Mapping[str, str]] = {"copilot": "copilot:ask", "keys": "keys:manage"}
"""Resources with one scope, whatever the method."""


def scope_of(handler: BaseRouteHandler, path: str, method: str) -> str | None:
    """Return the scope that *method* of *path*, a template, needs; None where no credential is needed."""
    route = route_of(handler)
    return None if route.public else route.scope or _derived(path, method, asks=route.asks)


@cache
def _derived(path: str, method: str, *, asks: bool) -> str:
    first, *rest = [word for word in path.removeprefix("/api/").split("/") if word]
    resource = RESOURCES.get(first, first)
    inside = WITHIN.get(resource, {})
    resource = next((inside[word] for word in rest if word in inside), resource)
    if resource in _WHOLE:
        return _WHOLE[resource]
    if method in {"GET", "HEAD"} or asks:
        return f"{resource}:read"
    return "users:erase" if (resource, method) == ("users", "DELETE") else f"{resource}:write"
