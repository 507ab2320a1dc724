"""Circuits: a destination that failed several times in a row gets nothing for a while; then one delivery tries it.

Failures are counted in PostgreSQL, by tenant and destination, so that all workers know. Other destinations go on.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from segment_copilot.stores.postgres import Connection, Postgres

OPENS_AFTER: Final = 5
"""Failures in a row, of whichever deliveries."""

PAUSE: Final = timedelta(minutes=1)

IS_OPEN: Final = """
EXISTS (SELECT FROM circuits WHERE circuits.tenant_id = activations.tenant_id
    AND circuits.destination = activations.destination AND open_until > clock_timestamp())
"""
"""The condition on a row of `activations` that nothing is sent to its destination now."""


async def probe(connection: Connection, tenant_id: int, destination: str) -> None:
    """Keep others from a destination that failed, while the delivery that was just claimed tries it."""
    sql = """
        UPDATE circuits SET open_until = clock_timestamp() + $3::interval
        WHERE tenant_id = $1 AND destination = $2 AND failures >= $4"""
    await connection.execute(sql, tenant_id, destination, PAUSE, OPENS_AFTER)


async def note_failure(connection: Connection | Postgres, tenant_id: int, destination: str) -> None:
    """Count a failure of a destination; the fifth in a row, and each after it, opens its circuit."""
    sql = """
        INSERT INTO circuits (tenant_id, destination, failures) VALUES ($1, $2, 1)
        ON CONFLICT (tenant_id, destination) DO UPDATE SET failures = circuits.failures + 1,
            open_until = CASE WHEN circuits.failures + 1 >= $4 THEN clock_timestamp() + $3::interval END"""
    await connection.execute(sql, tenant_id, destination, PAUSE, OPENS_AFTER)


async def note_success(connection: Connection | Postgres, tenant_id: int, destination: str) -> None:
    """Forget the failures of a destination."""
    await connection.execute("DELETE FROM circuits WHERE tenant_id = $1 AND destination = $2", tenant_id, destination)
