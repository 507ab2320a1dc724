"""Who is calling: the key or token of a request becomes its tenant, before anything else of it is read."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from time import monotonic
from typing import Any, Final, cast

import structlog
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.types import ASGIApp, Receive, Scope, Send

from segment_copilot.access import tenants
from segment_copilot.access.sessions import SessionSigner
from segment_copilot.access.tenants import Caller, Tenant
from segment_copilot.api.http.routes import route_of
from segment_copilot.errors import Forbidden, Unauthenticated
from segment_copilot.resources import Resources
from segment_copilot.stores.postgres import Postgres

REMEMBERED_SECONDS: Final = 5.0  # so long a revoked key may still be taken
_REMEMBERED_KEYS: Final = 10_000
_DOTS_OF_A_TOKEN: Final = 2


class Keyring:
    """Keys and tokens that were good a moment ago, by their digest: most requests need no look-up."""

    def __init__(self, postgres: Postgres, sessions: SessionSigner) -> None:
        self._postgres = postgres
        self._sessions = sessions
        self._known: dict[bytes, tuple[float, Caller]] = {}

    async def caller_of(self, credential: str) -> Caller:
        """Who *credential*, a secret key or a session's token, speaks for.

        Raises:
            Unauthenticated: there is no such key, or it was revoked; the token is none, or its time is over.

        """
        digest = sha256(credential.encode()).digest()
        until, caller = self._known.get(digest, (0.0, None))
        if caller is None or until < monotonic():
            until, caller = await self._looked_up(credential)
            if len(self._known) >= _REMEMBERED_KEYS:
                self._known.clear()
            self._known[digest] = (until, caller)
        return caller

    async def _looked_up(self, credential: str) -> tuple[float, Caller]:
        until = monotonic() + REMEMBERED_SECONDS
        if credential.startswith("sk_"):
            return until, await tenants.identify(self._postgres, credential)
        now = datetime.now(UTC)
        session = await self._sessions.read(credential, now=now)
        caller = await tenants.identify_session(self._postgres, session.key_id, user_id=session.sub)
        return min(until, monotonic() + (session.expires_at - now).total_seconds()), caller


def authenticated(app: ASGIApp) -> ASGIApp:
    """Let a request pass that carries a secret key, or a token that may do what it asks for; note its tenant."""

    async def admit(scope: Scope, receive: Receive, send: Send) -> None:
        asks_only = scope["type"] == "http" and scope["method"] == "OPTIONS"
        if not asks_only and not route_of(scope["route_handler"]).public:
            keyring: Keyring = scope["litestar_app"].state.keyring
            scope["auth"] = caller = await keyring.caller_of(_credential(scope))
            scope["user"] = caller.tenant
            structlog.contextvars.bind_contextvars(tenant_id=caller.tenant.id)
            if caller.session_user is not None:
                structlog.contextvars.bind_contextvars(session_user=_pseudonym(caller.session_user))
            if caller.read_only:
                _check_asks(scope)
        await app(scope, receive, send)

    return admit


def _pseudonym(user_id: str) -> str:
    """Who it is, for whoever knows them: no person stands in a log by name."""
    return sha256(user_id.encode()).hexdigest()[:12]


def _check_asks(scope: Scope) -> None:
    """HEAD came in as GET (`api/http/edge.py`)."""
    if not (scope["type"] == "http" and (scope["method"] == "GET" or route_of(scope["route_handler"]).asks)):
        detail = "A session's token reads and asks; send this from your backend with a secret key (sk_)."
        raise Forbidden(detail, code="read_only_token")


def _credential(scope: Scope) -> str:
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(sent) != 1:
        raise Unauthenticated("Send one header: Authorization: ApiKey sk_…")
    scheme, _, credential = sent[0].decode("latin-1").strip().partition(" ")
    credential = credential.strip()
    if scheme.lower() not in {"apikey", "bearer"}:
        raise Unauthenticated("The scheme of the Authorization header is ApiKey, or Bearer for a session's token.")
    if credential.startswith("pk_"):
        raise Forbidden("A public key (pk_) may not do this; use a secret key (sk_) from a server.", code="public_key")
    if not (credential.startswith("sk_") or credential.count(".") == _DOTS_OF_A_TOKEN):
        raise Unauthenticated("An API key begins with sk_; a session's token has two dots.")
    return credential


def provide_caller(request: ASGIConnection[Any, Any, Any, Any], resources: NamedDependency[Resources]) -> Caller:  # noqa: ARG001
    """The caller as a handler's dependency; see `provide_tenant`."""
    return cast("Caller", request.auth)


def provide_tenant(request: ASGIConnection[Any, Any, Any, Any], resources: NamedDependency[Resources]) -> Tenant:  # noqa: ARG001
    """The tenant as a handler's dependency.

    It asks for *resources* only to come after them: Litestar provides what is independent in a task group, which costs
    more than the rest of a request.
    """
    return cast("Tenant", request.user)
