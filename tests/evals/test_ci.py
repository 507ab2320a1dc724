"""The CI job file is a valid workflow, and what it runs exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer
import yaml

from evals.commands import app

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / "deploy" / "ci" / "evals.yml"


def test_the_workflow_follows_its_schema():
    """By the JSON Schema that check-jsonschema ships: no network."""
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(WORKFLOW)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert checked.returncode == 0, checked.stdout + checked.stderr


def commands() -> list[str]:
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return [line.strip() for job in jobs.values() for step in job["steps"] for line in step.get("run", "").splitlines()]


@pytest.mark.parametrize("line", [line for line in commands() if "-m evals" in line])
def test_every_command_and_option_of_it_exists(line):
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    name, *arguments = re.split(r"-m evals ", line)[1].split()
    known = {option for parameter in group.commands[name].params for option in parameter.opts}  # type: ignore[attr-defined]

    assert {argument for argument in arguments if argument.startswith("--")} <= known


def test_every_make_target_of_it_exists():
    made = {line.split()[1] for line in commands() if line.startswith("make ")}
    targets = set(re.findall(r"^([\w./]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert made
    assert made <= targets


def test_no_secret_is_written_into_it():
    assert set(re.findall(r"secrets\.(\w+)", WORKFLOW.read_text())) == {"EVALS_KEYS", "ANTHROPIC_API_KEY"}
    assert "sk_" not in WORKFLOW.read_text()
