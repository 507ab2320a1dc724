"""USE CASE: share the secrets that every process of a deployment signs with."""

from __future__ import annotations

import secrets

from segment_copilot.stores.postgres import Postgres

_BYTES = 32


class Secrets:
    """Holds the secrets of the deployment, one for each purpose. They belong to no tenant."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def get_or_create(self, purpose: str) -> bytes:
        """Return 32 random bytes for *purpose*: made by whoever asks first, the same for everybody after that."""
        read = "SELECT secret FROM shared_secrets WHERE purpose = $1"
        if (found := await self._postgres.fetchval(read, purpose)) is None:
            made = secrets.token_bytes(_BYTES)
            sql = "INSERT INTO shared_secrets (purpose, secret) VALUES ($1, $2) ON CONFLICT DO NOTHING"
            await self._postgres.execute(sql, purpose, made)
            found = await self._postgres.fetchval(read, purpose)
        return bytes(found)
