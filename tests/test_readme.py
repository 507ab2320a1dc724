"""What the README tells a reader to type does what it says. Every `sh` block is run, in order, but the test command."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from segment_copilot.commands.runtime import Runtime, read_runtime
from segment_copilot.errors import NotFound

pytestmark = pytest.mark.engines

PROJECT = Path(__file__).parents[1]
BLOCKS = re.findall(r"^```sh\n(.*?)^```", (PROJECT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
TEST = "make test\n"
FIRST = "make demo\n"
SERVICE = "uv run segment-copilot dev\n"


@pytest.fixture(scope="module")
def environment() -> Generator[dict[str, str]]:
    """A reader's shell on a machine where nothing is set up: its own data directory, no key for Claude, a free port."""
    with tempfile.TemporaryDirectory(prefix="segment-copilot-readme-") as folder:
        home = Path(folder)
        home.chmod(0o711)
        (home / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")  # a problem is a failure of the command
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "DATABASE_"))}
        paths = [str(Path(os.environ["UV"]).parent)] if "UV" in os.environ else []
        path = os.pathsep.join([*paths, str(PROJECT / ".uv" / "bin"), os.environ["PATH"]])
        yield kept | {"CURL_HOME": folder, "DATA_DIR": str(home / "data"), "PORT": "0", "PATH": path}


@pytest.fixture(scope="module")
def service(environment: dict[str, str]) -> Generator[Runtime]:
    """The README's `dev`, running."""
    with subprocess.Popen(["bash", "-c", f"exec {SERVICE}"], cwd=PROJECT, env=environment) as process:
        try:
            yield wait_for_service(Path(environment["DATA_DIR"]), process)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
            assert not (Path(environment["DATA_DIR"]) / "runtime.json").exists()


def wait_for_service(data_dir: Path, process: subprocess.Popen[bytes]) -> Runtime:
    """The service writes `runtime.json` when it is ready; the wait is for its process, which must not end before."""
    for _ in range(600):
        with contextlib.suppress(NotFound):
            return read_runtime(data_dir)
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"`{SERVICE.strip()}` ended with {process.wait(timeout=0.25)}")
    pytest.fail("the service was not ready after 150 s")


def run(command: str, environment: dict[str, str]) -> str:
    shell = ["bash", "-euo", "pipefail", "-c", command]
    ran = subprocess.run(shell, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False, timeout=170)
    assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.mark.timeout(300)
def test_the_first_command_drafts_a_segment(environment: dict[str, str]):
    told = run(FIRST, environment)

    assert "model offline" in told
    assert re.search(r"[1-9][0-9]* of 20,000 users", told)
    assert "propose_segment" in told
    assert "/api/segments/" in told
    assert not (Path(environment["DATA_DIR"]) / "runtime.json").exists()


@pytest.mark.timeout(300)
def test_every_other_command_works_against_the_running_service(environment: dict[str, str], service: Runtime):
    environment = environment | {"URL": service.url, "API_KEY": service.api_key}
    others = [block for block in BLOCKS if block not in {TEST, FIRST, SERVICE}]
    assert len(others) + 3 == len(BLOCKS)

    told = [run(block, environment) for block in others]

    everything = "".join(told)
    assert "High LTV" in everything
    assert "event: run.finished" in everything
    assert '"status":"queued"' in everything
    assert "read 31106 rows" in told[-1]
