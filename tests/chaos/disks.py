"""Disks that are really full: each engine's data lies in a file system of its own, which is shrunk to what it holds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import psutil

from tests.chaos.service import Service

_ROOM: Final = 2 * 2**30
"""Bytes that each may have; what is not written takes no memory."""
_TRIES: Final = 256
ENGINES: Final = ("postgres", "clickhouse")


def can_mount() -> bool:
    """Return whether this process may mount file systems: as root, outside most containers."""
    return os.geteuid() == 0 and Path("/proc/self/mounts").exists()


@contextmanager
def own_disks(directory: Path) -> Iterator[bool]:
    """Give each engine below *directory* a file system in memory, before it is started; False where that is not allowed."""
    mounted = list[Path]()
    try:
        for engine in ENGINES if can_mount() else ():
            place = directory / engine
            place.mkdir(mode=0o711, parents=True, exist_ok=True)
            ran = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={_ROOM}", "chaos", str(place)], capture_output=True, check=False
            )
            if ran.returncode:
                break
            mounted.append(place)
        yield len(mounted) == len(ENGINES)
    finally:
        for place in mounted:
            subprocess.run(["umount", "-l", str(place)], check=False)


def full(engine: str) -> Callable[[Service], contextlib.AbstractAsyncContextManager[None]]:
    """Let *engine* find no room for one more byte; PostgreSQL, if it dies of that, is started again when there is room."""

    @asynccontextmanager
    async def plant(service: Service) -> AsyncGenerator[None]:
        place = service.engines.data_dir / engine
        _fill(place)
        try:
            yield
        finally:
            _resize(place, _ROOM)
            if not psutil.pid_exists(service.postgres.pid):
                await asyncio.to_thread(service.postgres.restart)

    return plant


def _fill(place: Path) -> None:
    """Shrink a file system to what it holds; the engine goes on writing, so that is tried until it was quick enough."""
    for margin in range(_TRIES):
        state = os.statvfs(place)
        used = (state.f_blocks - state.f_bfree + margin) * state.f_frsize
        with contextlib.suppress(subprocess.CalledProcessError):
            return _resize(place, used)
    raise TimeoutError(f"{place} cannot be shrunk to what it holds")


def _resize(place: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True, capture_output=True)
