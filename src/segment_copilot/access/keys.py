"""USE CASE: issue, list, change, rotate, revoke and recognise the keys that speak for a tenant. Of a key's text only a hash is kept."""

from __future__ import annotations

import hashlib
import secrets
import string
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType, structs

from segment_copilot.access import origins
from segment_copilot.access.scopes import (
    ROLES,
    SESSIONS,
    KeyKind,
    Role,
    SessionScope,
    check_scopes,
    default_scopes,
    granted,
    missing,
)
from segment_copilot.access.tenants import Tenant, tenant_of
from segment_copilot.errors import (
    Conflict,
    Finding,
    InvalidInput,
    NotFound,
    QueryTimeout,
    Unauthenticated,
    Unavailable,
    check_fixed,
)
from segment_copilot.lists import Listed, Window
from segment_copilot.stores.pages import BY_ID, Rows, Sorting
from segment_copilot.stores.postgres import Connection, Postgres, Record

PREFIXES: Final[dict[KeyKind, str]] = {"secret": "sk_", "public": "pk_", "mcp": "mk_"}
MAX_GRACE: Final = timedelta(days=30)

_ALPHABET: Final = string.ascii_letters + string.digits
_LENGTH: Final = 32  # 190 bits: a plain hash of it cannot be searched
_SECRET_BYTES: Final = 32
_USED: Final = timedelta(minutes=10)  # so coarse is last_used_at: a read is no write
_COLUMNS: Final = """id, kind, name, hint, role, scopes, allowed_origins, require_signed_user_id, created_at, expires_at,
    last_used_at, revoked_at"""
_VALID: Final = """
    SELECT tenants.id, slug, timezone, dynamic_plus_limit, requests_per_minute, events_per_month, kind, api_keys.id AS key_id, role, scopes,
        allowed_origins, require_signed_user_id, hmac_secret, expires_at, last_used_at
    FROM api_keys JOIN tenants ON tenants.id = api_keys.tenant_id
    WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())"""


Order = Literal["id", "-id", "name", "-name", "created_at", "-created_at", "last_used_at", "-last_used_at"]
_SORTINGS: Final = {
    "id": BY_ID,
    "name": Sorting("name", str, "text"),
    "created_at": Sorting("created_at", datetime, "timestamptz"),
    "last_used_at": Sorting("last_used_at", datetime, "timestamptz"),
}


class PublicKey(Struct, frozen=True):
    """Tells where a public key may be used, and whose word it takes for who somebody is."""

    origins: tuple[str, ...] = ()
    requires_signature: bool = False
    hmac_secret: bytes = b""


class Caller(Struct, frozen=True):
    """A caller is a tenant, and what a credential may do in it.

    *session* and *session_user* are of a session's token: what it was opened for, and for whom (None: nobody was named).
    *public* is there when a public key stands behind it. A person who logged in has no key.
    """

    tenant: Tenant
    key_id: int | None
    kind: KeyKind = "secret"
    scopes: frozenset[str] = ROLES["owner"]
    session: SessionScope | None = None
    session_user: str | None = None
    public: PublicKey | None = None
    expires_at: datetime | None = None

    def may(self, scope: str) -> bool:
        """Return whether the credential has *scope*."""
        return scope in self.scopes

    def require(self, scope: str) -> None:
        """Raise Forbidden when the credential lacks *scope*."""
        if not self.may(scope):
            raise missing(scope)

    @property
    def tracks_for(self) -> str | None:
        """Return the user whose events alone it may send; None where it may send anybody's."""
        return self.session_user if self.session == "track" else None


class NewKey(Struct, frozen=True):
    """Says what a key is to be: it has a *role*, or lists its *scopes*, or has what is usual for its kind."""

    kind: KeyKind = "secret"
    name: str = ""
    role: Role | None = None
    scopes: Sequence[str] | None = None
    allowed_origins: Sequence[str] = ()
    require_signed_user_id: bool = False
    expires_at: datetime | None = None


class Key(Struct, frozen=True):
    """A key as it is listed: its text is never part of it."""

    id: int
    kind: KeyKind
    name: str
    hint: str
    created_at: datetime
    revoked_at: datetime | None = None
    role: Role | None = None
    scopes: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    require_signed_user_id: bool = False
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


class IssuedKey(Struct, frozen=True):
    """A key, its text, and the secret that signs user ids for a public one, both shown this once."""

    key: Key
    text: str
    hmac_secret: str | None = None


