"""Keys over HTTP, what a page may do with a public one, and how many requests a minute anybody may send."""

from __future__ import annotations

import asyncio
import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from segops import SegOpsClient, UserContext

from segment_copilot.access.keys import NewKey
from segment_copilot.access.limits import RateLimits
from segment_copilot.access.scopes import ROLES, SCOPES
from segment_copilot.access.sessions import LIFETIME, signature_of
from segment_copilot.api.http.compression import takes_gzip

KEYS = "/api/auth/api-keys/"
SESSION = "/api/auth/session/"
TRACK = "/api/ingestion/track/"
BATCH = "/api/ingestion/track/batch/"
SHOP = "https://shop.example"


async def made(client: httpx2.AsyncClient, **wanted: Any) -> dict[str, Any]:
    answer = await client.post(KEYS, json={"name": "made", **wanted})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def events_of(server: Any, event_type: str) -> list[str]:
    """The users of the stored events of a type."""
    sql = "SELECT user_id FROM events WHERE event_type = $1 ORDER BY user_id"
    return [row[0] for row in await server.resources.postgres.fetch(sql, event_type)]


def public(server: Any, key: str, origin: str | None = None) -> httpx2.AsyncClient:
    headers = {"Authorization": f"ApiKey {key}"} | ({"Origin": origin} if origin else {})
    return httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=30)


async def test_a_keys_life(client, server):
    key = await made(client, name="reports", scopes=["segments:read"])
    read = (await client.get(f"{KEYS}{key['id']}/")).json()
    renamed = await client.patch(f"{KEYS}{key['id']}/", json={"name": "dashboards"})
    rotated = (await client.post(f"{KEYS}{key['id']}/rotate/", json={"grace_seconds": 60})).json()
    listed = (await client.get(KEYS, params={"order": "-id", "limit": 2})).json()["results"]
    gone = await client.delete(f"{KEYS}{rotated['id']}/")

    assert re.fullmatch(r"sk_[A-Za-z0-9]{32}", key["key"])
    assert key["hmac_secret"] is None
    assert read == {name: value for name, value in key.items() if name not in {"key", "hmac_secret"}}
    assert (read["scopes"], read["role"], read["last_used_at"]) == (["segments:read"], None, None)
    assert renamed.json()["name"] == "dashboards"
    assert (rotated["name"], rotated["scopes"]) == ("dashboards", ["segments:read"])
    assert [each["id"] for each in listed] == [rotated["id"], key["id"]]
    assert listed[1]["expires_at"] is not None
    assert "sk_" + key["key"][3:] not in str(listed)
    assert gone.status_code == 204
    async with server.client(rotated["key"]) as revoked, server.client(key["key"]) as graced:
        assert (await revoked.get("/api/segments/")).json()["code"] == "invalid_key"
        assert (await graced.get("/api/segments/")).status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "x", "scopes": ["segments:reads"]}, "/scopes/0"),
        ({"name": "x", "kind": "public", "allowed_origins": ["shop.example"]}, "/allowed_origins/0"),
        ({"name": "x", "kind": "private"}, "/kind"),
        ({"name": ""}, "/name"),
        ({"kind": "secret"}, "/name"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
    ],
)
async def test_what_no_key_can_be_is_400_with_its_place(client, body, pointer):
    answer = await client.post(KEYS, json=body)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)


async def test_a_key_makes_none_that_may_do_more(client, server):
    manager = await made(client, scopes=["keys:manage", "segments:read"])
    async with server.client(manager["key"]) as managing:
        more = await managing.post(KEYS, json={"name": "more", "scopes": ["segments:write"]})
        owner = await managing.post(KEYS, json={"name": "owner"})
        less = await managing.post(KEYS, json={"name": "less", "scopes": ["segments:read"]})

    assert [(one.status_code, one.json().get("code")) for one in (more, owner)] == [(403, "missing_scope")] * 2
    assert more.json()["scope"] == "segments:write"
    assert less.status_code == 201


