"""An upgrade migrates first: API and worker of the version before go on working on the new schema, beside the new ones.

The version before is the commit before the newest migration, unpacked from git beside the same packages.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import httpx2
import pytest

from segment_copilot.activations.secrets import new_key
from segment_copilot.resources import open_resources
from segment_copilot.settings import Settings
from tests.chaos.service import free_port
from tests.support.proxies import eventually

ROOT = Path(__file__).parents[2]
MIGRATIONS = "src/segment_copilot/stores/migrations"
SECONDS = 60  # a process's start on a busy machine


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, check=True).stdout


@pytest.fixture
def version_before(tmp_path: Path) -> Path:
    """Its sources."""
    try:
        newest = git(
            "log", "--diff-filter=A", "--format=%H", "-1", "--", f"{MIGRATIONS}/postgres", f"{MIGRATIONS}/clickhouse"
        )
        files = git("archive", f"{newest.decode().strip()}^", "src")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the history is not here: a tree without git, or a shallow clone")
    with tarfile.open(fileobj=BytesIO(files)) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "src"


@contextmanager
def process(sources: Path, role: str, settings: dict[str, str], log: Path) -> Generator[None]:
    """Run *role* from these sources; it ends well on SIGTERM."""
    environ = os.environ | settings | {"PYTHONPATH": str(sources)}
    with log.open("wb") as output:
        running = subprocess.Popen(
            [sys.executable, "-m", "segment_copilot", role], env=environ, stdout=output, stderr=output
        )
    try:
        yield
    finally:
        running.terminate()
        code = running.wait()
    assert code in {0, -signal.SIGTERM}, log.read_text()


@pytest.mark.slow
async def test_the_version_before_works_on_todays_schema(
    version_before: Path, database_url: str, clickhouse_url: str, tmp_path: Path
):
    newest = {path.relative_to(ROOT / MIGRATIONS) for path in (ROOT / MIGRATIONS).glob("*/*.sql")}
    known = version_before / "segment_copilot" / "stores" / "migrations"
    assert newest > {path.relative_to(known) for path in known.glob("*/*.sql")}  # else it is not the version before
    stores = Settings(database_url=database_url, clickhouse_url=clickhouse_url)
    async with open_resources(stores) as resources:
        tenant = await resources.tenants.create("acme")
        key = (await resources.keys.create(tenant))[1]
    port, probes = str(free_port()), str(free_port())
    settings = {
        "DATABASE_URL": database_url,
        "CLICKHOUSE_URL": clickhouse_url,
        "PORT": port,
        "WORKER_PORT": probes,
        "SECRETS_KEYS": new_key(),
        "COPILOT_MODEL": "offline",
    }
    api_log, worker_log = tmp_path / "api.log", tmp_path / "worker.log"
    with (
        process(version_before, "serve", settings, api_log),
        process(version_before, "worker", settings, worker_log),
    ):
        await work(f"http://127.0.0.1:{port}", key, probes=f"http://127.0.0.1:{probes}")
    logs = api_log.read_text() + worker_log.read_text()
    assert [line for line in logs.splitlines() if '"level":"error"' in line or "Traceback" in line] == []


async def work(url: str, key: str, *, probes: str) -> None:
    """Ask both processes for what a day asks of them: events, a segment, its members, a person forgotten."""
    headers = {"Authorization": f"ApiKey {key}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        await eventually(lambda: is_ready(client, "/health/ready"), seconds=SECONDS)
        await eventually(lambda: is_ready(client, f"{probes}/health/ready"), seconds=SECONDS)
        events = [
            {"user_id": "ana", "event_type": "order_placed"},
            {"user_id": "ana", "event_type": "context_identified", "payload": {"plan": "pro"}},
            {"user_id": "ben", "event_type": "context_identified", "payload": {"plan": "free"}},
        ]
        sent = await client.post("/api/ingestion/track/batch/", json={"events": events})
        assert (sent.status_code, sent.json()["queued"]) == (202, 3)
        await eventually(lambda: nothing_waits(client), seconds=SECONDS)
        condition = {"type": "event_count", "event_type": "order_placed"}
        body = {"name": "Buyers", "definition": {"logic": "AND", "conditions": [condition]}}
        segment = (await client.post("/api/segments/", json=body)).raise_for_status().json()["id"]
        await client.post(f"/api/segments/{segment}/compute/")
        await eventually(lambda: is_computed(client, segment), seconds=SECONDS)
        members = (await client.get(f"/api/segments/{segment}/members/")).raise_for_status().json()
        assert "ana" in str(members)
        assert "ben" not in str(members)
        erased = await client.delete("/api/explorer/users/ana/")
        assert erased.status_code == 202, erased.text
        await eventually(lambda: is_erased(client, erased.json()["erasure_id"]), seconds=SECONDS)


async def is_ready(client: httpx2.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx2.TransportError:
        return False


async def nothing_waits(client: httpx2.AsyncClient) -> bool:
    return (await client.get("/api/ingestion/status/")).json()["pending"] == 0


async def is_computed(client: httpx2.AsyncClient, segment: int) -> bool:
    return (await client.get(f"/api/segments/{segment}/")).json()["status"] == "computed"


async def is_erased(client: httpx2.AsyncClient, erasure: int) -> bool:
    return (await client.get(f"/api/erasures/{erasure}/")).json()["status"] == "done"
