"""What goes on while things are killed: events and identifies all the time, segments of every mode, and computations asked for."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2

from tests.chaos.service import Service

_USERS: Final = 300
_BATCH: Final = 25
_PAUSE: Final = 0.25


def _bought(last: str, **condition: Any) -> dict[str, Any]:
    return {
        "logic": "AND",
        "conditions": [{"type": "event_count", "event_type": "order_placed", "window": {"last": last}, **condition}],
    }


def _identified(plan: str) -> dict[str, Any]:
    condition = {"type": "user_property", "property": "plan", "operator": "eq", "value": plan}
    return {"logic": "AND", "conditions": [condition]}


DEFINITIONS: Final[dict[str, dict[str, Any]]] = {
    "Pros": _identified("pro"),
    "Free": _identified("free"),
    "Buyers": _bought("5m", operator="gte", value=2),
    "Quiet": _bought("3m", operator="eq", value=0),
    "Hot": _bought("2m", operator="gte", value=1),
    "Hottest": _bought("1m", operator="gte", value=2),
}
_MODES: Final[dict[str, dict[str, str]]] = {
    "Pros": {"mode": "auto"},
    "Free": {"mode": "auto"},
    "Buyers": {"mode": "interval", "every": "1m"},
    "Quiet": {"mode": "interval", "every": "1m"},
    "Hot": {"mode": "live"},
    "Hottest": {"mode": "live"},
}
ACTIVATED: Final = ("Pros", "Buyers", "Hot")
"""One of each mode."""


async def make_segments(service: Service) -> dict[str, int]:
    """Save the segments, each to be refreshed in its mode; return their ids by name."""
    async with client_of(service) as client:
        ids = dict[str, int]()
        for name, definition in DEFINITIONS.items():
            asked = {"name": name, "definition": definition, "refresh": _MODES[name]}
            answer = await client.post("/api/segments/", json=asked)
            ids[name] = answer.raise_for_status().json()["id"]
    return ids


def client_of(service: Service) -> httpx2.AsyncClient:
    headers = {"Authorization": f"ApiKey {service.key}"}
    return httpx2.AsyncClient(base_url=service.api.url, headers=headers, timeout=60)


class Traffic:
    """Steady clients, and what they were answered. A batch of events is sent until it is acknowledged."""

    def __init__(self, service: Service, segments: dict[str, int], seed: int) -> None:
        self._service = service
        self._segments = list(segments.values())
        self._dice = random.Random(f"traffic of {seed}")  # noqa: S311  # a seed, not a secret
        self._number = 0
        self.acknowledged = 0
        """So many were; each batch is sent until it is, so they are the first."""
        self.answers = Counter[str]()

    @property
    def sent(self) -> int:
        """The number of the last event that was sent."""
        return self._number

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Clients while the block runs; at its end they finish what they do, and no more."""
        stop = asyncio.Event()
        async with client_of(self._service) as client, asyncio.TaskGroup() as group:
            group.create_task(self._send(client, stop))
            group.create_task(self._compute(client, stop))
            try:
                yield
            finally:
                stop.set()

    async def _send(self, client: httpx2.AsyncClient, stop: asyncio.Event) -> None:
        while not stop.is_set():
            events = [self._event() for _ in range(_BATCH)]
            said = ""
            while said != "202":
                said = await self._post(client, "/api/ingestion/track/batch/", json={"events": events})
                await asyncio.sleep(_PAUSE)
            self.acknowledged += _BATCH

    async def _compute(self, client: httpx2.AsyncClient, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self._post(client, f"/api/segments/{self._dice.choice(self._segments)}/compute/")
            await asyncio.sleep(2 * self._dice.random())

    async def _post(self, client: httpx2.AsyncClient, path: str, **arguments: Any) -> str:
        try:
            said = str((await client.post(path, **arguments)).status_code)
        except httpx2.TransportError:
            said = "cut"
        self.answers[said] += 1
        return said

    def _event(self) -> dict[str, Any]:
        self._number += 1
        user_id = f"user-{self._dice.randrange(_USERS)}"
        event: dict[str, Any] = {"user_id": user_id, "event_id": f"kills-{self._number}", "payload": {}}
        if self._dice.random() < 0.2:
            return event | {"event_type": "context_identified", "payload": {"plan": self._dice.choice(("pro", "free"))}}
        return event | {"event_type": "order_placed"}
