"""A backend's key becomes a browser's token: it reads and asks, never writes, for fifteen minutes."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import httpx2
import pytest
import structlog
from joserfc import jwt
from joserfc.jwk import OctKey

from segment_copilot.access.sessions import LIFETIME, Sessions
from segment_copilot.access.signing import Secrets
from segment_copilot.app import create_app
from segment_copilot.settings import Settings
from tests.support.copilot_runs import Script, calls, says
from tests.support.http_server import served

SESSION = "/api/auth/session/"
COPILOT = {"scope": "copilot"}


async def opened(client: httpx2.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await client.post(SESSION, json={**COPILOT, **more})
    assert answer.status_code == 200
    return answer.json()


@pytest.fixture
async def token(client: httpx2.AsyncClient) -> str:
    return (await opened(client))["token"]


def bearing(server: Any, token: str) -> httpx2.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=30)


async def test_a_token_lasts_fifteen_minutes_and_its_end_is_a_whole_second(client):
    before = datetime.now(UTC)
    session = await opened(client, user_id="ana@example.com")

    assert session.keys() == {"token", "expires_at", "uid"}
    assert session["uid"] == "ana@example.com"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", session["expires_at"])
    lasts = datetime.fromisoformat(session["expires_at"]) - before
    assert LIFETIME - timedelta(seconds=1) <= lasts <= LIFETIME + timedelta(seconds=5)
    assert (await opened(client))["uid"] is None


async def test_a_token_reads_and_asks_for_its_tenant(server, client, token, use):
    use(Script(says("Fine.")))
    body = {"messages": [{"role": "user", "content": "How are sales?"}]}
    await client.post("/api/segments/", json={"name": "Mine", "definition": {"logic": "AND", "conditions": []}})

    async with bearing(server, token) as browser:
        listed = await browser.get("/api/segments/")
        asked = await browser.post("/api/copilot/stream/", json=body)
        capable = await browser.get("/api/copilot/capabilities/")

    assert listed.json() == (await client.get("/api/segments/")).json()
    assert "event: run.finished" in asked.text
    assert capable.status_code == 200


async def test_the_log_knows_whose_session_it_is_without_naming_them(server, client):
    token = (await opened(client, user_id="ana@example.com"))["token"]

    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        async with bearing(server, token) as browser:
            await browser.get("/api/segments/")

    (line,) = [line for line in lines if line["event"] == "http.request"]
    assert line["session_user"] == sha256(b"ana@example.com").hexdigest()[:12]
    assert "ana@" not in str(lines)


async def test_a_token_never_writes_and_sees_no_user(server, token):
    """The matrix of all scopes is in `test_matrices.py`; these are what a token must not do, by name."""
    refused = {
        ("POST", "/api/segments/"): "segments:write",
        ("PUT", "/api/segments/1/"): "segments:write",
        ("PATCH", "/api/segments/1/"): "segments:write",
        ("DELETE", "/api/segments/1/"): "segments:write",
        ("POST", "/api/segments/1/compute/"): "segments:write",
        ("POST", "/api/ingestion/track/"): "events:write",
        ("POST", "/api/ingestion/track/batch/"): "events:write",
        ("POST", "/api/auth/session/"): "sessions:open",  # no token renews itself
        ("GET", "/api/auth/api-keys/"): "keys:manage",
        ("GET", "/api/segments/1/members/"): "members:read",
        ("GET", "/api/segments/membership/?user_id=ana"): "members:read",
        ("GET", "/api/explorer/users/ana/segments/1/explain/"): "users:read",
    }
    async with bearing(server, token) as browser:
        for (method, path), scope in refused.items():
            answer = await browser.request(method, path)
            problem = answer.json()
            assert (answer.status_code, problem["code"], problem["scope"]) == (403, "missing_scope", scope), path


async def test_a_token_counts_and_is_shown_nobody(client, server, token):
    body = {"events": [{"user_id": "ana@example.com", "event_type": "visited"}]}
    await client.post("/api/ingestion/track/batch/", json=body)
    async with asyncio.timeout(30):
        while (await client.get("/api/ingestion/status/")).json()["pending"]:
            pass
    definition = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "visited"}]}
    saved = (await client.post("/api/segments/", json={"name": "Visitors", "definition": definition})).json()

    seen = (await client.post("/api/segments/preview/", json={"definition": definition})).json()
    async with bearing(server, token) as browser:
        counted = await browser.post("/api/segments/preview/", json={"definition": definition})
        estimated = await browser.post(f"/api/segments/{saved['id']}/estimate/")
        unasked = await browser.post("/api/segments/preview/", json={"definition": definition, "limit": 0})
        explained = await browser.post("/api/segments/explain/", json={"definition": definition})
        of_one = [
            await browser.post("/api/segments/explain/", json={"definition": definition, "user_id": "ana@example.com"}),
            await browser.post(f"/api/segments/{saved['id']}/explain/", json={"user_id": "ana@example.com"}),
        ]

    assert seen["sample_user_ids"] == ["ana@example.com"]
    for answer in (counted, estimated):
        found = answer.json()
        assert (found["matched_users"], found["sample_user_ids"]) == (1, [])
        assert [warning["code"] for warning in found["warnings"]] == ["sample_withheld"]
    assert unasked.json()["warnings"] == []
    assert explained.json()["matched_users"] == 1
    for answer in of_one:
        assert (answer.status_code, answer.json()["scope"]) == (403, "users:read")
    for answer in (counted, estimated, unasked, explained):
        assert "ana@" not in answer.text


TOLD = [
    ("get_segment_detail", {"segment": "Withheld", "members": 5}),
    ("check_user_membership", {"user_id": "bea@example.com", "segment": "Withheld"}),
    ("list_recent_events", {}),
    ("explain_segment", {"segment": "Withheld"}),
    ("list_segments", {}),
    ("query_segment_membership_trend", {"segment": "Withheld"}),
    ("query_segment_changes", {"segment": "Withheld", "from": "2026-01-01"}),
]
"""What a model might call to hear of users, with a segment that has one."""


async def test_the_copilot_tells_a_token_of_nobody_and_a_key_of_somebody(server, client, token, use):
    body = {"events": [{"user_id": "bea@example.com", "event_type": "bought"}]}
    await client.post("/api/ingestion/track/batch/", json=body)
    async with asyncio.timeout(30):
        while (await client.get("/api/ingestion/status/")).json()["pending"]:
            pass
    definition = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "bought"}]}
    saved = (await client.post("/api/segments/", json={"name": "Withheld", "definition": definition})).json()
    await client.post(f"/api/segments/{saved['id']}/compute/")
    async with asyncio.timeout(30):
        while (await client.get(f"/api/segments/{saved['id']}/")).json()["status"] != "computed":
            pass
    asked = {"messages": [{"role": "user", "content": "Who?"}]}
    told: dict[str, str] = {}
    for who, headers in (("key", client.headers), ("token", {"Authorization": f"Bearer {token}"})):
        use(Script(calls(*TOLD), says("Fine.")))
        async with httpx2.AsyncClient(base_url=server.url, timeout=30) as asking:
            told[who] = (await asking.post("/api/copilot/stream/", json=asked, headers=headers)).text
    results = {
        who: [line for line in stream.splitlines() if '"type":"tool.result"' in line] for who, stream in told.items()
    }
    assert len(results["token"]) == len(results["key"]) == len(TOLD)
    assert sum("bea@example.com" in line for line in results["key"]) == 4
    assert not any("bea@" in line for line in results["token"])
    assert told["token"].count("users_withheld") == 2
    assert "(withheld)" in told["token"]


async def test_a_checkpoint_of_one_who_sees_users_tells_a_token_nothing(client, server, token, use):
    asked = {"messages": [{"role": "user", "content": "Who?"}]}
    use(Script(says("Fine."), says("Fine.")))
    stream = (await client.post("/api/copilot/stream/", json=asked)).text
    (checkpoint,) = {json.loads(line[6:])["token"] for line in stream.splitlines() if '"type":"checkpoint"' in line}
    again = {
        "messages": [
            *asked["messages"],
            {"role": "assistant", "content": "Fine."},
            {"role": "user", "content": "And?"},
        ],
        "checkpoint": checkpoint,
    }

    async with bearing(server, token) as browser:
        followed = (await browser.post("/api/copilot/stream/", json=again)).text

    assert "checkpoint_" in followed


async def test_an_expired_token_is_401_so_that_clients_fetch_another(server):
    key_id = (await server.resources.keys.identify(server.key)).key_id
    past = datetime.now(UTC) - LIFETIME
    _, token = await server.resources.sessions.open(key_id, scope="copilot", user_id=None, now=past)

    async with bearing(server, token) as browser:
        answer = await browser.get("/api/segments/")

    assert (answer.status_code, answer.json()["code"]) == (401, "session_expired")


async def test_a_token_of_anybody_else_is_401(server, token):
    secret = await server.resources.secrets.get_or_create("sessions")
    claims = {"key_id": 1, "scope": "copilot", "exp": int(datetime.now(UTC).timestamp()) + 600}
    header, _, signature = token.split(".")
    forged = [
        f"{header}.{jwt.encode({'alg': 'HS256'}, claims, OctKey.import_key(b'x' * 32)).split('.')[1]}.{signature}",
        jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(b"x" * 32)),
        jwt.encode({"alg": "HS256"}, claims | {"scope": "everything"}, OctKey.import_key(secret)),
        jwt.encode({"alg": "HS256"}, claims | {"key_id": 2**62}, OctKey.import_key(secret)),
        "eyJhbGciOiJub25lIn0.e30.",
        "a.b.c",
        "..",
    ]

    for one in forged:
        async with bearing(server, one) as browser:
            answer = await browser.get("/api/segments/")
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_session"), one


async def test_a_token_ends_with_its_key(server):
    resources = server.resources
    tenant = await resources.tenants.get("first")
    key, text = await resources.keys.create(tenant)
    async with server.client(text) as backend:
        token = (await opened(backend))["token"]

    await resources.keys.revoke(tenant, key.id)

    async with bearing(server, token) as browser:
        answer = await browser.get("/api/segments/")
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_session")


async def test_every_process_reads_what_another_signed(server):
    postgres = server.resources.postgres
    first, second = Sessions(Secrets(postgres)), Sessions(Secrets(postgres))
    now = datetime.now(UTC)
    session, token = await first.open(7, scope="copilot", user_id="ana", now=now)

    assert await second.read(token, now=now) == session
    secrets = await asyncio.gather(*(Secrets(postgres).get_or_create("a new purpose") for _ in range(5)))
    assert len(set(secrets)) == 1


@pytest.mark.parametrize(
    "body", [{}, {"scope": "everything"}, {"scope": "copilot", "user_id": ""}, {**COPILOT, "x": 1}]
)
async def test_what_is_not_asked_for_properly_is_400(client, body):
    assert (await client.post(SESSION, json=body)).status_code == 400


async def test_a_page_of_an_allowed_origin_may_use_a_token(module_database_url, module_clickhouse_url, server, token):
    origin = "https://shop.example"
    settings = Settings(database_url=module_database_url, clickhouse_url=module_clickhouse_url, cors_origins=(origin,))
    async with served(create_app(settings)) as url, httpx2.AsyncClient(base_url=url, timeout=30) as browser:
        preflight = await browser.options(
            "/api/copilot/stream/",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type",
            },
        )
        headers = {"Origin": origin, "Authorization": f"Bearer {token}"}
        body = {"messages": [{"role": "user", "content": "Hello"}], "options": {"max_turns": 1}}
        asked = await browser.post("/api/copilot/stream/", json=body, headers=headers)
        refused = await browser.post("/api/segments/", json={}, headers=headers)

    assert preflight.is_success
    allowed = preflight.headers["access-control-allow-headers"].lower().replace(" ", "").split(",")
    assert {"authorization", "content-type"} <= set(allowed)
    assert "POST" in preflight.headers["access-control-allow-methods"]
    for answer in (asked, refused):
        assert answer.headers["access-control-allow-origin"] == origin
        exposed = answer.headers["access-control-expose-headers"].lower()
        assert {"x-request-id", "x-copilot-run-id", "retry-after"} <= set(exposed.replace(" ", "").split(","))
    assert (asked.status_code, refused.status_code) == (200, 403)
