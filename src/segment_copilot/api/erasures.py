"""Erasures over HTTP: how far one is, and its receipt. A user is erased where it is read: `explorer.py`."""

from __future__ import annotations

from datetime import datetime

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.people.erasures import Erasure, Erasures, ErasureStatus, Receipt


class ErasureRecord(Struct, frozen=True):
    """An erasure. *receipt* is there when it is done; *is_genuine* says that its signature is ours."""

    id: int
    status: ErasureStatus
    user_id_hash: str
    requested_at: datetime
    finished_at: datetime | None
    receipt: Receipt | None
    is_genuine: bool | None


class ErasureController(Controller):
    """Tells of people who are forgotten."""

    path = "/api/erasures"
    tags = ("erasure",)

    @get("/{erasure_id:int}", response_description="The erasure.")
    async def get_erasure(
        self, erasure_id: FromPath[int], erasures: NamedDependency[Erasures], tenant: NamedDependency[Tenant]
    ) -> ErasureRecord:
        """Read an erasure, and its receipt when it is done: what was removed, how much of it, and when, signed."""
        erasure: Erasure = await erasures.get(tenant, erasure_id)
        receipt = erasure.receipt
        return ErasureRecord(
            id=erasure.id,
            status=erasure.status,
            user_id_hash=erasure.user_id_hash,
            requested_at=erasure.requested_at,
            finished_at=erasure.finished_at,
            receipt=receipt,
            is_genuine=None if receipt is None else await erasures.is_genuine(receipt),
        )
