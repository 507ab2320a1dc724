"""What the service adds to the SDK that it reads with: `python benchmarks/copilot.py`.

Four processes: an upstream that streams, the service as `segment-copilot serve` runs it, the SDK alone, and this one,
which reads the service's stream. The service and the SDK read the same stream in turn; CPU is that of their processes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from segment_copilot.embedded import start_engines
from segment_copilot.resources import open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.migrations import migrate
from segment_copilot.telemetry.logs import configure_logging

HERE = Path(__file__).parent
KIB = 1024
FIRSTS = 200
ROUNDS = 5
DELTAS = 2000
GAP_US = 1000
KEPT = 100  # connections that the service keeps for its next requests


class Protocol(msgspec.Struct, frozen=True):
    """Where to ask, with which body around the text, and what each delta and an end look like."""

    path: str
    body: Callable[[str], Any]
    delta: bytes
    end: bytes


NATIVE = Protocol(
    "stream",
    lambda text: {"messages": [{"role": "user", "content": text}]},
    delta=b"event: text.delta\n",
    end=b"event: run.finished",
)
AG_UI = Protocol(
    "ag-ui",
    lambda text: {
        "threadId": "t", "runId": "r", "messages": [{"id": "m", "role": "user", "content": text}], "state": {},
        "tools": [], "context": [], "forwardedProps": {},
    },
    delta=b'"type":"TEXT_MESSAGE_CONTENT"',
    end=b'"type":"RUN_FINISHED"',
)  # fmt: skip
AI_SDK = Protocol(
    "ai-sdk",
    lambda text: {
        "id": "c", "trigger": "submit-message",
        "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": text}]}],
    },
    delta=b'"type":"text-delta"',
    end=b"data: [DONE]",
)  # fmt: skip


class Service:
    """The service's process: what it answers, what it uses."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, key: str, upstream: int) -> None:
        self._process = process
        self._upstream = upstream
        self._key = key
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port

    def cpu(self) -> float:
        """Seconds of CPU so far, of all its threads."""
        tasks = Path(f"/proc/{self._process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def memory(self) -> int:
        """Bytes of memory that it has resident."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def connections(self) -> tuple[int, int]:
        """How many connections it holds, to its clients and to the upstream."""
        found = [row.split()[1:4] for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        held = [(local[-4:], remote[-4:]) for local, remote, state in found if state in {"01", "08"}]
        ours, theirs = f"{self._port:04X}", f"{self._upstream:04X}"
        return sum(local == ours for local, _ in held), sum(remote == theirs for _, remote in held)

    def stop(self) -> None:
        """Tell it to stop."""
        self._process.terminate()

    def wait(self) -> None:
        """Until it is gone."""
        self._process.wait(timeout=60)

    async def ask(self, text: str, protocol: Protocol = NATIVE) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send one question; the answer is to be read."""
        body = msgspec.json.encode(protocol.body(text))
        reader, writer = await asyncio.open_connection(self._host, self._port)
        head = (
            f"POST /api/copilot/{protocol.path}/ HTTP/1.1\r\nhost: bench\r\nauthorization: ApiKey {self._key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        return reader, writer


async def read(service: Service, text: str, protocol: Protocol = NATIVE) -> tuple[float, int]:
    """One stream to its end: seconds to the first delta, deltas."""
    started = time.perf_counter()
    reader, writer = await service.ask(text, protocol)
    first, whole = 0.0, bytearray()
    while chunk := await reader.read(65536):
        whole += chunk
        if not first and protocol.delta in whole:
            first = time.perf_counter() - started
        if protocol.end in whole[-4096 - len(chunk) :] and whole.endswith(b"\n\n\r\n"):
            break
    writer.close()
    return first, whole.count(protocol.delta)


@contextmanager
def child(*arguments: str, environment: dict[str, str] | None = None) -> Generator[subprocess.Popen[bytes]]:
    """A process that ends with the block."""
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stdin=subprocess.PIPE, env=environment) as process:
        try:
            yield process
        finally:
            process.terminate()


def line(process: subprocess.Popen[bytes]) -> bytes:
    """One line of what a process prints."""
    assert process.stdout is not None
    return process.stdout.readline()


class Sdk:
    """The SDK alone, in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def read(self, kind: str, text: str) -> dict[str, Any]:
        """One stream to its end."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{kind} {text}\n".encode())
        self._process.stdin.flush()
        return json.loads(line(self._process))


