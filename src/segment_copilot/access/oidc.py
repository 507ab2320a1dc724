"""USE CASE: recognise people who logged in elsewhere: bearer tokens of an OpenID Connect issuer, by its published keys.

There is no table of users: the token says which tenant a person belongs to, and in which role.
"""

from __future__ import annotations

import asyncio
import binascii
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final, cast

import httpx2
import msgspec
import structlog
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from msgspec import Struct

from segment_copilot.access.keys import Caller
from segment_copilot.access.scopes import ROLES, Role
from segment_copilot.access.tenants import Tenants
from segment_copilot.errors import Forbidden, NotFound, Unauthenticated, Unavailable

log = structlog.get_logger()

ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
)
"""Only those whose key the issuer alone has."""

LEEWAY_SECONDS: Final = 60
FETCH_SECONDS: Final = 5.0
KEPT_SECONDS: Final = 3_600.0
RETRY_SECONDS: Final = 10.0
"""An unknown key id has the keys fetched again, but not more often than this: anybody can make one up."""

_LAST_SECOND: Final = 253_402_300_799  # of the year 9999, after which there is no datetime
_MAX_BYTES: Final = 1024 * 1024
_STRONGEST_FIRST: Final[tuple[Role, ...]] = ("owner", "admin", "member", "viewer")


class Issuer(Struct, frozen=True):
    """Names the issuer, whom its tokens are for, and the claims that say tenant and role."""

    url: str
    audience: str
    tenant_claim: str = "tenant"
    role_claim: str = "role"


class People:
    """Recognises the people of one issuer. Its keys are fetched when the first token comes, and kept for an hour."""

    def __init__(self, issuer: Issuer, tenants: Tenants) -> None:
        self._issuer = issuer
        self._tenants = tenants
        self._keys: KeySet | None = None
        self._fetched = 0.0
        self._fetching = asyncio.Lock()

    def issued(self, token: str) -> bool:
        """Return whether *token* says that it is the issuer's; nothing of it is believed yet."""
        try:
            part = token.split(".")[1]
            claims = msgspec.json.decode(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        except (IndexError, ValueError, binascii.Error, RecursionError):
            return False
        return isinstance(claims, dict) and cast("dict[str, Any]", claims).get("iss") == self._issuer.url

    async def read(self, token: str, *, now: datetime) -> Caller:
        """Return the person that *token* speaks for.

        Raises:
            Unauthenticated: The token is not the issuer's, not for this service, or its time is over.
            Forbidden: It names no tenant, or no role, that exist here.
            Unavailable: The issuer's keys cannot be fetched.

        """
        claims = await self._claims(token)
        self._check(claims, now=now)
        slug, role = claims.get(self._issuer.tenant_claim), _strongest(claims.get(self._issuer.role_claim))
        if not isinstance(slug, str) or role is None:
            said = f"The token's claims {self._issuer.tenant_claim} and {self._issuer.role_claim} name no tenant and role of this service."
            raise Forbidden(said, code="no_membership")
        try:
            tenant = await self._tenants.get(slug)
        except NotFound:
            raise Forbidden("The token names a tenant that does not exist.", code="no_membership") from None
        return Caller(
            tenant,
            key_id=None,
            scopes=ROLES[role],
            session_user=str(claims.get("sub", "")) or None,
            expires_at=datetime.fromtimestamp(claims["exp"], UTC),
        )

    async def _claims(self, token: str) -> Mapping[str, Any]:
        keys = await self._key_set()
        try:
            return jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims
        except InvalidKeyIdError:  # the issuer may have changed its keys
            await self._fetch_anew(keys)
        except (JoseError, ValueError):
            raise _refused() from None
        try:
            return jwt.decode(token, await self._key_set(), algorithms=list(ALGORITHMS)).claims
        except (JoseError, ValueError):
            raise _refused() from None

    def _check(self, claims: Mapping[str, Any], *, now: datetime) -> None:
        """Check what a signature does not: issuer, audience, and that it holds now."""
        seconds, ends, begins = now.timestamp(), _seconds(claims.get("exp")), _seconds(claims.get("nbf", 0))
        audience = claims.get("aud")
        audiences = cast("list[object]", audience) if isinstance(audience, list) else [audience]
        if claims.get("iss") != self._issuer.url or self._issuer.audience not in audiences:
            raise _refused()
        if ends is None or begins is None or begins > seconds + LEEWAY_SECONDS:
            raise _refused()
        if ends + LEEWAY_SECONDS <= seconds:
            raise Unauthenticated("The login's time is over; log in again.", code="session_expired")

    async def _key_set(self) -> KeySet:
        if self._keys is None or monotonic() - self._fetched > KEPT_SECONDS:
            async with self._fetching:
                if self._keys is None or monotonic() - self._fetched > KEPT_SECONDS:
                    await self._fetch()
        assert self._keys is not None  # noqa: S101  # fetched, or raised
        return self._keys

    async def _fetch_anew(self, known: KeySet) -> None:
        """Fetch the keys again, unless somebody just has, or it was done a moment ago."""
        async with self._fetching:
            if self._keys is known and monotonic() - self._fetched >= RETRY_SECONDS:
                await self._fetch()

    async def _fetch(self) -> None:
        base = self._issuer.url.rstrip("/")
        try:
            async with httpx2.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=False) as client:
                about = await _document(client, f"{base}/.well-known/openid-configuration")
                keys = await _document(client, about["jwks_uri"])
            self._keys = KeySet.import_key_set(cast("Any", keys))
        except (httpx2.HTTPError, httpx2.InvalidURL, JoseError, ValueError, KeyError, TypeError) as error:
            log.warning("oidc.keys_not_fetched", error=type(error).__name__)
            if self._keys is None:
                raise Unavailable("The issuer of logins does not answer.", code="issuer_unavailable") from error
        self._fetched = monotonic()


async def _document(client: httpx2.AsyncClient, url: str) -> dict[str, Any]:
    answer = await client.get(url)
    answer.raise_for_status()
    if len(answer.content) > _MAX_BYTES:
        raise ValueError(url)
    return msgspec.json.decode(answer.content, type=dict[str, Any])


def _strongest(claim: object) -> Role | None:
    """Return the strongest role that a claim names: it may be one, or a list."""
    named = cast("list[object]", claim) if isinstance(claim, list) else [claim]
    return next((role for role in _STRONGEST_FIRST if role in named), None)


def _seconds(value: object) -> float | None:
    """Return a claim that is an instant, in seconds since 1970; None where it is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value <= _LAST_SECOND else None


def _refused() -> Unauthenticated:
    return Unauthenticated("The token is not one that this service takes.", code="invalid_token")
