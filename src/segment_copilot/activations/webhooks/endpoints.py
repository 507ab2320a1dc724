"""USE CASE: say which servers are told of a tenant's segments, and of what. Secrets are sealed, and shown once at most."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, cast

import structlog
from msgspec import UNSET, Struct, UnsetType

from segment_copilot.access.keys import Caller
from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.outgoing import Outgoing
from segment_copilot.activations.secrets import Secrets
from segment_copilot.activations.webhooks.bodies import Event
from segment_copilot.activations.webhooks.signatures import Secret, Signature, new_secret, read_secret
from segment_copilot.errors import Conflict, Finding, InvalidInput, NotFound, check_fixed
from segment_copilot.lists import FIRST_PAGE, Listed, Window
from segment_copilot.stores.pages import BY_ID, Rows, Sorting
from segment_copilot.stores.postgres import Connection, Postgres, Record

log = structlog.get_logger()

MAX_WEBHOOKS: Final = 50
"""Of a tenant: every publication is told to each."""

GRACE: Final = timedelta(days=1)
"""So long an old secret signs beside the new one."""

DEFAULT_EVENTS: Final[tuple[Event, ...]] = ("segment.recomputed",)
_TELL_USERS: Final = frozenset({"segment.entered", "segment.left"})

Order = Literal["id", "-id", "created_at", "-created_at", "updated_at", "-updated_at"]
_SORTINGS: Final = {
    "id": BY_ID,
    "created_at": Sorting("created_at", datetime, "timestamptz"),
    "updated_at": Sorting("updated_at", datetime, "timestamptz"),
}
_COLUMNS: Final = """id, url, description, events, is_active, signature, public_key, previous_until, failing_since, notice,
    disabled_at, disabled_reason, created_at, updated_at"""

_INSERT: Final = f"""
INSERT INTO webhooks (tenant_id, url, description, events, is_active, signature, secret, public_key)
SELECT $1, $2, $3, $4, $5, $6, $7, $8 FROM tenants
WHERE id = $1 AND (SELECT count(*) FROM webhooks WHERE tenant_id = $1) < {MAX_WEBHOOKS}
RETURNING {_COLUMNS}
"""
# Whoever is switched on begins anew: what it failed at before counts no more.
_UPDATE: Final = f"""
UPDATE webhooks SET url = coalesce($3, url), description = coalesce($4, description), events = coalesce($5, events),
    is_active = coalesce($6, is_active), updated_at = now(),
    failing_since = CASE WHEN $6 AND NOT is_active THEN NULL ELSE failing_since END,
    notice = CASE WHEN $6 THEN NULL ELSE notice END,
    disabled_at = CASE WHEN $6 THEN NULL ELSE disabled_at END,
    disabled_reason = CASE WHEN $6 THEN NULL ELSE disabled_reason END
