"""The image's recipe is linted as strictly as the code, and its health check fits both processes.

`make image` runs the recipe's steps by hand; see `image.py`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.deploy.image import environment, let_through, stages

ROOT = Path(__file__).parents[2]
HEALTHY = ROOT / "deploy" / "image" / "healthy.py"


def test_hadolint_has_nothing_to_say_about_the_dockerfile():
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [program, "--failure-threshold=style", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_as_nobody_in_particular():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER 10001"]
    assert lines.index(users[0]) > max(index for index, line in enumerate(lines) if line.startswith("RUN "))


def test_what_the_build_sees_is_what_it_needs():
    seen = set(let_through((ROOT / ".dockerignore").read_text()))

    assert {name for name in seen if not name.startswith("src/")} == {
        "pyproject.toml",
        "uv.lock",
        "README.md",
        "LICENSE",
        "docs/problems.md",
        "deploy/image/healthy.py",
    }
    assert "src/segment_copilot/__main__.py" in seen
    assert not any("__pycache__" in name for name in seen)


def test_the_recipe_is_read_as_docker_reads_it():
    build, last = stages((ROOT / "Dockerfile").read_text())

    assert [step.rest for step in build if step.word == "RUN"] == [
        "uv sync --locked --no-dev --extra mcp --no-install-project",
        "uv sync --locked --no-dev --extra mcp --no-editable",
    ]
    assert environment(last)["PATH"] == "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin"
    assert {name: environment(last)[name] for name in ("HOST", "PORT", "WORKER_PORT")} == {
        "HOST": "0.0.0.0",  # noqa: S104
        "PORT": "8000",
        "WORKER_PORT": "8000",
    }


class Alive(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # http.server names it so
        self.send_response(200 if self.path == "/health/live" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def serving() -> Generator[str]:
    """A process that answers a probe on a port of this machine."""
    with HTTPServer(("127.0.0.1", 0), Alive) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield str(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def exit_code(**settings: str) -> int:
    return subprocess.run([sys.executable, "-I", HEALTHY], env=settings, check=False).returncode


@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.0.0.1"])  # noqa: S104
def test_the_health_check_fits_api_and_worker(host: str):
    with serving() as port:
        assert exit_code(HOST=host, PORT=port, WORKER_PORT="1") == 0
        assert exit_code(HOST=host, PORT="1", WORKER_PORT=port) == 0
    assert exit_code(HOST=host, PORT=port, WORKER_PORT=port) == 1
