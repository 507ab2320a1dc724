"""Authentication and authorization: a request's credential becomes its caller, and may do it, before anything else of it is read."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final, cast

import structlog
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from segment_copilot.access.keyring import Keyring
from segment_copilot.access.keys import PREFIXES, Caller
from segment_copilot.access.origins import check_origin
from segment_copilot.access.scopes import missing
from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.routes import route_of
from segment_copilot.api.http.scopes import scope_of
from segment_copilot.errors import Forbidden, Unauthenticated

_DOTS_OF_A_TOKEN: Final = 2


def authenticate(app: ASGIApp) -> ASGIApp:
    """Let a request pass whose credential is one; note its caller and tenant."""

    async def admit(scope: Scope, receive: Receive, send: Send) -> None:
        asks_only = scope["type"] == "http" and scope["method"] == "OPTIONS"
        if not asks_only and _needs_key(scope):
            keyring: Keyring = scope["litestar_app"].state.keyring
            scope["auth"] = caller = await keyring.caller_of(_credential(scope))
            scope["user"] = caller.tenant
            structlog.contextvars.bind_contextvars(tenant_id=caller.tenant.id)
            if caller.session_user is not None:
                structlog.contextvars.bind_contextvars(session_user=_pseudonym(caller.session_user))
            if caller.public is not None:
                check_origin(caller.public.origins, _origin(scope))
        await app(scope, receive, send)

    return admit


def authorize(app: ASGIApp) -> ASGIApp:
    """Let a request pass whose credential may do what it asks for."""

    async def permit(scope: Scope, receive: Receive, send: Send) -> None:
        if (caller := cast("Caller | None", cast("Any", scope).get("auth"))) is not None:
            _check_scope(caller, cast("HTTPScope", scope))
        await app(scope, receive, send)

    return permit


def _needs_key(scope: Scope) -> bool:
    """Return whether a key must come along: a link's token may stand in for it, and is judged by the use case."""
    route = route_of(scope["route_handler"])
    if route.public:
        return False
    return not (route.link and route.link.encode() in {part.partition(b"=")[0] for part in _query(scope)})


def _query(scope: Scope) -> list[bytes]:
    return scope["query_string"].split(b"&")


def _pseudonym(user_id: str) -> str:
    """Return a pseudonym: no person stands in a log by name."""
    return sha256(user_id.encode()).hexdigest()[:12]


def _check_scope(caller: Caller, scope: HTTPScope) -> None:
    """Refuse what the caller's credential may not do; HEAD came in as GET (`api/http/edge.py`)."""
    needed = scope_of(scope["route_handler"], scope["path_template"], scope["method"])
    if needed is None or caller.may(needed):
        return
    if caller.public is not None and caller.session is None:
        detail = "A public key (pk_) only opens sessions; use a secret key (sk_) from a server."
        raise Forbidden(detail, code="public_key", context={"scope": needed})
    if caller.session is not None:
        detail = f"A session's token lacks {needed}; send this from your backend with a key that has it."
        raise missing(needed, detail=detail)
    raise missing(needed)


def _origin(scope: Scope) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"), None)


def _credential(scope: Scope) -> str:
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(sent) != 1:
        raise Unauthenticated("Send one header: Authorization: ApiKey sk_…")
    scheme, _, credential = sent[0].decode("latin-1").strip().partition(" ")
    credential = credential.strip()
    if scheme.lower() not in {"apikey", "bearer"}:
        raise Unauthenticated("The scheme of the Authorization header is ApiKey, or Bearer for a token.")
    if not (credential.startswith(tuple(PREFIXES.values())) or credential.count(".") == _DOTS_OF_A_TOKEN):
        raise Unauthenticated("An API key begins with sk_, pk_ or mk_; a token has two dots.")
    return credential


def provide_caller(request: ASGIConnection[Any, Any, Any, Any]) -> Caller:
    """Return the caller as a handler's dependency."""
    return cast("Caller", request.auth)


def provide_tenant(caller: NamedDependency[Caller]) -> Tenant:
    """Return the caller's tenant as a handler's dependency."""
    return caller.tenant
