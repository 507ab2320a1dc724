"""A backend's key becomes a browser's token: it reads and asks, never writes, for fifteen minutes."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import httpx2
import pytest
import structlog
from joserfc import jwt
from joserfc.jwk import OctKey
from litestar.routes import HTTPRoute

from segment_copilot.access.sessions import LIFETIME, Sessions
from segment_copilot.access.signing import Secrets
from segment_copilot.api.http.routes import route_of
from segment_copilot.app import create_app
from segment_copilot.settings import Settings
from tests.support.copilot_runs import Script, says
from tests.support.http_server import served

SESSION = "/api/auth/session/"
COPILOT = {"scope": "copilot"}

ASKING = {
    "/api/segments/preview",
    "/api/segments/explain",
    "/api/segments/{segment_id}/estimate",
    "/api/segments/{segment_id}/explain",
}
"""Routes with another method than GET that change nothing, beside the copilot's."""


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


def requests_of(server: Any) -> list[tuple[str, str, bool]]:
    """Method and path of every route that needs a key, and whether a token may ask it."""
    found: list[tuple[str, str, bool]] = []
    for route in server.app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if method != "OPTIONS" and not route_of(handler).public:
                    path = route.path_format
                    asks = method == "GET" or path in ASKING or path.startswith("/api/copilot/")
                    found.append((method, re.sub(r"{\w+}", "1", path), asks))
    return found


async def test_a_token_never_writes(server, token):
    """Every route there is, so that a new one that writes is refused until somebody says that it only asks."""
    refused: list[tuple[str, str]] = []
    async with bearing(server, token) as browser:
        for method, path, asks in requests_of(server):
            answer = await browser.request(method, path)
            assert answer.status_code != 401
            if asks:
                assert answer.status_code != 403, (method, path)
            else:
                assert (answer.status_code, answer.json()["code"]) == (403, "read_only_token"), (method, path)
                refused.append((method, path))

    assert {
        ("POST", "/api/segments"),
        ("PUT", "/api/segments/1"),
        ("PATCH", "/api/segments/1"),
        ("DELETE", "/api/segments/1"),
        ("POST", "/api/segments/1/compute"),
        ("POST", "/api/ingestion/track"),
        ("POST", "/api/ingestion/track/batch"),
        ("POST", "/api/auth/session"),  # no token renews itself
    } <= set(refused)


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
