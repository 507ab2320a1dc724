"""Schemathesis makes up requests from the document, right and wrong ones, and checks the answers against it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import httpx2
import pytest

from tests.support.contract import BEYOND_A_SCHEMA
from tests.support.http_server import Server

SOURCES = Path(__file__).parents[2] / "src"
PROGRAM = Path(sys.executable).with_name("schemathesis")
REPLACED = "positive_data_acceptance,negative_data_rejection"
"""By the two checks of `tests.support.contract`."""

EVENTS = [
    event
    for number in range(30)
    for event in (
        {"user_id": f"user_{number}", "event_type": "context_identified", "payload": {"age": number, "plan": "pro"}},
        {"user_id": f"user_{number}", "event_type": "order_placed", "payload": {"total": number * 1.5}},
    )
]
DEFINITION = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}


async def fill(client: httpx2.AsyncClient) -> None:
    """Give a tenant some events and three segments, one of them computed."""
    await client.post("/api/ingestion/track/batch/", json={"events": EVENTS})
    for name in ("One", "Two", "Three"):
        await client.post("/api/segments/", json={"name": name, "definition": DEFINITION})
    await client.post("/api/segments/1/compute/")


async def key_that_nobody_names(server: Server) -> str:
    """A key whose id is far from those that are made up: requests that revoke keys do not revoke the one they use."""
    resources = server.resources
    await resources.postgres.execute("ALTER TABLE api_keys ALTER COLUMN id RESTART WITH 770077007700")
    _, key = await resources.keys.create(await resources.tenants.get("first"))
    await resources.postgres.execute("ALTER TABLE api_keys ALTER COLUMN id RESTART WITH 100")
    return key


LONG = "stream|ag_ui|ai_sdk|generate|create_segment|update_segment|replace_segment|preview_segment|explain_definition|track"
"""Operations whose bodies have so many edges that walking them takes tens of thousands of requests."""

SHORT_RUN = f"""
[[operations]]
include-operation-id-regex = "^({LONG}|track_batch)$"
phases.coverage.enabled = false
"""

EXAMPLES = os.environ.get("CONTRACT_EXAMPLES", "")
"""How many requests are made up of each operation and phase; without it as many as a test may take."""


def test_no_rule_that_a_schema_cannot_say_is_one_of_yesterday():
    """A code that nothing answers any more would excuse nothing, and one that is misspelt hides nothing but its rule."""
    sources = "".join(path.read_text() for path in SOURCES.rglob("*.py"))

    assert [code for code in BEYOND_A_SCHEMA if f'"{code}"' not in sources] == []


@pytest.mark.clients
@pytest.mark.timeout(7200)
async def test_made_up_requests_get_answers_that_the_document_announces(server, tmp_path):
    """With a fixed seed, so that the same code is asked the same questions."""
    async with server.client() as client:
        await fill(client)
    key = await key_that_nobody_names(server)
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text("" if EXAMPLES else SHORT_RUN)
    arguments = [
        f"--config-file={configuration}",
        "run",
        f"{server.url}/schema",
        f"--header=Authorization:ApiKey {key}",
        "--checks=all",
        f"--exclude-checks={REPLACED}",
        "--phases=examples,coverage,fuzzing,stateful",
        f"--max-examples={EXAMPLES or 4}",
        "--generation-deterministic",
        "--continue-on-failure",
        "--no-color",
        "--warnings=off",
    ]
    running = await asyncio.create_subprocess_exec(
        str(PROGRAM),
        *arguments,
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.support.contract", "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await running.communicate()

    assert running.returncode == 0, output.decode()
    print(output.decode())  # noqa: T201  # `make contract` shows its figures
