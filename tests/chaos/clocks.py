"""Clocks that jump: API and worker are told another time than it is, by a library that is loaded before all others."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

from tests.chaos.service import Service

_SOURCE: Final = Path(__file__).with_name("clock.c")
FILE: Final = "CHAOS_CLOCK"


def movable_clock(directory: Path) -> dict[str, str]:
    """Return the environment of processes whose wall clock can be moved; empty where there is no C compiler, or no Linux."""
    compiler = shutil.which("cc")
    if compiler is None:
        return {}
    library, file = directory / "clock.so", directory / "clock"
    ran = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(_SOURCE), "-ldl"],
        capture_output=True,
        check=False,
    )
    if ran.returncode:
        return {}
    file.write_text("0", "ascii")
    return {"LD_PRELOAD": str(library), FILE: str(file)}


def step(seconds: int) -> Callable[[Service], AbstractAsyncContextManager[None]]:
    """Move the clocks of API and worker by so many seconds at once, and back at the end; the stores keep theirs."""

    @asynccontextmanager
    async def plant(service: Service) -> AsyncGenerator[None]:
        file = Path(service.settings[FILE])
        _set(file, seconds)
        try:
            yield
        finally:
            _set(file, 0)

    return plant


def _set(file: Path, seconds: int) -> None:
    draft = file.with_suffix(".new")
    draft.write_text(str(seconds), "ascii")
    draft.replace(file)
