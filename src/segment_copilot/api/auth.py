"""Who is calling: the key of a request becomes its tenant, before anything else of it is read."""

from __future__ import annotations

from hashlib import sha256
from time import monotonic
from typing import Any, Final, cast

import structlog
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.types import ASGIApp, Receive, Scope, Send

from segment_copilot import tenants
from segment_copilot.errors import Forbidden, Unauthenticated
from segment_copilot.postgres import Postgres
from segment_copilot.resources import Resources
from segment_copilot.tenants import Tenant

PUBLIC: Final = {"public": True}
"""`opt` of a route that needs no key."""

REMEMBERED_SECONDS: Final = 5.0  # so long a revoked key may still be taken
_REMEMBERED_KEYS: Final = 10_000


class Keyring:
    """Keys that were good a moment ago, by their digest: most requests need no look-up."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._known: dict[bytes, tuple[float, Tenant]] = {}

    async def tenant_of(self, key: str) -> Tenant:
        """The tenant *key* speaks for.

        Raises:
            Unauthenticated: there is no such key, or it was revoked.

        """
        digest = sha256(key.encode()).digest()
        until, tenant = self._known.get(digest, (0.0, None))
        if tenant is None or until < monotonic():
            tenant = await tenants.authenticate(self._postgres, key)
            if len(self._known) >= _REMEMBERED_KEYS:
                self._known.clear()
            self._known[digest] = (monotonic() + REMEMBERED_SECONDS, tenant)
        return tenant


def authenticated(app: ASGIApp) -> ASGIApp:
    """Let a request pass that carries a secret key, and note its tenant."""

    async def admit(scope: Scope, receive: Receive, send: Send) -> None:
        asks_only = scope["type"] == "http" and scope["method"] == "OPTIONS"
        if not asks_only and not scope["route_handler"].opt.get("public"):
            keyring: Keyring = scope["litestar_app"].state.keyring
            scope["user"] = tenant = await keyring.tenant_of(_secret_key(scope))
            structlog.contextvars.bind_contextvars(tenant_id=tenant.id)
        await app(scope, receive, send)

    return admit


def _secret_key(scope: Scope) -> str:
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(sent) != 1:
        raise Unauthenticated("Send one header: Authorization: ApiKey sk_…")
    scheme, _, key = sent[0].decode("latin-1").strip().partition(" ")
    key = key.strip()
    if scheme.lower() not in {"apikey", "bearer"}:
        raise Unauthenticated("The scheme of the Authorization header is ApiKey.")
    if key.startswith("pk_"):
        raise Forbidden("A public key (pk_) may not do this; use a secret key (sk_) from a server.", code="public_key")
    if not key.startswith("sk_"):
        raise Unauthenticated("An API key begins with sk_.")
    return key


def provide_tenant(request: ASGIConnection[Any, Any, Any, Any], resources: NamedDependency[Resources]) -> Tenant:  # noqa: ARG001
    """The tenant as a handler's dependency.

    It asks for *resources* only to come after them: Litestar provides what is independent in a task group, which costs
    more than the rest of a request.
    """
    return cast("Tenant", request.user)
