"""Measures the doors: the bytes of the console, and how long a fresh `dev` takes to its first answer: `python benchmarks/doors.py`.

A fresh `dev` has no data: it makes both stores, migrates, loads the demo shop, starts, and is asked one question. Then once more on
what the first left.
"""

from __future__ import annotations

import argparse
import gzip
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

from compare import machine

QUESTION = "Users who placed more than 3 orders in the last 90 days"
CHARTS = "draw.js"
STAGES = {
    "Migrating": "both stores up",
    "Loading the demo shop": "migrated",
    "segment-copilot listens": "the demo shop loaded, listening",
}


def console() -> list[tuple[str, int, int]]:
    """Return what of the console, how many bytes, and how many as they are sent (gzip)."""
    sources = {
        file.name: file.read_bytes() for file in Path(str(files("segment_copilot.api").joinpath("console"))).iterdir()
    }
    rest = b"".join(source for name, source in sources.items() if name != CHARTS)
    return [
        (name, len(source), len(gzip.compress(source)))
        for name, source in (("before charts", rest), ("charts and components", sources[CHARTS]))
    ]


def start(directory: Path) -> tuple[list[tuple[str, float]], float]:
    """Run `dev`, ask it, and return when each stage was reached, in seconds, and the seconds of CPU that all processes took."""
    command = [
        sys.executable,
        "-m",
        "segment_copilot",
        "dev",
        "--data-dir",
        str(directory),
        "--ask",
        QUESTION,
        "--once",
    ]
    before, began, reached = (
        resource.getrusage(resource.RUSAGE_CHILDREN),
        time.perf_counter(),
        list[tuple[str, float]](),
    )
    asked = False
    unset = {"DATABASE_URL", "CLICKHOUSE_URL", "ANTHROPIC_API_KEY"}
    environment = {name: value for name, value in os.environ.items() if name not in unset} | {"PORT": "0"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            passed = time.perf_counter() - began
            for said, stage in STAGES.items():
                if line.startswith(said):
                    reached.append((stage, passed))
            if asked and line.strip():
                reached.append(("its first line of an answer", passed))
                asked = False
            asked = asked or QUESTION in line
    assert process.returncode == 0
    assert reached[-1][0] == "its first line of an answer"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return reached, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the console's bytes and a fresh `dev`.")
    parser.add_argument("--no-dev", action="store_true", help="the bytes alone")
    wanted = parser.parse_args()
    print(f"{machine()}; load of the last minute before it began: {os.getloadavg()[0]:.1f}\n")
    print("| console | bytes | gzip |\n|---|---:|---:|")
    for name, size, small in console():
        print(f"| {name} | {size:,} | {small:,} |")
    if wanted.no_dev:
        return
    with tempfile.TemporaryDirectory(prefix="segment-copilot-doors-") as directory:
        for kind in ("fresh", "again"):
            reached, cpu = start(Path(directory))
            print(f"\n| {kind} `dev` | seconds |\n|---|---:|")
            for stage, passed in reached:
                print(f"| {stage} | {passed:.1f} |")
            print(f"| seconds of CPU, all processes, to the end | {cpu:.1f} |")


if __name__ == "__main__":
    main()
