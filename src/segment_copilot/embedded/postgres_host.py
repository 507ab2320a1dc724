"""The process that runs PostgreSQL: makes the cluster, starts the server, stops it when the parent is gone.

Run as `python -m segment_copilot.embedded.postgres_host ORDER`; see `engine.py` for the other end of the pipes.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from segment_copilot.embedded import binaries
from segment_copilot.embedded.directory import (
    DATABASE,
    LOOPBACK,
    USER,
    choose_port,
    locked,
    log_size,
    log_tail,
    password,
    write_private,
)
from segment_copilot.embedded.host import Order, Parent, Ready, read_order
from segment_copilot.errors import SegmentCopilotError, Unavailable

_START_SECONDS = 120.0  # crash recovery replays up to a gigabyte of log
_LEFTOVERS_SECONDS = 15.0  # how long the children of a killed server may take to notice
_OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "logging_collector": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",  # a DETAIL quotes the row
}
_PR_SET_PDEATHSIG = 1
# What a commit wrote still reaches the system's cache, so that kill -9 loses nothing; a power cut may.
_FAST = {"fsync": "off", "full_page_writes": "off"}


class Server:
    """One PostgreSQL in one directory."""

    def __init__(self, directory: Path, *, durable: bool) -> None:
        """Find the programs and the user; raises `Unavailable` when there is none."""
        self.directory = directory
        self.data = directory / "data"
        self.account = binaries.account_for(directory)
        self.programs = binaries.reachable_programs(binaries.find_programs(), account=self.account, directory=directory)
        self.version = binaries.version(self.programs)
        self.durable = durable
        self.process: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        """Make the cluster, the user and the database, all or nothing."""
        if self.data.exists():
            self._check_major()
            return
        draft = self.directory / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        superuser = self.directory / "superuser"
        write_private(superuser, secrets.token_urlsafe(24), account=self.account)
        sync = () if self.durable else ("--no-sync",)
        self._run(
            "initdb", "-D", draft, "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={superuser}", "-E", "UTF8",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions", *sync,
        )  # fmt: skip
        superuser.unlink()  # nobody ever logs in as it
        self._run(
            "postgres", "--single", "-D", draft, "-c", "exit_on_error=true", "postgres",
            script=f"CREATE ROLE {USER} LOGIN CREATEDB CREATEROLE PASSWORD '{password(self.directory)}'\nCREATE DATABASE {DATABASE} OWNER {USER}\n",
        )  # fmt: skip
        draft.rename(self.data)

    def _check_major(self) -> None:
        made_by = (self.data / "PG_VERSION").read_text("ascii").strip()
        if made_by != str(binaries.major(self.version)):
            raise Unavailable(
                f"{self.data} was made by PostgreSQL {made_by}, and the programs here are {self.version}. "
                "Set PG_BINDIR to programs of the same major version, or name another data directory.",
                code="engine_version",
            )

    def start(self, *, port: int, parent: Parent) -> bool:
        """Start and wait until connections are accepted; False when the parent went away meanwhile."""
        self._clear_leftovers()
        deadline = time.monotonic() + _LEFTOVERS_SECONDS
        while True:
            since = log_size(self.directory)
            self.process = self._spawn(port)
            state = self._wait_ready(self.process, parent)
            if state is not None:
                return state
            log = log_tail(self.directory, since=since)
            if "pre-existing shared memory block" not in log or time.monotonic() > deadline:
                raise Unavailable(
                    f"PostgreSQL did not start. {self.directory / 'log'} ends with:\n{log}", code="engine_failed"
                )
            time.sleep(0.1)  # the last children of the killed server are still on their way out

    @property
    def pid(self) -> int:
        """The postmaster's process id; 0 before the start."""
        return 0 if self.process is None else self.process.pid

    def is_running(self) -> bool:
        """Return whether the postmaster lives."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """Stop in order, then at once, then by force."""
        if self.process is None:
            return
        for number, patience in ((signal.SIGINT, 8.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, None)):
            self.process.send_signal(number)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
            return

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        settings = [
            part
            for name, value in {**_OPTIONS, **({} if self.durable else _FAST), "port": str(port)}.items()
            for part in ("-c", f"{name}={value}")
        ]
        return self._open("postgres", "-D", self.data, *settings)

    def _wait_ready(self, process: subprocess.Popen[bytes], parent: Parent) -> bool | None:
        """Return True when it is ready, False when the parent is gone, None when the server ended or takes too long."""
        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            lines = _lines(self.data / "postmaster.pid")
            # The first line too: right after a crash the file is still the dead server's.
            if len(lines) > 7 and lines[0].strip() == str(process.pid) and lines[7].strip() == "ready":  # noqa: PLR2004
                return True
            if parent.is_gone(within=0.01):
                return False
        return None

    def _clear_leftovers(self) -> None:
        """Stop a server whose host was killed, or remove its pid file when that number is now another program's.

        PostgreSQL itself only asks whether *some* process has that number and would refuse to start.
        """
        import psutil  # noqa: PLC0415  (slow to import, rarely needed)

        pid_file = self.data / "postmaster.pid"
        lines = _lines(pid_file)
        if not lines or not lines[0].strip().isdigit():
            return
        try:
            process = psutil.Process(int(lines[0]))
            is_ours = str(self.data) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
            if is_ours:
                process.send_signal(signal.SIGINT)
                process.wait(_LEFTOVERS_SECONDS)
        except psutil.NoSuchProcess:
            return
        pid_file.unlink(missing_ok=True)

    def _run(self, program: str, *arguments: str | Path, script: str = "") -> None:
        """Run a program of PostgreSQL to its end; its output goes to the log."""
        since = log_size(self.directory)
        process = self._open(program, *arguments)
        process.communicate(script.encode())
        if process.returncode != 0:
            log = log_tail(self.directory, since=since)
            raise Unavailable(f"{program} failed. {self.directory / 'log'} ends with:\n{log}", code="engine_failed")

    def _open(self, program: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
        account = self.account
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
        try:
            return subprocess.Popen(  # noqa: S603
                [self.programs / program, *arguments],
                stdin=subprocess.PIPE,
                env={**inherited, "LC_ALL": "C"},
                cwd="/",
                start_new_session=True,
                user=None if account is None else account.uid,
                group=None if account is None else account.gid,
                extra_groups=None if account is None else [],
                preexec_fn=_die_with_host,  # noqa: PLW1509  (this process has one thread)
            )
        except OSError as error:
            raise Unavailable(f"{self.programs / program} cannot be run: {error}", code="engine_failed") from error


def _die_with_host() -> None:
    """Have Linux stop the server should this process be killed; elsewhere the next start clears up."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    """End through the `finally` that stops the server."""
    sys.exit(0)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []


def _serve(order: Order, directory: Path, *, parent: Parent) -> None:
    """Run PostgreSQL until it ends or the parent is gone."""
    server = Server(directory, durable=order.durable)
    try:
        server.create()
        port = choose_port(directory, demanded=order.port)
        if not server.start(port=port, parent=parent):
            return
        parent.tell(Ready(pid=server.pid, port=port, version=server.version))
        while server.is_running() and not parent.is_gone(within=0.2):
            pass
    finally:
        server.stop()


def main() -> None:
    """Run the host process."""
    os.umask(0o077)
    signal.signal(signal.SIGTERM, _leave)
    order, directory = read_order(sys.argv[1])
    parent = Parent(log=2)
    try:
        with locked(directory / "lock", patience=_LEFTOVERS_SECONDS):
            _serve(order, directory, parent=parent)
    except SegmentCopilotError as error:
        parent.tell_failure(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
