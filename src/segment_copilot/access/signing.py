"""USE CASE: the secrets that every process of a deployment signs with."""

from __future__ import annotations

import secrets

from segment_copilot.stores.postgres import Postgres

_BYTES = 32


async def shared_secret(postgres: Postgres, purpose: str) -> bytes:
    """32 random bytes for *purpose*: made by whoever asks first, the same for everybody after that."""
    read = "SELECT secret FROM shared_secrets WHERE purpose = $1"
    if (found := await postgres.fetchval(read, purpose)) is None:
        made = secrets.token_bytes(_BYTES)
        sql = "INSERT INTO shared_secrets (purpose, secret) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        await postgres.execute(sql, purpose, made)
        found = await postgres.fetchval(read, purpose)
    return bytes(found)
