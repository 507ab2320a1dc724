"""Keeps what lies in an engine's directory besides its data: lock, port, password, log."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import socket
import time
from collections.abc import Generator
from pathlib import Path
from typing import TextIO

import msgspec
from msgspec import Struct

from segment_copilot.errors import Conflict, Unavailable

LOOPBACK = "127.0.0.1"
USER = "app"
DATABASE = "segment_copilot"

# Below every system's range for outgoing connections: a client that keeps trying the port of a dead engine would
# otherwise be given that very port for its own end, connect to itself, and keep the engine from coming back.
_PORTS = range(15_000, 32_000)
_LOG_LIMIT = 16 * 1024 * 1024


class Account(Struct, frozen=True):
    """The system account that an engine runs as, where the engine refuses root."""

    uid: int
    gid: int


def own(path: Path, account: Account | None) -> None:
    """Give *path* to *account*; None leaves it to the user who made it."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def make_directory(path: Path, *, mode: int = 0o700, account: Account | None = None) -> None:
    """Create *path* (and its parents), or bring its mode and owner back to what they should be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        own(path, account)
        path.chmod(mode)
    except PermissionError as error:
        raise Unavailable(
            f"{error.filename} belongs to another user, so no engine can be started in {path}. Name another data directory.",
            code="data_directory_unusable",
        ) from error


def write_private(path: Path, text: str, *, account: Account | None = None) -> None:
    """Write *text* so that it is never readable for others, and never half there."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600, exist_ok=False)
    draft.write_text(text, "utf-8")
    own(draft, account)
    draft.replace(path)


def password(directory: Path) -> str:
    """Return the password of the user `app` in this directory's engine; it is made at the first start."""
    path = directory / "password"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text("utf-8")


@contextlib.contextmanager
def locked(path: Path, *, patience: float = 0.0) -> Generator[None]:
    """Hold the lock file *path*, or raise `Conflict` naming the process that does after *patience* seconds.

    The kernel drops the lock with the process, however that ends; the number in the file is for people.
    """
    with path.open("a+", encoding="utf-8") as file:
        path.chmod(0o600)
        deadline = time.monotonic() + patience
        while not _try_lock(file):
            if time.monotonic() > deadline:
                raise Conflict(
                    f"{path.parent} is in use by {_holder(file)}. Stop it, or name another data directory.",
                    code="data_directory_in_use",
                )
            time.sleep(0.02)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock file *path*."""
    try:
        with path.open("r+", encoding="utf-8") as file:
            return not _try_lock(file)
    except OSError:  # there is none, or it is somebody else's
        return False


def _try_lock(file: TextIO) -> bool:
    import fcntl  # noqa: PLC0415  (not on Windows, where a clear message comes first)

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: TextIO) -> str:
    file.seek(0)
    number = file.read().strip()
    return f"process {number}" if number else "another process"


def choose_port(directory: Path, *, demanded: int | None, patience: float = 2.0) -> int:
    """Choose a free loopback port: the *demanded* one, else the one used last time, else a new one, which is remembered.

    Raises `Unavailable` when the demanded port stays taken for *patience* seconds.
    """
    if demanded is not None:
        deadline = time.monotonic() + patience
        while not _is_free(demanded):
            if time.monotonic() > deadline:
                raise Unavailable(f"Port {demanded} of {LOOPBACK} is taken by another process.", code="port_taken")
            time.sleep(0.02)
        return _remember(directory, demanded)
    for port in (*_last_port(directory), *random.SystemRandom().sample(_PORTS, 50)):
        if _is_free(port):
            return _remember(directory, port)
    raise Unavailable(f"No free port between {_PORTS.start} and {_PORTS.stop} on {LOOPBACK}.", code="port_taken")


def _last_port(directory: Path) -> tuple[int, ...]:
    try:
        return (msgspec.convert((directory / "port").read_text("utf-8"), int, strict=False),)
    except (FileNotFoundError, msgspec.ValidationError):
        return ()


def _remember(directory: Path, port: int) -> int:
    write_private(directory / "port", str(port))
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as both engines do
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def open_log(directory: Path) -> int:
    """Return a file descriptor that appends to the engine's log; a long log is moved aside first."""
    path = directory / "log"
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        path.replace(directory / "log.old")
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def log_size(directory: Path) -> int:
    """Return how long the log is, in bytes."""
    try:
        return (directory / "log").stat().st_size
    except FileNotFoundError:
        return 0


def log_tail(directory: Path, *, since: int = 0, lines: int = 12) -> str:
    """Return the last *lines* of the log, of what was written after byte *since*."""
    try:
        with (directory / "log").open("rb") as file:
            file.seek(since)
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.strip().splitlines()[-lines:])
