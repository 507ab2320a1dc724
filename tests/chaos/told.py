"""Segments that are refreshed in every mode, and a receiver that is told of their changes; both have to agree in the end."""

from __future__ import annotations

import time
from typing import Final

import httpx2

from tests.chaos.delivered import UNTOLD
from tests.chaos.judging import PATIENCE_SECONDS, list_members, time_until
from tests.chaos.load import SEGMENTS
from tests.chaos.receiving import SECRET, WEBHOOK, MoodyReceiver
from tests.chaos.service import Service

_MODES: Final = {"Buyers": "live", "Pros": "auto", "Quiet": "manual"}


async def make_segments(service: Service, receiver: MoodyReceiver) -> dict[str, int]:
    """Save the segments that the clients read and compute, tell the receiver of them; return their ids by name."""
    await service.resources.webhooks.create(
        service.tenant,
        f"{receiver.url}{WEBHOOK}",
        events=("segment.recomputed", "segment.entered", "segment.left", "computation.failed"),
        secret=SECRET,
    )
    ids: dict[str, int] = {}
    async with _client(service) as client:
        for name, definition in SEGMENTS.items():
            asked = {"name": name, "definition": definition, "refresh": {"mode": _MODES[name]}}
            ids[name] = (await client.post("/api/segments/", json=asked)).raise_for_status().json()["id"]
    return ids


async def wrong_told(service: Service, receiver: MoodyReceiver, segments: dict[str, int]) -> list[str]:
    """Return what is wrong with what the receiver was told, once nothing is on its way any more."""

    async def all_told() -> bool:
        return not await service.resources.postgres.fetchval(UNTOLD)

    if await time_until(all_told, since=time.monotonic()) >= PATIENCE_SECONDS:
        return [f"changes are not told after {PATIENCE_SECONDS:.0f} s"]
    wrong, receiver.broken = receiver.broken, []
    async with _client(service) as client:
        for name, id_ in segments.items():
            members = set(await list_members(client, f"/api/segments/{id_}/members/"))
            replay = receiver.published.get(id_)
            if (replay.members if replay else set[str]()) != members:
                wrong.append(f"the receiver was told of other members of {name} than the {len(members)} there are")
    return wrong


def _client(service: Service) -> httpx2.AsyncClient:
    headers = {"Authorization": f"ApiKey {service.key}"}
    return httpx2.AsyncClient(base_url=service.api.url, headers=headers, timeout=30)
