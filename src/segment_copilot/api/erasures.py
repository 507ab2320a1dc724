"""Erasure over HTTP: forget a person, and prove it."""

from __future__ import annotations

from datetime import datetime

from litestar import Controller, delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.people.erasures import Erasure, Erasures, ErasureStatus, Receipt


class ErasureRequested(Struct, frozen=True):
    """The erasure is decided, and carried out until it is done. *user_id_hash* stands for the person from now on."""

    erasure_id: int
    status: ErasureStatus
    user_id_hash: str
    requested_at: datetime


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
    """Forgets people."""

    path = "/api"
    tags = ("erasure",)

    @delete("/explorer/users/{user_id:str}", status_code=202, response_description="It is being carried out.")
    async def erase_user(
        self, user_id: FromPath[str], erasures: NamedDependency[Erasures], tenant: NamedDependency[Tenant]
    ) -> ErasureRequested:
        """Erase a user: everything under all ids that are theirs, in both stores.

        Events, traits, members, links and what waits to be stored; `GET /api/erasures/<id>/` tells when it is done. An
        id that nobody has seen gets a receipt of nothing. While an erasure of the same person is open, that is the
        answer. Events that come later begin a new person.
        """
        erasure = await erasures.request(tenant, user_id)
        return ErasureRequested(erasure.id, erasure.status, erasure.user_id_hash, erasure.requested_at)

    @get("/erasures/{erasure_id:int}", response_description="The erasure.")
    async def read_erasure(
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
