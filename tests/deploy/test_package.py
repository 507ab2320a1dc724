"""The package as others install it: built as a release is, put into an environment of its own, and started there.

`make package` builds `dist/` and runs these; the wheel is the one that a release would publish.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Generator
from pathlib import Path

import httpx2
import pytest

from segment_copilot.commands.runtime import Runtime, read_runtime
from tests.support.engines import data_directory

ROOT = Path(__file__).parents[2]
UV = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
QUESTION = "Users who placed more than 3 orders in the last 90 days"

pytestmark = [pytest.mark.package, pytest.mark.timeout(600)]


def one(pattern: str, folder: Path = ROOT / "dist") -> Path:
    """Return the only file of its kind that was built."""
    found = sorted(folder.glob(pattern))
    assert len(found) == 1, f"{found}: `make package` leaves one {pattern}"
    return found[0]


def clean(**more: str) -> dict[str, str]:
    """Return an environment that knows nothing of this project or of engines elsewhere."""
    unset = {"VIRTUAL_ENV", "PYTHONPATH", "DATABASE_URL", "CLICKHOUSE_URL", "PG_BINDIR", "ANTHROPIC_API_KEY"}
    return {name: value for name, value in os.environ.items() if name not in unset} | more


def uvx(extras: str, *words: str) -> list[str]:
    """Return the command of somebody who has the wheel, and nothing else."""
    return [UV, "tool", "run", "--isolated", "--from", f"{one('*.whl')}{extras}", "segment-copilot", *words]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Runtime, Path]]:
    """`dev` from the wheel, with the demo shop, ready to be asked; and its data directory."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with (
        data_directory() as directory,
        subprocess.Popen(
            uvx("[embedded,mcp]", "dev", "--data-dir", str(directory)),
            cwd=elsewhere,
            env=clean(COPILOT_MODEL="offline", PORT="0"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        try:
            yield _once_ready(process, directory), directory
        finally:
            process.terminate()


def _once_ready(process: subprocess.Popen[str], directory: Path) -> Runtime:
    """Read what it says until it is ready; what it said where it never is."""
    said: list[str] = []
    for line in process.stdout or ():
        said.append(line)
        if line.startswith("Ask it from another terminal"):
            return read_runtime(directory)
    pytest.fail("".join(said))


def test_the_wheel_has_the_console_the_docs_and_the_migrations():
    names = set(zipfile.ZipFile(one("*.whl")).namelist())

    for name in ("console/index.html", "http/site/index.html", "http/site/quickstart.html", "http/site/llms.txt"):
        assert f"segment_copilot/api/{name}" in names
    migrations = [path.name for path in (ROOT / "src/segment_copilot/stores/migrations").rglob("*.sql")]
    assert migrations
    assert {name.rpartition("/")[2] for name in names} >= set(migrations)
    assert not any("node_modules" in name or "/tests/" in name for name in names)


def test_the_sdist_builds_the_same_wheel_where_there_is_no_git(tmp_path: Path):
    with tarfile.open(one("*.tar.gz")) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", tmp_path / "again", unpacked], check=True)

    again, released = one("*.whl", tmp_path / "again"), one("*.whl")
    assert again.name == released.name
    assert zipfile.ZipFile(again).namelist() == zipfile.ZipFile(released).namelist()


def test_it_starts_answers_and_shows_its_pages_in_a_clean_environment(started: tuple[Runtime, Path]):
    runtime, _ = started
    with httpx2.Client(
        base_url=runtime.url, timeout=60, headers={"Authorization": f"ApiKey {runtime.api_key}"}
    ) as client:
        pages = {
            path: client.get(path, follow_redirects=True)
            for path in ("/console/", "/docs/index.html", "/docs/quickstart.html", "/llms.txt")
        }
        segments = client.get("/api/segments/").json()
        card = client.get("/api/copilot/capabilities/").json()
        tools = client.post(
            "/mcp",
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}},
            headers={"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"},
        )

    assert {path: answer.status_code for path, answer in pages.items()} == dict.fromkeys(pages, 200)
    assert "main.js" in pages["/console/"].text
    assert "segment-copilot" in pages["/docs/index.html"].text
    assert segments["count"] > 5
    assert one("*.whl").name.split("-")[1] == card["identity"]["version"]
    assert "propose_segment" in tools.text


def test_its_command_line_asks_it(started: tuple[Runtime, Path]):
    _, directory = started
    done = subprocess.run(
        uvx("[embedded,mcp]", "ask", QUESTION, "--data-dir", str(directory)),
        env=clean(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ of 20,?000|users", done.stdout)


def test_without_the_engines_it_says_what_to_install(tmp_path: Path):
    done = subprocess.run(
        uvx("", "dev", "--no-demo", "--once", "--data-dir", str(tmp_path)),
        env=clean(PATH="/usr/bin:/bin"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "uvx --from 'segment-copilot[embedded,mcp]' segment-copilot dev" in re.sub(
        r"\s+", " ", done.stderr + done.stdout
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("tags", "version"),
    [
        (None, r"0\.1\.0\.dev0"),
        ((), r"0\.1\.0\.dev\d+\+g[0-9a-f]+"),
        (("v1.2.3",), r"1\.2\.3"),
        (("v1.3.0rc1", "try"), r"1\.3\.0rc1"),
    ],
    ids=["no git", "no tag", "a release", "a candidate"],
)
def test_the_version_is_the_tags(tmp_path: Path, tags: tuple[str, ...] | None, version: str):
    """A copy with what decides it: the project's file, and a package of one module."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    package = tmp_path / "src" / "segment_copilot"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    if tags is not None:
        named = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        commands = [["init", "-q"], ["add", "."], ["commit", "-qm", "all"], *(["tag", tag] for tag in tags)]
        for command in commands:
            subprocess.run(["git", *named, *command], cwd=tmp_path, check=True)
    subprocess.run(
        [UV, "build", "--quiet", "--wheel", "--out-dir", tmp_path / "dist"],
        cwd=tmp_path,
        check=True,
        env=clean(GIT_CEILING_DIRECTORIES=str(tmp_path.parent)),
    )

    assert re.fullmatch(version, one("*.whl", tmp_path / "dist").name.split("-")[1])
