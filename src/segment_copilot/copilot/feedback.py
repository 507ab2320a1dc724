"""USE CASE: keep what people thought of the copilot's answers. Runs are not kept, so none is looked up."""

from __future__ import annotations

from typing import Literal

import structlog
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.stores.postgres import Postgres

log = structlog.get_logger()

Rating = Literal["up", "down"]

_KEEP = """
    INSERT INTO copilot_feedback (tenant_id, run_id, message_id, rating, reason, given_by)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (tenant_id, run_id, message_id) DO UPDATE
    SET rating = excluded.rating, reason = excluded.reason, given_by = excluded.given_by, updated_at = now()"""


class Opinion(Struct, frozen=True):
    """An opinion is what somebody thought of a run, or of a message of it."""

    run_id: str
    rating: Rating
    reason: str = ""
    message_id: str = ""


class Feedback:
    """Keeps opinions of all tenants; every method takes the tenant."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def keep(self, tenant: Tenant, opinion: Opinion, *, given_by: str | None) -> None:
        """Remember *opinion*; an earlier one of the same answer is replaced. *given_by* is a session's user."""
        await self._postgres.execute(
            _KEEP, tenant.id, opinion.run_id, opinion.message_id, opinion.rating, opinion.reason, given_by
        )
        log.info("copilot.feedback", run_id=opinion.run_id, rating=opinion.rating, has_reason=bool(opinion.reason))
