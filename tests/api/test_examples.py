"""The examples of docs/copilot.md run as they are printed there: in Node, and in a browser from another origin."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from segment_copilot.app import build_copilot, create_app
from segment_copilot.copilot import models
from segment_copilot.copilot.models import ToolResults, UserMessage
from segment_copilot.errors import Unavailable
from segment_copilot.events import Event, observe_names, write_block
from segment_copilot.settings import Settings
from tests.support.copilot_runs import Script, calls, says
from tests.support.http_server import served
from tests.support.nodes import RunNode

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples"
PROTOCOLS = ["native", "ag-ui", "ai-sdk"]
REPEATED = ["sse", "draw", *PROTOCOLS]

PROPOSAL = {
    "name": "Known country",
    "description": "We know where they live.",
    "definition": {
        "logic": "AND",
        "conditions": [{"type": "user_property", "property": "country", "operator": "is_set"}],
    },
}
QUESTION = {
    "question": "Which visits?",
    "options": [{"label": "The pricing page", "value": "/pricing"}, {"label": "Any page", "value": "*"}],
}


def silent() -> list[Any]:
    """A turn that falls silent after half a sentence."""
    return [models.TextDelta("Half "), asyncio.Event()]


async def left(script: Script) -> None:
    """Wait until every turn of *script* was closed."""
    async with asyncio.timeout(10):
        while script.closed < len(script.requests):  # noqa: ASYNC110  # nothing to be woken by
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
async def token(server: Any) -> str:
    """A copilot token: what a page has."""
    async with server.client() as backend:
        return (await backend.post("/api/auth/session/", json={"scope": "copilot"})).json()["token"]


@pytest.fixture(scope="module")
async def segment_id(server: Any) -> int:
    """A stored segment, of a tenant that knows one user."""
    tenant = (await server.resources.keys.identify(server.key)).tenant
    happened = [
        Event(
            tenant_id=tenant.id,
            event_id=event_type,
            user_id="ana",
            event_type=event_type,
            occurred_at=datetime(2026, 6, 1, 12, tzinfo=UTC),
            payload=payload,
        )
        for event_type, payload in (("context_identified", '{"country": "ES"}'), ("order_placed", "{}"))
    ]
    await write_block(server.resources.clickhouse, happened, token="happened")
    await observe_names(server.resources.postgres, happened)
    server.resources.discovery.forget(tenant)
    saved = await server.resources.segments.create(
        tenant,
        name="Stored",
        definition={"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]},
    )
    return saved.segment.id


@pytest.mark.parametrize("name", REPEATED)
def test_the_page_prints_the_examples_as_they_are(name):
    printed = re.findall(r"```js\n(.*?)```", (DOCS / "copilot.md").read_text(), re.DOTALL)

    assert (EXAMPLES / f"{name}.mjs").read_text() in printed


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_consumer_is_short_and_needs_no_package(protocol):
    source = (EXAMPLES / f"{protocol}.mjs").read_text()

    assert set(re.findall(r'from "(.*?)"', source)) == {"./draw.mjs", "./sse.mjs"}
    assert len(source.splitlines()) <= 65


def drawing(segment_id: int) -> list[Any]:
    """Turns that call tools side by side and draw all four components."""
    period = {"from": "2026-06-01", "to": "2026-06-03"}
    return [
        calls(("query_event_volume", period), ("propose_segment", PROPOSAL), ("no_such_tool", {}), text="I look."),
        calls(
            ("display_metric_card", {"title": "Users", "value": 1, "unit": "users", "note": "now"}),
            ("display_segment_table", {"title": "Segments", "segment_ids": [segment_id]}),
            ("display_event_chart", {"title": "Volume", "measure": "events"}),
        ),
        says("Done. ½ 🙂 1 < 2"),
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_consumer_draws_texts_steps_components_and_a_draft(run_node: RunNode, server, use, token, segment_id, protocol):  # fmt: skip
    script = Script(*drawing(segment_id), says("And more."))
    use(script)
    plan = {"questions": ["How are sales?", "And?"], "answers": []}

    told = await run_node("examples.mjs", str(EXAMPLES), protocol, server.url, token, plan)

    assert told["complaints"] == []
    first, second = told["runs"]
    assert (first["said"], second["said"]) == ("I look.\n\nDone. ½ 🙂 1 < 2", "And more.")
    assert sorted(first["texts"].values()) == ["Done. ½ 🙂 1 < 2", "I look."]
    assert told["kept"] in {4, 5}  # AG-UI keeps each text as a message
    drafts = [one for one in first["blocks"] if one["lines"][0] == "Draft: Known country"]
    assert drafts[0]["lines"][1].startswith("Users")
    assert drafts[0]["lines"][2].startswith("1 of 1 users (100 %) as of 20")
    assert {"lines": ["Users: 1 users", "now"]} in first["blocks"]
    (table,) = [one["lines"] for one in first["blocks"] if one["lines"][0] == "Segments"]
    assert table[1].startswith(f"{segment_id}  Stored  dynamic")
    (chart,) = [one["lines"] for one in first["blocks"] if one["lines"][0].startswith("Volume")]
    assert chart == ["Volume (events)", f"2026-06-01  {'█' * 30} 1", "2026-06-02   0"]
    (button,) = [one for one in first["blocks"] if "save" in one]
    assert button["save"]["body"]["definition"] == PROPOSAL["definition"]
    assert any("no_such_tool" in told for told in first["steps"])
    assert second["steps"] == []  # no warning either
    looked_up = [one for one in script.requests[3].messages if isinstance(one, ToolResults)]
    assert len(looked_up) == 2  # the checkpoint came back


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_consumer_asks_back_and_goes_on(run_node: RunNode, server, use, token, protocol):
    script = Script(calls(("ask_user", QUESTION), text="Which visits?"), says("Those of /pricing."))
    use(script)
    plan = {"questions": ["Who visited?"], "answers": ["/pricing"]}

    told = await run_node("examples.mjs", str(EXAMPLES), protocol, server.url, token, plan)

    assert told["complaints"] == []
    (run,) = told["runs"]
    assert run["questions"] == [QUESTION]
    assert run["said"] == "Those of /pricing."
    assert told["kept"] == 4
    assert "/pricing" in str(script.requests[1].messages[-1])


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_turn_that_is_asked_again_takes_its_text_back(run_node: RunNode, server, use, token, protocol):
    down = Unavailable("x", code="upstream_overloaded", context={"retry_after_ms": 0})
    use(Script([models.TextDelta("Half "), down], says("Whole.")))

    told = await run_node(
        "examples.mjs", str(EXAMPLES), protocol, server.url, token, {"questions": ["?"], "answers": []}
    )

    (run,) = told["runs"]
    assert run["said"] == "Whole."
    assert [run["texts"][one] for one in run["forgotten"] if one in run["texts"]] == ["Half "]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_run_that_fails_leaves_the_conversation_as_it_was(run_node: RunNode, server, use, token, protocol):
    failing = [models.TextDelta("Half "), Unavailable("secret", code="upstream_spend_limit")]
    script = Script(failing, says("Now it goes."))
    use(script)
    plan = {"questions": ["First", "Second"], "answers": []}

    told = await run_node("examples.mjs", str(EXAMPLES), protocol, server.url, token, plan)

    failed, second = told["runs"]
    assert failed["error"]["message"] == "The language model's spending limit is reached. Ask an administrator."
    assert (second["said"], second["steps"]) == ("Now it goes.", [])
    (message,) = [one for one in script.requests[1].messages if isinstance(one, UserMessage)]
    assert "Second" in str(message)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_consumer_that_leaves_ends_the_run(run_node: RunNode, server, use, token, protocol):
    script = Script(silent())
    use(script)
    plan = {"questions": ["How are sales?"], "answers": [], "leave": True}

    told = await run_node("examples.mjs", str(EXAMPLES), protocol, server.url, token, plan)

    assert told["runs"][0]["error"]["name"] == "AbortError"
    await left(script)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_consumer_says_what_a_refusal_said(run_node: RunNode, server, protocol):
    told = await run_node(
        "examples.mjs", str(EXAMPLES), protocol, server.url, "sk_nobody", {"questions": ["?"], "answers": []}
    )

    assert told["runs"][0]["error"]["message"] == "This key does not exist, was revoked or has expired."


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_question_in_a_terminal(server, use, node, segment_id, protocol):
    use(Script(calls(("ask_user", QUESTION), text="Which visits?"), *drawing(segment_id)))
    process = await asyncio.create_subprocess_exec(
        node, "ask.mjs", protocol, server.url, server.key, "Who visited?", cwd=EXAMPLES,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip

    out, err = await asyncio.wait_for(process.communicate(b"1\n"), 60)

    told = out.decode()
    assert (process.returncode, err) == (0, b"")
    places = ["Which visits?", "  1. The pricing page", "I look.", "Draft: Known country", "Users: 1 users", "Done. ½"]
    assert sorted(places, key=told.index) == places
    assert "Create “Known country” (1 users)" in told


def recipe(*marks: str) -> str:
    """The one block of code in docs/copilot.md that holds all *marks*."""
    blocks = re.findall(r"```jsx?\n(.*?)```", (DOCS / "copilot.md").read_text(), re.DOTALL)
    (found,) = [block for block in blocks if all(mark in block for mark in marks)]
    return found


async def test_the_recipes_of_the_sdks_keep_the_save_button_and_refresh_their_token(
    run_client: RunNode, server, use, segment_id
):
    """Each request asks for a token; of a button both its name and its request arrive."""
    answered = drawing(segment_id)
    use(Script(*answered, calls(("ask_user", QUESTION), text="Which visits?"), says("Those."), *answered * 3))
    async with server.client() as backend:
        made = [(await backend.post("/api/auth/session/", json={"scope": "copilot"})).json() for _ in range(6)]
    (component,) = re.findall(r'copilot-component":\n\s+return (<.*>);', recipe("useChat(", "switch (part.type)"))
    plan = {
        "agent": recipe("new HttpAgent("),
        "activities": recipe("agent.pendingInterrupts"),
        "transport": recipe("new DefaultChatTransport("),
        "component": component,
        "tokens": [one["token"] for one in made],
    }

    found = await run_client("recipes.mjs", str(EXAMPLES), server.url, plan)

    told = found["told"]
    assert found["asked"] == plan["tokens"], "one for each of three runs of AG-UI and three of the AI SDK"
    assert told["ag-ui"]["drafts"] == ["Known country"]
    assert told["ag-ui"]["questions"] == [["Which visits?", ["/pricing", "*"]]]
    assert told["ag-ui"]["texts"][-1] == "Those."
    for client in ("ag-ui", "ai 5", "ai 6", "ai 7"):
        buttons = [one for one in told[client]["components"] if "save" in one]
        assert [one["lines"] for one in buttons] == [["Create “Known country” (1 users)"]], client
        assert buttons[0]["save"]["body"]["name"] == "Known country"
        assert len(told[client]["components"]) == 4, "and the other three were known by their names"
        assert not [one for one in told[client]["components"] if "is not known here" in one["lines"][0]]


@asynccontextmanager
async def page_served(
    node: str, port: int, script: Path = EXAMPLES / "backend.mjs", **environment: str
) -> AsyncGenerator[str]:
    """The example of a page's backend; the page's address."""
    backend = await asyncio.create_subprocess_exec(
        node,
        script,
        cwd=script.parent,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | environment | {"PORT": str(port)},
    )
    try:
        assert backend.stdout
        yield (await asyncio.wait_for(backend.stdout.readline(), 20)).decode().strip()
    finally:
        backend.terminate()
        await backend.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


async def test_a_page_of_another_origin_asks_with_a_token(
    server, segment_id, node, chromium, run_client, module_database_url, module_clickhouse_url
):
    """The key stays with the page's backend; what the person wants to keep goes through it."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    app = create_app(
        Settings(database_url=module_database_url, clickhouse_url=module_clickhouse_url, cors_origins=(origin,))
    )
    script = Script(
        *drawing(segment_id), calls(("ask_user", QUESTION), text="Which visits?"), says("Those of /pricing."), silent()
    )
    async with served(app) as url, page_served(node, port, SERVICE_URL=url, API_KEY=server.key) as page:
        app.state.copilot = build_copilot(app.state.resources, script)
        told = await run_client("browser.mjs", chromium, page, url)

        assert (page, told["origin"]) == (origin, origin)
        assert told["complaints"] == []
        assert told["said"] == ["I look.", "Done. ½ 🙂 1 < 2"]
        starts = [drawn.splitlines()[0] for drawn in told["drawn"]]
        assert sorted(starts) == [
            "Create “Known country” (1 users)", "Draft: Known country", "Segments", "Users: 1 users", "Volume (events)"
        ]  # fmt: skip
        stored = await app.state.resources.segments.get(
            (await server.resources.keys.identify(server.key)).tenant, int(told["saved"].rstrip(".").split()[-1])
        )
        assert stored.name == "Known country"
        assert "/pricing" in str(script.requests[4].messages[-1])
        await left(script)
        assert told["write"]["request_id"]
        assert (told["write"]["status"], told["write"]["code"]) == (403, "missing_scope")
        assert server.key not in told["page"]


