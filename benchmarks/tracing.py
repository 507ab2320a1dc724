"""What traces cost: `python benchmarks/tracing.py [--requests 1500]`.

The same service reads a segment with traces off, on for one request in twenty, and on for all, in turns; spans go to a receiver of
OTLP on a loopback port. Each service is a process of its own, whose CPU is compared.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from timeit import timeit
from typing import Any

from segment_copilot.embedded import start_engines
from segment_copilot.settings import Settings, read_settings
from segment_copilot.telemetry import tracing

HERE = Path(__file__).resolve().parent
# The exporter means another `requests` than the script beside this one.
sys.path = [each for each in sys.path if Path(each).resolve() != HERE]
_spec = importlib.util.spec_from_file_location("segment_reading", HERE / "requests.py")
assert _spec is not None
assert _spec.loader is not None
reading: Any = importlib.util.module_from_spec(_spec)
sys.modules["segment_reading"] = reading  # where msgspec looks its annotations up
_spec.loader.exec_module(reading)

SAMPLED = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.05"}


class Receiver(BaseHTTPRequestHandler):
    """Takes what is sent and forgets it."""

    def do_POST(self) -> None:  # the library's
        """Answer that all was taken."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def running(settings: Settings, key: str, variables: Mapping[str, str]) -> Generator[Any]:
    """A service with these variables, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | variables | {
        "DATABASE_URL": settings.database_url,
        "CLICKHOUSE_URL": settings.clickhouse_url,
        "PORT": str(port),
        "REQUESTS_PER_MINUTE": "100000000",
        "TENANT_REQUESTS_PER_MINUTE": "100000000",
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, __file__, "--serve"], env=environment)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield reading.Service(process, port, key)
    finally:
        process.terminate()
        process.wait()


async def measure(services: Mapping[str, Any], requests: int) -> None:
    """Print the table."""
    path = "/api/segments/50/"
    for service in services.values():
        await reading.ask(service, path, 300)
    taken: dict[str, list[float]] = {name: [] for name in services}
    for _ in range(reading.ROUNDS):
        for name, service in services.items():
            taken[name].append((await reading.ask(service, path, requests))[0])
    print("| traces | CPU ms of a segment GET | ÷ off |\n|---|---:|---:|")
    for name, found in taken.items():
        ratios = [one / off for one, off in zip(found, taken["off"], strict=True)]
        print(f"| {name} | {statistics.median(found):.3f} | {statistics.median(ratios):.2f} |")
    spent = timeit(lambda: tracing.statement("SELECT 1").__enter__(), number=200_000) / 200_000
    print(f"\nA place where a span would begin costs {spent * 1e6:.2f} µs while traces are off.")


def main() -> None:
    """Serve, or measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1500)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--segments", type=int, default=1000)
    arguments = parser.parse_args()
    reading.SEGMENTS = arguments.segments
    if arguments.serve:
        tracing.configure_tracing("api")
        reading.serve("ours", read_settings(os.environ), None)
        tracing.stop_tracing()
        return
    receiver = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    to = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.server_port}"}
    with tempfile.TemporaryDirectory(prefix="segment-copilot-benchmark-") as folder, ExitStack() as stack:
        data = Path(folder)
        data.chmod(0o711)
        engines = stack.enter_context(start_engines(data))
        settings = Settings(
            database_url=engines.database_url,
            clickhouse_url=engines.clickhouse_url,
            port=0,
            refresh_default="manual",
        )
        key, _ = asyncio.run(reading.fill(settings))
        kinds = {"off": {}, "on, 5 % of requests": to | SAMPLED, "on, all": to}
        services = {name: stack.enter_context(running(settings, key, variables)) for name, variables in kinds.items()}
        asyncio.run(measure(services, arguments.requests))


if __name__ == "__main__":
    main()
