"""What people think of an answer is kept, by tenant, once for each answer."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.support.http_server import Server

RUN = "run_" + "0" * 31


def of(last: str, **more: Any) -> dict[str, Any]:
    """A body; *last* completes the run's id."""
    return {"run_id": RUN + last, "rating": "up", **more}


async def kept(server: Server, run_id: str) -> list[dict[str, Any]]:
    rows = await server.app.state.resources.postgres.fetch(
        "SELECT slug, run_id, message_id, rating, reason, given_by FROM copilot_feedback "
        "JOIN tenants ON tenants.id = tenant_id WHERE run_id = $1 ORDER BY slug, message_id",
        run_id,
    )
    return [dict(row) for row in rows]


@pytest.mark.parametrize("path", ["/api/copilot/feedback/", "/api/copilot/feedback"])
async def test_a_thumb_is_kept(client: httpx2.AsyncClient, server: Server, path):
    answer = await client.post(path, json=of("a", rating="down", reason="  The count is wrong.\n", message_id="text_1"))

    assert (answer.status_code, answer.json()) == (202, {"recorded": True})
    assert await kept(server, RUN + "a") == [
        {"slug": "first", "run_id": RUN + "a", "message_id": "text_1", "rating": "down", "reason": "The count is wrong.", "given_by": None}
    ]  # fmt: skip


async def test_a_second_opinion_replaces_the_first_and_messages_are_apart(client: httpx2.AsyncClient, server: Server):
    for body in [of("b"), of("b", rating="down", reason="On second thought."), of("b", message_id="text_2")]:
        await client.post("/api/copilot/feedback/", json=body)

    assert [(one["message_id"], one["rating"], one["reason"]) for one in await kept(server, RUN + "b")] == [
        ("", "down", "On second thought."),
        ("text_2", "up", ""),
    ]


async def test_tenants_keep_their_own(client: httpx2.AsyncClient, server: Server):
    async with server.client(server.other_key) as other:
        await client.post("/api/copilot/feedback/", json=of("c"))
        await other.post("/api/copilot/feedback/", json=of("c", rating="down"))

    assert [(one["slug"], one["rating"]) for one in await kept(server, RUN + "c")] == [
        ("first", "up"),
        ("other", "down"),
    ]


async def test_a_browsers_token_may_give_it_and_is_named(client: httpx2.AsyncClient, server: Server):
    token = (await client.post("/api/auth/session/", json={"scope": "copilot", "user_id": "maria"})).json()["token"]

    async with server.client() as browser:
        browser.headers["Authorization"] = f"Bearer {token}"
        answer = await browser.post("/api/copilot/feedback/", json=of("d"))

    assert answer.status_code == 202
    assert [one["given_by"] for one in await kept(server, RUN + "d")] == ["maria"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"rating": "up"}, "/run_id"),
        ({"run_id": RUN + "e"}, "/rating"),
        (of("e", rating=5), "/rating"),
        (of("e", rating="great"), "/rating"),
        (of("e", reason="x" * 2_001), "/reason"),
        (of("e", reason="a\0b"), "/reason"),
        (of("not hexadecimal"), "/run_id"),
        (of("e", message_id="<script>"), "/message_id"),
        (of("e", stars=3), "/stars"),
    ],
)
async def test_what_is_wrong_is_said(client: httpx2.AsyncClient, server: Server, body, pointer):
    answer = await client.post("/api/copilot/feedback/", json=body)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert await kept(server, RUN + "e") == []
