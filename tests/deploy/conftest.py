"""Engines that are set up as the pages of docs/operations/ ask."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path

import pytest

from segment_copilot.embedded import Engines, start_engines
from tests.support.engines import data_directory

_BACKUPS = "<clickhouse><backups><allowed_path>{path}/</allowed_path></backups></clickhouse>"
_OPERATOR = """<clickhouse><users><operator>
    <password>hush</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
    <grants>{grants}</grants>
</operator></users></clickhouse>"""
BACKUPS = Path(__file__).parents[2] / "docs" / "operations" / "backup.md"
QUOTA = "<read_rows>20000000000</read_rows>"
"""Nobody reads so much: here the reader has a hundred thousand rows of each tenant a minute."""
USERS = Path(__file__).parents[2] / "deploy" / "compose" / "clickhouse" / "users.xml"


@pytest.fixture(scope="session")
def engines() -> Generator[tuple[Engines, Path]]:
    """Engines whose ClickHouse has the users of Compose, an operator, and a place for backups; and their directory."""
    with data_directory() as directory, pytest.MonkeyPatch.context() as environment:
        environment.setenv("CLICKHOUSE_APP_PASSWORD", "hush")
        environment.setenv("CLICKHOUSE_READER_PASSWORD", "hush")
        server, backups = directory / "clickhouse" / "server", directory / "backups"
        for path in (server / "config.d", server / "users.d", backups):
            path.mkdir(parents=True)
        (server / "config.d" / "backups.xml").write_text(_BACKUPS.format(path=backups))
        # What the page grants and no more, on databases of the tests' names too.
        granted = re.findall(r"^ +(GRANT .+) TO operator;$", BACKUPS.read_text(), re.MULTILINE)
        queries = (f"<query>{one.replace('segment_copilot.*', 'segment_copilot*.*')}</query>" for one in granted)
        (server / "users.d" / "operator.xml").write_text(_OPERATOR.format(grants="".join(queries)))
        # The session that runs the embedded server is `default`'s, whom Compose removes.
        users = USERS.read_text().replace('<default remove="remove"/>', "")
        assert QUOTA in users
        (server / "users.d" / "compose.xml").write_text(users.replace(QUOTA, "<read_rows>100000</read_rows>"))
        with start_engines(directory, durable=False) as started:
            yield started, directory
