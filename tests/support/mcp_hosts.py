"""Hosts of MCP for tests: the package's own client, on either wire."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

MODERN = "2026-07-28"
WIRES = ["legacy", MODERN]
"""The handshake of 2025-11-25, and the protocol without one."""


@asynccontextmanager
async def host(url: str, key: str, wire: str = MODERN, **more: Any) -> AsyncGenerator[Any]:
    """A client that is connected: a `Client`, of whose results a test knows what they hold."""
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=30) as http:
        transport = streamable_http_client(f"{url}/mcp", http_client=http)
        mode = "auto" if wire == MODERN else wire
        async with Client(transport, mode=mode, **more) as client:
            assert client.protocol_version == {"legacy": "2025-11-25"}.get(wire, wire)
            yield client


def refusal(result: Any) -> dict[str, Any]:
    """What a result says that was wrong."""
    assert result.is_error
    return json.loads(result.content[0].text)["error"]


def message(method: str, params: dict[str, Any] | None = None, **capabilities: Any) -> dict[str, Any]:
    """A message of 2026-07-28, to be posted by hand."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    }
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**(params or {}), "_meta": meta}}


def headers(body: dict[str, Any]) -> dict[str, str]:
    """The headers that repeat what *body* says."""
    found = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": MODERN,
        "Mcp-Method": body["method"],
    }
    name = body["params"].get("name") or body["params"].get("uri")
    return {**found, "Mcp-Name": name} if name else found