async def measure_first(service: Service, sdk: Sdk) -> list[tuple[str, str]]:
    """Time to the first delta, in turn."""
    ours, alone = list[float](), list[float]()
    for _ in range(FIRSTS + 20):
        alone.append(sdk.read("helper", "bench:flow:1:0")["first"] * 1000)
        ours.append((await read(service, "bench:flow:1:0"))[0] * 1000)
    ours, alone = ours[20:], alone[20:]
    added = statistics.median(ours) - statistics.median(alone)
    quiet = statistics.quantiles(ours, n=10)[0] - statistics.quantiles(alone, n=10)[0]
    return [
        (f"time to the first delta, SDK alone, median of {FIRSTS}", f"{statistics.median(alone):.2f} ms"),
        ("the same through the service", f"{statistics.median(ours):.2f} ms"),
        ("**added** (bar 5 ms)", f"**{added:.2f} ms**"),
        ("added between the fastest tenths, when other work is running", f"{quiet:.2f} ms"),
    ]


async def measure_cpu(service: Service, sdk: Sdk) -> list[tuple[str, str]]:
    """CPU of a long stream, in turn."""
    text = f"bench:flow:{DELTAS}:{GAP_US}"
    times: dict[str, list[float]] = {name: [] for name in ("helper", "raw", "stream", "ag-ui", "ai-sdk")}
    for _ in range(ROUNDS + 1):
        for kind in ("helper", "raw"):
            times[kind].append(sdk.read(kind, text)["cpu"])
        for protocol in (NATIVE, AG_UI, AI_SDK):
            before = service.cpu()
            _, deltas = await read(service, text, protocol)
            times[protocol.path].append(service.cpu() - before)
            if deltas != DELTAS:
                raise RuntimeError(f"{deltas} deltas came")
    spent = {name: statistics.median(some[1:]) * 1e6 / DELTAS for name, some in times.items()}
    helper, raw = spent["helper"], spent["raw"]
    rows = [
        (f"CPU per 1,000 deltas, SDK alone by `messages.stream`, median of {ROUNDS}", f"{helper:.0f} ms"),
        ("SDK alone by `messages.create(stream=True)`, its least", f"{raw:.0f} ms"),
    ]
    for path in ("stream", "ag-ui", "ai-sdk"):
        ours = spent[path]
        rows += [
            (f"through `/api/copilot/{path}/`", f"{ours:.0f} ms"),
            ("**added** (bar 1 × the SDK)", f"**{ours - helper:.0f} ms, {(ours - helper) / helper:.2f} ×**"),
            ("added to the SDK's least", f"{ours - raw:.0f} ms, {(ours - raw) / raw:.2f} ×"),
        ]
    return rows


async def hold(service: Service, count: int) -> tuple[list[tuple[asyncio.StreamReader, asyncio.StreamWriter]], int]:
    """So many open streams, each after its first delta; and how many failed."""
    gate = asyncio.Semaphore(50)

    async def one() -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        async with gate:
            reader, writer = await service.ask("bench:hold")
            seen = b""
            while b"event: text.delta" not in seen:
                if not (chunk := await reader.read(65536)):
                    return None
                seen += chunk
                if not seen.startswith(b"HTTP/1.1 200") or b"event: run.error" in seen:
                    return None
            return reader, writer

    async with asyncio.timeout(120):
        opened = await asyncio.gather(*(one() for _ in range(count)))
    streams = [stream for stream in opened if stream is not None]
    return streams, count - len(streams)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a process to get there."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # of another process
            await asyncio.sleep(0.05)


