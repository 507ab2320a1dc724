"""Both engines in one data directory."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from platformdirs import user_data_path

from segment_copilot.embedded import binaries
from segment_copilot.embedded.directory import locked, make_directory
from segment_copilot.embedded.engine import Engine, prepare_clickhouse, prepare_postgres


def default_data_dir() -> Path:
    """Return the platform's place for a user's data; /var/lib for root, whose home PostgreSQL's user may not enter."""
    return (
        Path("/var/lib/segment-copilot")
        if os.name == "posix" and os.geteuid() == 0
        else user_data_path("segment-copilot")
    )


class Engines:
    """The engines that `start_engines` started; an engine is None where a given server is used."""

    def __init__(
        self, data_dir: Path, *, postgres: Engine | str, clickhouse: Engine | str, resources: contextlib.ExitStack
    ) -> None:
        """Use `start_engines`."""
        self.data_dir = data_dir
        self.postgres = postgres if isinstance(postgres, Engine) else None
        self.clickhouse = clickhouse if isinstance(clickhouse, Engine) else None
        self.database_url = postgres.url if isinstance(postgres, Engine) else postgres
        self.clickhouse_url = clickhouse.url if isinstance(clickhouse, Engine) else clickhouse
        self._resources = resources

    def stop(self) -> None:
        """Stop what was started and wait for it; safe to call twice."""
        for engine in (self.postgres, self.clickhouse):
            if engine is not None:
                engine.release()  # so that both stop at the same time
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_engines(
    data_dir: Path | None = None, *, database_url: str = "", clickhouse_url: str = "", durable: bool = True
) -> Engines:
    """Start PostgreSQL and ClickHouse in *data_dir* (default: `default_data_dir()`), both at the same time.

    A URL that is given is used as it is, and that engine is not started. *durable* False makes PostgreSQL fast and
    unsafe against a power cut (not against kill -9), for tests. Raises `Conflict` when another process holds the
    directory and `Unavailable` when an engine cannot run here or does not start.
    """
    binaries.check_platform()
    directory = (default_data_dir() if data_dir is None else data_dir).resolve()
    with contextlib.ExitStack() as resources:
        make_directory(directory, mode=0o711)
        resources.enter_context(locked(directory / "lock"))
        postgres = database_url or prepare_postgres(directory / "postgres", durable=durable)
        clickhouse = clickhouse_url or prepare_clickhouse(directory / "clickhouse")
        launched = [engine for engine in (postgres, clickhouse) if isinstance(engine, Engine)]
        for engine in launched:
            resources.callback(engine.stop)
            engine.launch(port=None)
        for engine in launched:
            engine.wait_ready()
        return Engines(directory, postgres=postgres, clickhouse=clickhouse, resources=resources.pop_all())
    raise AssertionError  # an ExitStack of ours swallows nothing
