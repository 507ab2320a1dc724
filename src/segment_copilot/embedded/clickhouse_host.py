"""The process that is ClickHouse: the engine of the wheel `chdb-core`, listening like any other server.

Run as `python -m segment_copilot.embedded.clickhouse_host ORDER`; see `engine.py` for the other end of the pipes.
The wheel's `query` runs the whole of `clickhouse-local`, whose `SYSTEM START LISTEN` opens the real TCP and HTTP
handlers. Its last statement (the keeper) never ends by itself; ending it stops the server.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import importlib
import os
import secrets
import sys
import threading
from pathlib import Path
from typing import NoReturn, Protocol, cast

from segment_copilot.embedded.clickhouse_config import KEEPER, write_configuration
from segment_copilot.embedded.directory import DATABASE, LOOPBACK, choose_port, locked, make_directory, password
from segment_copilot.embedded.host import Order, Parent, Ready, read_order
from segment_copilot.errors import SegmentCopilotError

_STOP_SECONDS = 2.0  # a clean stop waits for clients that stay connected; an unclean one loses nothing
_LOCK_SECONDS = 15.0

_SERVE = """
CREATE DATABASE IF NOT EXISTS {database};
SYSTEM START LISTEN TCP;
SYSTEM START LISTEN HTTP;
SELECT getServerPort('http_port'), version() INTO OUTFILE 'ports' TRUNCATE FORMAT TSV;
SELECT sleepEachRow(0.25) /* {keeper} */ FROM system.numbers FORMAT Null SETTINGS max_block_size = 1
"""


class Library(Protocol):
    """The one function of the wheel's native module that we call; nobody else may import that module."""

    def query(self, sql: str, output_format: str, *, path: str) -> object:
        """Run *sql*'s statements with the data in *path*. Errors are written to standard error, not raised."""
        ...


class Watcher(threading.Thread):
    """Reports the ports once they are open, then stops the engine when the parent is gone."""

    def __init__(self, *, parent: Parent, ports: Path, port: int, keeper_password: str) -> None:
        """Watch *parent*; the engine writes *ports* when it listens."""
        super().__init__(daemon=True)
        self._parent = parent
        self._ports = ports
        self._port = port
        self._keeper_password = keeper_password

    def run(self) -> None:
        """Report, then watch until the process ends."""
        while not (line := self._read_ports()):
            if self._parent.is_gone(within=0.01):
                os._exit(0)
        http_port, version = line.split("\t")
        self._parent.tell(Ready(pid=os.getpid(), port=self._port, version=version))
        self._parent.is_gone()
        killer = threading.Timer(_STOP_SECONDS, os._exit, (0,))
        killer.daemon = True
        killer.start()
        with contextlib.suppress(OSError, http.client.HTTPException):  # then the timer ends it
            self._end_keeper(int(http_port))

    def _read_ports(self) -> str:
        try:
            text = self._ports.read_text("ascii")
        except FileNotFoundError:
            return ""
        return text.strip() if text.endswith("\n") else ""

    def _end_keeper(self, http_port: int) -> None:
        connection = http.client.HTTPConnection(LOOPBACK, http_port, timeout=_STOP_SECONDS)
        login = base64.b64encode(f"{KEEPER}:{self._keeper_password}".encode()).decode()
        sql = f"KILL QUERY WHERE user = '' AND query LIKE '%/* {KEEPER} */%' ASYNC"
        connection.request("POST", "/", body=sql, headers={"Authorization": f"Basic {login}"})
        connection.getresponse().read()


def _serve(order: Order, directory: Path, *, parent: Parent) -> NoReturn:
    """Be ClickHouse until the parent is gone; ends the process."""
    server = directory / "server"
    make_directory(server)
    ports = server / "ports"
    ports.unlink(missing_ok=True)
    port = choose_port(directory, demanded=order.port)
    keeper_password = secrets.token_urlsafe(24)
    write_configuration(
        server,
        port=port,
        user_password=password(directory),
        keeper_password=keeper_password,
        cluster=order.cluster,
    )
    # Before the change of directory: importing opens an engine of its own, which would read our config.xml.
    library = cast("Library", importlib.import_module("chdb._chdb"))
    os.chdir(server)
    Watcher(parent=parent, ports=ports, port=port, keeper_password=keeper_password).start()
    statements = _SERVE.format(database=DATABASE, keeper=KEEPER)
    library.query(statements, "TSV", path=str(directory / "data"))
    os._exit(0 if parent.is_gone(within=0) else 1)


def main() -> None:
    """Run the host process."""
    os.umask(0o077)
    order, directory = read_order(sys.argv[1])
    parent = Parent(log=2)
    try:
        with locked(directory / "lock", patience=_LOCK_SECONDS):
            _serve(order, directory, parent=parent)
    except SegmentCopilotError as error:
        parent.tell_failure(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
