"""Exports members for a command: asks the service for a file, waits until it is written, and fetches it whole."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, BinaryIO, Final, Literal

import httpx2
import stamina

from segment_copilot.commands.answers import read_answer
from segment_copilot.commands.options import Service
from segment_copilot.errors import SegmentCopilotError, Unavailable

Form = Literal["csv", "ndjson", "parquet"]

_TRIES: Final = 5
"""How often a fetch may break off without bringing anything; what came before is kept."""


async def export(service: Service, segment_id: int, form: Form, include: Sequence[str], file: BinaryIO) -> int:
    """Write the file of a segment's members to *file*, and return how many members are in it."""
    headers = {"Authorization": f"ApiKey {service.key}"}
    async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=30) as client:
        body = {"format": form, "include": list(include)}
        asked = await read_answer(client.post(f"/api/segments/{segment_id}/export/", json=body))
        done = await _finished(client, segment_id, asked["id"])
        if done["status"] == "failed":
            raise SegmentCopilotError(done["error"]["detail"], code=done["error"]["code"])
        await _fetch(client, done, file)
    return done["rows"]


@stamina.retry(on=Unavailable, timeout=3600, attempts=None, wait_initial=0.1, wait_max=2)
async def _finished(client: httpx2.AsyncClient, segment_id: int, export_id: int) -> dict[str, Any]:
    found = await read_answer(client.get(f"/api/segments/{segment_id}/export/", params={"export_id": export_id}))
    if found["status"] == "pending":
        raise Unavailable("The export is not finished yet.", code="exporting")
    return found


async def _fetch(client: httpx2.AsyncClient, done: dict[str, Any], file: BinaryIO) -> None:
    """Fetch the file; where the connection breaks, go on from there."""
    path, digest = f"/api/segments/exports/{done['id']}/download/", hashlib.sha256()
    size, tries = 0, _TRIES
    while size < done["bytes"]:
        before = size
        try:
            async with client.stream("GET", path, headers={"Range": f"bytes={size}-"}) as answer:
                if not answer.is_success:
                    await answer.aread()
                    await read_answer(_given(answer))  # raises what the service says
                async for part in answer.aiter_bytes():
                    file.write(part)
                    digest.update(part)
                    size += len(part)
        except httpx2.TransportError as error:
            tries = _TRIES if size > before else tries - 1
            if not tries:
                raise SegmentCopilotError("The connection broke off again and again.", code="no_answer") from error
    if digest.hexdigest() != done["sha256"]:
        raise SegmentCopilotError("What arrived is not what was sent. Export again.", code="damaged_file")


async def _given(answer: httpx2.Response) -> httpx2.Response:
    return answer
