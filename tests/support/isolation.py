"""What one tenant has, for another to try: ids for each parameter of a path, bodies and queries that name them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx2
from msgspec import Struct, structs

USER: Final = "canary-user@example.com"
OTHER_USER: Final = "canary-other@example.com"
CANARIES: Final = (
    OTHER_USER,
    "canary-segment",
    "canary-words",
    "canary_event",
    "canary-value",
    "canary_trait",
    "canary-key",
    "canary-snapshot",
    "canary-hook",
    "canary-activation",
)
"""Texts that stand in the tenant's data and in nobody else's, and are never part of a request."""

_NEVER: Final = 2**53
NOWHERE: Final[dict[str, Any]] = {
    "activation_id": _NEVER + 8,
    "after": 1,
    "before": 1,
    "computation_id": _NEVER + 6,
    "delivery_id": _NEVER + 9,
    "erasure_id": _NEVER + 7,
    "event_type": "no_such_event",
    "export_id": _NEVER + 3,
    "key_id": _NEVER,
    "name": "no_such_name",
    "other_id": _NEVER + 5,
    "schema_id": _NEVER + 2,
    "segment_id": _NEVER + 1,
    "snapshot_id": _NEVER + 4,
    "user_id": "nobody@example.com",
    "version": 1,
    "webhook_id": _NEVER + 20,
    "webhook_delivery_id": _NEVER + 21,
}
"""Parameter of a path → what it is of nothing that ever was."""

DEFINITION: Final[dict[str, Any]] = {
    "logic": "AND",
    "conditions": [{"type": "event_count", "event_type": "canary_event"}],
}
OWN: Final[dict[str, Any]] = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "mine"}]}


class Belongings(Struct, frozen=True):
    """What a tenant has: ids by parameter, cursors, and how its things look; and the schemas of the document."""

    ids: dict[str, Any]
    cursors: tuple[str, ...]
    checkpoint: str
    paths: tuple[str, ...]
    seen: dict[str, str]
    schemas: Mapping[str, Any]

    async def look(self, client: httpx2.AsyncClient) -> dict[str, str]:
        """Read its things again."""
        return {path: (await client.get(path)).text for path in self.paths}


async def belongings(client: httpx2.AsyncClient, document: Mapping[str, Any]) -> Belongings:
    """Give the tenant of *client* something of everything."""
    events = [
        {"user_id": user, "event_type": event_type, "payload": payload}
        for user in (USER, OTHER_USER, "their-erased")
        for event_type, payload in (
            ("canary_event", {"kind": "canary-value"}),
            ("their_event", {"their_name": "canary-value"}),
            ("context_identified", {"canary_trait": "canary-value", "their_name": "canary-value"}),
        )
    ]
    await client.post("/api/ingestion/track/batch/", json={"events": events})
    async with asyncio.timeout(30):
        while (await client.get("/api/ingestion/status/")).json()["pending"]:
            pass
    erasure = (await client.delete("/api/explorer/users/their-erased/")).json()["erasure_id"]
    async with asyncio.timeout(30):  # what is made while it goes on would change
        while (await client.get(f"/api/erasures/{erasure}/")).json()["status"] != "done":
            pass
    first, _ = [
        await _made(client, "/api/segments/", _segment(name)) for name in ("canary-segment", "canary-segment 2")
    ]
    target = {"url": "http://127.0.0.1:9/canary-hook", "description": "canary-hook"}
    hook = await _made(client, "/api/webhooks/", target)
    queued = (await client.post(f"/api/segments/{first['id']}/compute/")).json()
    async with asyncio.timeout(30):
        while (await client.get(f"/api/segments/{first['id']}/")).json()["status"] != "computed":
            pass
    async with asyncio.timeout(30):
        while not (sent := (await client.get(f"/api/webhooks/{hook['id']}/deliveries/")).json()["results"]):
            pass
    await client.patch(f"/api/webhooks/{hook['id']}/", json={"is_active": False})  # what is tried again would change
    key = await _made(client, "/api/auth/api-keys/", {"name": "canary-key"})
    schema = {"event_type": "their_event", "description": "canary-words", "properties": []}
    declared, _ = [await _made(client, "/api/schemas/", schema | {"event_type": name}) for name in ("their_event", "x")]
    taken, other = [
        await _made(client, f"/api/segments/{first['id']}/snapshots/", {"name": name})
        for name in ("canary-snapshot", "canary-snapshot 2")
    ]
    export = await _made(client, f"/api/segments/{first['id']}/export/", {"format": "csv"})
    async with asyncio.timeout(30):
        while (await client.get(f"/api/exports/{export['id']}/")).json()["status"] != "complete":
            pass
    config = {"url": "https://hooks.example.com/canary-activation"}
    wanted = {"segment": first["id"], "connector_type": "webhook", "config": config}
    activation = await _made(client, "/api/activations/", wanted)
    delivery = await _made(client, f"/api/activations/{activation['id']}/sync/", {})
    await client.patch(f"/api/activations/{activation['id']}/", json={"status": "paused"})  # it stays as it is
    ids = {
        "webhook_delivery_id": sent[0]["id"],
        "webhook_id": hook["id"],
        "activation_id": activation["id"],
        "delivery_id": delivery["delivery_id"],
        "computation_id": queued["computation_id"],
        "erasure_id": erasure,
        "event_type": "their_event",
        "export_id": export["id"],
        "key_id": key["id"],
        "name": "their_name",
        "other_id": other["id"],
        "schema_id": declared["id"],
        "segment_id": first["id"],
        "snapshot_id": taken["id"],
        "user_id": USER,
        "version": 1,
        "before": 1,
        "after": 1,  # of a segment's versions: each tenant has them
    }
    lists = (
        "/api/segments/?limit=1",
        f"/api/segments/{first['id']}/members/?limit=1",
        "/api/auth/api-keys/?limit=1",
        "/api/schemas/?limit=1",
        "/api/snapshots/?limit=1",
        "/api/activations/?limit=1",
        "/api/explorer/users/?limit=1",
    )
    cursors = [(await client.get(path)).json().get("next_cursor") for path in lists]
    asked = {"messages": [{"role": "user", "content": "How many users are in the canary-segment segment?"}]}
    stream = (await client.post("/api/copilot/stream/", json=asked)).text
    tokens = [line for line in stream.splitlines() if '"type":"checkpoint"' in line]
    paths = (
        "/api/segments/",
        f"/api/segments/{first['id']}/members/",
        f"/api/auth/api-keys/{key['id']}/",
        f"/api/segments/membership/?user_id={USER}",
        f"/api/schemas/{declared['id']}/",
        f"/api/snapshots/{taken['id']}/",
        f"/api/webhooks/{hook['id']}/deliveries/",
        f"/api/activations/{activation['id']}/",
        f"/api/segments/exports/{export['id']}/download/",
    )
    made = Belongings(
        ids,
        tuple(filter(None, cursors)),
        tokens[-1].split('"token":"')[1].split('"')[0],
        paths,
        {},
        document["components"]["schemas"],
    )
    return structs.replace(made, seen=await made.look(client))


def body_of(operation: Mapping[str, Any], theirs: Belongings) -> Any:
    """Return a body that the operation takes, with ids of the other tenant where it takes ids; None where it takes none."""
    if "requestBody" not in operation:
        return None
    segment_id = theirs.ids["segment_id"]
    member = {
        "logic": "AND",
        "conditions": [{"type": "segment_membership", "segment_id": segment_id, "operator": "in"}],
    }
    asked = [{"role": "user", "content": "How many users are in it?"}]
    rows: dict[str, Any] = {
        "preview_segment": {"definition": member},
        "explain_definition": {"definition": member, "user_id": USER},
        "explain_segment": {"user_id": USER},
        "create_segment": {"name": "Mine", "definition": member},
        "update_segment": {"name": "Mine"},
        "replace_segment": {"name": "Mine", "definition": OWN},
        "create_activation": {
            "segment": segment_id,
            "connector_type": "webhook",
            "config": {"url": "https://hooks.example.com/mine"},
        },
        "update_activation": {"status": "inactive"},
        "create_key": {"name": "Mine"},
        "create_webhook": {"url": "http://127.0.0.1:9/mine"},
        "update_webhook": {"description": "Mine"},
        "recover_webhook": {"since": "2026-01-01T00:00:00Z"},
        "update_key": {"name": "Mine"},
        "open_session": {"scope": "copilot"},
        "stream_copilot": {"messages": asked, "checkpoint": theirs.checkpoint, "context": {"segment_id": segment_id}},
        "generate_segment": {"description": f"users who are in segment {segment_id}"},
        "stream_ag_ui": {
            "threadId": "t",
            "runId": "r",
            "messages": [{"id": "1", **asked[0]}],
            "state": {"segment_copilot": {"checkpoint": theirs.checkpoint}},
            "tools": [],
            "context": [],
            "forwardedProps": {"context": {"segment_id": segment_id}},
        },
        "stream_ai_sdk": {
            "id": "t",
            "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "How many users are in it?"}]}],
            "trigger": "submit-message",
            "context": {"segment_id": segment_id},
        },
        "give_feedback": {"run_id": "run_1", "rating": "up"},
        "infer_schemas": {"event_types": ["their_event"]},
        "validate_payload": {"event_type": "their_event"},
        "try_event": {"user_id": USER, "event_type": "their_event"},
        "create_schema": {"event_type": "their_event"},
        "update_schema": {"description": "Mine"},
        "replace_schema": {"event_type": "mine"},
        "take_snapshot": {"name": "Mine"},
        "export_segment": {"format": "csv"},
        "export_snapshot": {"format": "csv"},
        "track_event": {"user_id": "mine", "event_type": "mine"},
        "track_events": {"events": []},
    }
    name = operation["operationId"]
    if name in rows:
        return rows[name]
    content = operation["requestBody"]["content"].get("application/json", {})
    if "example" in content:
        return content["example"]
    if "examples" in content:
        return next(iter(content["examples"].values()))["value"]
    if not operation["requestBody"].get("required"):
        return None
    schema = theirs.schemas[content["schema"]["$ref"].rpartition("/")[2]]
    fields = {name: schema["properties"][name].get("examples") for name in schema.get("required", ())}
    assert all(fields.values()), f"{name}: give it a body in tests/support/isolation.py"
    return {name: examples[0] for name, examples in fields.items()}


def request_of(operation: Mapping[str, Any], theirs: Belongings) -> dict[str, Any]:
    """Return what a client sends of an operation, beside its address."""
    query = query_of(operation, theirs)
    if "text/csv" in operation.get("requestBody", {}).get("content", {}):
        return {"params": query, "content": b"user_id\nmine\n", "headers": {"Content-Type": "text/csv"}}
    return {"params": query, "json": body_of(operation, theirs)}


def query_of(operation: Mapping[str, Any], theirs: Belongings) -> dict[str, Any]:
    """Return what a query must have."""
    rows = {"user_id": theirs.ids["user_id"], "export_id": theirs.ids["export_id"]}
    required = [
        each["name"] for each in operation.get("parameters", []) if each["in"] == "query" and each.get("required")
    ]
    assert set(required) <= rows.keys(), (
        f"{operation['operationId']}: give {required} rows in tests/support/isolation.py"
    )
    return {name: rows[name] for name in required}


def _segment(name: str) -> dict[str, Any]:
    return {"name": name, "description": "canary-words", "definition": DEFINITION}


async def _made(client: httpx2.AsyncClient, path: str, body: Any) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.is_success, answer.text
    return answer.json()
