"""The command line as a person meets it: what it says, and its exit code."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from engine_fixtures import data_directory
from segment_copilot.embedded import start_engines
from segment_copilot.settings import Settings

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
        (["serve"], {"PORT": "http", "LOG_LEVEL": "loud"}, "PORT: Expected `int`, got `str`; LOG_LEVEL:"),
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


def test_every_setting_is_in_the_help():
    told = run("serve", "--help")

    assert told.returncode == 0
    assert [name for name in Settings.__struct_encode_fields__ if name not in told.stdout] == []
    assert "None" not in told.stdout


def test_a_tenant_and_its_keys_are_made_and_revoked(module_database_url: str):
    environment = {"DATABASE_URL": module_database_url}

    made = run("tenants", "create", "acme", "--timezone", "Europe/Madrid", "--dynamic-plus-limit", "3", **environment)
    key = run("keys", "create", "--tenant", "acme", "--name", "backend", **environment).stdout.strip()
    number = run("keys", "list", "--tenant", "acme", **environment).stdout.split("\t")[0]
    revoked = run("keys", "revoke", number, "--tenant", "acme", **environment)
    listed = run("keys", "list", "--tenant", "acme", **environment).stdout

    assert made.stdout == "acme\tEurope/Madrid\n"
    assert key.startswith("sk_")
    assert key not in listed
    assert revoked.returncode == 0
    assert listed.endswith("revoked\n")
