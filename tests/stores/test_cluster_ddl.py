"""What `migrate` would run on a cluster of replicas, word for word: no Keeper is at hand to run it on.

After a new migration: UPDATE_GOLDENS=1, and read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.migrations import planned
from segment_copilot.stores.postgres import open_postgres

GOLDEN = Path(__file__).parents[1] / "data" / "replicated.sql"


@pytest.fixture
async def statements(empty_database_url: str) -> list[str]:
    async with open_postgres(empty_database_url) as postgres:
        plan = await planned(postgres, cluster="main")
    return [one for name, of_file in plan.items() if name.startswith("clickhouse/") for one in of_file]


async def test_tables_of_a_cluster_are_replicated_and_made_on_all_of_it(statements: list[str]):
    text = ";\n\n".join(statements) + ";\n"
    if os.environ.get("UPDATE_GOLDENS"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()
    for statement in statements:
        verb = statement.split(maxsplit=1)[0]
        assert verb == "INSERT" or "ON CLUSTER `main`" in statement, statement
        if statement.startswith("CREATE TABLE"):
            assert "ENGINE = Replicated" in statement, statement


async def test_a_server_reads_them(statements: list[str], module_clickhouse: ClickHouse):
    for statement in statements:
        if not statement.startswith("INSERT"):
            await module_clickhouse.execute(f"EXPLAIN AST {statement}", purpose="catalog")
