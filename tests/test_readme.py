"""What the README tells a reader to type does what it says: every `sh` block but the test command, in order, in one shell."""

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

pytestmark = [pytest.mark.engines, pytest.mark.slow]

PROJECT = Path(__file__).parents[1]
BLOCKS = re.findall(r"^```sh\n(.*?)^```", (PROJECT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
TEST = "make test\n"
FIRST = "make demo\n"
SERVICE = "uv run segment-copilot dev\n"
EXPORTED = PROJECT / "recent-buyers.csv"


@pytest.fixture(scope="module")
def environment() -> Generator[dict[str, str]]:
    """A reader's shell on a machine where nothing is set up: its own data directory, no key for Claude, a free port."""
    with tempfile.TemporaryDirectory(prefix="segment-copilot-readme-") as folder:
        home = Path(folder)
        home.chmod(0o711)
        (home / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")  # a problem is a failure of the command
        outside = ("ANTHROPIC_", "DATABASE_", "CLICKHOUSE_", "SEGMENT_COPILOT_", "URL", "API_KEY", "MAKE", "MFLAGS")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
        paths = [str(Path(os.environ["UV"]).parent)] if "UV" in os.environ else []
        path = os.pathsep.join([*paths, str(PROJECT / ".uv" / "bin"), os.environ["PATH"]])
        yield kept | {"CURL_HOME": folder, "DATA_DIR": str(home / "data"), "PORT": "0", "PATH": path}
        EXPORTED.unlink(missing_ok=True)


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
    ran = subprocess.run(shell, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False, timeout=280)
    assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module")
def demo(environment: dict[str, str]) -> str:
    """What the first command prints."""
    return run(FIRST, environment)


@pytest.mark.timeout(300)
def test_the_first_command_drafts_a_segment_and_says_how_to_go_on(environment: dict[str, str], demo: str):
    assert "model offline" in demo
    assert re.search(r"[1-9][0-9]* of 20,000 users", demo)
    assert "propose_segment" in demo
    assert "button" not in demo
    assert not (Path(environment["DATA_DIR"]) / "runtime.json").exists()
    stopped, leave, ask, afresh = demo.splitlines()[-4:]
    assert stopped == f"Stopped. The data stays in {Path(environment['DATA_DIR']).resolve()}."
    assert re.fullmatch(r"  Leave it running: +\S*uv run segment-copilot dev", leave)
    assert re.fullmatch(r"  Then ask it more: +\S*uv run segment-copilot ask --chat", ask)
    assert re.fullmatch(r"  Or begin afresh: +\S*uv run segment-copilot dev --reset", afresh)


@pytest.mark.timeout(300)
def test_every_other_block_works_after_the_one_before(environment: dict[str, str], demo: str, service: Runtime):
    others = [block for block in BLOCKS if block not in {TEST, FIRST, SERVICE}]
    assert len(others) + 3 == len(BLOCKS)
    (save,) = re.findall(r"To save it, type:\n(.*?\nJSON\n)", demo, re.DOTALL)

    told = run("".join(f"{block}\necho '--- next'\n" for block in [*others, save]), environment).split("--- next\n")

    everything = "".join(told)
    assert "High LTV" in everything
    assert "event: run.finished" in everything
    assert '"status":"queued"' in everything
    assert re.search(r"Recent buyers: [1-9][0-9,]* members as of ", everything)
    assert "read 31106 rows" in told[len(others) - 1]
    assert re.fullmatch(r"[0-9]+\n", told[len(others)])
    assert EXPORTED.read_text().startswith("user_id,computed_at\n")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("page", "left", "said"),
    [
        ("quickstart.md", ("answer.json", "segment.json"), r"more than 3 times in the last 90 days\.\n[1-9][0-9]*\n"),
        ("guides/evaluate.md", ("mine.json",), r"2 right$"),
    ],
)
def test_a_page_works_as_it_is_printed_where_dev_runs(
    environment: dict[str, str], service: Runtime, page: str, left: tuple[str, ...], said: str
):
    text = (PROJECT / "docs" / page).read_text()
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    try:
        told = run(blocks, environment | {"URL": service.url, "API_KEY": service.api_key})
    finally:
        for name in left:
            (PROJECT / name).unlink(missing_ok=True)

    assert re.search(said, told.strip())


@pytest.mark.timeout(300)
def test_activations_work_as_their_page_shows_where_dev_runs(environment: dict[str, str], service: Runtime):
    page = (PROJECT / "docs" / "activations.md").read_text()
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    typed = environment | {"URL": service.url, "API_KEY": service.api_key, "SEGMENT": "3"}
    try:
        told = run(blocks, typed)
    finally:
        (PROJECT / "delivery.json").unlink(missing_ok=True)

    assert '"ok":true' in told
    assert re.search(r'"status":"done".*"sent":[1-9]', told)
    assert list((Path(environment["DATA_DIR"]) / "files").rglob("*.csv"))
