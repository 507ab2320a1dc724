"""One engine, as the process that started it sees it."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec

from segment_copilot.embedded import binaries
from segment_copilot.embedded.directory import (
    DATABASE,
    LOOPBACK,
    USER,
    Account,
    choose_port,
    log_size,
    log_tail,
    make_directory,
    open_log,
    password,
    write_private,
)
from segment_copilot.embedded.host import Failed, Order, Ready
from segment_copilot.errors import Unavailable

Kind = Literal["postgresql", "clickhouse"]
_HOSTS: dict[Kind, str] = {"postgresql": "postgres_host", "clickhouse": "clickhouse_host"}
_NAMES: dict[Kind, str] = {"postgresql": "PostgreSQL", "clickhouse": "ClickHouse"}
_START_SECONDS = 150.0
_STOP_SECONDS = 15.0


class Engine:
    """A running PostgreSQL or ClickHouse. Stop it, or leave the `with` block; killing this process stops it too."""

    def __init__(
        self, kind: Kind, directory: Path, *, durable: bool, account: Account | None, cluster: tuple[int, ...] = ()
    ) -> None:
        """Use `start_postgres` or `start_clickhouse`."""
        self.kind: Kind = kind
        self.directory = directory
        self._durable = durable
        self._account = account
        self._cluster = cluster
        self._host: subprocess.Popen[bytes] | None = None
        self._ready: Ready | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The engine's own process (PostgreSQL's postmaster), for signals."""
        return self._state.pid

    @property
    def port(self) -> int:
        """The port on 127.0.0.1; kept over restarts."""
        return self._state.port

    @property
    def version(self) -> str:
        """The server's version, such as 18.6."""
        return self._state.version

    @property
    def url(self) -> str:
        """The URL of our own database, with user and password; the same after a restart."""
        return f"{self.kind}://{USER}:{password(self.directory)}@{LOOPBACK}:{self.port}/{DATABASE}"

    @property
    def host_pid(self) -> int:
        """The process that holds the pipe from us; ClickHouse runs in it."""
        return 0 if self._host is None else self._host.pid

    @property
    def _state(self) -> Ready:
        if self._ready is None:
            raise Unavailable(f"{_NAMES[self.kind]} in {self.directory} is not running.")
        return self._ready

    def launch(self, *, port: int | None) -> None:
        """Start the host and return at once; `wait_ready` comes next."""
        make_directory(self.directory, account=self._account)
        order = Order(directory=str(self.directory.resolve()), port=port, durable=self._durable, cluster=self._cluster)
        log_file = open_log(self.directory)
        self._log_start = log_size(self.directory)
        try:
            self._host = subprocess.Popen(  # noqa: S603
                [
                    sys.executable,
                    "-P",
                    "-m",
                    f"segment_copilot.embedded.{_HOSTS[self.kind]}",
                    msgspec.json.encode(order).decode(),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                cwd=self.directory,  # has no config.xml, which ClickHouse would read
                start_new_session=True,  # an interrupt from the terminal is ours to handle, in order
            )
        finally:
            os.close(log_file)

    def wait_ready(self) -> None:
        """Wait for the engine to accept connections; raises `Unavailable` with the end of its log."""
        line = self._read_report()
        report = msgspec.json.decode(line, type=Ready | Failed) if line else None
        if not isinstance(report, Ready):
            self.stop()
            name, said = _NAMES[self.kind], log_tail(self.directory, since=self._log_start)
            if report is not None:
                raise Unavailable(report.detail, code=report.code)
            raise Unavailable(
                f"{name} did not start. {self.directory / 'log'} ends with:\n{said}", code="engine_failed"
            )
        self._ready = report

    def _read_report(self) -> bytes:
        """Return the host's one line; empty when it ends or stays silent."""
        if self._host is None or self._host.stdout is None:
            return b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._host.stdout, selectors.EVENT_READ)
            return self._host.stdout.readline() if selector.select(_START_SECONDS) else b""

    def stop(self) -> None:
        """Stop in order and wait for it; safe to call twice. Close connections first: ClickHouse waits 2 s for them."""
        if self._host is None:
            return
        self.release()
        try:
            self._host.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._host.kill()
            self._host.wait()
        self._host = None
        self._ready = None

    def release(self) -> None:
        """Close the pipe, which tells the host to stop, and do not wait."""
        if self._host is None:
            return
        for pipe in (self._host.stdin, self._host.stdout):
            if pipe is not None:
                pipe.close()

    def kill(self) -> None:
        """End the engine as a crash would: SIGKILL, no goodbye. `restart` brings it back."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        if self._host is not None:
            self._host.wait(_STOP_SECONDS)

    def restart(self) -> None:
        """Start again, whether it runs, was stopped or was killed, on the same port: the URL stays good."""
        port = self.port
        self.stop()
        self.launch(port=port)
        self.wait_ready()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_postgres(directory: Path, *, port: int | None = None, durable: bool = True) -> Engine:
    """Start PostgreSQL 18 in *directory*, whose parents must let `nobody` pass when we are root.

    *port* None takes the last one, or a free one. *durable* False trades safety against a power cut for speed.
    Raises `Unavailable` when it cannot be started, `Conflict` when another process runs it.
    """
    return _start(prepare_postgres(directory, durable=durable), port)


def start_clickhouse(directory: Path, *, port: int | None = None) -> Engine:
    """Start ClickHouse 26.9 in *directory*. Its user `app` may use databases whose names begin with segment_copilot.

    Raises as `start_postgres` does.
    """
    return _start(prepare_clickhouse(directory), port)


def _start(engine: Engine, port: int | None) -> Engine:
    engine.launch(port=port)
    engine.wait_ready()
    return engine


def prepare_postgres(directory: Path, *, durable: bool) -> Engine:
    """Return an engine that is not launched; raises `Unavailable` when this machine cannot run it."""
    binaries.check_platform()
    binaries.find_programs()
    return Engine("postgresql", directory, durable=durable, account=binaries.account_for(directory))


def prepare_clickhouse(directory: Path, *, cluster: tuple[int, ...] = ()) -> Engine:
    """Return an engine that is not launched, one of several where *cluster* has their ports.

    Raises `Unavailable` when this machine cannot run it.
    """
    binaries.check_platform()
    if find_spec("chdb") is None:
        raise Unavailable(
            "ClickHouse is not on this machine. Install segment-copilot[embedded] (Linux and macOS), or set CLICKHOUSE_URL to a server.",
            code="engine_missing",
        )
    return Engine("clickhouse", directory, durable=True, account=None, cluster=cluster)


def prepare_shards(directory: Path, number: int) -> list[tuple[Engine, int]]:
    """Return the servers of a cluster, none launched, with the port that each is to have; all have one password.

    The first is in *directory*, the others beside it.
    """
    directories = [directory, *(directory.with_name(f"{directory.name}-{shard}") for shard in range(2, number + 1))]
    for one in directories:
        make_directory(one)
        if one != directory:
            write_private(one / "password", password(directory))
    ports = list[int]()
    for one in directories:
        port = choose_port(one, demanded=None)
        while port in ports:  # free, and promised to another of us
            (one / "port").unlink()
            port = choose_port(one, demanded=None)
        ports.append(port)
    return [(prepare_clickhouse(one, cluster=tuple(ports)), port) for one, port in zip(directories, ports, strict=True)]
