"""protocol.json over HTTP: for everybody, at exactly its path."""

from __future__ import annotations

import json
from typing import Any

import httpx2

from segment_copilot.copilot.stream.protocol import protocol_document


async def test_the_schema_of_the_protocol_is_served_without_a_key(server: Any):
    async with httpx2.AsyncClient(base_url=server.url) as stranger:
        response = await stranger.get("/api/copilot/protocol.json")

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/json")
    assert response.json() == json.loads(json.dumps(protocol_document()))
