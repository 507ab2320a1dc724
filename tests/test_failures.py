"""However much a failure has to say, a run ends with the names of what failed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from tests.support.failures import MOST, WIDTH, lines_of

PROJECT = Path(__file__).parents[1]

FAILING = """
import pytest

def test_fine(): pass

def test_long(): assert "\\n".join("a" * 5_000) == "b"

@pytest.mark.parametrize("text", ["x" * 900], ids=["x" * 900])
def test_with_a_long_name(text): assert not text

@pytest.fixture
def broken(): raise ValueError("c\\n" * 5_000)

def test_without_its_fixture(broken): pass
"""


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """A run of the tests in *text*, as on CI."""
    (folder / "test_these.py").write_text(text)
    command = (sys.executable, "-m", "pytest", "-ra", "-p", "tests.support.failures", "-p", "no:cacheprovider")
    environment = os.environ | {"CI": "true", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(PROJECT)}
    (folder / "pytest.ini").touch()
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_last_lines_are_the_names_of_what_failed(tmp_path: Path):
    ran = run(tmp_path, FAILING)

    assert ran.returncode == 1
    *_, heading, first, second, third, counts = ran.stdout.splitlines()
    assert heading.strip("= ") == "failed tests"
    assert first == "test_these.py::test_long"
    assert second == f"test_these.py::test_with_a_long_name[{'x' * 900}]"[: WIDTH - 1] + "…"
    assert third == "test_these.py::test_without_its_fixture"
    assert counts.strip("= ").startswith("2 failed, 1 passed, 1 error in ")


def test_a_run_without_failures_says_nothing_more(tmp_path: Path):
    ran = run(tmp_path, "def test_fine(): pass")

    assert ran.returncode == 0
    assert "failed tests" not in ran.stdout


def test_of_very_many_the_last_are_named_and_all_are_counted():
    failed = [SimpleNamespace(nodeid=f"test_{number}") for number in range(MOST + 5)]

    heading, *names = lines_of({"failed": failed, "error": failed[-1:], "passed": failed})

    assert heading == f"{MOST + 5} failed; the last {MOST}:"
    assert names == [f"test_{number}" for number in range(5, MOST + 5)]
