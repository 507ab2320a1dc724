"""`doctor` and `migrate` with its options as an operator meets them: what they print, and their exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from segment_copilot.activations.secrets import new_key
from segment_copilot.commands.doctor import show_report
from segment_copilot.doctor import Check, Report

pytestmark = pytest.mark.engines


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command with these settings alone."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-m", "segment_copilot", *arguments]
    settings = {"HOST": "0.0.0.0", "SECRETS_KEYS": new_key()}  # noqa: S104
    return subprocess.run(
        command, env=kept | settings | environ, capture_output=True, text=True, check=False, timeout=60
    )


def test_doctor_says_what_to_do_and_exits_1():
    told = run("doctor", DATABASE_URL="postgresql://a:hush@127.0.0.1:1/x")

    assert (told.returncode, told.stderr) == (1, "")
    lines = [line.split("\t") for line in told.stdout.splitlines()]
    assert ["wrong", "postgres.reach"] in [line[:2] for line in lines]
    assert ["wrong", "settings.stores"] in [line[:2] for line in lines]
    assert all(line[3] for line in lines if line[0] != "ok")
    assert "hush" not in told.stdout


def test_stores_are_migrated_and_examined(empty_database_url: str, empty_clickhouse_url: str):
    stores = {"DATABASE_URL": empty_database_url, "CLICKHOUSE_URL": empty_clickhouse_url}

    before, plan = run("migrate", "--status", "--json", **stores), run("migrate", "--dry-run", **stores)
    applied = run("migrate", "--json", **stores)
    after, again = run("migrate", "--status", **stores), run("migrate", "--dry-run", **stores)
    doctor = run("doctor", "--json", **stores)

    assert before.returncode == 1
    assert {one["state"] for one in json.loads(before.stdout)} == {"pending"}
    assert plan.stdout.startswith("-- postgres/0001_initial.sql\nCREATE TABLE tenants (")
    assert json.loads(applied.stdout) == [one["name"] for one in json.loads(before.stdout)]
    assert (after.returncode, again.stdout) == (0, "-- Nothing to do: every migration is applied.\n")
    assert all(line.split("\t")[1] == "applied" for line in after.stdout.splitlines())
    report = json.loads(doctor.stdout)
    assert {one["name"]: one["verdict"] for one in report["checks"]}["migrations"] == "ok"
    assert doctor.returncode == int(report["verdict"] == "wrong")


def test_status_and_dry_run_are_two_questions():
    told = run("migrate", "--status", "--dry-run")

    assert (told.returncode, told.stderr) == (1, "segment-copilot: Give --status or --dry-run, not both.\n")


@pytest.mark.parametrize(
    ("verdict", "codes"), [("ok", (0, 0)), ("unknown", (0, 0)), ("warning", (0, 1)), ("wrong", (1, 1))]
)
def test_the_exit_code_says_whether_something_is_wrong(verdict: str, codes: tuple[int, int]):
    report = Report.of([Check("x", verdict, "")], version="1")  # type: ignore[arg-type]

    assert (show_report(report, strict=False, as_json=True), show_report(report, strict=True, as_json=False)) == codes
