"""Clients generated from the document compile without a warning, and do what a caller does first."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.engines, pytest.mark.clients]

HERE = Path(__file__).parent
COMMITTED = HERE.parents[1] / "openapi" / "openapi.json"
EVENTS = [
    {"user_id": user_id, "event_type": "order_placed", "payload": {"total": total}}
    for user_id, total in (("ana", 20), ("ben", 5))
]


@pytest.fixture(scope="module")
async def orders(client) -> None:
    """Two users with an order each, that can be queried."""
    await client.post("/api/ingestion/track/batch/", json={"events": EVENTS})
    async with asyncio.timeout(30):
        while (await client.get("/api/ingestion/status/")).json()["pending"]:
            pass


async def run(*command: str | Path, cwd: Path) -> str:
    """What a program prints; it ends with 0 and complains of nothing."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=cwd, env=os.environ | {"PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, (out + err).decode()
    assert b"warning" not in (out + err).lower(), (out + err).decode()
    return out.decode()


def check(told: Any, name: str) -> None:
    assert told == {"matched": 2, "name": name, "member_count": 2, "members": ["ana", "ben"], "exported": "complete"}


async def test_the_typescript_of_openapi_typescript_works(client_packages, orders, url, key):
    shutil.copy(COMMITTED, client_packages)
    programs = client_packages / "node_modules" / ".bin"
    await run(programs / "openapi-typescript", "openapi.json", "-o", "schema.ts", cwd=client_packages)
    await run(programs / "tsc", "--project", "tsconfig.json", cwd=client_packages)

    check(json.loads(await run("node", "smoke.js", url, key, cwd=client_packages)), "From TypeScript")


async def test_the_python_of_openapi_python_client_works(tmp_path, orders, url, key):
    await run(
        "openapi-python-client", "generate", "--path", COMMITTED, "--output-path", "generated", "--meta", "none",
        "--fail-on-warning", "--config", HERE / "openapi-python-client.yaml", cwd=tmp_path,
    )  # fmt: skip
    shutil.copy(HERE / "smoke.py", tmp_path)
    await run(sys.executable, "-W", "error", "-m", "compileall", "-q", "generated", cwd=tmp_path)

    check(json.loads(await run(sys.executable, "smoke.py", url, key, cwd=tmp_path)), "From Python")
