"""Runs a process of the service as its command does, and tells what it holds when asked: `python benchmarks/soak_process.py FILE serve`.

At SIGUSR2 it writes to FILE, as JSON, how many asyncio tasks, threads and file descriptors it has; of tasks, also where they are.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType

from segment_copilot.__main__ import main


def told() -> dict[str, object]:
    """What this process holds now."""
    try:
        tasks = asyncio.all_tasks(asyncio.get_running_loop())
    except RuntimeError:
        tasks = set[asyncio.Task[object]]()
    places = Counter(getattr(task.get_coro(), "__qualname__", "?") for task in tasks)
    return {
        "tasks": len(tasks),
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "objects": len(gc.get_objects()) + gc.get_freeze_count(),
        "places": dict(places),
    }


def answer(path: Path) -> None:
    """Write it where the one who asked looks."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(told()))
    new.rename(path)


def on_signal(_: int, __: FrameType | None) -> None:
    """Answer."""
    answer(Path(FILE))


if __name__ == "__main__":
    _, FILE, *arguments = sys.argv
    signal.signal(signal.SIGUSR2, on_signal)
    sys.argv = ["segment-copilot", *arguments]
    main()
