"""USE CASE: keep what people thought of the copilot's answers. Runs are not kept, so none is looked up."""

from __future__ import annotations

from typing import Literal

import structlog
from msgspec import Struct

from segment_copilot.stores.postgres import Postgres

log = structlog.get_logger()

Rating = Literal["up", "down"]

_KEEP = """
    INSERT INTO copilot_feedback (tenant_id, run_id, message_id, rating, reason, given_by)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (tenant_id, run_id, message_id) DO UPDATE
    SET rating = excluded.rating, reason = excluded.reason, given_by = excluded.given_by, updated_at = now()"""


class Feedback(Struct, frozen=True):
    """Feedback is one opinion of a run, or of a message of it."""

    run_id: str
    rating: Rating
    reason: str = ""
    message_id: str = ""


async def keep_feedback(postgres: Postgres, tenant_id: int, given: Feedback, *, given_by: str | None) -> None:
    """Remember *given*; an earlier opinion of the same answer is replaced. *given_by* is a session's user."""
    await postgres.execute(_KEEP, tenant_id, given.run_id, given.message_id, given.rating, given.reason, given_by)
    log.info("copilot.feedback", run_id=given.run_id, rating=given.rating, has_reason=bool(given.reason))
