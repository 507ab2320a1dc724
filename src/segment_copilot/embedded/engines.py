"""Both engines in one data directory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from platformdirs import user_data_path

from segment_copilot.embedded import binaries
from segment_copilot.embedded.clickhouse_config import CLUSTER
from segment_copilot.embedded.directory import is_locked, locked, make_directory
from segment_copilot.embedded.engine import Engine, prepare_clickhouse, prepare_postgres, prepare_shards


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
        self,
        data_dir: Path,
        *,
        postgres: Engine | str,
        clickhouse: Engine | str,
        resources: contextlib.ExitStack,
        other_shards: Sequence[Engine] = (),
    ) -> None:
        """Use `start_engines`."""
        self.data_dir = data_dir
        self.postgres = postgres if isinstance(postgres, Engine) else None
        self.clickhouse = clickhouse if isinstance(clickhouse, Engine) else None
        self.database_url = postgres.url if isinstance(postgres, Engine) else postgres
        self.clickhouse_url = clickhouse.url if isinstance(clickhouse, Engine) else clickhouse
        self.other_shards = tuple(other_shards)
        self._resources = resources

    @property
    def cluster(self) -> str:
        """The name of the cluster that several servers of ClickHouse are; empty for one server."""
        return CLUSTER if self.other_shards else ""

    def stop(self) -> None:
        """Stop what was started and wait for it; safe to call twice."""
        for engine in (self.postgres, self.clickhouse, *self.other_shards):
            if engine is not None:
                engine.release()  # so that both stop at the same time
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def is_in_use(directory: Path) -> bool:
    """Return whether the engines of a data directory run, or are starting, under some process."""
    return is_locked(directory / "lock")


def start_engines(
    data_dir: Path | None = None,
    *,
    database_url: str = "",
    clickhouse_url: str = "",
    durable: bool = True,
    shards: int = 1,
) -> Engines:
    """Start PostgreSQL and ClickHouse in *data_dir* (default: `default_data_dir()`), both at the same time.

    A URL that is given is used as it is, and that engine is not started. *durable* False makes PostgreSQL fast and
    unsafe against a power cut (not against kill -9), for tests. *shards* above 1 starts so many servers of ClickHouse, which
    know each other as the cluster `Engines.cluster`. Raises `Conflict` when another process holds the
    directory and `Unavailable` when an engine cannot run here or does not start.
    """
    binaries.check_platform()
    directory = (default_data_dir() if data_dir is None else data_dir).resolve()
    with contextlib.ExitStack() as resources:
        make_directory(directory, mode=0o711)
        resources.enter_context(locked(directory / "lock"))
        postgres = database_url or prepare_postgres(directory / "postgres", durable=durable)
        clickhouse, others, ports = clickhouse_url, list[Engine](), dict[Engine, int]()
        if not clickhouse_url and shards > 1:
            prepared = prepare_shards(directory / "clickhouse", shards)
            ports, (clickhouse, *others) = dict(prepared), [engine for engine, _ in prepared]
        clickhouse = clickhouse or prepare_clickhouse(directory / "clickhouse")
        launched = [engine for engine in (postgres, clickhouse, *others) if isinstance(engine, Engine)]
        for engine in launched:
            resources.callback(engine.stop)
            engine.launch(port=ports.get(engine))
        for engine in launched:
            engine.wait_ready()
        return Engines(
            directory, postgres=postgres, clickhouse=clickhouse, other_shards=others, resources=resources.pop_all()
        )
    raise AssertionError  # an ExitStack of ours swallows nothing
