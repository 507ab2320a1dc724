"""USE CASE: tenants, and the keys that speak for them."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from datetime import datetime
from typing import Final, Literal

from msgspec import Struct

from segment_copilot.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from segment_copilot.language.decode import known_timezone
from segment_copilot.stores.postgres import Connection, Postgres, Record, UniqueViolation

KeyKind = Literal["secret", "public"]
PREFIXES: Final[dict[KeyKind, str]] = {"secret": "sk_", "public": "pk_"}
_ALPHABET: Final = string.ascii_letters + string.digits
_LENGTH: Final = 32  # 190 bits: a plain hash of it cannot be searched
_KEYS: Final = """
    SELECT tenants.id, slug, timezone, dynamic_plus_limit, kind, api_keys.id AS key_id
    FROM api_keys JOIN tenants ON tenants.id = api_keys.tenant_id"""
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Tenant(Struct, frozen=True):
    """Whose data it is."""

    id: int
    slug: str
    timezone: str = "UTC"
    dynamic_plus_limit: int | None = None


class Caller(Struct, frozen=True):
    """Who is asking: a tenant, by which of its keys, and for whom a session was opened (None: nobody was named).

    *read_only* is a session's: it reads and asks, and never writes.
    """

    tenant: Tenant
    key_id: int
    read_only: bool = False
    session_user: str | None = None


class Key(Struct, frozen=True):
    """A key as it is listed: never with its text."""

    id: int
    kind: KeyKind
    name: str
    hint: str
    created_at: datetime
    revoked_at: datetime | None = None


async def create_tenant(
    postgres: Postgres, slug: str, *, timezone: str = "UTC", dynamic_plus_limit: int | None = None
) -> Tenant:
    """A new tenant; `Conflict` when the slug is taken."""
    if not _SLUG.fullmatch(slug):
        raise InvalidInput("A tenant's slug has 1 to 63 lower-case letters, digits and hyphens.", code="bad_slug")
    if not known_timezone(timezone):
        raise InvalidInput(f"{timezone!r} is no IANA time zone.", code="unknown_timezone")
    sql = """
        INSERT INTO tenants (slug, timezone, dynamic_plus_limit) VALUES ($1, $2, $3)
        RETURNING id, slug, timezone, dynamic_plus_limit"""
    try:
        row = await postgres.fetchrow(sql, slug, timezone, dynamic_plus_limit)
    except UniqueViolation as error:
        raise Conflict(f"There is a tenant {slug!r} already.", code="tenant_exists") from error
    return _tenant(row)


async def get_tenant(postgres: Postgres, slug: str) -> Tenant:
    """The tenant of that slug."""
    row = await postgres.fetchrow("SELECT id, slug, timezone, dynamic_plus_limit FROM tenants WHERE slug = $1", slug)
    if row is None:
        raise NotFound(f"There is no tenant {slug!r}.", code="tenant_not_found")
    return _tenant(row)


async def set_dynamic_plus_limit(postgres: Postgres, slug: str, limit: int | None) -> Tenant:
    """Change how many Dynamic Plus segments a tenant may have; those above the limit stay."""
    sql = """
        UPDATE tenants SET dynamic_plus_limit = $2 WHERE slug = $1
        RETURNING id, slug, timezone, dynamic_plus_limit"""
    row = await postgres.fetchrow(sql, slug, limit)
    if row is None:
        raise NotFound(f"There is no tenant {slug!r}.", code="tenant_not_found")
    return _tenant(row)


async def create_key(
    postgres: Postgres | Connection, tenant_id: int, *, kind: KeyKind = "secret", name: str = ""
) -> tuple[Key, str]:
    """A new key and its text, which is shown this once: only its hash is kept."""
    text = PREFIXES[kind] + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    sql = """
        INSERT INTO api_keys (tenant_id, kind, name, hash, hint) VALUES ($1, $2, $3, $4, $5)
        RETURNING id, kind, name, hint, created_at, revoked_at"""
    row = await postgres.fetchrow(sql, tenant_id, kind, name, _hash(text), f"{text[:3]}…{text[-4:]}")
    return _key(row), text


async def list_keys(postgres: Postgres, tenant_id: int) -> list[Key]:
    """The keys of a tenant, revoked ones included."""
    sql = "SELECT id, kind, name, hint, created_at, revoked_at FROM api_keys WHERE tenant_id = $1 ORDER BY id"
    return [_key(row) for row in await postgres.fetch(sql, tenant_id)]


async def revoke_key(postgres: Postgres, tenant_id: int, key_id: int) -> None:
    """From now on the key answers 401."""
    sql = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE tenant_id = $1 AND id = $2"
    if not await postgres.execute(sql, tenant_id, key_id):
        raise NotFound(f"There is no key {key_id}.", code="key_not_found")


async def authenticate(postgres: Postgres, text: str) -> Tenant:
    """The tenant that a secret key speaks for; fails as `identify` does."""
    return (await identify(postgres, text)).tenant


async def identify(postgres: Postgres, text: str) -> Caller:
    """Who a secret key speaks for.

    Raises:
        Unauthenticated: No such key, or a revoked one.
        Forbidden: A public key; it only opens sessions.
    """
    row = await postgres.fetchrow(f"{_KEYS} WHERE hash = $1 AND revoked_at IS NULL", _hash(text))
    if row is None:
        raise Unauthenticated("This key does not exist or was revoked.", code="invalid_key")
    if row["kind"] != "secret":
        raise Forbidden("A public key (pk_) may not do this; use a secret key (sk_).", code="public_key")
    return Caller(_tenant(row), row["key_id"])


async def identify_session(postgres: Postgres, key_id: int, *, user_id: str | None) -> Caller:
    """Who a session speaks for that was opened with that key; Unauthenticated once the key is revoked."""
    row = await postgres.fetchrow(f"{_KEYS} WHERE api_keys.id = $1 AND revoked_at IS NULL", key_id)
    if row is None:
        raise Unauthenticated("The key of this session was revoked.", code="invalid_session")
    return Caller(_tenant(row), key_id, read_only=True, session_user=user_id)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _tenant(row: Record | None) -> Tenant:
    assert row is not None  # noqa: S101  # RETURNING gives a row
    return Tenant(row["id"], row["slug"], row["timezone"], row["dynamic_plus_limit"])


def _key(row: Record | None) -> Key:
    assert row is not None  # noqa: S101  # RETURNING gives a row
    return Key(row["id"], row["kind"], row["name"], row["hint"], row["created_at"], row["revoked_at"])
