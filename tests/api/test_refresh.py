"""How a segment is refreshed, over HTTP: said when it is saved or changed, refused with a pointer, paused and resumed."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "refresh.md"
BUYERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed", "window_days": 7}]}
SEGMENTS = "/api/segments/"


async def save(client: httpx2.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post(SEGMENTS, json={"name": "A", "definition": BUYERS} | fields)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_segment_says_how_it_is_refreshed(client: httpx2.AsyncClient):
    plain = await save(client)
    assert plain["refresh"] == {"mode": "manual", "every": None, "paused_since": None}  # as this service is set
    assert (plain["next_refresh_at"], plain["last_refreshed_at"]) == (None, None)
    path = f"{SEGMENTS}{plain['id']}/"

    changed = (await client.patch(path, json={"refresh": {"mode": "interval", "every": "30d"}})).json()
    assert changed["refresh"] == {"mode": "interval", "every": "30d", "paused_since": None}
    assert changed["next_refresh_at"] is not None
    whole = {name: changed[name] for name in ("name", "definition", "description", "segment_type", "is_active")}
    assert (await client.put(path, json=whole)).json()["refresh"]["mode"] == "interval"
    assert (await client.put(path, json=whole | {"refresh": {"mode": "manual"}})).json()["refresh"]["mode"] == "manual"
    read = (await client.get(path)).json()
    assert (await client.patch(path, json=read)).json()["version"] == 1
    assert (await client.patch(path, json={"refresh": {"mode": "interval", "every": "1h"}})).status_code == 200
    assert (await client.patch(path, json={"refresh": None})).json()["refresh"]["mode"] == "manual"


@pytest.mark.parametrize(
    ("refresh", "pointer", "code"),
    [
        ({"mode": "interval", "every": "1mo"}, "/refresh/every", "bad_interval"),
        ({"mode": "interval", "every": "30s"}, "/refresh/every", "bad_interval"),
        ({"mode": "interval"}, "/refresh/every", "missing_interval"),
        ({"mode": "live", "every": "1h"}, "/refresh/every", "unexpected_interval"),
        ({"mode": "often"}, "/refresh/mode", None),
        ({"every": "3h"}, "/refresh/mode", None),
        ({"mode": "auto", "evry": "3h"}, "/refresh/evry", None),
        ("auto", "/refresh", None),
    ],
)
async def test_a_refresh_that_is_none_is_refused_where_it_stands(
    client: httpx2.AsyncClient, refresh: Any, pointer: str, code: str | None
):
    saved = await save(client)
    for answer in (
        await client.post(SEGMENTS, json={"name": "A", "definition": BUYERS, "refresh": refresh}),
        await client.patch(f"{SEGMENTS}{saved['id']}/", json={"refresh": refresh}),
    ):
        assert answer.status_code == 400
        (error,) = answer.json()["errors"]
        assert error["pointer"] == pointer
        assert code in (None, error["code"])


async def test_a_segment_is_paused_and_resumed(client: httpx2.AsyncClient):
    saved = await save(client, refresh={"mode": "interval", "every": "30d"})
    path = f"{SEGMENTS}{saved['id']}/"
    paused = await client.post(f"{path}refresh/pause/")
    assert paused.status_code == 200
    assert paused.json()["refresh"]["paused_since"] is not None
    assert paused.json()["next_refresh_at"] is None
    read = await client.get(path)
    assert (read.json(), read.headers["ETag"]) == (paused.json(), paused.headers["ETag"])
    resumed = (await client.post(f"{path}refresh/resume")).json()
    assert resumed["refresh"] == saved["refresh"]
    assert resumed["next_refresh_at"] is not None
    await client.patch(path, json={"refresh": {"mode": "manual"}})
    refused = await client.post(f"{path}refresh/pause/")
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_pause")


async def test_what_the_page_of_refreshes_shows_can_be_typed(server):
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    failing = 'set -e -o pipefail; curl() { command curl -sSf "$@"; }\n'
    typing = await asyncio.create_subprocess_exec(
        *("bash", "-c", failing + "\n".join(blocks)),
        env={"PATH": os.environ["PATH"], "URL": server.url, "API_KEY": server.key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await typing.communicate()

    assert (typing.returncode, errors) == (0, b"")
    assert len(blocks) == 2
    assert b'"mode":"live","every":null' in output