async def test_a_page_tracks_for_its_user_and_for_nobody_else(client, server):
    key = await made(client, kind="public", allowed_origins=[SHOP, "https://*.tenant.com"])
    for origin in (SHOP, "https://app.tenant.com"):
        async with public(server, key["key"], origin) as page:
            session = (await page.post(SESSION, json={"user_id": "ana"})).json()
            page.headers["Authorization"] = f"Bearer {session['token']}"
            one = await page.post(TRACK, json={"user_id": "ben", "event_type": "paged", "event_id": "e-1"})
            many = await page.post(BATCH, json={"events": [{"user_id": "eve", "event_type": "paged"}]})
            read = await page.get("/api/segments/")

        assert session.keys() == {"token", "expires_at", "uid"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", session["expires_at"])
        assert (one.status_code, many.json()["queued"], read.json()["code"]) == (202, 1, "missing_scope")
        for answer in (one, many):
            assert answer.headers["access-control-allow-origin"] == origin
            assert "ratelimit" in answer.headers["access-control-expose-headers"].lower()
    assert await events_of(server, "paged") == ["ana"] * 3  # e-1 once


async def test_a_page_cannot_use_up_the_event_ids_of_others(client, server):
    key = await made(client, kind="public")
    async with public(server, key["key"]) as app:
        for user in ("ana", "ben"):
            token = (await app.post(SESSION, json={"anonymous_id": user})).json()["token"]
            headers = {"Authorization": f"Bearer {token}"}
            await app.post(TRACK, json={"user_id": "x", "event_type": "owned", "event_id": "same"}, headers=headers)
    await client.post(TRACK, json={"user_id": "eve", "event_type": "owned", "event_id": "same"})

    assert await events_of(server, "owned") == ["anon_ana", "anon_ben", "eve"]


@pytest.mark.parametrize("origin", [None, "https://evil.example", "https://shop.example.evil.test", "null"])
async def test_a_page_that_the_key_does_not_list_is_refused_and_can_read_why(client, server, origin):
    key = await made(client, kind="public", allowed_origins=[SHOP])
    async with public(server, key["key"], SHOP) as page:
        token = (await page.post(SESSION, json={"user_id": "ana"})).json()["token"]
    headers = {"Authorization": f"Bearer {token}"} | ({"Origin": origin} if origin else {})

    async with public(server, key["key"], origin) as elsewhere:
        refused = await elsewhere.post(SESSION, json={"user_id": "ana"})
        stolen = await elsewhere.post(TRACK, json={"user_id": "ana", "event_type": "stolen"}, headers=headers)

    for answer in (refused, stolen):
        assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
        assert answer.headers.get("access-control-allow-origin") == origin
    assert await events_of(server, "stolen") == []


async def test_a_preflight_of_any_page_is_answered_where_public_keys_are_for_and_nowhere_else(client):
    asked = {
        "Origin": SHOP,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    for path in (SESSION, TRACK, BATCH.rstrip("/")):
        answer = await client.options(path, headers=asked)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert {"authorization", "content-type"} <= set(
            answer.headers["access-control-allow-headers"].lower().split(", ")
        )
    elsewhere = await client.options("/api/segments/", headers=asked)

    assert (elsewhere.status_code, elsewhere.json()["code"]) == (400, "preflight_refused")
    assert "access-control-allow-origin" not in elsewhere.headers


async def test_a_signed_user_id_is_demanded_where_the_key_says_so(client, server):
    key = await made(client, kind="public", require_signed_user_id=True)
    at = int(datetime.now(UTC).timestamp())
    signed = {"user_id": "ana", "user_id_ts": at}
    signed["user_id_sig"] = signature_of(bytes.fromhex(key["hmac_secret"]), "ana", at)

    async with public(server, key["key"]) as app:
        good = await app.post(SESSION, json=signed)
        bare = await app.post(SESSION, json={"user_id": "ana"})
        wrong = await app.post(SESSION, json={**signed, "user_id": "ben"})

    assert (good.status_code, good.json()["uid"]) == (200, "ana")
    assert [(one.status_code, one.json()["code"]) for one in (bare, wrong)] == [
        (403, "user_id_not_signed"),
        (403, "bad_user_signature"),
    ]


async def test_segops_sdk_tracks_with_a_public_key_and_mints_again_when_its_session_ends(client, server):
    key = await made(client, kind="public")
    errors: list[BaseException] = []
    user = UserContext(user_id="sdk-ana", anonymous_id="sdk-anonymous")
    sdk = SegOpsClient(server.url, key["key"], get_user=lambda: user, batch=True, on_error=errors.append)

    await asyncio.to_thread(sdk.track, user_id="somebody", event_type="sdk_seen")
    await asyncio.to_thread(sdk.identify, user_id="somebody", traits={"country": "ES"})
    await asyncio.to_thread(sdk.flush)
    past = datetime.now(UTC) - LIFETIME
    _, ended = await server.resources.sessions.open(key["id"], scope="track", user_id="sdk-ana", now=past)
    replace_token(sdk, ended)
    await asyncio.to_thread(sdk.track, user_id="somebody", event_type="sdk_seen")
    await asyncio.to_thread(sdk.shutdown)

    assert errors == []
    assert await events_of(server, "sdk_seen") == ["sdk-ana"] * 2
    assert await events_of(server, "context_identified") == ["sdk-ana"]


def replace_token(sdk: Any, token: str) -> None:
    """Let the SDK hold *token*, wherever it keeps it."""
    for holder in (sdk, *vars(sdk).values()):
        for name, value in list(getattr(holder, "__dict__", {}).items()):
            if isinstance(value, str) and value.count(".") == 2 and value.startswith("ey"):
                setattr(holder, name, token)
                return
    raise AssertionError(vars(sdk))


async def test_every_answer_says_how_many_requests_are_left(client, server, monkeypatch):
    monkeypatch.setattr(server.app.state, "rate_limits", RateLimits(per_key=2, per_tenant=5))
    text = (await server.resources.keys.issue(await server.resources.tenants.get("first"), NewKey())).text
    async with server.client(text) as few:
        answers = [await few.get("/api/segments/") for _ in range(3)]
        refused = await few.post("/api/copilot/stream/", json={"messages": [{"role": "user", "content": "Hi"}]})

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit-policy"] for answer in answers] == ['"tenant";q=5;w=60, "key";q=2;w=60'] * 3
    assert [re.sub(r"t=\d+", "t=", answer.headers["ratelimit"]) for answer in answers] == [
        '"key";r=1;t=',
        '"key";r=0;t=',
        '"key";r=0;t=',
    ]
    assert answers[2].json()["code"] == refused.json()["code"] == "rate_limited"
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60
    assert "ratelimit" not in (await client.get("/health/live")).headers


async def test_answers_are_compressed_where_that_is_worth_it_and_wanted(client, server):
    for _ in range(3):
        await made(client, name="x" * 100)
    long, short = f"{KEYS}?limit=20", f"{KEYS}999/"
    sent = {"Authorization": f"ApiKey {server.key}"}
    async with httpx2.AsyncClient(base_url=server.url, headers=sent, timeout=30) as caller:
        gzipped = await caller.get(long, headers={"Accept-Encoding": "gzip"})
        plain = await caller.get(long, headers={"Accept-Encoding": "identity"})
        refused = await caller.get(long, headers={"Accept-Encoding": "gzip;q=0, identity"})
        small = await caller.get(short, headers={"Accept-Encoding": "gzip"})
        body = {"messages": [{"role": "user", "content": "How many users are there? " * 60}]}
        stream = await caller.post("/api/copilot/stream/", json=body, headers={"Accept-Encoding": "gzip"})

    assert (gzipped.headers["content-encoding"], gzipped.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert int(gzipped.headers["content-length"]) < len(plain.content) / 2
    assert gzipped.json() == plain.json()
    for answer in (plain, refused, small, stream):
        assert "content-encoding" not in answer.headers
    assert stream.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    ("accepted", "right"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, *", False),
        ("identity", False),
        ("", False),
        ("xgzip", False),
    ],
)
def test_gzip_is_taken_where_the_header_has_it(accepted, right):
    assert takes_gzip(accepted) is right


async def test_a_key_that_expires_says_when(client):
    ends = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    key = await made(client, expires_at=ends.isoformat())

    assert key["expires_at"] == ends.strftime("%Y-%m-%dT%H:%M:%SZ")


PAGE = (Path(__file__).parents[2] / "docs" / "keys.md").read_text()


async def test_what_the_page_of_keys_shows_can_be_typed(server):
    (block,) = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    typing = await asyncio.create_subprocess_shell(
        block.replace("curl ", "curl -sSf ", 1),
        env={"PATH": os.environ["PATH"], "URL": server.url, "API_KEY": server.key},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await typing.communicate()

    assert json.loads(output)["scopes"] == ["segments:read", "members:read"]


def test_a_backend_signs_as_the_page_of_keys_shows():
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    shown: dict[str, Any] = {}
    exec(block, shown)  # noqa: S102  # what the page shows

    signed = shown["sign"]("00112233445566778899aabbccddeeff", "u-123")

    secret = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert signed["user_id_sig"] == signature_of(secret, "u-123", signed["user_id_ts"])


def test_the_page_of_keys_has_every_scope_and_role():
    for scope in SCOPES:
        assert f"`{scope}`" in PAGE
    for role in ROLES:
        assert f"| `{role}` |" in PAGE
