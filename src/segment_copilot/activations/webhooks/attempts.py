"""Sends one request to an endpoint and says what came of it; and when the next one is due, if it came to nothing."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Final

from msgspec import Struct

from segment_copilot.activations.outgoing import TIMEOUT, Outgoing, OutgoingFailed, OutgoingRefused
from segment_copilot.activations.webhooks.signatures import signed

SCHEDULE: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=10),
)
"""How long after each attempt that failed the next one is made, as Svix does; then the delivery is dead."""

KEPT_ANSWER: Final = 500
"""Characters of an answer that are kept."""

_LONGEST: Final = SCHEDULE[-1]  # that a Retry-After is obeyed
_JITTER: Final = 0.1  # of the wait, so that what failed together does not come back together
_GONE: Final = 410
_ASKS_FOR_TIME: Final = frozenset({429, 503})


class Attempt(Struct, frozen=True):
    """An attempt, and what came back: a status, or the reason why there is none."""

    at: datetime
    duration_ms: int
    status_code: int | None = None
    error: str | None = None
    answer: str = ""
    retry_after: timedelta | None = None

    @property
    def is_good(self) -> bool:
        """Return whether the delivery arrived."""
        return self.error is None

    @property
    def is_gone(self) -> bool:
        """Return whether the endpoint says that it wants no more."""
        return self.status_code == _GONE


async def attempt(  # a request
    outgoing: Outgoing,
    url: str,
    body: bytes,
    *,
    message_id: str,
    secrets: Sequence[str],
    now: datetime,
    timeout: timedelta = TIMEOUT,  # noqa: ASYNC109
) -> Attempt:
    """Send *body*, signed with *secrets* at *now*. Whatever happens is told in the answer, and nothing is raised."""
    headers = {"Content-Type": "application/json", **signed(body, secrets, message_id=message_id, now=now)}
    begun = monotonic()
    try:
        answer = await outgoing.post(url, headers=headers, body=body, timeout=timeout)
    except (OutgoingRefused, OutgoingFailed) as error:
        return Attempt(now, _since(begun), error=error.detail)
    said = answer.body[: 4 * KEPT_ANSWER].decode("utf-8", "replace").replace("\0", "\ufffd")[:KEPT_ANSWER]
    error = None if answer.is_good else f"The endpoint answered {answer.status}."
    asked = _retry_after(answer.headers, now) if answer.status in _ASKS_FOR_TIME else None
    return Attempt(now, _since(begun), answer.status, error, said, asked)


def wait_after(attempts: int, made: Attempt) -> timedelta | None:
    """Return how long to wait after so many *attempts* failed, the last of them *made*; None when it was the last."""
    if attempts > len(SCHEDULE):
        return None
    wait = SCHEDULE[attempts - 1] * (1 + random.uniform(0, _JITTER))  # noqa: S311  # no secret
    return max(wait, min(made.retry_after or wait, _LONGEST))


def _retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Return how long an endpoint asks to be left alone: in seconds, or until an instant."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:9]), int(_LONGEST.total_seconds())))
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((until if until.tzinfo else until.replace(tzinfo=UTC)) - now, timedelta(0))


def _since(begun: float) -> int:
    return round((monotonic() - begun) * 1000)