WHERE tenant_id = $1 AND id = $2 RETURNING {_COLUMNS}
"""
_RESEALED: Final = 100  # at once
_TO_RESEAL: Final = """
SELECT id, tenant_id, secret, previous_secret FROM webhooks
WHERE NOT starts_with(secret, $1) OR NOT starts_with(previous_secret, $1) ORDER BY id LIMIT $2
"""
_RESEAL: Final = """
UPDATE webhooks SET secret = $2, previous_secret = $3
WHERE id = $1 AND secret = $4 AND previous_secret IS NOT DISTINCT FROM $5
"""
_END_OPEN: Final = """
UPDATE webhook_deliveries SET status = 'dead', error = $2, next_attempt_at = NULL, finished_at = clock_timestamp()
WHERE webhook_id = $1 AND status IN ('queued', 'failed')
"""


class WebhookEndpoint(Struct, frozen=True):
    """A server that is told of *events*. Its secret is not part of it; *public_key* verifies what ed25519 signed.

    *failing_since*: since then no attempt was answered well; *notice* says when that switches it off.
    """

    id: int
    url: str
    description: str
    events: tuple[Event, ...]
    is_active: bool
    signature: Signature
    public_key: str | None
    previous_secret_until: datetime | None
    failing_since: datetime | None
    notice: str | None
    disabled_at: datetime | None
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime


class IssuedWebhook(Struct, frozen=True):
    """An endpoint, and the secret that was made for it: None where it was given, or where its public key is enough."""

    webhook: WebhookEndpoint
    secret: str | None


class Webhooks:
    """Manages the endpoints of all tenants; every method takes the tenant."""

    def __init__(self, postgres: Postgres, outgoing: Outgoing, secrets: Secrets) -> None:
        self._postgres = postgres
        self._outgoing = outgoing
        self._secrets = secrets

    async def create(
        self,
        tenant: Tenant,
        url: str,
        *,
        description: str = "",
        events: Sequence[Event] = DEFAULT_EVENTS,
        is_active: bool = True,
        secret: str | None = None,
        signature: Signature = "hmac",
        by: Caller | None = None,
    ) -> IssuedWebhook:
        """Register an endpoint; a secret is made where none is given.

        Raises:
            InvalidInput: The URL may not be sent to, or the secret is none.
            Forbidden: It would be told of users, whom *by* may not know.
            Conflict: The tenant has as many as it may have.
        """
        url = self._check(url, events, by)
        chosen = read_secret(secret) if secret is not None else new_secret(signature)
        sealed = self._seal(tenant, chosen)
        async with self._postgres.transaction() as transaction:
            await transaction.execute(
                "SELECT FROM tenants WHERE id = $1 FOR NO KEY UPDATE", tenant.id
            )  # they are counted
            row = await transaction.fetchrow(
                _INSERT,
                tenant.id,
                url,
                description,
                list(dict.fromkeys(events)),
                is_active,
                chosen.signature,
                sealed,
                chosen.public_key,
            )
        if row is None:
            detail = f"There are {MAX_WEBHOOKS} webhooks, as many as there may be. Delete one that is not needed."
            raise Conflict(detail, code="too_many_webhooks")
        return IssuedWebhook(_endpoint(row), _shown(chosen, made=secret is None))

    async def page(
        self, tenant: Tenant, window: Window = FIRST_PAGE, *, order: Order = "id", is_active: bool | None = None
    ) -> Listed[WebhookEndpoint]:
        """Return one page of the tenant's endpoints."""
        conditions = (("tenant_id = {}", tenant.id), ("is_active = {}", is_active))
        return await Rows(_COLUMNS, "webhooks", conditions, _SORTINGS).page(self._postgres, window, order, _endpoint)

    async def get(self, tenant: Tenant, webhook_id: int) -> WebhookEndpoint:
        """Return an endpoint; NotFound when the tenant has none of this id."""
        sql = f"SELECT {_COLUMNS} FROM webhooks WHERE tenant_id = $1 AND id = $2"
        row = await self._postgres.fetchrow(sql, tenant.id, webhook_id)
        if row is None:
            raise not_found(webhook_id)
        return _endpoint(row)

    async def change(
        self,
        tenant: Tenant,
        webhook_id: int,
        *,
        url: str | UnsetType = UNSET,
        description: str | UnsetType = UNSET,
        events: Sequence[Event] | UnsetType = UNSET,
        is_active: bool | UnsetType = UNSET,
        signature: Signature | UnsetType = UNSET,
        by: Caller | None = None,
    ) -> WebhookEndpoint:
        """Change what is given. Switched off, nothing more is sent to it, and what waited is dead until it is recovered.

        Raises:
            NotFound: The tenant has none of this id.
            InvalidInput: The URL may not be sent to, or it is to sign in another way.
            Forbidden: It would be told of users, whom *by* may not know.
        """
        before = await self.get(tenant, webhook_id)
        check_fixed({"signature": signature}, {"signature": before.signature}, instead="make another webhook")
        # What comes back as it was read is no change: it was judged when it was given.
        url = UNSET if url == before.url else url
        events = UNSET if events is not UNSET and tuple(events) == before.events else events
        if url is not UNSET or events is not UNSET or (is_active is True and not before.is_active):
            url = self._check(before.url if url is UNSET else url, before.events if events is UNSET else events, by)
        async with self._postgres.transaction() as transaction:
            told = UNSET if events is UNSET else list(dict.fromkeys(events))
            given = [None if one is UNSET else one for one in (url, description, told, is_active)]
            row = await transaction.fetchrow(_UPDATE, tenant.id, webhook_id, *given)
            if row is None:
                raise not_found(webhook_id)
            if is_active is False:
                await end_open(transaction, webhook_id, "The webhook was switched off before it was sent.")
        return _endpoint(row)

    async def delete(self, tenant: Tenant, webhook_id: int) -> None:
        """Delete an endpoint, and what was and was to be sent to it; NotFound when the tenant has none of this id."""
        sql = "DELETE FROM webhooks WHERE tenant_id = $1 AND id = $2"
        if not await self._postgres.execute(sql, tenant.id, webhook_id):
            raise not_found(webhook_id)

    async def rotate(
        self, tenant: Tenant, webhook_id: int, *, secret: str | None = None, now: datetime | None = None
    ) -> IssuedWebhook:
        """Put another secret in the place of an endpoint's: for a day the old one signs too. Its kind stays.

        Raises:
            NotFound: The tenant has none of this id.
            InvalidInput: The secret is none, or of another kind.
        """
        before = await self.get(tenant, webhook_id)
        chosen = read_secret(secret) if secret is not None else new_secret(before.signature)
        if chosen.signature != before.signature:
            detail = (
                f"This webhook signs by {before.signature}; the secret is of {chosen.signature}. Make another webhook."
            )
            raise InvalidInput(detail, code="invalid_secret", findings=[Finding("/secret", "invalid_secret", detail)])
        sql = f"""
            UPDATE webhooks SET previous_secret = secret, previous_until = $5, secret = $3, public_key = $4, updated_at = now()
            WHERE tenant_id = $1 AND id = $2 RETURNING {_COLUMNS}"""
        until = (now or datetime.now(UTC)) + GRACE
        row = await self._postgres.fetchrow(
            sql, tenant.id, webhook_id, self._seal(tenant, chosen), chosen.public_key, until
        )
        if row is None:
            raise not_found(webhook_id)
        return IssuedWebhook(_endpoint(row), _shown(chosen, made=secret is None))

    def open_secrets(self, tenant_id: int, row: Record, *, now: datetime) -> list[str]:
        """Return the secrets that sign for an endpoint now, the newest first."""
        sealed = [row["secret"]]
        if row["previous_secret"] is not None and row["previous_until"] > now:
            sealed.append(row["previous_secret"])
        return [self._secrets.open(one, context=_context(tenant_id)) for one in sealed]

    async def reseal(self) -> bool:
        """Seal, of all tenants, secrets that are sealed with an older key; True if more may be.

        One that cannot be opened is left as it is.
        """
        if self._secrets.current is None:
            return False
        done = 0
        for row in await self._postgres.fetch(_TO_RESEAL, self._secrets.current, _RESEALED):
            context, before = _context(row["tenant_id"]), (row["secret"], row["previous_secret"])
            try:
                opened = [one and self._secrets.open(one, context=context) for one in before]
            except Conflict as error:
                log.warning("webhook.not_resealed", webhook_id=row["id"], code=error.code)
                continue
            sealed = [one and self._secrets.seal(one, context=context) for one in opened]
            done += await self._postgres.execute(_RESEAL, row["id"], *sealed, *before)
        return done == _RESEALED

    def _seal(self, tenant: Tenant, secret: Secret) -> str:
        return self._secrets.seal(secret.text, context=_context(tenant.id))

    def _check(self, url: str, events: Sequence[Event], by: Caller | None) -> str:
        if by is not None and not _TELL_USERS.isdisjoint(events):
            by.require("members:read")
        try:
            return self._outgoing.check(url)
        except InvalidInput as error:
            found = Finding("/url", error.code, error.detail)
            raise InvalidInput(error.detail, code=error.code, findings=[found]) from None


