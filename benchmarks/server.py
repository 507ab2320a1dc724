"""ClickHouse over HTTP, for benchmarks: an answer says how long it took and how much memory the query had at its peak."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec

from segment_copilot.embedded import start_clickhouse

SETTINGS: dict[str, Any] = {
    "use_query_condition_cache": 0,
    "max_query_size": 16 * 2**20,
    "max_ast_elements": 10_000_000,
    "max_expanded_ast_elements": 10_000_000,
    "max_parser_backtracks": 100_000_000,
    "session_timezone": "UTC",
    # As the product sets them: they halve the planning of long queries, whoever wrote them.
    "optimize_and_compare_chain": 0,
    "optimize_extract_common_expressions": 0,
}


class Answer(msgspec.Struct, frozen=True):
    """The rows as text, tab-separated; seconds as the client saw them; bytes of memory as the server counted them."""

    rows: list[list[str]]
    seconds: float
    memory: int


class Server:
    """One engine, one connection, one query at a time."""

    def __init__(self, client: httpx2.Client, *, version: str, pid: int, url: str) -> None:
        self._client = client
        self.url = url
        self.version = version
        self._clock = ~pid << 3 | 2  # the clock of another process's CPU time, as clock_getcpuclockid(3) makes it

    def cpu(self) -> float:
        """Seconds of CPU of the engine so far, of threads that have ended too."""
        return time.clock_gettime(self._clock)

    def run(self, sql: str, **settings: Any) -> Answer:
        """Run one statement; an error of the server is a RuntimeError with its text."""
        params = {name: str(value) for name, value in (SETTINGS | settings).items()}
        started = time.perf_counter()
        answer = self._client.post("/", params=params, content=sql.encode())
        seconds = time.perf_counter() - started
        if answer.status_code != httpx2.codes.OK:
            raise RuntimeError(answer.text[:2000])
        summary = msgspec.json.decode(answer.headers["x-clickhouse-summary"])
        rows = [line.split("\t") for line in answer.text.splitlines()]
        return Answer(rows, seconds, int(summary.get("memory_usage", 0)))


@contextmanager
def serving(directory: Path) -> Generator[Server]:
    """An embedded ClickHouse with its data in *directory*."""
    directory.mkdir(parents=True, exist_ok=True)
    with start_clickhouse(directory) as engine:
        port = (directory / "server" / "ports").read_text("ascii").split("\t")[0]
        url = urlsplit(engine.url)
        client = httpx2.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"X-ClickHouse-User": url.username or "", "X-ClickHouse-Key": url.password or ""},
            params={"database": url.path.strip("/"), "wait_end_of_query": "1"},
            timeout=3600,
        )
        with client:
            yield Server(client, version=engine.version, pid=engine.pid, url=engine.url)
