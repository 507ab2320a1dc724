"""USE CASE: issue, list, revoke and recognise the keys that speak for a tenant. Of a key's text only a hash is kept."""

from __future__ import annotations

import hashlib
import secrets
import string
from datetime import datetime
from typing import Final, Literal

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import Forbidden, NotFound, Unauthenticated
from segment_copilot.stores.postgres import Postgres, Record

KeyKind = Literal["secret", "public"]
PREFIXES: Final[dict[KeyKind, str]] = {"secret": "sk_", "public": "pk_"}

_ALPHABET: Final = string.ascii_letters + string.digits
_LENGTH: Final = 32  # 190 bits: a plain hash of it cannot be searched
_COLUMNS: Final = "id, kind, name, hint, created_at, revoked_at"
_VALID: Final = """
    SELECT tenants.id, slug, timezone, dynamic_plus_limit, kind, api_keys.id AS key_id
    FROM api_keys JOIN tenants ON tenants.id = api_keys.tenant_id
    WHERE revoked_at IS NULL"""


class Caller(Struct, frozen=True):
    """A caller is a tenant, one of its keys, and the user a session was opened for (None: nobody was named).

    *read_only* is a session's: it reads and asks, and never writes.
    """

    tenant: Tenant
    key_id: int
    read_only: bool = False
    session_user: str | None = None


class Key(Struct, frozen=True):
    """A key as it is listed: its text is never part of it."""

    id: int
    kind: KeyKind
    name: str
    hint: str
    created_at: datetime
    revoked_at: datetime | None = None


class Keys:
    """Manages the keys of all tenants; every method takes the tenant, but for the two that find it out."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def create(self, tenant: Tenant, *, kind: KeyKind = "secret", name: str = "") -> tuple[Key, str]:
        """Create a key; return it and its text, which is shown this once: only its hash is kept."""
        text = PREFIXES[kind] + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        sql = f"""
            INSERT INTO api_keys (tenant_id, kind, name, hash, hint) VALUES ($1, $2, $3, $4, $5)
            RETURNING {_COLUMNS}"""
        hint = f"{text[:3]}…{text[-4:]}"
        row = await self._postgres.fetchrow(sql, tenant.id, kind, name, _hash(text), hint)
        assert row is not None  # noqa: S101  # RETURNING gives a row
        return _key(row), text

    async def list(self, tenant: Tenant) -> list[Key]:
        """Return the keys of a tenant, revoked ones included."""
        sql = f"SELECT {_COLUMNS} FROM api_keys WHERE tenant_id = $1 ORDER BY id"
        return [_key(row) for row in await self._postgres.fetch(sql, tenant.id)]

    async def revoke(self, tenant: Tenant, key_id: int) -> None:
        """Revoke the key: from now on it answers 401."""
        sql = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE tenant_id = $1 AND id = $2"
        if not await self._postgres.execute(sql, tenant.id, key_id):
            raise NotFound(f"There is no key {key_id}.", code="key_not_found")

    async def identify(self, text: str) -> Caller:
        """Return the caller that a secret key speaks for.

        Raises:
            Unauthenticated: No such key, or a revoked one.
            Forbidden: A public key; it only opens sessions.
        """
        row = await self._postgres.fetchrow(f"{_VALID} AND hash = $1", _hash(text))
        if row is None:
            raise Unauthenticated("This key does not exist or was revoked.", code="invalid_key")
        if row["kind"] != "secret":
            raise Forbidden("A public key (pk_) may not do this; use a secret key (sk_).", code="public_key")
        return Caller(_tenant(row), row["key_id"])

    async def identify_session(self, key_id: int, *, user_id: str | None) -> Caller:
        """Return the caller of a session that was opened with that key; Unauthenticated once the key is revoked."""
        row = await self._postgres.fetchrow(f"{_VALID} AND api_keys.id = $1", key_id)
        if row is None:
            raise Unauthenticated("The key of this session was revoked.", code="invalid_session")
        return Caller(_tenant(row), key_id, read_only=True, session_user=user_id)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _tenant(row: Record) -> Tenant:
    return Tenant(row["id"], row["slug"], row["timezone"], row["dynamic_plus_limit"])


def _key(row: Record) -> Key:
    return Key(row["id"], row["kind"], row["name"], row["hint"], row["created_at"], row["revoked_at"])
