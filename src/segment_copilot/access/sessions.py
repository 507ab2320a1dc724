"""USE CASE: open sessions: short tokens that a backend hands to a browser, so that no page ever holds a secret key.

A token is a JWT, signed with a secret that all processes share; nothing is stored for it. It lasts fifteen minutes, and
ends with the key it was made with.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from msgspec import Meta, Struct

from segment_copilot.access.signing import Secrets
from segment_copilot.errors import Unauthenticated

SessionScope = Literal["copilot"]
LIFETIME: Final = timedelta(minutes=15)

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


class Sessions:
    """Opens sessions and reads their tokens. A session speaks for the tenant of the key that opened it."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._secret: OctKey | None = None

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
            raise Unauthenticated("The session's time is over; ask your backend for a new one.", code="session_expired")
        return session

    async def _key(self) -> OctKey:
        if self._secret is None:
            self._secret = OctKey.import_key(await self._secrets.get_or_create(_PURPOSE))
        return self._secret
