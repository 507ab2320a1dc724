"""Says whose computations a worker takes next, and how far those are that it has taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from segment_copilot.stores.postgres import Connection, Postgres

TURNS: Final = """
(SELECT taken_at FROM computation_turns AS turns WHERE turns.tenant_id = computations.tenant_id) NULLS FIRST,
cause = 'schedule', id"""
"""The order of claims: whose tenant has waited longest; of one tenant, what somebody asked for before what was due."""

_TAKE: Final = """
INSERT INTO computation_turns (tenant_id, taken_at) SELECT tenant_id, clock_timestamp() FROM computations WHERE id = $1
ON CONFLICT (tenant_id) DO UPDATE SET taken_at = excluded.taken_at
"""
_NOTE: Final = "UPDATE computations SET progress = $2 WHERE id = ANY ($1::bigint[]) AND status = 'running'"


async def take_turn(transaction: Connection, computation_id: int) -> None:
    """Note that it was the turn of this computation's tenant."""
    await transaction.execute(_TAKE, computation_id)


async def note_progress(postgres: Postgres, computation_ids: Sequence[int], *, done: float, of: int) -> None:
    """Note how many steps of computations are done, *of* how many; what is published has done all of them."""
    await postgres.execute(_NOTE, computation_ids, done / of)
