"""USE CASE: open sessions: short tokens for browsers and apps, so that none of them ever holds a secret key.

A token is a JWT, signed with a secret that all processes share; nothing is stored for it. It lasts fifteen minutes, and
ends with the key it was made with. One that a public key opened sends the events of one user, and reads nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any, Final

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from msgspec import Meta, Struct

from segment_copilot.access.keys import Caller, PublicKey
from segment_copilot.access.scopes import SESSIONS, SessionScope, missing
from segment_copilot.access.signing import Secrets
from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import Conflict, Finding, Forbidden, InvalidInput, Unauthenticated

LIFETIME: Final = timedelta(minutes=15)
SIGNATURE_HOLDS: Final = timedelta(minutes=5)
ANONYMOUS: Final = "anon_"
"""What the user id of somebody begins with who is known by an anonymous id only."""

Link = Callable[[Tenant, str, str], Awaitable[object]]
"""Records that a tenant's anonymous id and user id are one person."""

_ALGORITHM: Final = "HS256"
_PURPOSE: Final = "sessions"
_LAST_SECOND: Final = 253_402_300_799  # of the year 9999, after which there is no datetime


class Session(Struct, frozen=True, omit_defaults=True):
    """A session holds a token's claims: *sub* is the user whose browser holds it, *exp* is in seconds since 1970."""

    key_id: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    scope: SessionScope
    exp: Annotated[int, Meta(ge=0, le=_LAST_SECOND)]
    sub: str | None = None

    @property
    def expires_at(self) -> datetime:
        """The end of the session, a whole second: SDKs exist whose parsers take no fraction."""
        return datetime.fromtimestamp(self.exp, UTC)


class Wanted(Struct, frozen=True):
    """Says what a session is to be for, and whose; *signature* is a backend's word, at *signed_at*, that it is that user."""

    scope: SessionScope | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    signature: str | None = None
    signed_at: int | None = None


class Sessions:
    """Opens sessions and reads their tokens. A session speaks for the tenant of the key that opened it.

    *link* is called with both ids of a session that names a user and an anonymous id; without it nobody is linked.
    """

    def __init__(self, secrets: Secrets, link: Link | None = None) -> None:
        self._secrets = secrets
        self._link = link
        self._secret: OctKey | None = None

    async def open_by(self, caller: Caller, wanted: Wanted, *, now: datetime) -> tuple[Session, str]:
        """Open a session with the caller's key; return it and its token.

        Raises:
            InvalidInput: It does not say for what, or for whom.
            Forbidden: The key may not open this one, or demands a signature that is missing, wrong or old.

        """
        if caller.key_id is None:
            raise Forbidden("A session is opened with a key, and ends with it.", code="key_needed")
        if caller.public is not None:
            scope = "track"
            if wanted.scope not in {None, "track"}:
                raise missing("copilot:ask", detail="A public key opens sessions that track, and no others.")
            _check_signature(caller.public, wanted, now=now)
        elif wanted.scope is None:
            raise _incomplete("/scope", "Say what the session is for: scope is copilot or track.")
        else:
            scope = wanted.scope
            for needed in ("copilot:ask",) if scope == "copilot" else SESSIONS["track"]:
                caller.require(needed)
        uid = _uid(wanted)
        if scope == "track" and uid is None:
            raise _incomplete("/user_id", "Say whose events it sends: user_id or anonymous_id.")
        if self._link is not None and scope == "track" and wanted.user_id and wanted.anonymous_id:
            with suppress(Conflict, InvalidInput):  # who cannot be linked is tracked all the same
                await self._link(caller.tenant, wanted.anonymous_id, wanted.user_id)
        return await self.open(caller.key_id, scope=scope, user_id=uid, now=now)

    async def open(
        self, key_id: int, *, scope: SessionScope, user_id: str | None, now: datetime
    ) -> tuple[Session, str]:
        """Open a session that begins *now* and speaks for the tenant of that key; return it and its token."""
        session = Session(key_id, scope, int((now + LIFETIME).timestamp()), user_id)
        claims: dict[str, Any] = msgspec.to_builtins(session)
        token = jwt.encode({"alg": _ALGORITHM}, claims, await self._key(), algorithms=[_ALGORITHM])
        return session, token

    async def read(self, token: str, *, now: datetime) -> Session:
        """Return the session that *token* stands for.

        Raises:
            Unauthenticated: it is none of ours, or its time is over.

        """
        key = await self._key()
        try:
            claims = jwt.decode(token, key, algorithms=[_ALGORITHM]).claims
            session = msgspec.convert(claims, Session)
        except (JoseError, ValueError):  # ValidationError is one
            raise Unauthenticated("This is neither a key nor a session's token.", code="invalid_session") from None
        if session.expires_at <= now:
            raise Unauthenticated("The session's time is over; open another.", code="session_expired")
        return session

    async def _key(self) -> OctKey:
        if self._secret is None:
            self._secret = OctKey.import_key(await self._secrets.get_or_create(_PURPOSE))
        return self._secret


def signature_of(secret: bytes, user_id: str, signed_at: int) -> str:
    """Return what a backend sends as `user_id_sig`: the HMAC of user id and Unix seconds, in hexadecimal."""
    return hmac.new(secret, f"{user_id}|{signed_at}".encode(), sha256).hexdigest()


def _check_signature(key: PublicKey, wanted: Wanted, *, now: datetime) -> None:
    """Take a user id at a backend's word: where one is demanded, and where one is sent."""
    if not wanted.user_id or (wanted.signature is None and not key.requires_signature):
        return
    if wanted.signature is None or wanted.signed_at is None:
        detail = "This key takes a user_id with its signature: send user_id_sig and user_id_ts of your backend."
        raise Forbidden(detail, code="user_id_not_signed")
    good = signature_of(key.hmac_secret, wanted.user_id, wanted.signed_at)
    if not hmac.compare_digest(good.encode(), wanted.signature.lower().encode()):
        raise Forbidden("user_id_sig is not the signature of this user_id and user_id_ts.", code="bad_user_signature")
    if abs(now.timestamp() - wanted.signed_at) > SIGNATURE_HOLDS.total_seconds():
        raise Forbidden("user_id_ts is more than five minutes away; sign anew.", code="stale_user_signature")


def _uid(wanted: Wanted) -> str | None:
    if wanted.user_id:
        return wanted.user_id
    return f"{ANONYMOUS}{wanted.anonymous_id}" if wanted.anonymous_id else None


def _incomplete(pointer: str, detail: str) -> InvalidInput:
    return InvalidInput(detail, findings=[Finding(pointer, "missing_field", detail)])
