"""The connector `webhook` posts who entered and left, as JSON, to one URL, signed as webhooks are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from segment_copilot.activations.connectors.answers import hide, judge
from segment_copilot.activations.connectors.configs import MASK, Config, Secret, Url, secrets_in
from segment_copilot.activations.connectors.contract import Batch, Outcome, Recipient, Rejected
from segment_copilot.activations.outgoing import Outgoing
from segment_copilot.activations.webhooks.signatures import read_secret, signed
from segment_copilot.errors import InvalidInput
from segment_copilot.mistakes import mistakes

_TIMEOUT: Final = timedelta(seconds=20)


class WebhookConfig(Config, frozen=True, kw_only=True):
    """Says where batches are posted, what they are signed with, and which traits come with those who entered."""

    url: Url
    secret: Secret | None = None
    traits: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...], Meta(max_length=20)] = ()

    def wrong(self) -> tuple[str, str] | None:
        """Say what is no secret to sign with."""
        try:
            if self.secret not in (None, MASK):
                read_secret(self.secret)
        except InvalidInput as error:
            return "secret", error.detail.rstrip(".")
        return None


class _Body(Struct, frozen=True):
    type: str
    activation_id: int
    delivery_id: int
    batch: int
    full: bool
    tenant_slug: str
    segment_id: int
    segment_name: str
    sent_at: datetime
    entered: tuple[Recipient, ...]
    left: tuple[Recipient, ...]


class _Answer(Struct, frozen=True):
    rejected: tuple[Rejected, ...] = ()


class Webhook:
    """Posts each batch; an answer of 2xx takes it, and may name users that were not taken."""

    name = "webhook"
    summary = "Posts who entered and who left, as signed JSON, to a URL of yours."
    config = WebhookConfig
    batch_size = 1000

    def traits(self, config: WebhookConfig) -> tuple[str, ...]:
        """Return those of the config."""
        return config.traits

    def is_full(self, config: WebhookConfig) -> bool:  # noqa: ARG002
        """Return False: what changed is enough."""
        return False

    async def check(self, config: WebhookConfig, outgoing: Outgoing) -> None:
        """Post a body of the type `activation.test`, which is about nobody."""
        body = {"type": "activation.test", "sent_at": datetime.now(UTC)}
        await self._post(body, "activation-test", config, outgoing)

    async def send(self, batch: Batch, config: WebhookConfig, outgoing: Outgoing) -> Outcome:
        """Post a batch; an empty one only where it says that nobody is in the audience."""
        if not (batch.entered or batch.left or batch.is_full):
            return Outcome()
        body = _Body(
            "activation.batch",
            batch.activation_id,
            batch.delivery_id,
            batch.number,
            batch.is_full,
            batch.tenant_slug,
            batch.segment_id,
            batch.segment_name,
            batch.sent_at,
            batch.entered,
            batch.left,
        )
        answer, secrets = await self._post(body, batch.key, config, outgoing), secrets_in(config)
        return Outcome(tuple(Rejected(one.user_id, hide(one.reason, secrets)) for one in _rejected(answer)))

    async def _post(self, body: object, key: str, config: WebhookConfig, outgoing: Outgoing) -> bytes:
        text = msgspec.json.encode(body)
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        if config.secret:
            headers |= signed(text, [config.secret], message_id=key, now=datetime.now(UTC))
        answer = await outgoing.post(config.url, headers=headers, body=text, timeout=_TIMEOUT)
        judge(answer, "The webhook", config)
        return answer.body


def _rejected(body: bytes) -> tuple[Rejected, ...]:
    """Return the users that an answer names as not taken; any other answer names none."""
    try:
        told: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return ()
    if any(mistakes(told, _Answer)):
        return ()
    return msgspec.convert(told, _Answer).rejected