@pytest.fixture(scope="module")
def react_page(tmp_path_factory: pytest.TempPathFactory, react_packages: Path) -> Path:
    """The React example, built as its package says."""
    project = tmp_path_factory.mktemp("react") / "page"
    shutil.copytree(EXAMPLES / "react", project, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (project / "node_modules").symlink_to(react_packages / "node_modules")
    subprocess.run(["npm", "run", "build"], cwd=project, check=True, capture_output=True, timeout=120)
    return project


async def test_the_react_page_draws_reviews_and_saves(
    server,
    segment_id,
    node,
    chromium,
    run_client,
    node_packages,
    react_page,
    module_database_url,
    module_clickhouse_url,
):
    """On a phone: the four components, the stream, a question back, a draft saved under another name, a run stopped, one that fails."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    app = create_app(
        Settings(database_url=module_database_url, clickhouse_url=module_clickhouse_url, cors_origins=(origin,))
    )
    failing = [Unavailable("secret", code="upstream_spend_limit")]
    script = Script(
        *drawing(segment_id),
        calls(("ask_user", QUESTION), text="Which visits?"),
        says("Those of /pricing."),
        silent(),
        failing,
    )
    axe = node_packages / "node_modules/axe-core/axe.min.js"
    async with (
        served(app) as url,
        page_served(node, port, react_page / "server.mjs", SERVICE_URL=url, API_KEY=server.key) as page,
    ):
        app.state.copilot = build_copilot(app.state.resources, script)
        told = await run_client("react.mjs", chromium, page, str(axe), os.environ.get("SCREENSHOTS", ""))

        assert (told["complaints"], told["violations"], told["wide"]) == ([], [], False)
        assert told["asking"] == 0
        assert told["steps"] == [
            "Counting events by day: 1 in all",
            "Drafting a segment: “Known country”: 1 of 1 users",
            "Calling an unknown tool did not work",
        ]
        assert told["card"].split() == ["Users", "1", "users", "now"]
        assert (told["rows"], told["bars"]) == (["Stored\tdynamic plus\t–"], 2)
        assert told["draft"].startswith("Known country\n")
        assert "1 of 1 users (100 %)" in told["draft"]
        assert told["unnamed"] == 0
        number = int(told["saved"].split()[3].rstrip(":"))
        tenant = (await server.resources.keys.identify(server.key)).tenant
        stored = await app.state.resources.segments.get(tenant, number)
        assert (stored.name, stored.segment_type) == ("Known, renamed", "ai")
        looked_up = [one for one in script.requests[3].messages if isinstance(one, ToolResults)]
        assert looked_up, "the checkpoint came back"
        assert "/pricing" in str(script.requests[4].messages[-1])
        await left(script)
        assert told["failed"] == "The language model's spending limit is reached. Ask an administrator."
