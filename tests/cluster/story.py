"""A story that tests tell: what happens, how it is sent, how segments are computed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from segment_copilot.access.tenants import Tenant
from segment_copilot.resources import Resources

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
USERS = 60
CITIES = ("Madrid", "Łódź", "Porto")


def definition(*conditions: dict[str, Any], logic: str = "AND") -> dict[str, Any]:
    return {"logic": logic, "conditions": list(conditions)}


BOUGHT = {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 2}
IN_MADRID = {"type": "user_property", "property": "city", "operator": "eq", "value": "Madrid"}
SPENT = {
    "type": "monetary",
    "event_type": "order_placed",
    "property": "total",
    "metric": "sum",
    "operator": "gt",
    "value": 40,
}

TOP = {"type": "rank", "by": {"measure": "sum", "event_type": "order_placed", "property": "total"}, "top_percent": 30}
RAREST = {"type": "rank", "by": {"measure": "count", "event_type": "order_placed"}, "bottom": 13}
"""Of whom some have as many orders as others who are out."""


def happened(days: range) -> list[bytes]:
    """Orders of many users, one every day; who they are is said once, and some orders are of visitors with no name yet."""
    events = list[dict[str, Any]]()
    for day in days:
        for number in range(USERS):
            at = NOW - (40 - day) * DAY + number * timedelta(minutes=1)
            user = f"user-{number:02}" if number % 4 else f"anon_{number}"
            if (number + day) % (2 + number % 3) == 0:
                events.append(
                    {
                        "user_id": user,
                        "event_type": "order_placed",
                        "occurred_at": at,
                        "payload": {"total": number + day},
                    }
                )
            if day == 0:
                payload = {"city": CITIES[number % 3], "plan": {"seats": number % 5}}
                events.append(
                    {"user_id": user, "event_type": "context_identified", "occurred_at": at, "payload": payload}
                )
    for number, event in enumerate(events):
        event["event_id"] = f"{days.start}-{number}"
    return [msgspec.json.encode(event) for event in events]


async def send(resources: Resources, tenant: Tenant, events: list[bytes]) -> None:
    assert not (await resources.ingestion.accept(tenant, events, received_at=NOW)).skipped
    while await resources.forwarding.forward_next():
        pass
    while await resources.identity_links.forward_next():
        pass


async def compute(resources: Resources, tenant: Tenant, *segments: int, as_of: datetime) -> None:
    for segment in segments:
        await resources.computations.request(tenant, segment, as_of=as_of)
    while await resources.computations.run_next():
        pass