async def end_open(transaction: Connection, webhook_id: int, reason: str) -> None:
    """Give up what waits for an endpoint: it stays in the log, and can be recovered."""
    await transaction.execute(_END_OPEN, webhook_id, reason)
    await transaction.execute("UPDATE webhook_lanes SET next_attempt_at = NULL WHERE webhook_id = $1", webhook_id)


def not_found(webhook_id: int) -> NotFound:
    """Return the error of an id that no endpoint of the tenant has."""
    return NotFound(f"There is no webhook {webhook_id}.", code="webhook_not_found")


def _context(tenant_id: int) -> bytes:
    return f"webhook of tenant {tenant_id}".encode()


def _shown(secret: Secret, *, made: bool) -> str | None:
    return secret.text if made and secret.signature == "hmac" else None


def _endpoint(row: Record) -> WebhookEndpoint:
    return WebhookEndpoint(
        id=row["id"],
        url=row["url"],
        description=row["description"],
        events=cast("tuple[Event, ...]", tuple(row["events"])),
        is_active=row["is_active"],
        signature=row["signature"],
        public_key=row["public_key"],
        previous_secret_until=row["previous_until"],
        failing_since=row["failing_since"],
        notice=row["notice"],
        disabled_at=row["disabled_at"],
        disabled_reason=row["disabled_reason"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