class Keys:
    """Manages the keys of all tenants; every method takes the tenant, but for the two that find it out."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def create(self, tenant: Tenant, *, kind: KeyKind = "secret", name: str = "") -> tuple[Key, str]:
        """Issue a key that may do what is usual for its kind; return it and its text."""
        issued = await self.issue(tenant, NewKey(kind=kind, name=name))
        return issued.key, issued.text

    async def issue(self, tenant: Tenant, new: NewKey, *, by: Caller | None = None) -> IssuedKey:
        """Issue a key. One that is issued *by* somebody grants no more than they have.

        Raises:
            InvalidInput: A scope or an origin is none, what it says contradicts itself, or it would never hold.
            Forbidden: It would grant what *by* lacks.
        """
        role, scopes = _grants(new)
        allowed = _origins(new.kind, new.allowed_origins, signed=new.require_signed_user_id)
        if new.expires_at is not None and new.expires_at <= datetime.now(UTC):
            raise _wrong("/expires_at", "expires_at is past: the key would never hold.", code="past_instant")
        _check_grants(new.kind, role, scopes, by)
        _check_end(new.expires_at, by)
        return await self._insert(
            self._postgres,
            tenant,
            new.kind,
            new.name,
            role,
            scopes,
            allowed,
            signed=new.require_signed_user_id,
            expires_at=new.expires_at,
        )

    async def list(self, tenant: Tenant) -> list[Key]:
        """Return the keys of a tenant, revoked ones included."""
        sql = f"SELECT {_COLUMNS} FROM api_keys WHERE tenant_id = $1 ORDER BY id"
        return [_key(row) for row in await self._postgres.fetch(sql, tenant.id)]

    async def page(self, tenant: Tenant, window: Window, *, order: Order = "id") -> Listed[Key]:
        """Return one page of the keys of a tenant, revoked ones included."""
        rows = Rows(_COLUMNS, "api_keys", (("tenant_id = {}", tenant.id),), _SORTINGS)
        return await rows.page(self._postgres, window, order, _key)

    async def get(self, tenant: Tenant, key_id: int) -> Key:
        """Return one key; raises NotFound."""
        sql = f"SELECT {_COLUMNS} FROM api_keys WHERE tenant_id = $1 AND id = $2"
        if (row := await self._postgres.fetchrow(sql, tenant.id, key_id)) is None:
            raise _not_found(key_id)
        return _key(row)

    async def change(
        self,
        tenant: Tenant,
        key_id: int,
        *,
        name: str | UnsetType = UNSET,
        allowed_origins: Sequence[str] | UnsetType = UNSET,
        require_signed_user_id: bool | UnsetType = UNSET,
        fixed: Mapping[str, object] = MappingProxyType({}),
        by: Caller | None = None,
    ) -> Key:
        """Change what is given of a key: its name, and where and how a public one may be used.

        *fixed* is what is said of its other fields, by their names: they have to be as they are.

        Raises:
            NotFound: There is no such key.
            InvalidInput: An origin is none, the key is not public, or something else than may be is to change.
            Forbidden: It grants what *by* lacks.
        """
        key = await self.get(tenant, key_id)
        _check_reach(key, by)
        check_fixed(fixed, structs.asdict(key), instead="make another key")
        signed = None if require_signed_user_id is UNSET else require_signed_user_id
        given = () if allowed_origins is UNSET else allowed_origins
        checked = _origins(key.kind, given, signed=bool(signed))
        allowed = None if allowed_origins is UNSET else checked
        # What is not given stays what it is by then: somebody else may be changing it right now.
        sql = f"""
            UPDATE api_keys SET name = coalesce($3, name), allowed_origins = coalesce($4, allowed_origins),
                require_signed_user_id = coalesce($5, require_signed_user_id)
            WHERE tenant_id = $1 AND id = $2 RETURNING {_COLUMNS}"""
        new_name = None if name is UNSET else name
        row = await self._postgres.fetchrow(sql, tenant.id, key_id, new_name, allowed, signed)
        if row is None:
            raise _not_found(key_id)
        return _key(row)

    async def revoke(self, tenant: Tenant, key_id: int, *, by: Caller | None = None) -> None:
        """Revoke the key: from now on it answers 401.

        Raises:
            NotFound: There is no such key.
            Forbidden: It grants what *by* lacks.
        """
        _check_reach(await self.get(tenant, key_id), by)
        sql = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE tenant_id = $1 AND id = $2"
        if not await self._postgres.execute(sql, tenant.id, key_id):
            raise _not_found(key_id)

    async def rotate(
        self, tenant: Tenant, key_id: int, *, grace: timedelta = timedelta(), by: Caller | None = None
    ) -> IssuedKey:
        """Put a new key in the place of one, which holds for *grace* longer, and then answers 401.

        What it may do stays; a public key's secret is a new one too.

        Raises:
            NotFound: There is no such key, or it does not hold any more.
            Conflict: It was rotated before, and holds out its grace.
            Forbidden: It grants what *by* lacks.
            InvalidInput: It outlives *by*.
        """
        now = datetime.now(UTC)
        async with self._postgres.transaction() as transaction:
            sql = f"SELECT {_COLUMNS}, replaced_by FROM api_keys WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
            if (row := await transaction.fetchrow(sql, tenant.id, key_id)) is None:
                raise _not_found(key_id)
            key = _key(row)
            if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
                raise NotFound(f"There is no key {key_id} that still works.", code="key_not_found")
            if row["replaced_by"] is not None:
                detail = f"This key was rotated before: key {row['replaced_by']} is in its place."
                raise Conflict(detail, code="key_rotated")
            _check_reach(key, by)
            _check_end(key.expires_at, by)
            issued = await self._insert(
                transaction,
                tenant,
                key.kind,
                key.name,
                key.role,
                key.scopes,
                key.allowed_origins,
                signed=key.require_signed_user_id,
                expires_at=key.expires_at,
            )
            sql = """
                UPDATE api_keys SET replaced_by = $3,
                    revoked_at = CASE WHEN $4 THEN now() END, expires_at = least(expires_at, $5::timestamptz)
                WHERE tenant_id = $1 AND id = $2"""
            await transaction.execute(sql, tenant.id, key_id, issued.key.id, not grace, now + grace if grace else None)
        return issued

    async def identify(self, text: str) -> Caller:
        """Return the caller that a key speaks for.

        Raises:
            Unauthenticated: No such key, or one that was revoked or has expired.
        """
        row = await self._postgres.fetchrow(f"{_VALID} AND hash = $1", _hash(text))
        if row is None:
            raise Unauthenticated("This key does not exist, was revoked or has expired.", code="invalid_key")
        await self._note_use(row)
        return _caller(row)

    async def identify_session(self, key_id: int, *, scope: SessionScope, user_id: str | None) -> Caller:
        """Return the caller of a session that was opened with that key; Unauthenticated once the key does not hold."""
        row = await self._postgres.fetchrow(f"{_VALID} AND api_keys.id = $1", key_id)
        if row is None:
            raise Unauthenticated("The key of this session was revoked or has expired.", code="invalid_session")
        key = _caller(row)
        scopes = SESSIONS[scope] if key.public and scope == "track" else SESSIONS[scope] & key.scopes
        return Caller(
            key.tenant,
            key_id,
            kind=key.kind,
            scopes=scopes,
            session=scope,
            session_user=user_id,
            public=key.public,
            expires_at=key.expires_at,
        )

    async def _insert(
        self,
        connection: Postgres | Connection,
        tenant: Tenant,
        kind: KeyKind,
        name: str,
        role: str | None,
        scopes: Sequence[str],
        allowed_origins: Sequence[str],
        *,
        signed: bool,
        expires_at: datetime | None,
    ) -> IssuedKey:
        text = PREFIXES[kind] + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        secret = secrets.token_bytes(_SECRET_BYTES) if kind == "public" else None
        sql = f"""
            INSERT INTO api_keys (
                tenant_id, kind, name, hash, hint, role, scopes, allowed_origins, require_signed_user_id, hmac_secret,
                expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING {_COLUMNS}"""
        row = await connection.fetchrow(
            sql,
            tenant.id,
            kind,
            name,
            _hash(text),
            f"{text[:3]}…{text[-4:]}",
            role,
            list(scopes),
            list(allowed_origins),
            signed,
            secret,
            expires_at,
        )
        assert row is not None  # noqa: S101  # RETURNING gives a row
        return IssuedKey(_key(row), text, secret.hex() if secret else None)

    async def _note_use(self, row: Record) -> None:
        """Keep when a key was used last, where that can be kept: a store that takes no writes may still be read."""
        if row["last_used_at"] is not None and datetime.now(UTC) - row["last_used_at"] < _USED:
            return
        sql = "UPDATE api_keys SET last_used_at = now() WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)"
        with suppress(Unavailable, QueryTimeout):
            await self._postgres.execute(sql, row["key_id"], datetime.now(UTC) - _USED)


def _grants(new: NewKey) -> tuple[Role | None, tuple[str, ...]]:
    """Return the role and the scopes that a new key is kept with."""
    if new.role is not None and new.scopes:
        raise _wrong("/role", "Give the key a role or its scopes, not both.")
    if new.kind == "public":
        if new.role is not None or new.scopes:
            raise _wrong(
                "/role" if new.role else "/scopes", "A public key opens sessions, and has no role or scopes of its own."
            )
        return None, ()
    if new.role is None and new.scopes is not None:
        check_scopes(new.scopes, new.kind)
        if not new.scopes:
            raise _wrong("/scopes", "A key without any scope may do nothing; leave scopes out for what is usual.")
        return None, tuple(dict.fromkeys(new.scopes))
    if new.role is not None or new.kind == "mcp":
        return new.role, () if new.role else default_scopes(new.kind)
    return "owner", ()


def _origins(kind: KeyKind, allowed: Sequence[str], *, signed: bool) -> list[str]:
    if kind != "public" and (allowed or signed):
        pointer = "/allowed_origins" if allowed else "/require_signed_user_id"
        raise _wrong(pointer, "Origins and signed user ids are a public key's; this one never reaches a page.")
    return origins.check_origins(allowed)


def _check_grants(kind: KeyKind, role: Role | None, scopes: Sequence[str], by: Caller | None) -> None:
    """Refuse to make a key that may do what *by* may not."""
    if lacking := _lacking(kind, role, scopes, by):
        said = f"A key grants no more than the one that makes it, which lacks {', '.join(lacking)}."
        raise missing(lacking[0], detail=said)


def _check_reach(key: Key, by: Caller | None) -> None:
    """Refuse to touch a key that may do what *by* may not: who has less takes nothing away from who has more."""
    if lacking := _lacking(key.kind, key.role, key.scopes, by):
        said = f"Key {key.id} may do more than yours, which lacks {', '.join(lacking)}: it is changed by one that may as much."
        raise missing(lacking[0], detail=said)


def _lacking(kind: KeyKind, role: Role | None, scopes: Sequence[str], by: Caller | None) -> list[str]:
    """Return what *by* lacks of what a key grants; a public one opens sessions that send anybody's events."""
    grants = SESSIONS["track"] if kind == "public" else granted(kind, role, scopes)
    return [] if by is None else sorted(grants - by.scopes)


def _check_end(expires_at: datetime | None, by: Caller | None) -> None:
    """Refuse a key that outlives the one that makes it."""
    if by is not None and by.expires_at is not None and (expires_at is None or expires_at > by.expires_at):
        raise _wrong(
            "/expires_at", f"Your own key ends at {by.expires_at:%Y-%m-%dT%H:%M:%SZ}; this one may not outlive it."
        )


def _wrong(pointer: str, detail: str, *, code: str = "conflicting_fields") -> InvalidInput:
    return InvalidInput(detail, code=code, findings=[Finding(pointer, code, detail)])


def _not_found(key_id: int) -> NotFound:
    return NotFound(f"There is no key {key_id}.", code="key_not_found")


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _caller(row: Record) -> Caller:
    kind: KeyKind = row["kind"]
    public = PublicKey(tuple(row["allowed_origins"]), row["require_signed_user_id"], bytes(row["hmac_secret"] or b""))
    return Caller(
        tenant_of(row),
        row["key_id"],
        kind=kind,
        scopes=granted(kind, row["role"], row["scopes"]),
        public=public if kind == "public" else None,
        expires_at=row["expires_at"],
    )


def _key(row: Record) -> Key:
    kind: KeyKind = row["kind"]
    return Key(
        id=row["id"],
        kind=kind,
        name=row["name"],
        hint=row["hint"],
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
        role=row["role"],
        scopes=tuple(row["scopes"]),
        allowed_origins=tuple(row["allowed_origins"]),
        require_signed_user_id=row["require_signed_user_id"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
    )
