"""What has to be true of deliveries once the kills are over: all arrived, and what was told gives the members that there are."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from tests.chaos.judging import list_members, time_until, wrong_members
from tests.chaos.receiving import CRASHED, MoodyReceiver
from tests.chaos.service import Service
from tests.chaos.traffic import ACTIVATED, DEFINITIONS, client_of

_PATIENCE: Final = 420.0  # an attempt that failed twice is made again after five minutes

_COMPUTING: Final = "SELECT count(*) FROM computations WHERE status IN ('queued', 'running')"
UNTOLD: Final = """
SELECT (SELECT count(*) FROM publications WHERE sequence IS NULL)
    + (SELECT count(*) FROM webhook_deliveries WHERE status IN ('queued', 'failed'))
"""
_UNSYNCED: Final = """
SELECT (SELECT count(*) FROM deliveries WHERE status IN ('queued', 'sending'))
    + (SELECT count(*) FROM activations WHERE synced_computation IS NULL OR EXISTS (
        SELECT FROM computations WHERE computations.segment_id = activations.segment_id AND computations.status = 'done'
            AND entered + left_count > 0 AND computations.id > synced_computation))
"""
_TOLD: Final = """
SELECT 'msg_' || publication_id || '_' || replace(event, '.', '_') || '_' || part AS id, status FROM webhook_deliveries
"""
_UNPUBLISHED: Final = """
SELECT count(*) FROM computations WHERE status = 'done' AND change_set IS NOT NULL
    AND NOT EXISTS (SELECT FROM publications WHERE computation_id = computations.id)
"""
_EVENTS: Final = """
SELECT event_id, count() FROM events WHERE tenant_id = {tenant:UInt32} AND startsWith(event_id, 'kills-') GROUP BY event_id
"""
_STOPPED: Final = "SELECT status, error FROM deliveries WHERE status IN ('dead', 'failed', 'held')"
_FAILED: Final = "SELECT id, error::text AS error FROM computations WHERE status = 'failed' AND error->>'code' <> $1"


async def settle(service: Service, segments: Mapping[str, int]) -> tuple[float, list[str]]:
    """Let everything end that was begun: return how long that took, and what did not end or is computed wrongly."""
    began = time.monotonic()
    wrong = list[str]()

    async def forwarded() -> bool:
        status = await service.resources.ingestion.status(service.tenant)
        return not status.pending and not status.failed

    async def nothing(sql: str) -> bool:
        return not await service.resources.postgres.fetchval(sql)

    await service.until_ready()
    if await time_until(forwarded, since=began) >= _PATIENCE:
        wrong.append("events are not forwarded")
    async with client_of(service) as client:
        for id_ in segments.values():
            (await client.post(f"/api/segments/{id_}/refresh/pause/")).raise_for_status()
    for sql, what in ((_COMPUTING, "computed"), (UNTOLD, "told to the webhook"), (_UNSYNCED, "sent by activations")):
        if await time_until(lambda sql=sql: nothing(sql), since=began, patience=_PATIENCE) >= _PATIENCE:
            wrong.append(f"not all is {what} after {_PATIENCE:.0f} s")
    seconds = time.monotonic() - began
    wrong += await wrong_members(service, dict(segments), DEFINITIONS)
    again = time.monotonic()
    for sql in (_COMPUTING, UNTOLD, _UNSYNCED):
        await time_until(lambda sql=sql: nothing(sql), since=again, patience=_PATIENCE)
    await _allow_empty(service)
    await time_until(lambda: nothing(_UNSYNCED), since=again, patience=_PATIENCE)
    return seconds, wrong


async def _allow_empty(service: Service) -> None:
    """Say what a person would say of segments of the last two minutes, in which nothing happened: that nobody is left is meant."""
    held = await service.resources.postgres.fetch("SELECT DISTINCT activation_id FROM deliveries WHERE status = 'held'")
    async with client_of(service) as client:
        for row in held:
            path = f"/api/activations/{row['activation_id']}/sync/"
            (await client.post(path, json={"allow_empty": True})).raise_for_status()


async def wrong_events(service: Service, sent: int, acknowledged: int) -> list[str]:
    """Return what is wrong with the events in ClickHouse: each that was acknowledged is there, and none twice."""
    found = await service.resources.clickhouse.fetch(_EVENTS, {"tenant": service.tenant.id}, purpose="compute")
    copies = {int(event_id.removeprefix("kills-")): count for event_id, count in found.rows}
    lost = [number for number in range(1, acknowledged + 1) if number not in copies]
    twice = [number for number, count in copies.items() if count > 1]
    wrong = [f"{len(lost)} acknowledged events are not there, such as kills-{lost[0]}"] if lost else []
    wrong += [f"{len(twice)} events are there more than once, such as kills-{min(twice)}"] if twice else []
    return wrong + ([f"kills-{max(copies)} was never sent"] if copies and max(copies) > sent else [])


async def judge(service: Service, receiver: MoodyReceiver, segments: Mapping[str, int]) -> list[str]:
    """Return what is wrong with what the receiver was told."""
    postgres = service.resources.postgres
    wrong = list[str]()
    rows = await postgres.fetch(_TOLD)
    if missing := {row["id"] for row in rows} - receiver.taken.keys():
        wrong.append(f"{len(missing)} webhooks never arrived, such as {min(missing)}")
    if dead := [row["id"] for row in rows if row["status"] != "done"]:
        wrong.append(f"{len(dead)} webhooks are not done, such as {dead[0]}")
    if count := await postgres.fetchval(_UNPUBLISHED):
        wrong.append(f"{count} computations are done and were not announced")
    wrong += [f"a delivery is {row['status']}: {row['error']}" for row in await postgres.fetch(_STOPPED)]
    wrong += [f"computation {row['id']} failed: {row['error']}" for row in await postgres.fetch(_FAILED, CRASHED)]
    async with client_of(service) as client:
        for name, id_ in segments.items():
            members = set(await list_members(client, f"/api/segments/{id_}/members/"))
            replays = [receiver.published.get(id_), *([receiver.synced.get(id_)] if name in ACTIVATED else [])]
            for replay in replays:
                if replay is None:
                    wrong.append(f"nothing was told of {name}")
                elif replay.members != members:
                    difference = len(replay.members ^ members)
                    wrong.append(f"{replay.name} ({name}): {difference} users differ from its {len(members)} members")
            if replays[0] is not None:
                wrong += replays[0].counted(None)
    return wrong
