"""A whole service in this process: API, worker, both stores; spoken to over HTTP like any client would."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import httpx2
import pytest

from segment_copilot.activations.addresses import LOOPBACK
from segment_copilot.commands.serving import running
from segment_copilot.resources import open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.confinement import every_tenant
from tests.support.resources import SECRETS_KEY
from tests.support.roles import confined


@pytest.fixture(scope="module")
async def service_settings(
    module_database_url: str, module_clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Settings]:
    """Of a service that PostgreSQL confines to one tenant at a time: every operation, and the worker, does its work so."""
    async with confined(module_database_url) as url:
        yield Settings(
            database_url=url,
            clickhouse_url=module_clickhouse_url,
            port=0,
            outgoing_allow=LOOPBACK,
            secrets_keys=(SECRETS_KEY,),
            files_directory=str(tmp_path_factory.mktemp("files")),
            refresh_default="manual",
        )


@pytest.fixture(scope="module")
async def key(service_settings: Settings) -> str:
    async with open_resources(service_settings) as resources, AsyncExitStack() as stack:
        stack.enter_context(every_tenant())
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