async def measure_open(service: Service, count: int) -> list[tuple[str, str]]:
    """Memory of many open streams, twice: the second time shows what the first one left."""
    streams, _ = await hold(service, 20)  # what every process pays once
    for _, writer in streams:
        writer.close()
    await asyncio.sleep(1)
    rows: list[tuple[str, str]] = []
    baseline = service.memory()
    for turn in ("first", "second"):
        before = service.memory()
        started = time.perf_counter()
        streams, failed = await hold(service, count)
        taken = time.perf_counter() - started
        await asyncio.sleep(2)
        during, held = service.memory(), service.connections()
        for _, writer in streams:
            writer.close()
        await until(lambda: service.connections()[0] == 0 and service.connections()[1] <= KEPT)
        await asyncio.sleep(2)
        after = service.memory()
        rows += [
            (f"{count} open streams, {turn} time: errors, time to open", f"{failed}, {taken:.1f} s"),
            (f"connections of clients, and to the upstream ({turn})", f"{held[0]}, {held[1]}"),
            (f"memory each ({turn})", f"{(during - before) / count / KIB:.0f} KiB"),
            (f"resident before → open → closed ({turn})",
             f"{before / KIB / KIB:.0f} → {during / KIB / KIB:.0f} → {after / KIB / KIB:.0f} MiB"),
        ]  # fmt: skip
    rows.append(("connections of clients, and to the upstream, after all closed", str(service.connections())))
    rows.append(("resident above the start, after all closed", f"{(service.memory() - baseline) / KIB / KIB:.1f} MiB"))
    return rows


async def measure_drain(service: Service, count: int) -> list[tuple[str, str]]:
    """SIGTERM with many open streams; the service is gone afterwards."""
    streams, _ = await hold(service, count)
    started = time.perf_counter()
    service.stop()
    rests = await asyncio.gather(*(reader.read() for reader, _ in streams))
    ended = time.perf_counter() - started
    await asyncio.to_thread(service.wait)
    whole = sum(b'"code":"server_draining"' in rest and rest.endswith(b"0\r\n\r\n") for rest in rests)
    return [
        (f"SIGTERM with {count} open streams: ended with `server_draining`, after", f"{whole}, {ended:.1f} s"),
        ("the process is gone after", f"{time.perf_counter() - started:.1f} s"),
    ]


@contextmanager
def serving(settings: dict[str, str], key: str, upstream: int) -> Generator[Service]:
    """The service in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = os.environ | settings | {"PORT": str(port), "LOG_LEVEL": "error"}
    with child(sys.executable, "-m", "segment_copilot", "serve", environment=environment) as process:
        until_open("127.0.0.1", port)
        yield Service(process, f"http://127.0.0.1:{port}", key, upstream)


def until_open(host: str, port: int) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the service does not listen")


async def prepare(settings: Settings) -> str:
    """A tenant with a key."""
    async with open_resources(settings) as resources:
        await migrate(resources.postgres, resources.clickhouse)
        tenant = await resources.tenants.create("bench")
        return (await resources.keys.create(tenant))[1]


async def measure(service: Service, sdk: Sdk, wanted: list[str], count: int) -> None:
    """Print the rows that are wanted."""
    print(f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}\n")
    print("| what | measured |\n|---|---|")
    if "first" in wanted:
        show(await measure_first(service, sdk))
    if "cpu" in wanted:
        show(await measure_cpu(service, sdk))
    if "open" in wanted:
        show(await measure_open(service, count))
    if "drain" in wanted:
        show(await measure_drain(service, count))


def show(rows: list[tuple[str, str]]) -> None:
    """Rows of the table."""
    for what, measured in rows:
        print(f"| {what} | {measured} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["first", "cpu", "open", "drain"])
    parser.add_argument("--streams", type=int, default=500)
    options = parser.parse_args()
    configure_logging(level="error", form="console")
    with tempfile.TemporaryDirectory(prefix="segment-copilot-benchmark-") as folder:
        data = Path(folder)
        data.chmod(0o711)
        with start_engines(data) as engines, child(sys.executable, str(HERE / "copilot_upstream.py")) as upstream:
            port = int(line(upstream))
            url = f"http://127.0.0.1:{port}"
            stores = {"DATABASE_URL": engines.database_url, "CLICKHOUSE_URL": engines.clickhouse_url}
            settings = Settings(database_url=engines.database_url, clickhouse_url=engines.clickhouse_url)
            key = asyncio.run(prepare(settings))
            model = {"COPILOT_MODEL": "claude", "ANTHROPIC_API_KEY": "sk-bench", "ANTHROPIC_BASE_URL": url}
            long = {"COPILOT_DEADLINE_SECONDS": "600", "CLAUDE_IDLE_SECONDS": "600"}  # silence is what is measured
            with (
                serving(stores | model | long, key, port) as service,
                child(sys.executable, str(HERE / "copilot_reader.py"), url) as reader,
            ):
                asyncio.run(measure(service, Sdk(reader), options.what, options.streams))


if __name__ == "__main__":
    main()
