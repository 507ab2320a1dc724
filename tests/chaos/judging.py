"""What has to be true once a fault is over: how soon everything works again, and that nothing was lost or doubled."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import httpx2
from msgspec import Struct

from segment_copilot.stores.merging import DISTINCT, ROWS
from tests.chaos.load import PREVIEW_SECONDS, SEGMENTS, Load
from tests.chaos.service import Service, answers, now

RECOVERY_SECONDS = 5.0
PATIENCE_SECONDS = 120.0  # then it counts as stuck
_COMPUTING = "SELECT count(*) FROM computations WHERE status IN ('queued', 'running') AND created_at < $1"
_COPIES = "SELECT toUInt64(payload.n.:Int64), count() FROM events WHERE tenant_id = {tenant:UInt32} AND payload.run.:String = {run:String} GROUP BY 1"


class Recovery(Struct, frozen=True):
    """Seconds from the end of a fault until both processes say ready, and what was acknowledged and queued before is done."""

    ready: float
    forwarded: float
    computed: float

    @property
    def seconds(self) -> float:
        return max(self.ready, self.forwarded, self.computed)


async def recover(service: Service) -> Recovery:
    """Wait for it, under the load there is."""
    ended, ended_at = time.monotonic(), now()

    async def ready() -> bool:
        return await answers(client, service.api, "ready") and await answers(client, service.worker, "ready")

    async def forwarded() -> bool:
        status = await service.resources.ingestion.status(service.tenant)
        return not status.pending or status.oldest_pending_ms < (time.monotonic() - ended) * 1000

    async def computed() -> bool:
        return not await service.resources.postgres.fetchval(_COMPUTING, ended_at)

    async with httpx2.AsyncClient(timeout=5) as client:
        times = await asyncio.gather(*(time_until(each, since=ended) for each in (ready, forwarded, computed)))
    return Recovery(*times)


async def time_until(
    condition: Callable[[], Awaitable[bool]], *, since: float, patience: float = PATIENCE_SECONDS
) -> float:
    while time.monotonic() - since < patience:
        try:
            if await condition():
                break
        except Exception:  # noqa: BLE001, S110  # our own look at the stores suffers from the fault, too
            pass
        await asyncio.sleep(0.05)
    return time.monotonic() - since


async def judge(service: Service, load: Load, *, run: str, segments: dict[str, int], refused: int) -> list[str]:
    """Return what is wrong now that the clients are silent, as sentences."""
    quiet = now()
    stuck = await time_until(lambda: _is_done(service, quiet), since=time.monotonic())
    if stuck >= PATIENCE_SECONDS:
        return [f"not done after {stuck:.0f} s: {await service.resources.ingestion.status(service.tenant)}"]
    return [
        *await _wrong_events(service, load, run=run, refused=refused),
        *await _failed_computations(service),
        *await wrong_members(service, segments, SEGMENTS),
    ]


async def _is_done(service: Service, quiet: datetime) -> bool:
    status = await service.resources.ingestion.status(service.tenant)
    return not status.pending and not await service.resources.postgres.fetchval(_COMPUTING, quiet)


async def _wrong_events(service: Service, load: Load, *, run: str, refused: int) -> list[str]:
    params = {"tenant": service.tenant.id, "run": run}
    copies = dict((await service.resources.clickhouse.fetch(_COPIES, params, purpose="compute", merge=ROWS)).rows)
    status = await service.resources.ingestion.status(service.tenant)
    found = Counter({
        "acknowledged and not there": len(load.acknowledged - copies.keys()),
        "there more than once": sum(count > 1 for count in copies.values()),
        "there and never sent": len(copies.keys() - load.acknowledged - load.unanswered),
        "failed": abs(status.failed - refused),
    })  # fmt: skip
    return [f"{count} events {what}" for what, count in found.items() if count]


async def _failed_computations(service: Service) -> list[str]:
    """No fault is one of a segment's, so none of its computations may have ended by one."""
    rows = await service.resources.postgres.fetch(
        "SELECT DISTINCT error::text AS error FROM computations WHERE status = 'failed'"
    )
    return [f"a computation failed: {row['error']}" for row in rows]


async def wrong_members(
    service: Service, segments: Mapping[str, int], definitions: Mapping[str, dict[str, Any]]
) -> list[str]:
    """Compute every segment at one instant; who is listed must be whom a preview finds then."""
    wrong = list[str]()
    as_of = now().isoformat()
    headers = {"Authorization": f"ApiKey {service.key}"}
    async with httpx2.AsyncClient(base_url=f"{service.api.url}/api/segments", headers=headers, timeout=60) as client:
        for id_ in segments.values():
            (await client.post(f"/{id_}/compute/", json={"as_of": as_of})).raise_for_status()
        for name, id_ in segments.items():

            async def computed(path: str = f"/{id_}/") -> bool:
                return (await client.get(path)).json()["status"] == "computed"

            if await time_until(computed, since=time.monotonic()) >= PATIENCE_SECONDS:
                wrong.append(f"{name} is stuck: {(await client.get(f'/{id_}/')).text[:300]}")
                continue
            asked = {"definition": definitions[name], "as_of": as_of, "limit": 1000}
            preview = (await client.post("/preview/", json=asked, timeout=PREVIEW_SECONDS)).json()
            listed = await list_members(client, f"/{id_}/members/")
            if listed != preview["sample_user_ids"]:
                wrong.append(f"{name} lists {len(listed)} members where a preview finds {preview['matched_users']}")
    return wrong


async def list_members(client: httpx2.AsyncClient, path: str) -> list[str]:
    """Return the members that *path* answers, page after page."""
    found: list[str] = []
    params: dict[str, Any] = {"limit": 100}
    while True:
        page = (await client.get(path, params=params)).json()
        found += [row["user_id"] for row in page["results"]]
        if page["next_cursor"] is None:
            return found
        params["cursor"] = page["next_cursor"]


_LEFT_MEMBERS = "SELECT DISTINCT segment_id FROM segment_states WHERE tenant_id = {tenant:UInt32}"
_NOT_PLANNED = """
SELECT count(*) FROM unnest($1::bigint[]) AS left_id
WHERE NOT EXISTS (SELECT FROM segments WHERE id = left_id) AND NOT EXISTS (SELECT FROM member_removals WHERE segment_id = left_id)
"""


async def left_members(service: Service) -> list[str]:
    """Return what is wrong with segments that were deleted: members that nobody is going to remove."""
    postgres, clickhouse = service.resources.postgres, service.resources.clickhouse

    async def removed() -> bool:
        return not await postgres.fetchval(
            "SELECT count(*) FROM member_removals WHERE coalesce(lease_until, now()) <= now() + interval '30 s'"
        )

    stuck = await time_until(removed, since=time.monotonic())
    found = await clickhouse.fetch(_LEFT_MEMBERS, {"tenant": service.tenant.id}, purpose="compute", merge=DISTINCT)
    left = await postgres.fetchval(_NOT_PLANNED, [id_ for (id_,) in found.rows])
    wrong = [f"members of {left} deleted segments stay for ever"] if left else []
    return wrong + ([f"members are not removed after {stuck:.0f} s"] if stuck >= PATIENCE_SECONDS else [])
