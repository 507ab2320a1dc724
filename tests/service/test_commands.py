"""The command line as a person meets it: what it says, and its exit code."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import re
import socket
import subprocess
import sys

import asyncpg
import httpx2
import pytest

from segment_copilot.embedded import start_engines
from segment_copilot.settings import Settings
from tests.support.engines import data_directory

pytestmark = [pytest.mark.engines, pytest.mark.slow]

BUYERS = '{"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed", "window_days": 7}]}'


def run(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "CLICKHOUSE_URL"}}
    command = [sys.executable, "-m", "segment_copilot", *arguments]
    return subprocess.run(
        command, input=stdin, env=kept | environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_definition_is_compiled_without_a_store():
    told = run("compile", "-", "--as-of", "2026-06-15T12:00:00Z", stdin=BUYERS)

    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("-- Users who placed an order in the last 7 days.")
    assert "tenant_id = {tenant:UInt32}" in told.stdout
    assert "2026-06-08T12:00:00Z" in told.stdout


def test_every_mistake_of_a_definition_is_told_with_its_place():
    told = run("compile", "-", stdin='{"logic": "AND", "conditions": [{"type": "event_cont"}, {"type": "recency"}]}')

    assert told.returncode == 1
    assert "/conditions/0/type: There is no condition of this type." in told.stderr
    assert "/conditions/1: event_type is missing." in told.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (["serve"], {}, "Set DATABASE_URL and CLICKHOUSE_URL"),
        (["worker"], {}, "Set DATABASE_URL and CLICKHOUSE_URL"),
        (
            ["serve"],
            {"PORT": "http", "LOG_LEVEL": "loud"},
            'PORT must be a whole number from 0 to 65,535; it is "http". LOG_LEVEL must be one of',
        ),
        (["keys", "list", "--tenant", "acme"], {"DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x"}, "does not answer"),
        (["ask", "How are sales?"], {"DATA_DIR": "/nowhere"}, "No service runs on /nowhere"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments, environment, sentence):
    told = run(*arguments, **environment)

    assert told.returncode == 1
    assert sentence in told.stderr.replace("\n", " ")
    assert "Traceback" not in told.stdout + told.stderr


def test_a_second_dev_says_who_holds_the_directory():
    with data_directory() as directory, start_engines(directory):
        told = run("dev", "--once", DATA_DIR=str(directory))

    assert told.returncode == 1
    assert str(os.getpid()) in told.stderr


def test_a_taken_port_is_said():
    with data_directory() as directory, socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = run("dev", "--no-demo", "--once", "--port", port, DATA_DIR=str(directory))

    assert told.returncode == 1
    assert f"127.0.0.1:{port}" in told.stderr.replace("\n", "")
    assert "Traceback" not in told.stderr


@pytest.fixture(scope="module")
async def shop(client) -> None:
    """Two buyers, one of whom wishes too."""
    happened = [("ana", "order_placed"), ("ben", "order_placed"), ("ben", "wishlist_add")]
    events = [{"user_id": user_id, "event_type": event_type} for user_id, event_type in happened]
    assert (await client.post("/api/ingestion/track/batch/", json={"events": events})).json()["queued"] == len(events)
    async with asyncio.timeout(30):
        while (await client.get("/api/ingestion/status/")).json()["pending"]:
            pass


async def explain(url: str, key: str, *arguments: str, definition: str) -> subprocess.CompletedProcess[str]:
    """In a terminal that is wide enough for a row to be a line."""
    call = functools.partial(run, "explain", "-", *arguments, "--url", url, stdin=definition, COLUMNS="160")
    return await asyncio.to_thread(call, SEGMENT_COPILOT_KEY=key)


def lines(told: subprocess.CompletedProcess[str]) -> list[str]:
    """What was printed, with single spaces."""
    assert told.returncode == 0, told.stderr
    return [" ".join(line.split()) for line in told.stdout.splitlines()]


WISHES = '{"type": "event_count", "event_type": "wishlist_add"}'
NEVER = '{"type": "event_count", "event_type": "wishlist_add", "operator": "eq", "value": 0}'


async def test_an_audience_is_explained_stage_by_stage(url: str, key: str, shop: None):
    definition = BUYERS.replace("]}", f", {NEVER}]}}")

    told = lines(await explain(url, key, "--sql", definition=definition))

    assert told[0] == "Users who placed an order in the last 7 days, and who have never done “wishlist_add”."
    assert any(line.startswith("1 of 2 users (50 %) as of ") for line in told)
    assert "1 who placed an order in the last 7 days 2 2 1" in told
    assert "2 who have never done “wishlist_add” 1 1 2" in told
    assert "SELECT user_key, user_id" in told
    assert any(line.endswith("1 time: 1 person; 2 times: 0; 3 times: 0; 4 times: 0; 5 times: 0") for line in told)


async def test_what_empties_an_audience_is_told(url: str, key: str, shop: None):
    told = lines(await explain(url, key, definition=BUYERS.replace("]}", f", {NEVER}, {WISHES}]}}")))

    emptied = "Nobody is left after stage 3 (who did “wishlist_add”): it matches 1 user by itself, but not the one left"
    assert any(line.startswith(emptied) for line in told)


async def test_a_user_is_explained_condition_by_condition(url: str, key: str, shop: None):
    definition = BUYERS.replace("]}", f'], "exclude": {{"logic": "OR", "conditions": [{WISHES}]}}}}')

    ben = lines(await explain(url, key, "--user", "ben", definition=definition))
    nobody = lines(await explain(url, key, "--user", "[b]zoe", definition=definition))

    assert "ben is not in it." in ben
    assert "yes who placed an order in the last 7 days 1 1" in ben
    assert "yes leaving out: who did “wishlist_add” 1 1" in ben
    assert sum(line.endswith((" order_placed", " wishlist_add")) for line in ben) == 2
    assert "Nobody has seen [b]zoe up to then." in nobody


@pytest.mark.parametrize(
    ("definition", "sentence"),
    [
        ("{", "The definition is not JSON"),
        ('{"logic": "AND", "conditions": [{"type": "event_cont"}]}', "/conditions/0/type: There is no condition"),
    ],
    ids=["not JSON", "not a definition"],
)
async def test_what_cannot_be_explained_is_told_with_its_place(url: str, key: str, definition: str, sentence: str):
    told = await explain(url, key, definition=definition)

    assert told.returncode == 1
    assert sentence in told.stderr
    assert "Traceback" not in told.stderr


async def test_a_service_that_is_not_there_is_said():
    told = await explain("http://127.0.0.1:1", "sk_x", definition=BUYERS)

    assert told.returncode == 1
    assert "The service does not answer" in told.stderr
    assert "Traceback" not in told.stderr


def test_every_setting_is_in_the_help():
    told = run("serve", "--help")

    assert told.returncode == 0
    assert [name for name in Settings.__struct_encode_fields__ if name not in told.stdout] == []
    assert "None" not in told.stdout
    assert "CORS_ORIGINS (empty): " in told.stdout


def test_worker_and_migrate_name_their_settings():
    for command in ("worker", "migrate"):
        told = run(command, "--help").stdout
        assert "CLICKHOUSE_URL (empty): " in told
        assert "ANTHROPIC" not in told
        assert ("EVENT_ID_DAYS (90d)" in told) == (command == "worker")


def test_the_version_and_a_completion_are_printed():
    assert re.fullmatch(r"segment-copilot \d+\.\d+.*\n", run("--version").stdout)
    for shell in ("bash", "zsh", "fish"):
        told = run("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")  # no shell runs CI's
        assert "complete" in told.stdout


def test_a_tenant_and_its_keys_are_made_and_revoked(module_database_url: str):
    environment = {"DATABASE_URL": module_database_url}

    made = run("tenants", "create", "acme", "--timezone", "Europe/Madrid", "--dynamic-plus-limit", "3", **environment)
    refused = run("keys", "create", "--tenant", "amce", **environment)
    new = run("keys", "create", "--tenant", "zoo", "--new", **environment)
    tenants = json.loads(run("tenants", "list", "--json", **environment).stdout)
    key = run("keys", "create", "--tenant", "acme", "--name", "backend", **environment).stdout.strip()
    number = run("keys", "list", "--tenant", "acme", **environment).stdout.split("\t")[0]
    revoked = run("keys", "revoke", number, "--tenant", "acme", **environment)
    listed = run("keys", "list", "--tenant", "acme", **environment).stdout
    gone = run("keys", "rotate", number, "--tenant", "acme", **environment)
    another = run("keys", "create", "--tenant", "zoo", "--public", **environment).stdout.strip()
    numbers = [
        each["id"] for each in json.loads(run("keys", "list", "--tenant", "zoo", "--json", **environment).stdout)
    ]
    rotated = json.loads(run("keys", "rotate", str(numbers[-1]), "--tenant", "zoo", "--json", **environment).stdout)[
        "key"
    ]
    after = json.loads(run("keys", "list", "--tenant", "zoo", "--json", **environment).stdout)

    assert made.stdout == "acme\tEurope/Madrid\n"
    assert refused.returncode == 1
    assert refused.stderr == (
        "segment-copilot: There is no tenant 'amce'. Did you mean 'acme'? Give --new to make it.\n"
    )
    assert new.stdout.startswith("sk_")
    assert {("acme", "Europe/Madrid"), ("zoo", "UTC")} <= {(each["slug"], each["timezone"]) for each in tenants}
    assert [each["slug"] for each in tenants] == sorted(each["slug"] for each in tenants)
    assert key.startswith("sk_")
    assert gone.returncode == 1
    assert another.startswith("pk_")
    assert rotated.startswith("pk_")
    assert rotated != another
    assert [each["revoked_at"] is None for each in after] == [True, False, True]
    assert key not in listed
    assert revoked.returncode == 0
    assert listed.endswith("revoked\n")


async def test_events_that_were_set_aside_are_listed_and_tried_again(
    url: str, client: httpx2.AsyncClient, service_settings: Settings
):
    """What ClickHouse refuses is a mistake of ours, so it is put past validation here."""
    store = {"DATABASE_URL": service_settings.database_url}
    connection = await asyncpg.connect(service_settings.database_url)
    try:
        sql = """
            INSERT INTO events (tenant_id, event_id, user_id, event_type, occurred_at, payload)
            SELECT id, 'bad', 'eve', 'odd', now(), '{"a":1e400}' FROM tenants WHERE slug = 'shop'"""
        await connection.execute(sql)
        async with asyncio.timeout(30):
            while not (await client.get("/api/ingestion/status/")).json()["failed"]:
                pass
        listed = await asyncio.to_thread(run, "events", "failed", "--tenant", "shop", **store)
        as_json = await asyncio.to_thread(run, "events", "failed", "--json", **store)
        await connection.execute("UPDATE events SET payload = '{}' WHERE event_id = 'bad'")
        retried = await asyncio.to_thread(run, "events", "retry", listed.stdout.split("\t")[0], **store)
        async with asyncio.timeout(30):
            while (status := (await client.get("/api/ingestion/status/")).json())["failed"] or status["pending"]:
                pass
        nowhere = await asyncio.to_thread(run, "events", "failed", "--tenant", "nowhere", **store)
    finally:
        await connection.close()

    assert listed.stdout.split("\t")[1:5] == ["shop", "bad", "eve", "odd"]
    assert listed.stdout.endswith("ClickHouseError 117\n")
    assert [(each["event_id"], each["reason"]) for each in json.loads(as_json.stdout)] == [
        ("bad", "ClickHouseError 117")
    ]
    assert retried.stdout == "1 to be forwarded again\n"
    assert nowhere.returncode == 1
    assert "Traceback" not in nowhere.stderr
