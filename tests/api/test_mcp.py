"""MCP at /mcp, by the package's own client on both wires: the tools, what they refuse, who may, and what is asked back."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import mcp_types
import pytest
from mcp.shared.exceptions import MCPError

from segment_copilot.access.keys import NewKey
from segment_copilot.api.mcp.door import Door
from segment_copilot.api.mcp.offered import registry
from segment_copilot.api.mcp.offers import TOLD
from segment_copilot.api.mcp.registry import Offer, Registry
from segment_copilot.copilot.tools import TOOLS
from segment_copilot.errors import NotFound
from segment_copilot.events import Event, observe_names, write_block
from tests.support.copilot_runs import Script, calls, says
from tests.support.mcp_hosts import MODERN, WIRES, headers, host, message, refusal

pytestmark = pytest.mark.shared

SOURCE = Path(__file__).parents[2] / "src" / "segment_copilot"
ORDERED = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
DRAFT = {"name": "Buyers", "description": "They ordered.", "definition": ORDERED}
QUESTION = {
    "question": "Which visits?",
    "options": [{"label": "The pricing page", "value": "/pricing"}, {"label": "Any page", "value": "*"}],
    "allow_free_text": False,
}
FIRST, TODAY = "2020-01-01", "2100-01-01"


@pytest.fixture(scope="module")
def has_worker() -> bool:
    return False


@pytest.fixture(scope="module", autouse=True)
async def segment_id(server: Any) -> int:
    """A stored segment of a tenant with two users, of whom one ordered."""
    tenant = (await server.resources.keys.identify(server.key)).tenant
    now = datetime.now(UTC)
    happened = [
        Event(
            tenant_id=tenant.id,
            event_id=f"{user}-{event_type}",
            user_id=user,
            event_type=event_type,
            occurred_at=now - timedelta(days=1),
            payload=payload,
        )
        for user, event_type, payload in (
            ("ana", "context_identified", '{"country": "ES"}'),
            ("ana", "order_placed", '{"total": 90}'),
            ("ben", "context_identified", '{"country": "FR"}'),
        )
    ]
    await write_block(server.resources.clickhouse, happened, token="happened")
    await observe_names(server.resources.postgres, happened)
    server.resources.discovery.forget(tenant)
    saved = await server.resources.segments.create(tenant, name="Stored", definition=ORDERED)
    server.resources.discovery.forget(tenant)
    return saved.segment.id


async def key_of(server: Any, **new: Any) -> str:
    tenant = await server.resources.tenants.get("first")
    return (await server.resources.keys.issue(tenant, NewKey(**new))).text


# The registry


def test_every_tool_of_the_copilot_is_offered_or_needs_a_conversation():
    offered = {name for name, tool in TOOLS.items() if tool.kind in {"data", "draft"}}

    assert TOLD.keys() == offered


def test_each_description_names_the_next_tool_and_the_errors():
    names = {offer.name for offer in registry().offers}
    for offer in registry().offers:
        _, _, told = offer.document["description"].partition("\n\nNext: ")
        following, _, errors = told.partition("\nErrors: ")
        assert errors, offer.name
        assert names & set(re.findall(r"\w+", following)), offer.name


def test_each_error_that_is_named_exists():
    source = "\n".join(path.read_text() for path in SOURCE.rglob("*.py") if path.parent.name != "mcp")
    source += (SOURCE / "api/mcp/asking.py").read_text().partition("async def")[2]
    for offer in registry().offers:
        errors = offer.document["description"].partition("\nErrors: ")[2]
        for code in re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", errors):
            assert f'"{code}"' in source, (offer.name, code)


def test_what_needs_a_conversation_is_not_spoken_of():
    for offer in registry().offers:
        spoken = json.dumps([offer.document["description"], offer.document["inputSchema"]["properties"]])
        assert not re.search(r"\bdraft_id\b|\bin view\b|display_", spoken), offer.name


def test_schemas_hold_nothing_that_nobody_refers_to():
    for offer in registry().offers:
        for schema in (offer.document["inputSchema"], offer.document["outputSchema"]):
            text = json.dumps(schema)
            assert all(f'"#/$defs/{name}"' in text for name in schema.get("$defs", {})), offer.name


# What a host sees


@pytest.mark.parametrize("wire", WIRES)
async def test_a_host_finds_the_tools_in_a_fixed_order(server, wire):
    async with host(server.url, server.key, wire) as client:
        listed = await client.list_tools()

    assert [tool.name for tool in listed.tools] == sorted({offer.name for offer in registry().offers})
    assert all(tool.output_schema and tool.annotations and tool.title for tool in listed.tools)
    writing = [tool.name for tool in listed.tools if not tool.annotations.read_only_hint]
    assert writing == ["create_segment", "update_segment"]


CALLED: dict[str, dict[str, Any]] = {
    "check_user_membership": {"user_id": "ana", "segment": "Stored"},
    "compare_segments": {"first": "Stored", "second": ORDERED},
    "explain_segment": {"segment": "stored"},
    "get_event_schema": {"event_type": "order_placed"},
    "get_segment_detail": {"segment": "Stored"},
    "list_activations": {},
    "list_event_schemas": {},
    "list_property_values": {"property": "total", "event_type": "order_placed", "from": FIRST, "to": TODAY},
    "list_recent_events": {},
    "list_segments": {},
    "preview_segment": {"definition": ORDERED},
    "propose_segment": DRAFT,
    "query_event_volume": {"from": "2026-01-01", "to": "2026-02-01"},
    "query_segment_changes": {"segment": "Stored", "from": "2026-01-01", "to": "2026-02-01"},
    "query_segment_membership_trend": {"segment": "Stored"},
    "query_top_events": {"from": FIRST, "to": TODAY},
    "revise_segment": {
        "draft": DRAFT,
        "patch": [{"op": "add", "path": "/conditions/-", "value": {"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}}],
    },
    "search_segments": {"query": "stored"},
}  # fmt: skip


@pytest.mark.parametrize("wire", WIRES)
async def test_what_every_tool_gives_fits_its_schema(server, wire):
    """The client checks each result against the schema that was listed."""
    assert CALLED.keys() == TOLD.keys()
    async with host(server.url, server.key, wire) as client:
        for name, arguments in CALLED.items():
            result = await client.call_tool(name, arguments)
            assert not result.is_error, (name, result.content)
            assert json.loads(result.content[0].text) == result.structured_content, name


DRAWN = {
    "list_segments": ["SegmentTable"],
    "preview_segment": ["MetricCard"],
    "propose_segment": ["Draft", "CreateSegmentCTA"],
    "query_event_volume": ["EventVolumeChart"],
    "query_top_events": ["EventVolumeChart"],
    "search_segments": ["SegmentTable"],
    "get_event_schema": [],
}


async def test_what_is_drawn_comes_with_the_result_and_its_view_can_be_read(server):
    async with host(server.url, server.key) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        uris = [resource.uri for resource in (await client.list_resources()).resources]
        for name, components in DRAWN.items():
            result = await client.call_tool(name, CALLED[name])
            assert [one["component"] for one in result.meta["segment-copilot/components"]] == components
            if components:
                assert tools[name].meta["ui"]["resourceUri"] in uris
        (page,) = (await client.read_resource(uris[0])).contents

    assert page.mime_type == "text/html;profile=mcp-app"
    assert not re.search(r"\b(?:src|href)=\"|^import ", page.text, re.MULTILINE)  # a sandbox loads nothing


async def test_a_draft_is_changed_and_saved_in_calls_that_know_nothing_of_each_other(server, client):
    async with host(server.url, server.key) as agent:
        draft = (await agent.call_tool("propose_segment", DRAFT)).structured_content
        changed = await agent.call_tool("revise_segment", {"draft": draft, "patch": CALLED["revise_segment"]["patch"]})
        wanted = {name: changed.structured_content[name] for name in ("name", "description", "definition")}
        saved = (await agent.call_tool("create_segment", wanted)).structured_content
        other = (
            await agent.call_tool("update_segment", {"segment_id": saved["id"], "definition": ORDERED})
        ).structured_content

    assert (draft["count"], draft["universe"], draft["definition"]["conditions"]) == (1, 2, ORDERED["conditions"])
    assert changed.structured_content["diff"][0]["op"] == "add"
    stored = (await client.get(f"/api/segments/{saved['id']}/")).json()
    assert stored["definition"]["conditions"] == ORDERED["conditions"]
    assert (stored["segment_type"], stored["version"], other["version"]) == ("ai", 2, 2)
    log = (await client.get("/api/audit/", params={"limit": 2, "fields": "operation,path,status,made"})).json()[
        "results"
    ]
    said = {"path": "/mcp/", "status": 200, "made": f"/api/segments/{saved['id']}/"}
    assert log == [{"operation": "update_segment", **said}, {"operation": "create_segment", **said}]


async def test_who_may_not_save_over_mcp_is_in_the_audit_log_too(server, client):
    reader = await key_of(server, kind="mcp", scopes=["mcp:read"])
    async with host(server.url, server.key) as agent:
        refusal(await agent.call_tool("update_segment", {"segment_id": 10**9, "definition": ORDERED}))
        await agent.call_tool("propose_segment", DRAFT)
    async with host(server.url, reader) as agent:
        refusal(await agent.call_tool("create_segment", DRAFT))

    entries = (await client.get("/api/audit/", params={"order": "-id", "limit": 2})).json()["results"]
    told = [(one["operation"], one["path"], one["status"], one["made"]) for one in entries]
    assert told == [("create_segment", "/mcp/", 403, None), ("update_segment", "/mcp/", 404, None)]
    assert entries[0]["key_id"] != entries[1]["key_id"]


async def test_a_tool_that_only_asks_is_in_the_audit_log_where_the_scope_for_it_is_missing(server, client):
    reader = await key_of(server, kind="mcp", scopes=["segments:read"])
    async with host(server.url, reader) as agent:
        refused = refusal(await agent.call_tool("query_top_events", {}))
        await agent.call_tool("list_segments", {})

    assert refused["code"] == "missing_scope"
    (newest,) = (await client.get("/api/audit/", params={"order": "-id", "limit": 1})).json()["results"]
    assert (newest["operation"], newest["path"], newest["status"]) == ("query_top_events", "/mcp/", 403)


# What goes wrong is told so that a model can do better


@pytest.mark.parametrize("wire", WIRES)
async def test_mistakes_are_results_with_all_findings(server, wire):
    wrong = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_place"}, {"type": "nope"}]}
    async with host(server.url, server.key, wire) as client:
        await client.list_tools()
        unknown = refusal(await client.call_tool("get_event_schema", {"event_type": "order_place"}))
        invalid = refusal(await client.call_tool("create_segment", {**DRAFT, "definition": wrong}))
        shape = refusal(await client.call_tool("list_segments", {"limit": "many"}))
        dropped = refusal(await client.call_tool("revise_segment", {"draft_id": "draft_1", "patch": []}))
        nothing = refusal(await client.call_tool("revise_segment", {"patch": [{"op": "remove", "path": "/exclude"}]}))
        bare = refusal(await client.call_tool("revise_segment", {"draft": "it", "patch": []}))
        with pytest.raises(MCPError, match="Did you mean list_segments") as missing:
            await client.call_tool("list_segment", {})

    assert (unknown["code"], unknown["findings"][0]["suggestions"]) == ("unknown_name", ["order_placed"])
    assert invalid["code"] == "invalid_definition"
    assert invalid["findings"][0]["pointer"].startswith("/definition/conditions/")
    assert (shape["code"], shape["findings"][0]["pointer"]) == ("invalid_arguments", "/limit")
    assert (dropped["code"], nothing["code"], bare["code"]) == (
        "invalid_arguments",
        "nothing_in_view",
        "invalid_arguments",
    )
    assert missing.value.error.code == mcp_types.INVALID_PARAMS


async def test_another_tenants_segment_answers_as_one_that_never_existed(server, segment_id):
    async with host(server.url, server.other_key) as client:
        foreign = refusal(await client.call_tool("get_segment_detail", {"segment": segment_id}))
        taken = refusal(await client.call_tool("update_segment", {"segment_id": segment_id, "definition": ORDERED}))

    assert (foreign["code"], taken["code"]) == ("unknown_segment", "segment_not_found")


async def test_a_tool_whose_store_says_nothing_is_ended(server, monkeypatch, client):
    async def never(*_: Any) -> Any:
        await asyncio.Event().wait()

    async def secret() -> bytes:
        return b"x" * 32

    offer = Offer({"name": "wait", "inputSchema": {"type": "object"}}, never, seconds=0.01)
    waiting = Registry(name="x", title="x", instructions="", offers=(offer,))
    monkeypatch.setattr(server.app.state, "mcp_door", Door(lambda: waiting, secret, allows_origin=lambda _: False))

    answer = await post(client, message("tools/call", {"name": "wait"}))

    assert json.loads(answer.json()["result"]["content"][0]["text"])["error"]["code"] == "unavailable"


# Who may


async def test_a_key_is_offered_what_it_may_call(server):
    reader = await key_of(server, kind="mcp", scopes=["mcp:read"])
    narrow = await key_of(server, scopes=["segments:read", "catalog:read"])
    async with host(server.url, reader) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        refused = refusal(await client.call_tool("create_segment", DRAFT))
    async with host(server.url, narrow) as client:
        few = [tool.name for tool in (await client.list_tools()).tools]
        hidden = refusal(await client.call_tool("check_user_membership", {"user_id": "ana", "segment": "Stored"}))
        unread = refusal(await client.call_tool("query_top_events", {"from": FIRST, "to": TODAY}))

    assert set(names) == {offer.name for offer in registry().offers} - {"create_segment", "update_segment"}
    assert (refused["code"], refused["scope"]) == ("missing_scope", "segments:write")
    assert {"ask_copilot", "query_top_events", "list_activations"}.isdisjoint(few)
    assert (hidden["code"], unread["code"]) == ("users_withheld", "missing_scope")


@pytest.mark.parametrize(
    ("new", "status", "code"),
    [
        ({"kind": "public"}, 403, "public_key"),
        ({"scopes": ["analytics:read"]}, 403, "missing_scope"),
        (None, 401, "invalid_key"),
    ],
)
async def test_who_may_not_is_refused_before_anything_is_read(server, new, status, code):
    key = "sk_nobody" if new is None else await key_of(server, **new)
    async with server.client(key) as client:
        answer = await client.post("/mcp", content=b"nonsense")

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("www-authenticate" in answer.headers) is (status == 401)


LISTING = message("tools/list")


async def post(client: httpx2.AsyncClient, body: dict[str, Any] = LISTING, **more: str) -> httpx2.Response:
    return await client.post("/mcp", json=body, headers={**headers(body), **more})


async def test_a_page_that_is_not_listed_may_not_call(client, server):
    port = server.url.rpartition(":")[2]
    evil = await post(client, Origin="https://evil.example")
    rebound = await post(client, Origin=f"http://evil.example:{port}", Host=f"evil.example:{port}")
    disguised = await post(client, Origin=f"http://localhost:{port}", Host=f"evil.example:{port}")
    broken = await post(client, Origin="http://[")
    own = await post(client, Origin=f"http://localhost:{port}")

    assert {(one.status_code, one.json()["code"]) for one in (evil, rebound, disguised, broken)} == {
        (403, "origin_not_allowed")
    }
    assert own.status_code == 200


async def test_requests_count_as_any_others_and_only_a_post_is_one(client):
    answer = await post(client)
    got, deleted = await client.get("/mcp"), await client.delete("/mcp")

    assert "ratelimit" in answer.headers
    assert (got.status_code, got.headers["allow"], deleted.status_code) == (405, "OPTIONS, POST", 405)


async def test_lists_say_how_long_they_hold(client):
    first, second = (await post(client)).content, (await post(client)).content
    found = json.loads(first)["result"]

    assert first == second
    assert (found["resultType"], found["ttlMs"], found["cacheScope"]) == ("complete", 300_000, "private")


OLDER: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ODD: list[Any] = [
    b"",
    b"nonsense",
    b"\xff\xfe",
    b'"\\ud800"',
    b"[" * 5000,
    b"[]",
    b"null",
    b'{"jsonrpc": "2.0", "id": ' + b"9" * 5000 + b', "method": "tools/list"}',
    {**OLDER, "method": "nope"},
    {**OLDER, "id": {}},
    {**OLDER, "params": []},
    {**OLDER, "params": {"_meta": 1}},
    {**OLDER, "params": {"cursor": "x"}},
    {**OLDER, "method": "notifications/nope"},
    {**OLDER, "method": "tools/call", "params": {"name": 5}},
    {**OLDER, "method": "tools/call", "params": {"name": "list_segments", "arguments": {"limit": 1e400}}},
    {**OLDER, "method": "tools/call", "params": {"name": "search_segments", "arguments": {"query": "a\x00b"}}},
    {**OLDER, "method": "tools/call", "params": {"name": "list_segments", "requestState": "x"}},
    {**OLDER, "method": "resources/read", "params": {"uri": "file:///etc/passwd"}},
    {**OLDER, "method": "completion/complete", "params": {"ref": {"type": "ref/prompt", "name": "nope"}, "argument": {"name": "", "value": ""}}},
    {**OLDER, "method": "prompts/get", "params": {"name": "explain_segment", "arguments": {"segment": 1}}},
    {**OLDER, "method": "server/discover"},
    {**OLDER, "method": "initialize", "params": {"protocolVersion": "1066-10-14"}},
]  # fmt: skip


@pytest.mark.parametrize("version", ["2025-11-25", MODERN, "nonsense", None])
async def test_odd_messages_are_refused_and_never_a_failure_of_ours(client, version):
    for body in ODD:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        sent |= {"MCP-Protocol-Version": version} if version else {}
        answer = await client.post("/mcp", content=content, headers=sent)
        assert answer.status_code < 500, (body, answer.text)
        assert "internal" not in answer.text.lower(), (body, answer.text)


async def test_a_body_is_json_and_not_too_large(client):
    other = await client.post("/mcp", content=b"{}", headers={"Content-Type": "text/plain"})
    large = await client.post("/mcp", json={"x": "y" * 3_000_000})

    assert (other.status_code, large.status_code) == (415, 413)


async def test_without_the_extra_the_door_says_what_to_install(monkeypatch):
    monkeypatch.setattr("segment_copilot.api.mcp.door.find_spec", lambda _: None)

    with pytest.raises(NotFound, match=r"segment-copilot\[mcp\]"):
        await Door(registry, lambda: asyncio.sleep(0, b"x" * 32), allows_origin=lambda _: False).server()


def test_the_package_is_imported_by_one_file_which_nobody_imports_before_the_first_request():
    importing = [
        (str(path.relative_to(SOURCE)), name)
        for path in SOURCE.rglob("*.py")
        for name in re.findall(r"^(?:from|import) ([\w.]+)", path.read_text(), re.MULTILINE)
    ]
    packages = {"mcp", "mcp_types", "pydantic", "starlette"}

    assert {path for path, name in importing if name.partition(".")[0] in packages} == {"api/mcp/wire.py"}
    assert not [path for path, name in importing if name == "segment_copilot.api.mcp.wire"]


# The copilot itself


@pytest.mark.parametrize("wire", WIRES)
async def test_the_copilot_answers_and_tells_how_far_it_is(server, use, wire):
    use(Script(calls(("list_segments", {})), calls(("propose_segment", DRAFT)), says("Here is a draft.")))
    steps: list[Any] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, message))

    async with host(server.url, server.key, wire) as client:
        answer = await client.call_tool("ask_copilot", {"question": "Who ordered?"}, progress_callback=progress)

    assert answer.content[0].text == "Here is a draft."
    assert (answer.structured_content["outcome"], answer.structured_content["draft"]["name"]) == ("completed", "Buyers")
    assert [one["component"] for one in answer.meta["segment-copilot/components"]] == ["Draft", "CreateSegmentCTA"]
    assert steps == [(1, "Reading the segments"), (2, "Drafting a segment")]


def asked_back(*after: Any) -> Script:
    return Script(calls(("ask_user", QUESTION), text="Which visits?"), *after)


async def test_what_the_copilot_asks_back_the_host_asks_the_person(server, use):
    """Twice in one call: the run goes on where it was, with what the person said."""
    script = asked_back(calls(("ask_user", {**QUESTION, "question": "Which week?"}), text="Which week?"), says("Done."))
    use(script)
    forms: list[Any] = []

    async def answer(_: Any, asked: Any) -> mcp_types.ElicitResult:
        forms.append(asked)
        return mcp_types.ElicitResult(action="accept", content={"answer": ["/pricing", "*"][len(forms) - 1]})

    async with host(server.url, server.key, elicitation_callback=answer) as client:
        result = await client.call_tool("ask_copilot", {"question": "Who visited?"})

    assert result.structured_content["text"] == "Done."
    assert "warnings" not in result.structured_content  # the checkpoint was taken
    assert [form.message for form in forms] == ["Which visits?", "Which week?"]
    assert [one["const"] for one in forms[0].requested_schema["properties"]["answer"]["oneOf"]] == ["/pricing", "*"]
    assert '"/pricing"' in str(script.requests[1].messages[-1])
    assert len(script.requests[2].messages) > len(script.requests[1].messages)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"answer": "*"}, "*"),
        ({"other": "last week"}, "last week"),
        ({"answer": "*", "other": "last week"}, "last week"),
    ],
)
async def test_an_option_is_chosen_or_another_answer_written(server, use, content, said):
    script = Script(calls(("ask_user", {**QUESTION, "allow_free_text": True}), text="Which visits?"), says("Done."))
    use(script)
    forms: list[Any] = []

    async def answer(_: Any, asked: Any) -> mcp_types.ElicitResult:
        forms.append(asked.requested_schema)
        return mcp_types.ElicitResult(action="accept", content=content if len(forms) > 1 else {"other": " "})

    async with host(server.url, server.key, elicitation_callback=answer) as client:
        await client.call_tool("ask_copilot", {"question": "Who visited?"})

    assert list(forms[0]["properties"]) == ["answer", "other"]
    assert forms[0] == forms[1]  # what was no answer is asked again
    assert f'"{said}"' in str(script.requests[1].messages[-1])


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_person_may_rather_not_say(server, use, action):
    script = asked_back(says("Then I assume any page."))
    use(script)

    async def answer(*_: Any) -> mcp_types.ElicitResult:
        return mcp_types.ElicitResult(action=action)

    async with host(server.url, server.key, elicitation_callback=answer) as client:
        result = await client.call_tool("ask_copilot", {"question": "Who visited?"})

    assert result.structured_content["text"] == "Then I assume any page."


@pytest.mark.parametrize("wire", WIRES)
async def test_a_host_that_cannot_ask_is_told_the_question_and_brings_the_answer(server, use, wire):
    script = asked_back(says("Those of /pricing."))
    use(script)
    async with host(server.url, server.key, wire) as client:
        first = await client.call_tool("ask_copilot", {"question": "Who visited?"})
        earlier = [
            {"role": "user", "content": "Who visited?"},
            {"role": "assistant", "content": first.structured_content["text"]},
        ]
        second = await client.call_tool("ask_copilot", {"question": "/pricing", "earlier": earlier})

    assert first.structured_content["outcome"] == "input_required"
    assert first.structured_content["clarification"]["options"][0]["value"] == "/pricing"
    assert second.structured_content["text"] == "Those of /pricing."
    assert "Who visited?" in str(script.requests[1].messages[0])


ASKING = {"name": "ask_copilot", "arguments": {"question": "Who visited?"}}


async def test_the_state_is_good_for_this_caller_and_this_call_alone(server, use, client):
    use(asked_back(says("Done."), says("Never.")))
    first = (await post(client, message("tools/call", ASKING, elicitation={}))).json()["result"]
    state = first["requestState"]
    replies = {"inputResponses": {"clarification": {"action": "accept", "content": {"answer": "*"}}}}
    again = message("tools/call", {**ASKING, **replies, "requestState": state}, elicitation={})

    async def code_of(body: dict[str, Any], key: str | None = None) -> int:
        async with server.client(key) as other:
            return (await post(other, body)).json()["error"]["code"]

    tampered = {**again, "params": {**again["params"], "requestState": f"{state[:-2]}AA"}}
    moved = {**again, "params": {**again["params"], "arguments": {"question": "Who else?"}}}
    unanswered = message("tools/call", {**ASKING, "requestState": state}, elicitation={})

    assert (first["resultType"], list(first["inputRequests"])) == ("input_required", ["clarification"])
    assert await code_of(tampered) == mcp_types.INVALID_PARAMS
    assert await code_of(moved) == mcp_types.INVALID_PARAMS
    assert await code_of(again, server.other_key) == mcp_types.INVALID_PARAMS
    asked_again = (await post(client, unanswered)).json()["result"]
    assert asked_again["inputRequests"] == first["inputRequests"]
    assert (await post(client, again)).json()["result"]["structuredContent"]["text"] == "Done."


@pytest.mark.parametrize("wire", WIRES)
async def test_a_host_that_leaves_ends_the_run(server, use, wire):
    script = Script([asyncio.Event()])
    use(script)
    body = message("tools/call", ASKING) if wire == MODERN else {**OLDER, "method": "tools/call", "params": ASKING}
    version = {} if wire == MODERN else {"MCP-Protocol-Version": "2025-11-25"}

    async with server.client() as client, asyncio.TaskGroup() as group:
        asked = group.create_task(post(client, body, **version))
        async with asyncio.timeout(10):
            while not script.requests:  # noqa: ASYNC110  # nothing to be woken by
                await asyncio.sleep(0.01)
        asked.cancel()

    async with asyncio.timeout(10):
        while not script.closed:  # noqa: ASYNC110  # nothing to be woken by
            await asyncio.sleep(0.01)


# Prompts


@pytest.mark.parametrize("wire", WIRES)
async def test_prompts_name_segments_as_they_are_typed(server, wire):
    reference = mcp_types.PromptReference(name="explain_segment")
    async with host(server.url, server.key, wire) as client:
        names = [prompt.name for prompt in (await client.list_prompts()).prompts]
        found = await client.complete(reference, {"name": "segment", "value": "st"})
        told = await client.get_prompt("explain_segment", {"segment": "Stored"})
        with pytest.raises(MCPError, match="needs segment"):
            await client.get_prompt("explain_segment", {})

    assert names == ["draft_segment", "explain_segment"]
    assert "Stored" in found.completion.values
    assert "“Stored”" in told.messages[0].content.text


# The guide


GUIDE = (Path(__file__).parents[2] / "docs/guides/mcp.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    return found


async def test_the_guide_names_every_tool_and_view():
    tools = {name for row in re.findall(r"^\| .* \|$", GUIDE, re.MULTILINE) for name in re.findall(r"`(\w+_\w+)`", row)}
    views = {page.document["name"] for page in registry().pages}

    assert {offer.name for offer in registry().offers} <= tools
    assert all(f"`{view}`" in GUIDE for view in views)


async def test_the_key_and_the_agent_of_the_guide_work_as_they_are_printed(server):
    environment = {**os.environ, "URL": server.url, "API_KEY": server.key}

    async def run(*command: str, **more: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *command, env={**environment, **more}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, err.decode()
        return out.decode()

    key = json.loads(await run("bash", "-euc", block("sh")))["key"]
    told = await run(sys.executable, "-c", block("python"), API_KEY=key)

    assert key.startswith("mk_")
    assert told.splitlines() == [*(offer.name for offer in registry().offers), "Users who placed an order. 1"]
    assert json.loads(block("json"))["mcpServers"]["segment-copilot"]["url"].endswith("/mcp")
