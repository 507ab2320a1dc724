"""A whole service in this process: API, worker, both stores; spoken to over HTTP like any client would."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx2
import pytest

from segment_copilot.activations.secrets import new_key
from segment_copilot.commands.serving import running
from segment_copilot.resources import open_resources
from segment_copilot.settings import Settings


@pytest.fixture(scope="module")
async def service_settings(
    module_database_url: str, module_clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    return Settings(
        database_url=module_database_url,
        clickhouse_url=module_clickhouse_url,
        port=0,
        secrets_keys=(new_key(),),
        files_directory=str(tmp_path_factory.mktemp("files")),
        refresh_default="manual",
    )


@pytest.fixture(scope="module")
async def key(service_settings: Settings) -> str:
    async with open_resources(service_settings) as resources:
        tenant = await resources.tenants.create("shop")
        return (await resources.keys.create(tenant))[1]


@pytest.fixture(scope="module")
async def url(service_settings: Settings) -> AsyncGenerator[str]:
    async with running(service_settings) as (url, _):
        yield url


@pytest.fixture(scope="module")
async def client(url: str, key: str) -> AsyncGenerator[httpx2.AsyncClient]:
    headers = {"Authorization": f"ApiKey {key}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
        yield client
