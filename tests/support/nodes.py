"""Node for tests: scripts of `tests/frontends`, with the packages of the committed lock where they need them."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

SOURCES = Path(__file__).parents[1] / "frontends"
CLIENTS = Path(__file__).parents[1] / "clients"
HOSTS = Path(__file__).parents[1] / "hosts"
REACT = Path(__file__).parents[2] / "docs" / "examples" / "react"

RunNode = Callable[..., Awaitable[Any]]
"""Run a script of `tests/frontends` with arguments (texts, or values sent as JSON); what it prints, decoded."""


def missing(what: str) -> None:
    """Skip for want of *what*; in CI, where `.ci/run` installs it, fail."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


@pytest.fixture(scope="session")
def node() -> str:
    """The program; without it nothing here can run."""
    if (found := shutil.which("node")) is None:
        pytest.skip("Node is not installed")
    return found


@pytest.fixture(scope="session")
def node_packages(request: pytest.FixtureRequest, node: str) -> Path:
    """A folder in pytest's cache with the packages of the committed lock, installed once."""
    return _installed(SOURCES, request)


@pytest.fixture(scope="session")
def client_packages(request: pytest.FixtureRequest, node: str) -> Path:
    """The same of `tests/clients`: linters of the OpenAPI document, and a generator of clients."""
    return _installed(CLIENTS, request)


@pytest.fixture(scope="session")
def react_packages(request: pytest.FixtureRequest, node: str) -> Path:
    """The same of `docs/examples/react`."""
    return _installed(REACT, request)


@pytest.fixture(scope="session")
def host_packages(request: pytest.FixtureRequest, node: str) -> Path:
    """The same of `tests/hosts`: hosts of MCP, and its conformance suite."""
    return _installed(HOSTS, request)


def _installed(sources: Path, request: pytest.FixtureRequest) -> Path:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = Path(request.config.cache.mkdir(sources.name))  # pyright: ignore[reportOptionalMemberAccess]
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two workers may be here at once
        _install(sources, folder)
    return folder


def _install(sources: Path, folder: Path) -> None:
    locked = (sources / "package-lock.json").read_bytes()
    done = folder / "installed-lock.json"
    if not (done.exists() and done.read_bytes() == locked):
        for name in ("package.json", "package-lock.json"):
            shutil.copy(sources / name, folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        if ran.returncode:
            missing(f"npm cannot install the clients: {ran.stderr[-2000:]}")
        done.write_bytes(locked)
    for script in (
        *sources.glob("*.mjs"),
        *sources.glob("*.html"),
        *sources.glob("*.ts"),
        *sources.glob("ts*.json"),
        *sources.glob("*.yaml"),
    ):
        # imports are looked up from where a script lies
        copy = folder / script.name
        if not (copy.exists() and copy.read_bytes() == script.read_bytes()):
            shutil.copy(script, copy)


@pytest.fixture
def chromium() -> str:
    """The browser's path."""
    names = ("chromium", "chromium-browser", "google-chrome")
    if (found := next(filter(None, map(shutil.which, names)), None)) is None:
        missing("Chromium is not installed")
    return found or ""


@pytest.fixture
def run_node(node: str) -> RunNode:
    """Without packages."""
    return _runner(node, SOURCES)


@pytest.fixture
def run_client(node: str, node_packages: Path) -> RunNode:
    """With them."""
    return _runner(node, node_packages)


@pytest.fixture
def run_host(node: str, host_packages: Path) -> RunNode:
    """Scripts of `tests/hosts`, with its packages."""
    return _runner(node, host_packages)


def _runner(node: str, folder: Path) -> RunNode:
    async def run(script: str, *arguments: Any) -> Any:
        texts = [one if isinstance(one, str) else msgspec.json.encode(one).decode() for one in arguments]
        process = await asyncio.create_subprocess_exec(
            node, script, *texts, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), 120)
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode == 0, err.decode()
        return msgspec.json.decode(out)

    return run
