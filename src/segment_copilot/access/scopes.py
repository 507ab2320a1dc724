"""Names what a credential may do: the scopes, and the roles, kinds of key and sessions that are sets of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from segment_copilot.errors import Finding, Forbidden, InvalidInput
from segment_copilot.language.catalog import nearest

Role = Literal["owner", "admin", "member", "viewer"]
KeyKind = Literal["secret", "public", "mcp"]
SessionScope = Literal["copilot", "track"]

SCOPES: Final[Mapping[str, str]] = {
    "segments:read": "segments, their versions and computations; count an audience",
    "segments:write": "save, change, delete and compute segments",
    "members:read": "who is in a segment: members, changes, membership, sample ids",
    "members:write": "snapshots of members",
    "exports:read": "exports, and their files",
    "exports:write": "begin an export",
    "catalog:read": "event types, properties and traits with their values",
    "schemas:read": "event schemas",
    "schemas:write": "register, change and delete event schemas",
    "events:read": "how far events are",
    "events:write": "send events and traits",
    "users:read": "users: profiles, events, why one is in a segment",
    "users:write": "link and merge identities",
    "users:erase": "erase a user",
    "analytics:read": "counts, trends, overlaps, usage",
    "activations:read": "activations and their deliveries",
    "activations:write": "make, change and run activations",
    "webhooks:read": "webhooks",
    "webhooks:write": "make, change and delete webhooks",
    "copilot:ask": "ask the copilot",
    "sessions:open": "open sessions for browsers",
    "keys:manage": "make, change, rotate and revoke keys",
    "audit:read": "who changed what, and where keys are used",
}
"""Every scope, and what it is for."""

_ALL: Final = frozenset(SCOPES)
_READS: Final = frozenset(scope for scope in SCOPES if scope.endswith(":read")) - {"audit:read"} | {"copilot:ask"}
_WRITES: Final = frozenset(scope for scope in SCOPES if scope.endswith(":write"))

ROLES: Final[Mapping[Role, frozenset[str]]] = {
    "viewer": _READS,
    "member": _READS
    | {"segments:write", "members:write", "exports:write", "schemas:write", "events:write", "sessions:open"},
    "admin": _ALL - {"keys:manage"},
    "owner": _ALL,
}
"""Role → its scopes; each has all of the one before it."""

MCP: Final[Mapping[str, frozenset[str]]] = {
    "mcp:read": _READS,
    "mcp:write": _WRITES,
    "mcp:admin": _ALL - _READS - _WRITES,
}
"""SegOps' scopes of mk_ keys → ours."""

PUBLIC_KEY: Final = frozenset({"sessions:open"})

SESSIONS: Final[Mapping[SessionScope, frozenset[str]]] = {
    "copilot": frozenset(
        {"copilot:ask", "segments:read", "catalog:read", "schemas:read", "analytics:read", "activations:read"}
    ),
    "track": frozenset({"events:write"}),
}
"""What a session's token may do, where the key that opened it may. A copilot's knows of audiences, and of no user."""


def granted(kind: KeyKind, role: str | None, scopes: Iterable[str]) -> frozenset[str]:
    """Return what a key of this *kind* may do, by its *role* or by what is listed."""
    if kind == "public":
        return PUBLIC_KEY
    by_role = frozenset[str]().union(*(found for name, found in ROLES.items() if name == role))
    return by_role.union(*(MCP.get(scope, frozenset({scope})) for scope in scopes))


def default_scopes(kind: KeyKind) -> tuple[str, ...]:
    """Return the scopes of a new key that neither lists any nor has a role."""
    return ("mcp:read", "mcp:write") if kind == "mcp" else ()


def check_scopes(scopes: Iterable[str], kind: KeyKind) -> None:
    """Refuse scopes that do not exist, or are another kind's.

    Raises:
        InvalidInput: with a finding for each.

    """
    known = [*SCOPES, *(MCP if kind == "mcp" else ())]
    findings = [
        Finding(f"/scopes/{index}", "unknown_scope", f"There is no scope {scope[:64]!r} here.", nearest(scope, known))
        for index, scope in enumerate(scopes)
        if scope not in known
    ]
    if findings:
        raise InvalidInput(findings[0].detail, code="unknown_scope", findings=findings)


def sees_users(scopes: frozenset[str]) -> bool:
    """Return whether *scopes* let somebody know who a user is, and not only how many there are."""
    return {"members:read", "users:read"} <= scopes


def missing(scope: str, *, detail: str = "") -> Forbidden:
    """Return the refusal of a credential that lacks *scope*."""
    said = detail or f"This needs the scope {scope}, which the credential does not have."
    return Forbidden(said, code="missing_scope", context={"scope": scope})
