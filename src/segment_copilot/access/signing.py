"""USE CASE: share the secrets that every process of a deployment signs with, and sign tokens (JWT) with them."""

from __future__ import annotations

import secrets
from typing import Any, Final, Generic, TypeVar

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from msgspec import Struct

from segment_copilot.stores.postgres import Postgres

LAST_SECOND: Final = 253_402_300_799
"""Of the year 9999, after which there is no datetime: the greatest `exp` of a token that can be told."""

_ALGORITHM: Final = "HS256"
_BYTES = 32

C = TypeVar("C", bound=Struct)


class Secrets:
    """Holds the secrets of the deployment, one for each purpose. They belong to no tenant."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def get_or_create(self, purpose: str) -> bytes:
        """Return 32 random bytes for *purpose*: made by whoever asks first, the same for everybody after that."""
        read = "SELECT secret FROM shared_secrets WHERE purpose = $1"
        if (found := await self._postgres.fetchval(read, purpose)) is None:
            made = secrets.token_bytes(_BYTES)
            sql = "INSERT INTO shared_secrets (purpose, secret) VALUES ($1, $2) ON CONFLICT DO NOTHING"
            await self._postgres.execute(sql, purpose, made)
            found = await self._postgres.fetchval(read, purpose)
        return bytes(found)


class Tokens(Generic[C]):
    """Signs claims of one type, with the secret of one purpose, and reads them again; nothing is stored for a token.

    When its time is over is for the reader to judge: a token that is late is read like any other.
    """

    def __init__(self, secrets: Secrets, purpose: str, claims: type[C]) -> None:
        self._secrets = secrets
        self._purpose = purpose
        self._claims = claims
        self._secret: OctKey | None = None

    async def sign(self, claims: C) -> str:
        """Return a token that says *claims*."""
        said: dict[str, Any] = msgspec.to_builtins(claims)
        return jwt.encode({"alg": _ALGORITHM}, said, await self._key(), algorithms=[_ALGORITHM])

    async def read(self, token: str) -> C | None:
        """Return what *token* says, or None if it was not signed here for this purpose."""
        key = await self._key()
        try:
            return msgspec.convert(jwt.decode(token, key, algorithms=[_ALGORITHM]).claims, self._claims)
        except (JoseError, ValueError):  # ValidationError is one
            return None

    async def _key(self) -> OctKey:
        if self._secret is None:
            self._secret = OctKey.import_key(await self._secrets.get_or_create(self._purpose))
        return self._secret
