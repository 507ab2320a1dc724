"""A request that no store answers in its time is ended, and says which shard was silent while others answered."""

from __future__ import annotations

import asyncio

import pytest
from litestar import get

from segment_copilot.api.http.deadlines import answered_in_time
from segment_copilot.api.http.routes import Route
from segment_copilot.errors import Unavailable
from segment_copilot.telemetry.work import note_silent_shards, working


@get("/", opt=Route(public=True, seconds=0.05).opt)
async def handler() -> None:
    """Declare a route of a twentieth of a second."""


@pytest.mark.parametrize(
    ("shards", "said"),
    [
        ("2", "Shard 2 of ClickHouse did not answer this within 0.05 seconds."),
        ("1+3", "Shard 1 and 3 of ClickHouse did not answer this within 0.05 seconds."),
        ("none", "No store answered this within 0.05 seconds."),
    ],
)
async def test_a_silent_shard_is_named(shards: str, said: str) -> None:
    never = asyncio.Event()

    async def app(*_: object) -> None:
        try:
            await never.wait()
        finally:
            note_silent_shards(map(int, shards.split("+")) if shards != "none" else ())

    with working(), pytest.raises(Unavailable) as refused:
        await answered_in_time(app)({"type": "http", "route_handler": handler}, never.wait, app)  # type: ignore[arg-type]
    assert refused.value.detail == said
    assert refused.value.context.get("shard") == (int(shards[0]) if shards != "none" else None)
