"""USE CASE: answer a repeated request as the first one was answered, for a day, and do its work once.

A request is claimed in PostgreSQL before its work, and its answer is kept there. The answer is sealed with the key that
the client sent, of which only a digest is kept: what it says of users can be read by nobody but the client.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from time import monotonic
from typing import Final
from uuid import UUID, uuid4

import msgspec
from joserfc import jwe
from joserfc.jwk import OctKey
from msgspec import Struct

from segment_copilot.access.signing import Secrets
from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import Conflict, IdempotencyKeyReused
from segment_copilot.stores.postgres import Postgres

REMEMBERED: Final = timedelta(hours=24)
MAX_ANSWER_BYTES: Final = 1024 * 1024
WAIT_SECONDS: Final = 5.0
"""So long a repetition waits for the answer of the request that came first."""

RETRY_SECONDS: Final = 2
_POLL_SECONDS: Final = 0.05
_PURPOSE: Final = "idempotency"
_SEALED: Final = {"alg": "dir", "enc": "A256GCM"}

# Taken: a new row, one whose time is over, or one whose worker is gone.
_CLAIM: Final = """
    INSERT INTO idempotency_keys AS kept (tenant_id, key, fingerprint, claim, leased_until, kept_for, asks)
    VALUES ($1, $2, $3, $4, now() + $5::interval, $6, $7)
    ON CONFLICT (tenant_id, key) DO UPDATE SET
        fingerprint = excluded.fingerprint, claim = excluded.claim, leased_until = excluded.leased_until, status = NULL,
        answer = NULL, created_at = now(), kept_for = excluded.kept_for, asks = excluded.asks
    WHERE kept.created_at + kept.kept_for <= now() OR (kept.status IS NULL AND kept.leased_until <= now())
    RETURNING claim"""
_FORGET: Final = """
    WITH asked AS (
        DELETE FROM idempotency_keys WHERE tenant_id = $1 AND asks RETURNING answer IS NOT NULL AS had_one
    ), done AS (
        UPDATE idempotency_keys SET answer = NULL WHERE tenant_id = $1 AND NOT asks AND answer IS NOT NULL RETURNING 1
    )
    SELECT (SELECT count(*) FROM asked WHERE had_one) + (SELECT count(*) FROM done)"""
_READ: Final = "SELECT fingerprint, status, answer FROM idempotency_keys WHERE tenant_id = $1 AND key = $2"


class Answer(Struct, frozen=True, array_like=True):
    """An answer as it goes out: its status, the headers that say what it is, its body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Claim(Struct, frozen=True):
    """A claim says that this request does the work; it ends with its lease, or when it is settled."""

    tenant_id: int
    key: bytes
    id: UUID
    seal: bytes


class Idempotency(Struct, frozen=True):
    """Keeps the answers of all tenants' requests; every method takes the tenant, or a claim that has it."""

    postgres: Postgres
    secrets: Secrets

    async def begin(
        self,
        tenant: Tenant,
        key: str,
        fingerprint: bytes,
        *,
        lease: timedelta,
        kept_for: timedelta = REMEMBERED,
        asks: bool = False,
    ) -> Claim | Answer:
        """Claim the request, or return the answer it was given before; wait for one that is being given.

        The answer is of use for *kept_for* from now on, a day at most. One that *asks* changes nothing.

        Raises:
            IdempotencyKeyReused: The key was sent with another request.
            Conflict: The answer is still being made, or is kept no more (it was too large, or forgotten with a user).

        """
        secret = await self.secrets.get_or_create(_PURPOSE)
        claim = Claim(tenant.id, _derive(secret, b"key", key), uuid4(), _derive(secret, b"seal", key))
        until = monotonic() + WAIT_SECONDS
        while True:
            taken = await self.postgres.fetchval(
                _CLAIM, tenant.id, claim.key, fingerprint, claim.id, lease, kept_for, asks
            )
            if taken is not None:
                return claim
            row = await self.postgres.fetchrow(_READ, tenant.id, claim.key)
            if row is not None and bytes(row["fingerprint"]) != fingerprint:
                raise IdempotencyKeyReused(
                    "This Idempotency-Key came with another request; make a new key for this one."
                )
            if row is not None and row["status"] is not None:
                return _unsealed(row["answer"], claim.seal)
            if monotonic() >= until:
                detail = "The first request with this Idempotency-Key is still at work; send this again in a moment."
                raise Conflict(detail, code="idempotency_in_progress", context={"retry_after_seconds": RETRY_SECONDS})
            await asyncio.sleep(_POLL_SECONDS)

    async def keep(self, claim: Claim, answer: Answer) -> None:
        """Keep the answer of a request that was done; of one that is too large, only that it was."""
        sealed = None
        if len(answer.body) <= MAX_ANSWER_BYTES:
            sealed = jwe.encrypt_compact(_SEALED, msgspec.msgpack.encode(answer), OctKey.import_key(claim.seal))
        sql = """
            UPDATE idempotency_keys SET status = $4, answer = $5 WHERE tenant_id = $1 AND key = $2 AND claim = $3"""
        await self.postgres.execute(sql, claim.tenant_id, claim.key, claim.id, answer.status, sealed)

    async def release(self, claim: Claim) -> None:
        """Give a request up that did nothing: it may be sent again."""
        sql = "DELETE FROM idempotency_keys WHERE tenant_id = $1 AND key = $2 AND claim = $3 AND status IS NULL"
        await self.postgres.execute(sql, claim.tenant_id, claim.key, claim.id)

    async def forget(self, tenant_id: int, _ids: Sequence[str]) -> int:
        """Forget every answer that a tenant was given, and return how many: which of them name a user, none can tell.

        What was done stays known as done; what only asked, one under way too, may be asked again.
        """
        return await self.postgres.fetchval(_FORGET, tenant_id)

    async def clean_up(self) -> None:
        """Forget the requests whose day is over."""
        await self.postgres.execute("DELETE FROM idempotency_keys WHERE created_at <= now() - $1::interval", REMEMBERED)


def _derive(secret: bytes, purpose: bytes, key: str) -> bytes:
    return hmac.new(secret, purpose + b"\0" + key.encode(), sha256).digest()


def _unsealed(answer: str | None, seal: bytes) -> Answer:
    if answer is None:
        detail = "This request was done before, but its answer is not kept; read what it made."
        raise Conflict(detail, code="idempotency_answer_not_kept")
    plain = jwe.decrypt_compact(answer, OctKey.import_key(seal)).plaintext
    assert plain is not None  # noqa: S101  # decrypted, or raised
    return msgspec.msgpack.decode(plain, type=Answer)
