"""Writes commands as the person who started this one would type them."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

PROGRAM: Final = "segment-copilot"


def command_line(*arguments: str) -> str:
    """Return our command with *arguments*, quoted for a shell, begun as this process was: `uv run`, or by its name."""
    return f"{_beginning()} {shlex.join(arguments)}".rstrip()


def data_dir_arguments(data_dir: Path | None) -> tuple[str, ...]:
    """Return what names *data_dir* on a command line: nothing where it is the default or the environment's."""
    if data_dir is None or os.environ.get("DATA_DIR") == str(data_dir):
        return ()
    return ("--data-dir", str(data_dir))


def _beginning() -> str:
    if uv := os.environ.get("UV"):  # uv tells whom it runs
        name = "uv" if shutil.which("uv") else os.path.relpath(uv)
        return f"{name} run {PROGRAM}"
    if shutil.which(PROGRAM):
        return PROGRAM
    beside = Path(sys.executable).with_name(PROGRAM)
    return (
        shlex.quote(os.path.relpath(beside)) if beside.exists() else f"{shlex.quote(sys.executable)} -m segment_copilot"
    )
