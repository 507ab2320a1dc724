"""Reads the computations that a worker has claimed, with all that it needs to run them."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.uploads import Mode
from segment_copilot.stores.leases import Lease
from segment_copilot.stores.postgres import Record

CLAIMED: Final = """
SELECT computations.id, computations.tenant_id, computations.segment_id, as_of,
    versions.definition, published_run, upload, mode, slug, timezone, dynamic_plus_limit
FROM computations
JOIN segments ON segments.id = computations.segment_id
JOIN tenants ON tenants.id = computations.tenant_id
LEFT JOIN segment_versions AS versions
    ON versions.segment_id = computations.segment_id AND versions.version = computations.version
LEFT JOIN uploads ON uploads.run_id = computations.upload
WHERE computations.id = ANY($1::bigint[]) ORDER BY computations.id
"""
"""Reads what `read_claim` reads, of computations by their ids."""


class Claim(Struct, frozen=True):
    """A computation that this worker holds until its lease ends; the lease's key is the run's id."""

    lease: Lease
    tenant: Tenant
    segment_id: int
    definition: str | None
    as_of: datetime
    previous_run: UUID | None
    upload: UUID | None
    mode: Mode | None

    @property
    def id(self) -> int:
        """The id of the computation's row."""
        return self.lease.id

    @property
    def run_id(self) -> UUID:
        """The id under which its members are written."""
        return self.lease.key


def read_claim(row: Record, lease: Lease) -> Claim:
    """Return the claim of a row, which the lease is on."""
    return Claim(
        lease,
        tenant=Tenant(row["tenant_id"], row["slug"], row["timezone"], row["dynamic_plus_limit"]),
        segment_id=row["segment_id"],
        definition=row["definition"],
        as_of=row["as_of"],
        previous_run=row["published_run"],
        upload=row["upload"],
        mode=row["mode"],
    )
