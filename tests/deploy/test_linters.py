"""Linters of others have nothing to say about what runs elsewhere: workflows and shell scripts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.deploy

ROOT = Path(__file__).parents[2]


def test_zizmor_has_nothing_to_say_about_the_workflows():
    program = Path(sys.executable).with_name("zizmor")
    files = [ROOT / "deploy" / "ci" / name for name in ("github.yml", "release-github.yml", "evals.yml")]
    command = [program, "--offline", "--quiet", "--config", ROOT / "deploy" / "ci" / "zizmor.yml", *files]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_shellcheck_has_nothing_to_say_about_the_scripts():
    scripts = sorted((ROOT / "deploy").rglob("*.sh"))
    assert len(scripts) == 3
    program = Path(sys.executable).with_name("shellcheck")
    checked = subprocess.run([program, *scripts], capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stdout) == (0, "")
