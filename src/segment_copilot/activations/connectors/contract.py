"""The contract of a connector: what it is given, what it answers, and how it says that it could not.

A connector knows one destination's wire format. When it is called, how often, and what becomes of a failure is not its
business: it sends one batch once, and raises `TryLater` or `Refused`. What `Outgoing` raises may pass through it: no answer
counts as the first, an address that may not be sent to as the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from msgspec import Struct

from segment_copilot.activations.connectors.configs import Config
from segment_copilot.activations.outgoing import Outgoing


class Recipient(Struct, frozen=True):
    """A user as a destination is told of them: their id, and the traits that the connector asked for, where they have any."""

    user_id: str
    traits: Mapping[str, Any] = {}


class Batch(Struct, frozen=True, kw_only=True):
    """A batch is who entered and who left, the two together at most `batch_size` users, each user once.

    *key* is the same when a batch is sent again, and no other batch has it. *is_full* says that the batch belongs to a
    delivery of all members, not of what changed; such a delivery has at least one batch, which may be empty.
    """

    key: str
    activation_id: int
    delivery_id: int
    number: int
    """From 1 in each delivery."""
    segment_id: int
    segment_name: str
    tenant_slug: str
    sent_at: datetime
    entered: tuple[Recipient, ...] = ()
    left: tuple[Recipient, ...] = ()
    is_full: bool = False


class Rejected(Struct, frozen=True):
    """A user whom the destination did not take, and why."""

    user_id: str
    reason: str


class Outcome(Struct, frozen=True):
    """An outcome of a batch: all of its users arrived, but for the rejected ones."""

    rejected: tuple[Rejected, ...] = ()


class TryLater(Exception):
    """The destination cannot take it now (429, 5xx, no connection): the same may work later, not before *after*."""

    def __init__(self, reason: str, after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Refused(Exception):
    """The destination will never take it as it is (400, 401, 404): somebody has to change something first."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Connector(Protocol):
    """Brings batches to one kind of destination. *reason*s are read by people and hold no secret."""

    @property
    def name(self) -> str:
        """The connector_type of activations."""
        ...

    @property
    def summary(self) -> str:
        """A sentence that says where members are sent, and as what."""
        ...

    @property
    def config(self) -> type[Config]:
        """The type of its config; secret fields are `Secret`."""
        ...

    @property
    def batch_size(self) -> int:
        """The number of users that a batch has at most."""
        ...

    def traits(self, config: Any) -> tuple[str, ...]:
        """Return the names of the traits that recipients shall come with."""
        ...

    def is_full(self, config: Any) -> bool:
        """Return whether every delivery is to be of all members, rather than of what changed."""
        ...

    async def check(self, config: Any, outgoing: Outgoing) -> None:
        """Try whether the destination would take what this config sends, changing nothing there.

        Raises:
            TryLater: It cannot be said now.
            Refused: It would not.
        """
        ...

    async def send(self, batch: Batch, config: Any, outgoing: Outgoing) -> Outcome:
        """Send one batch, once.

        Raises:
            TryLater: None of it, or an unknown part of it, arrived; the same batch is sent again later.
            Refused: It does not help to send it again.
        """
        ...
