"""Runs the service as `python -m segment_copilot` does; on SIGUSR1 the process writes down which tasks it has."""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

TASKS: Final = "CHAOS_TASKS"
"""The environment variable that names the file."""


def _write(_number: int, _frame: FrameType | None) -> None:
    names = Counter(getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks())
    file = Path(os.environ[TASKS])
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(names), "utf-8")
    draft.replace(file)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _write)
    sys.argv[0] = "segment-copilot"
    runpy.run_module("segment_copilot", run_name="__main__", alter_sys=True)
