"""Keys over HTTP: a tenant makes, lists, changes, rotates and revokes the keys that speak for it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from segment_copilot.access.keys import MAX_GRACE, Caller, IssuedKey, Key, Keys, NewKey, Order
from segment_copilot.access.origins import MAX_ORIGINS, PATTERN
from segment_copilot.access.scopes import MCP, SCOPES, KeyKind, Role
from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.bodies import ReadOnly
from segment_copilot.api.http.etags import UNLESS_KNOWN, unless_known
from segment_copilot.api.http.pages import FIELDS, LISTING, ORDER, CursorPage, listing_of
from segment_copilot.api.http.parameters import Names
from segment_copilot.api.http.routes import Route
from segment_copilot.errors import Conflict, NotFound
from segment_copilot.language.lengths import Instant
from segment_copilot.lists import Listed

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Origins = Annotated[
    list[Annotated[str, Meta(max_length=300, extra_json_schema={"pattern": PATTERN})]],
    Meta(
        max_length=MAX_ORIGINS,
        description="Of a public key: the pages that may use it, as https://shop.example or https://*.shop.example",
    ),
]
Signed = Annotated[bool, Meta(description="Of a public key: a user_id counts only with its signature")]
Scopes = Annotated[
    list[Annotated[str, Meta(max_length=64, extra_json_schema={"enum": [*SCOPES, *MCP]})]],
    Meta(
        max_length=2 * len(SCOPES),
        description="What the key may do, at most what yours may; left out: by its role, or all; mcp: mcp:read and mcp:write",
    ),
]


AS_IT_IS = Meta(description="As it is: it cannot be changed")


class _AsRead(Struct, frozen=True, kw_only=True):
    """Holds what a key that was read has beside what is decided of it."""

    id: ReadOnly = None
    prefix: ReadOnly = None
    created_at: ReadOnly = None
    last_used_at: ReadOnly = None
    revoked_at: ReadOnly = None


class KeyCreate(_AsRead, frozen=True, forbid_unknown_fields=True):
    """A key to make."""

    name: Name
    kind: Annotated[KeyKind, Meta(description="secret: for servers; public: for pages and apps; mcp: for MCP")] = (
        "secret"
    )
    scopes: Scopes | None = None
    role: Annotated[Role, Meta(description="A named set of scopes, in place of them")] | None = None
    allowed_origins: Origins = []
    require_signed_user_id: Signed = False
    expires_at: Instant | None = None


class KeyPatch(_AsRead, frozen=True, forbid_unknown_fields=True):
    """Some changes of a key; what is left out stays. What a key may do never changes: make another."""

    name: Name | UnsetType = UNSET
    allowed_origins: Origins | UnsetType = UNSET
    require_signed_user_id: Signed | UnsetType = UNSET
    kind: Annotated[KeyKind, AS_IT_IS] | UnsetType = UNSET
    role: Annotated[Role | None, AS_IT_IS] | UnsetType = UNSET
    scopes: Annotated[tuple[str, ...], AS_IT_IS] | UnsetType = UNSET
    expires_at: Annotated[Instant | None, AS_IT_IS] | UnsetType = UNSET


class KeyRotation(Struct, frozen=True, forbid_unknown_fields=True):
    """A grace for the old key: so long it holds beside the new one."""

    grace_seconds: Annotated[
        int, Meta(ge=0, le=int(MAX_GRACE.total_seconds()), description="0: the old key answers 401 at once")
    ] = 0


class KeyRecord(Struct, frozen=True):
    """A key without its text. *prefix* is how it begins and ends; *last_used_at* is right to ten minutes."""

    id: int
    name: str
    kind: KeyKind
    prefix: str
    role: Role | None
    scopes: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    require_signed_user_id: bool
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: Key) -> Self:
        """Return the record of *key*."""
        fields = structs.asdict(key)
        return cls(**{name: fields[name] for name in cls.__struct_fields__ if name in fields}, prefix=key.hint)


class IssuedKeyRecord(KeyRecord, frozen=True):
    """A key with its text, which is shown this once; so is *hmac_secret*, with which a backend signs user ids."""

    key: str
    hmac_secret: str | None


class KeyList(CursorPage[KeyRecord], frozen=True):
    """A page of keys, revoked ones included."""


class KeyController(Controller):
    """Manages the keys of a tenant."""

    path = "/api/auth/api-keys"
    tags = ("keys",)

    @get(opt=Route(parameters=LISTING).opt, response_description="A page of them.")
    async def list_keys(
        self,
        request: Request[Any, Any, State],
        keys: NamedDependency[Keys],
        tenant: NamedDependency[Tenant],
        order: Annotated[Order, ORDER] = "id",
        fields: Annotated[str | None, FIELDS, Names(KeyRecord)] = None,
    ) -> Response[KeyList]:
        """List the keys.

        Never their text, of which only a digest is kept. Revoked ones are listed too.
        """
        listing = listing_of(request)
        found = await keys.page(tenant, listing.window, order=order)
        shown = Listed(tuple(KeyRecord.of(key) for key in found.results), found.count, found.cursor)
        return listing.answer(shown, fields)

    @post(response_description="Made. Its text is shown this once.")
    async def create_key(
        self, data: JSONBody[KeyCreate], keys: NamedDependency[Keys], caller: NamedDependency[Caller]
    ) -> Response[IssuedKeyRecord]:
        """Make a key.

        It grants no more than the key that makes it: 403 `missing_scope` otherwise. A key as it was read may be sent: it becomes
        another one.
        """
        new = NewKey(
            kind=data.kind,
            name=data.name,
            role=data.role,
            scopes=data.scopes,
            allowed_origins=data.allowed_origins,
            require_signed_user_id=data.require_signed_user_id,
            expires_at=data.expires_at,
        )
        return _issued(await keys.issue(caller.tenant, new, by=caller))

    @get("/{key_id:int}", opt=Route(parameters=UNLESS_KNOWN).opt, response_description="The key.")
    async def get_key(
        self,
        key_id: FromPath[int],
        keys: NamedDependency[Keys],
        tenant: NamedDependency[Tenant],
    ) -> Response[KeyRecord]:
        """Read a key.

        Never its text.
        """
        return unless_known(KeyRecord.of(await keys.get(tenant, key_id)))

    @patch("/{key_id:int}", response_description="Changed.")
    async def update_key(
        self,
        key_id: FromPath[int],
        data: JSONBody[KeyPatch],
        keys: NamedDependency[Keys],
        caller: NamedDependency[Caller],
    ) -> KeyRecord:
        """Change a key's name, or where a public key may be used.

        In force everywhere within a second. A key as it was read may be sent: what may not be changed has to be as it is. One
        that may do more than yours is left alone: 403 `missing_scope`.
        """
        changed = await keys.change(
            caller.tenant,
            key_id,
            name=data.name,
            allowed_origins=data.allowed_origins,
            require_signed_user_id=data.require_signed_user_id,
            fixed={name: getattr(data, name) for name in ("kind", "role", "scopes", "expires_at")},
            by=caller,
        )
        return KeyRecord.of(changed)

    @post(
        "/{key_id:int}/rotate",
        opt=Route(problems=(NotFound, Conflict)).opt,
        response_description="The new key, shown this once.",
    )
    async def rotate_key(
        self,
        key_id: FromPath[int],
        keys: NamedDependency[Keys],
        caller: NamedDependency[Caller],
        data: JSONBody[KeyRotation | None] = None,
    ) -> Response[IssuedKeyRecord]:
        """Make a new key in the place of one.

        It may do the same, which is no more than yours: 403 `missing_scope` otherwise. The old one holds for `grace_seconds` more; a public key's `hmac_secret` is a new one too.
        """
        grace = timedelta(seconds=data.grace_seconds if data else 0)
        return _issued(await keys.rotate(caller.tenant, key_id, grace=grace, by=caller))

    @delete("/{key_id:int}", response_description="It is revoked.")
    async def revoke_key(
        self, key_id: FromPath[int], keys: NamedDependency[Keys], caller: NamedDependency[Caller]
    ) -> None:
        """Revoke a key.

        It answers 401 everywhere within a second, and its sessions with it. One that may do more than yours is left alone:
        403 `missing_scope`.
        """
        await keys.revoke(caller.tenant, key_id, by=caller)


def _issued(issued: IssuedKey) -> Response[IssuedKeyRecord]:
    record = IssuedKeyRecord(
        **structs.asdict(KeyRecord.of(issued.key)), key=issued.text, hmac_secret=issued.hmac_secret
    )
    return Response(record, headers={"Location": f"/api/auth/api-keys/{record.id}/"})
