"""USE CASE: write down what is changed and by whom before it is done, and what came of it; let the tenant read that."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from segment_copilot.access.keys import Caller
from segment_copilot.access.tenants import Tenant
from segment_copilot.lists import Listed, Window
from segment_copilot.stores.pages import BY_ID, Rows, Sorting
from segment_copilot.stores.postgres import Postgres, Record

Order = Literal["id", "-id", "at", "-at"]

_SORTINGS: Final = {"id": BY_ID, "at": Sorting("at", datetime, "timestamptz")}
_CLEANED: Final = 10_000  # rows that one step deletes
_LONGEST_PERSON: Final = 256


class Deed(Struct, frozen=True):
    """A deed is a request that changes something, as far as that is known before it is done."""

    operation: str
    method: str
    path: str
    request_id: str
    address: str


class AuditEntry(Struct, frozen=True):
    """Tells who asked for what, when, and how that was answered.

    *key_id* is null for a *person* who logged in. *status* is null while a request is under way, and stays so where its
    process ended: it may have been done. *made* is the address of what it made.
    """

    id: int
    at: datetime
    key_id: int | None
    person: Annotated[str | None, Meta(description="Who logged in, as their issuer calls them; null: a key was used")]
    address: Annotated[str, Meta(description="Where the request came from", examples=["203.0.113.7"])]
    request_id: str
    operation: Annotated[str, Meta(description="Its name in the OpenAPI document", examples=["update_segment"])]
    method: Annotated[str, Meta(examples=["PATCH"])]
    path: Annotated[str, Meta(description="With ids that are numbers; others stay names in braces")]
    status: Annotated[int | None, Meta(description="Of the answer; null: not known (yet)")]
    made: Annotated[str | None, Meta(examples=["/api/segments/17/"])]
    replayed: Annotated[bool, Meta(description="Answered as before, under the same Idempotency-Key; nothing was done")]


class OnlyEntries(Struct, frozen=True):
    """Says which entries are asked for; None leaves a condition out."""

    key_id: int | None = None
    operation: str | None = None
    request_id: str | None = None
    after: datetime | None = None
    before: datetime | None = None


class Audit:
    """Keeps and reads the audit logs of all tenants."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def begin(self, caller: Caller, deed: Deed) -> int:
        """Write down what *caller* asks for; return the entry's id. What cannot be written down raises, and is not done."""
        sql = """
            INSERT INTO audit_entries (tenant_id, key_id, person, address, request_id, operation, method, path)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id"""
        person = caller.session_user[:_LONGEST_PERSON] if caller.key_id is None and caller.session_user else None
        return await self._postgres.fetchval(
            sql,
            caller.tenant.id,
            caller.key_id,
            person,
            deed.address,
            deed.request_id,
            deed.operation,
            deed.method,
            deed.path,
        )

    async def end(
        self, tenant: Tenant, entry_id: int, *, status: int, made: str | None = None, replayed: bool = False
    ) -> None:
        """Write down how it was answered."""
        sql = "UPDATE audit_entries SET status = $3, made = $4, replayed = $5 WHERE tenant_id = $1 AND id = $2"
        await self._postgres.execute(sql, tenant.id, entry_id, status, made, replayed)

    async def page(
        self, tenant: Tenant, window: Window, *, order: Order = "-id", only: OnlyEntries | None = None
    ) -> Listed[AuditEntry]:
        """Return one page of the tenant's entries."""
        only = only or OnlyEntries()
        conditions = (
            ("tenant_id = {}", tenant.id),
            ("key_id = {}", only.key_id),
            ("operation = {}", only.operation),
            ("request_id = {}", only.request_id),
            ("at >= {}", only.after),
            ("at < {}", only.before),
        )
        rows = Rows(", ".join(AuditEntry.__struct_fields__), "audit_entries", conditions, _SORTINGS)
        return await rows.page(self._postgres, window, order, _entry)

    async def clean_up(self, *, before: datetime) -> bool:
        """Forget what is older, of all tenants; return whether there may be more."""
        sql = f"DELETE FROM audit_entries WHERE id IN (SELECT id FROM audit_entries WHERE at < $1 LIMIT {_CLEANED})"
        return await self._postgres.execute(sql, before) == _CLEANED


def _entry(row: Record) -> AuditEntry:
    return AuditEntry(**{name: row[name] for name in AuditEntry.__struct_fields__})
