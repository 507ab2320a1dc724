"""A record as it was read can be sent back, whatever it is of: what only the server writes is ignored, the rest is compared."""

from __future__ import annotations

from typing import Any

import pytest

from segment_copilot.access.keys import NewKey
from tests.openapi.document import document
from tests.support.http_server import Server

DEFINITION = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "read_back"}]}
PUBLIC = {"kind": "public", "allowed_origins": ["https://shop.example"], "require_signed_user_id": True}
HOOK = {"url": "https://hooks.example.com/segments", "events": ["segment.entered"]}
MADE: list[tuple[str, dict[str, Any]]] = [
    ("/api/segments/", {"name": "A rule", "definition": DEFINITION, "refresh": {"mode": "manual"}}),
    ("/api/segments/", {"name": "A draft"}),
    ("/api/segments/", {"name": "A list", "segment_type": "static"}),
    ("/api/schemas/", {"event_type": "read_back", "properties": [{"name": "total", "type": "number"}]}),
    (
        "/api/activations/",
        {"connector_type": "webhook", "config": {"url": "https://hooks.example.com/", "secret": "s" * 40}},
    ),
    ("/api/webhooks/", HOOK),
    ("/api/webhooks/", HOOK | {"signature": "ed25519"}),
    ("/api/auth/api-keys/", {"name": "owner"}),
    ("/api/auth/api-keys/", {"name": "reader", "role": "viewer"}),
    ("/api/auth/api-keys/", {"name": "reports", "scopes": ["segments:read"], "expires_at": "2999-01-01T00:00:00Z"}),
    ("/api/auth/api-keys/", {"name": "page", **PUBLIC}),
    ("/api/auth/api-keys/", {"name": "agent", "kind": "mcp"}),
]
FIXED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("/api/activations/", {**MADE[4][1]}, {"segment": 99_999, "connector_type": "csv"}),
    ("/api/webhooks/", HOOK, {"signature": "ed25519"}),
    (
        "/api/auth/api-keys/",
        {"name": "x", "role": "viewer"},
        {"kind": "mcp", "role": "owner", "scopes": ["segments:read"], "expires_at": "2999-01-01T00:00:00Z"},
    ),
]


def test_every_record_that_can_be_changed_is_tried():
    paths = document()["paths"]
    changed = {path.split("{")[0] for path, methods in paths.items() if "patch" in methods}
    assert changed == {path for path, _ in MADE}


async def made(client: Any, path: str, body: dict[str, Any]) -> str:
    """Where the record is that was made of *body*; of one event type there is one schema."""
    if path == "/api/schemas/":
        for schema in (await client.get(path)).json()["results"]:
            await client.delete(f"{path}{schema['id']}/")
    if path == "/api/activations/":
        segment = await client.post("/api/segments/", json={"name": "Sent", "definition": DEFINITION})
        body = {"segment": segment.json()["id"], **body}
    answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


@pytest.mark.parametrize(("path", "body"), MADE)
async def test_a_record_as_it_was_read_is_taken_and_changes_nothing(client: Any, path: str, body: dict[str, Any]):
    place = await made(client, path, body)
    read = (await client.get(place)).json()

    answer = await client.patch(place, json=read)

    assert answer.status_code == 200, answer.text
    told = {name: value for name, value in answer.json().items() if name not in ("updated_at", "warnings")}
    assert told == {name: value for name, value in read.items() if name != "updated_at"}


@pytest.mark.parametrize(("path", "body"), MADE)
async def test_a_record_as_it_was_read_can_be_made_again(client: Any, path: str, body: dict[str, Any]):
    place = await made(client, path, body)
    read = (await client.get(place)).json()
    if path == "/api/schemas/":
        await client.delete(place)
    if path == "/api/activations/":
        read["config"] = body["config"]  # a secret is not read

    answer = await client.post(path, json=read)

    assert answer.status_code == 201, answer.text
    for name in body:
        assert answer.json()[name] == read[name] or name == "config"


@pytest.mark.parametrize(("path", "body", "others"), FIXED)
async def test_what_is_chosen_once_is_not_changed_and_all_of_it_is_told(
    client: Any, path: str, body: dict[str, Any], others: dict[str, Any]
):
    place = await made(client, path, body)
    read = (await client.get(place)).json()

    answer = await client.patch(place, json=read | others)

    assert answer.status_code == 400
    assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [
        (f"/{name}", "fixed") for name in others
    ]
    assert (await client.get(place)).json() == read


async def test_a_webhook_of_users_comes_back_from_who_may_not_know_them(client: Any, server: Server):
    place = await made(client, "/api/webhooks/", HOOK)
    read = (await client.get(place)).json()
    tenant = await server.resources.tenants.get("first")
    issued = await server.resources.keys.issue(tenant, NewKey(scopes=["webhooks:read", "webhooks:write"]))
    async with server.client(issued.text) as other:
        renamed = await other.patch(place, json=read | {"description": "Mail room"})
        moved = await other.patch(place, json=read | {"url": "https://elsewhere.example.com/"})

    assert (renamed.status_code, renamed.json()["description"]) == (200, "Mail room")
    assert (moved.status_code, moved.json()["code"]) == (403, "missing_scope")
