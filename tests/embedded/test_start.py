from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil
import pytest

from segment_copilot.embedded import binaries, start_clickhouse, start_engines, start_postgres
from segment_copilot.errors import Conflict, Unavailable
from tests.support.databases import clickhouse_value, postgres_value, run_clickhouse, run_postgres
from tests.support.engines import data_directory

pytestmark = pytest.mark.engines

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who may become another user")


SHOW_USERS = """
import os, psutil, pathlib
from segment_copilot.embedded import start_engines
with start_engines(pathlib.Path.home() / "data") as engines:
    pids = engines.postgres.pid, engines.clickhouse.pid
    print(os.geteuid(), *(psutil.Process(pid).uids().effective for pid in pids))
"""


def our_processes():
    return set(psutil.Process().children(recursive=True))


class Used(NamedTuple):
    """A data directory in which engines ran and were stopped."""

    path: Path
    urls: tuple[str, str]
    started: set[psutil.Process]


@pytest.fixture(scope="module")
async def used():
    with data_directory() as path:
        before = our_processes()
        with start_engines(path) as engines:
            await run_postgres(engines.database_url, "CREATE TABLE kept AS SELECT 7 AS id")
            await run_clickhouse(
                engines.clickhouse_url, "CREATE TABLE kept ENGINE = MergeTree ORDER BY id AS SELECT 7 AS id"
            )
            started = our_processes() - before
        yield Used(path, (engines.database_url, engines.clickhouse_url), started)


def test_a_stop_leaves_no_process(used):
    assert len(used.started) > 3
    assert our_processes() & used.started == set()


async def test_a_warm_start_keeps_the_data_and_the_urls(used):
    with start_engines(used.path) as warm:
        assert (warm.database_url, warm.clickhouse_url) == used.urls
        assert await postgres_value(warm.database_url, "SELECT id FROM kept") == 7
        assert await clickhouse_value(warm.clickhouse_url, "SELECT id FROM kept") == 7


def test_a_port_that_is_taken_meanwhile_is_replaced(used):
    first = urlsplit(used.urls[1]).port
    with socket.create_server(("127.0.0.1", first)), start_clickhouse(used.path / "clickhouse") as engine:
        assert engine.port != first


def test_a_failed_start_quotes_the_log_and_leaves_nothing(used):
    before = our_processes()
    configuration = used.path / "postgres" / "data" / "postgresql.auto.conf"
    good = configuration.read_text()
    configuration.write_text("no_such_setting = 1\n")
    with pytest.raises(Unavailable, match='unrecognized configuration parameter "no_such_setting"'):
        start_engines(used.path)
    configuration.write_text(good)
    assert our_processes() <= before


async def test_the_engines_are_the_versions_we_test_for(engines):
    assert engines.postgres.version.startswith("18.")
    assert engines.clickhouse.version.startswith("26.9.")
    assert (await postgres_value(engines.database_url, "SHOW server_version")) == engines.postgres.version
    assert (await clickhouse_value(engines.clickhouse_url, "SELECT version()")) == engines.clickhouse.version


def test_only_the_owner_can_read_what_is_in_the_data_directory(engines):
    inside = [
        *engines.data_dir.iterdir(),
        *(engines.data_dir / name / "password" for name in ("postgres", "clickhouse")),
    ]
    modes = {path: oct(stat.S_IMODE(path.stat().st_mode)) for path in inside}
    assert len(modes) == 5
    assert [(path, mode) for path, mode in modes.items() if not mode.endswith("00")] == []
    assert stat.S_IMODE(engines.data_dir.stat().st_mode) == 0o711


def test_a_second_start_says_which_process_holds_the_directory(engines):
    with pytest.raises(Conflict, match=f"in use by process {os.getpid()}"):
        start_engines(engines.data_dir)


def test_a_port_that_is_demanded_and_taken_is_an_error(data_dir):
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(Unavailable, match=f"Port {taken.getsockname()[1]} of 127.0.0.1 is taken"),
    ):
        start_clickhouse(data_dir / "clickhouse", port=taken.getsockname()[1])


@pytest.mark.parametrize(
    "module", ["segment_copilot.embedded.postgres_host", "segment_copilot.embedded.clickhouse_host"]
)
def test_a_host_loads_nothing_that_slows_a_start(module):
    program = (
        f"import sys, {module}; print(*sorted({{'structlog', 'rich', 'asyncio', 'psutil', 'chdb'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_missing_programs_are_named_with_a_way_out(data_dir, monkeypatch):
    monkeypatch.setenv("PG_BINDIR", "/nonexistent")
    with pytest.raises(Unavailable, match="set DATABASE_URL"):
        start_engines(data_dir)


def test_an_engine_whose_url_is_given_is_not_started(data_dir):
    with start_engines(data_dir, database_url="postgresql://elsewhere/one") as engines:
        assert engines.postgres is None
        assert engines.database_url == "postgresql://elsewhere/one"
        assert engines.clickhouse is not None


async def test_a_directory_name_may_hold_anything(data_dir):
    odd = data_dir / "a b'c\"d\\é"
    odd.mkdir(mode=0o711)
    with start_engines(odd, durable=False) as engines:
        assert await postgres_value(engines.database_url, "SELECT 1") == 1
        assert await clickhouse_value(engines.clickhouse_url, "SELECT 1") == 1


@as_root
async def test_programs_that_nobody_may_not_read_are_copied_for_it(data_dir, monkeypatch):
    private = data_dir / "private"
    private.mkdir(mode=0o700)
    package = binaries.find_programs().parents[1]
    for source in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(source, private / source.name)
    monkeypatch.setenv("PG_BINDIR", str(private / package.name / "pginstall" / "bin"))
    with start_postgres(data_dir / "postgres", durable=False) as engine:
        assert await postgres_value(engine.url, "SELECT 1") == 1
        assert psutil.Process(engine.pid).exe().startswith(str(data_dir / "postgres"))


@as_root
def test_postgres_runs_as_nobody_for_root(engines):
    assert psutil.Process(engines.postgres.pid).username() == "nobody"


@as_root
def test_a_directory_that_nobody_cannot_enter_is_refused_with_the_reason(data_dir):
    closed = data_dir / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(Unavailable, match=f"`nobody`, who may not enter {closed}"):
        start_engines(closed / "data")


@as_root
def test_a_normal_user_can_start_both(data_dir):
    """Reading this Python may take root's rights (a venv under /root); everything else is done without them."""
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    command += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    if (
        shutil.which("setpriv") is None
        or subprocess.run([*command, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("this machine cannot start a process as another user who may read our Python")
    os.chown(data_dir, 65534, 65534)
    done = subprocess.run(
        [*command, sys.executable, "-c", SHOW_USERS],
        env={**os.environ, "HOME": str(data_dir)},
        cwd=Path("/"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1:] == ["65534 65534 65534"], done.stderr
