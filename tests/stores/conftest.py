"""Both stores, opened once per module: these tests make tables of their own."""

from __future__ import annotations

import pytest

from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.postgres import Postgres


@pytest.fixture(scope="module")
def clickhouse(module_clickhouse: ClickHouse) -> ClickHouse:
    return module_clickhouse


@pytest.fixture(scope="module")
def postgres(module_postgres: Postgres) -> Postgres:
    return module_postgres
