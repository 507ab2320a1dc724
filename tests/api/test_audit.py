"""The audit log: what is in it, what is not, who reads it, and that nothing is done which it does not hold."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from segment_copilot.access.key_uses import KeyUses
from segment_copilot.access.keys import Caller, NewKey
from segment_copilot.api.http.audited import is_audited
from segment_copilot.errors import Unavailable
from segment_copilot.resources import Resources

DEFINITION = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}


@pytest.fixture(scope="module")
def has_worker() -> bool:
    return False


async def entries(client: httpx2.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await client.get("/api/audit/", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


async def test_a_write_is_told_with_who_what_and_how_it_ended(client, server):
    made = await client.post("/api/segments/", json={"name": "Buyers", "definition": DEFINITION})
    path = f"/api/segments/{made.json()['id']}/"
    changed = await client.patch(path, json={"name": "Buyers, anew"})
    refused = await client.patch(path, json={"name": 5})

    found = [await entries(client, request_id=each.headers["x-request-id"]) for each in (made, changed, refused)]

    assert [
        [(one["operation"], one["method"], one["path"], one["status"], one["made"]) for one in each] for each in found
    ] == [
        [("create_segment", "POST", "/api/segments/", 201, path)],
        [("update_segment", "PATCH", path, 200, None)],
        [("update_segment", "PATCH", path, 400, None)],
    ]
    (key,) = [
        key
        for key in await server.resources.keys.list(await server.resources.tenants.get("first"))
        if key.id == found[0][0]["key_id"]
    ]
    assert (key.role, found[0][0]["person"], found[0][0]["address"]) == ("owner", None, "127.0.0.1")


async def test_an_attempt_without_the_right_is_told_too(client, server):
    tenant = await server.resources.tenants.get("first")
    issued = await server.resources.keys.issue(tenant, NewKey(scopes=["segments:read"]))
    async with httpx2.AsyncClient(base_url=server.url, headers={"Authorization": f"ApiKey {issued.text}"}) as weak:
        assert (await weak.delete("/api/segments/1/")).status_code == 403
        assert (await weak.get("/api/audit/")).status_code == 403

    assert [(one["operation"], one["status"]) for one in await entries(client, key_id=issued.key.id)] == [
        ("delete_segment", 403)
    ]


async def test_ids_of_people_never_get_into_it(client):
    answer = await client.delete("/api/explorer/users/somebody@example.com/")

    (entry,) = await entries(client, request_id=answer.headers["x-request-id"])
    assert "somebody" not in str(entry)
    assert entry["path"] == "/api/explorer/users/{user_id}/"


async def test_what_only_asks_is_not_in_it_and_what_comes_by_the_thousand_is_counted(client):
    asked = [
        await client.get("/api/segments/"),
        await client.post("/api/segments/preview/", json={"definition": DEFINITION}),
        await client.post("/api/ingestion/track/", json={"user_id": "ana", "event_type": "order_placed"}),
        await client.post("/api/auth/session/", json={"scope": "copilot"}),
    ]

    assert all(answer.is_success for answer in asked), [answer.text for answer in asked]
    assert [await entries(client, request_id=answer.headers["x-request-id"]) for answer in asked] == [[], [], [], []]


async def test_an_answer_that_was_given_before_is_marked(client):
    sent = {"json": {"name": "Once", "definition": DEFINITION}, "headers": {"Idempotency-Key": "audit-once"}}
    first, again = await client.post("/api/segments/", **sent), await client.post("/api/segments/", **sent)

    found = [(await entries(client, request_id=each.headers["x-request-id"]))[0] for each in (first, again)]
    assert [(one["status"], one["replayed"], one["made"]) for one in found] == [
        (201, False, first.headers["location"]),
        (201, True, first.headers["location"]),
    ]


@asynccontextmanager
async def gone(resources: Resources, table: str) -> AsyncGenerator[None]:
    """A table that cannot be written to, for as long as it has another name."""
    await resources.postgres.execute(f"ALTER TABLE {table} RENAME TO away")
    try:
        yield
    finally:
        await resources.postgres.execute(f"ALTER TABLE away RENAME TO {table}")


async def test_nothing_is_done_that_cannot_be_written_down(client, server):
    before = (await client.get("/api/segments/")).json()["count"]
    async with gone(server.resources, "audit_entries"):
        answer = await client.post("/api/segments/", json={"name": "Unseen", "definition": DEFINITION})

    assert answer.status_code == 503
    assert (await client.get("/api/segments/")).json()["count"] == before


async def test_a_tenant_reads_its_own_alone(client, server):
    await client.post("/api/segments/", json={"name": "Mine", "definition": DEFINITION})

    async with server.client(server.other_key) as other:
        assert await entries(other) == []
        assert (await other.get("/api/audit/key-uses/")).json()["results"] == []


async def test_every_operation_that_changes_something_is_written_down_or_counted(server):
    """By the table of scopes, so that a new operation is in it: what is not must only ask, or be one of the two kinds."""
    left_out = {
        (method, route.path_format)
        for route in server.app.routes
        for method, (handler, _) in getattr(route, "route_handler_map", {}).items()
        if method not in {"GET", "OPTIONS"} and route.path_format.startswith("/api/")
        if not is_audited(handler, route.path_format, method)
    }

    assert {path for _, path in left_out if "/ingestion/" not in path and "/auth/session" not in path} == {
        "/api/copilot/ag-ui",
        "/api/copilot/ai-sdk",
        "/api/copilot/feedback",
        "/api/copilot/generate",
        "/api/copilot/stream",
        "/api/explorer/sandbox/publish",
        "/api/schemas/infer",
        "/api/schemas/validate",
        "/api/segments/explain",
        "/api/segments/membership",
        "/api/segments/preview",
        "/api/segments/{segment_id}/estimate",
        "/api/segments/{segment_id}/explain",
    }


async def test_uses_of_keys_are_counted_by_hour_and_address(client, server):
    tenant = await server.resources.tenants.get("first")
    issued = await server.resources.keys.issue(tenant, NewKey(scopes=["segments:read", "sessions:open", "copilot:ask"]))
    async with httpx2.AsyncClient(base_url=server.url, headers={"Authorization": f"ApiKey {issued.text}"}) as used:
        for _ in range(3):
            await used.get("/api/segments/")
        await used.get("/api/webhooks/")
        token = (await used.post("/api/auth/session/", json={"scope": "copilot", "user_id": "ana"})).json()["token"]
        await used.get("/api/copilot/capabilities/", headers={"Authorization": f"Bearer {token}"})
    await server.resources.key_uses.add()

    found = (await client.get("/api/audit/key-uses/", params={"key_id": issued.key.id, "order": "-requests"})).json()

    assert [(one["address"], one["requests"], one["refused"]) for one in found["results"]] == [
        ("127.0.0.1", 5, 1),
        ("", 1, 0),
    ]


async def test_what_cannot_be_added_is_added_later(server):
    resources = server.resources
    tenant = await resources.tenants.get("other")
    now = datetime.now(UTC)
    uses = KeyUses(resources.postgres)
    uses.note(Caller(tenant, 77), "203.0.113.7", refused=False, now=now)

    async with gone(resources, "key_uses"):
        with pytest.raises(Unavailable):
            await uses.add()
    uses.note(Caller(tenant, 77), "203.0.113.7", refused=True, now=now)
    await uses.add()
    await uses.add()

    sql = "SELECT requests, refused FROM key_uses WHERE key_id = 77"
    assert [tuple(row.values()) for row in await resources.postgres.fetch(sql)] == [(2, 1)]


async def test_what_is_old_is_forgotten(server):
    resources = server.resources
    tenant = await resources.tenants.create("forgetful")
    now = datetime.now(UTC)
    uses = KeyUses(resources.postgres)
    insert = """
        INSERT INTO audit_entries (tenant_id, at, address, request_id, operation, method, path)
        VALUES ($1, $2, '', $3, 'create_segment', 'POST', '/api/segments/')"""
    for days, name in ((400, "old"), (10, "new")):
        at = now - timedelta(days=days)
        await resources.postgres.execute(insert, tenant.id, at, name)
        uses.note(Caller(tenant, 5), name, refused=False, now=at)
    await uses.add()

    await resources.audit.clean_up(before=now - timedelta(days=365))
    await uses.clean_up(before=now - timedelta(days=365))

    kept = "SELECT request_id FROM audit_entries WHERE tenant_id = $1 UNION SELECT address FROM key_uses WHERE tenant_id = $1"
    assert [row[0] for row in await resources.postgres.fetch(kept, tenant.id)] == ["new"]
