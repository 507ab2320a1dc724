"""The copilot tells nobody what their credential could not read by itself: tools, catalog and views follow its scopes."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from segment_copilot.access.keys import NewKey
from segment_copilot.access.scopes import SCOPES, SESSIONS
from segment_copilot.copilot.tools import TOOLS, usable_tools
from tests.support.copilot_runs import Script, calls, says

DEFINITION = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "secret_purchase"}]}
CALLED: dict[str, Any] = {
    "list_segments": {},
    "get_segment_detail": {"segment": "Secret buyers"},
    "list_activations": {},
    "list_event_schemas": {},
    "query_top_events": {},
    "preview_segment": {"definition": DEFINITION},
}


@pytest.fixture(scope="module")
async def segment_id(server) -> int:
    """Saves something that only some may hear of."""
    async with server.client() as client:
        event = {"user_id": "ana", "event_type": "secret_purchase", "payload": {"codename": "manhattan"}}
        await client.post("/api/ingestion/track/", json=event)
        while (await client.get("/api/ingestion/status/")).json()["pending"]:
            pass
        made = await client.post("/api/segments/", json={"name": "Secret buyers", "definition": DEFINITION})
        return made.json()["id"]


async def ask(server, *scopes: str, **body: Any) -> httpx2.Response:
    tenant = await server.resources.tenants.get("first")
    issued = await server.resources.keys.issue(tenant, NewKey(scopes=["copilot:ask", *scopes]))
    async with server.client(issued.text) as client:
        asked = {"messages": [{"role": "user", "content": "How many secret buyers are there?"}], **body}
        answer = await client.post("/api/copilot/stream/", json=asked)
    assert answer.status_code == 200
    return answer


def told(answer: httpx2.Response, kind: str) -> list[dict[str, Any]]:
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    return [event for event in events if event["type"] == kind]


async def test_a_key_that_may_only_ask_is_told_of_nothing_and_why(server, use, segment_id):
    model = Script(calls(*CALLED.items()), says("Fine."))
    use(model)
    answer = await ask(server, context={"segment_id": segment_id})

    results = told(answer, "tool.result")
    assert [result["error"]["code"] for result in results] == ["missing_scope"] * len(CALLED)
    assert [warning["code"] for warning in told(answer, "warning")] == ["missing_scope"]
    assert "activations:read, analytics:read, catalog:read, segments:read" in told(answer, "warning")[0]["message"]
    (first, _) = model.requests
    assert {tool.name for tool in first.tools} == {name for name, tool in TOOLS.items() if tool.scope is None}
    assert "lacks activations:read, analytics:read, catalog:read, segments:read" in repr(first.messages)
    secret = ("secret_purchase", "Secret buyers", "codename", "manhattan")
    assert not any(word in repr(first.messages) or word in repr(first.catalog) for word in secret)


async def test_an_answer_in_one_piece_tells_what_was_not_read_as_the_stream_does(server, use):
    tenant = await server.resources.tenants.get("first")
    issued = await server.resources.keys.issue(tenant, NewKey(scopes=["copilot:ask"]))
    use(Script(says("Fine."), says("Fine.")))
    streamed = told(await ask(server), "warning")
    async with server.client(issued.text) as client:
        answer = (await client.post("/api/copilot/generate/", json={"description": "Secret buyers"})).json()
    said = [(warning["code"], warning["message"]) for warning in answer["warnings"]]
    assert said == [(warning["code"], warning["message"]) for warning in streamed]
    assert [code for code, _ in said] == ["missing_scope"]

    use(Script(says("Fine.")))
    async with server.client() as client:
        answer = (await client.post("/api/copilot/generate/", json={"description": "Secret buyers"})).json()
    assert answer["warnings"] == []


@pytest.mark.parametrize(
    ("scope", "heard", "unheard"),
    [
        ("segments:read", "Secret buyers", "codename"),
        ("catalog:read", "codename", "Secret buyers"),
    ],
)
async def test_a_scope_opens_what_its_routes_tell_and_no_more(server, use, segment_id, scope, heard, unheard):
    model = Script(calls(*CALLED.items()), says("Fine."))
    use(model)
    answer = await ask(server, scope, context={"segment_id": segment_id})

    by_id = {start["tool_call_id"]: start["name"] for start in told(answer, "tool.start")}
    good = {by_id[result["tool_call_id"]] for result in told(answer, "tool.result") if result["ok"]}
    assert good == {name for name in CALLED if TOOLS[name].scope == scope}
    read = repr([model.requests[0], *told(answer, "tool.result")])
    assert heard in read
    assert unheard not in read


async def test_the_offline_model_too_says_nothing_of_what_is_withheld(server, segment_id):
    answer = await ask(server)

    assert told(answer, "warning")
    assert not any(word in answer.text for word in ("secret_purchase", "Secret buyers", "manhattan"))
    assert told(answer, "run.finished")


async def test_a_session_for_browsers_lacks_no_tool(server, client, use):
    token = (await client.post("/api/auth/session/", json={"scope": "copilot"})).json()["token"]
    model = Script(says("Fine."))
    use(model)
    async with httpx2.AsyncClient(base_url=server.url, headers={"Authorization": f"Bearer {token}"}) as browser:
        body = {"messages": [{"role": "user", "content": "Hello"}]}
        answer = await browser.post("/api/copilot/stream/", json=body)

    assert {tool.name for tool in model.requests[0].tools} == set(TOOLS)
    assert told(answer, "warning") == []


def test_every_tool_that_reads_names_the_scope_it_needs():
    without = {name for name, tool in TOOLS.items() if tool.scope is None}
    assert without == {"ask_user", "display_metric_card", "display_event_chart", "display_create_segment_cta"}
    assert {tool.scope for tool in TOOLS.values()} - {None} <= SESSIONS["copilot"] <= set(SCOPES)
    assert usable_tools(frozenset(), frozenset()) == (TOOLS["ask_user"],)
