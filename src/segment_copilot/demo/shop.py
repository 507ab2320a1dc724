"""Makes a believable shop from a seed: users, what they did in 180 days, and what is known of them.

The same seed gives the same shop: the same ids, the same values, the same distances in time. Only where it lies in
time is a matter of the caller, who says when it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from segment_copilot.demo.dice import Dice
from segment_copilot.demo.people import DAYS, SPAN, people
from segment_copilot.demo.visits import Diary
from segment_copilot.events import Event
from segment_copilot.language.catalog import IDENTIFY

SEED: Final = 1
USERS: Final = 20_000


ShopRow = tuple[int, str, str, str | dict[str, Any]]
"""(milliseconds since the beginning, event type, user id, payload as JSON text or traits)."""


class Shop(Struct, frozen=True):
    """A shop without a place in time: rows in the order they happened."""

    seed: int
    rows: list[ShopRow]

    def events(self, tenant_id: int, *, ends_at: datetime) -> Iterator[Event]:
        """Yield every event of the shop as the tenant's, in the order of time, none later than *ends_at* (aware)."""
        begins_at = ends_at - timedelta(days=DAYS)
        for number, (at, event_type, user_id, payload) in enumerate(self.rows):
            text = payload if isinstance(payload, str) else _identify_text(payload, begins_at)
            yield Event(
                tenant_id=tenant_id,
                event_id=f"{event_prefix(self.seed)}{number:06d}",
                user_id=user_id,
                event_type=event_type,
                occurred_at=begins_at + timedelta(milliseconds=at),
                payload=text,
            )


def event_prefix(seed: int) -> str:
    """Return what the ids of the shop's events begin with: all others in its tenant are people's own."""
    return f"demo-{seed}-"


def generate_shop(*, seed: int = SEED, users: int = USERS) -> Shop:
    """Make the shop of that seed; about 20 events a user. Takes about a second for 20,000 users."""
    dice = Dice(seed)
    diary = Diary(dice)
    for person in people(users, dice=dice):
        diary.live(person)
    rows: list[ShopRow] = [row for row in diary.events if 0 <= row[0] < SPAN]
    rows.extend((at, IDENTIFY, user, traits) for at, user, traits in diary.identifies if 0 <= at < SPAN)
    rows.sort(key=lambda row: row[:3])
    return Shop(seed, rows)


def _identify_text(traits: dict[str, Any], begins_at: datetime) -> str:
    if (signed_up := traits.get("signup_date")) is not None:
        day = (begins_at + timedelta(milliseconds=signed_up)).date()
        traits = {**traits, "signup_date": day.isoformat()}
    return msgspec.json.encode(traits).decode()
