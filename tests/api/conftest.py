"""A real server over real stores, with two tenants in it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import nullcontext
from typing import Any

import httpx2
import pytest
from msgspec import structs

from segment_copilot.activations.addresses import LOOPBACK
from segment_copilot.app import build_copilot, create_app
from segment_copilot.settings import Settings
from tests.support.engines import TEST_CLUSTER
from tests.support.http_server import Server, served, worked
from tests.support.resources import SECRETS_KEY


@pytest.fixture(scope="module")
def has_worker() -> bool:
    """Whether one runs beside the server. It looks for work sixty times a second: a module without any says False."""
    return True


@pytest.fixture(scope="module")
async def server(
    module_database_url: str, module_clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory, *, has_worker: bool
) -> AsyncGenerator[Server]:
    """The application, served, with a tenant and another one."""
    app = create_app(
        Settings(
            database_url=module_database_url,
            clickhouse_url=module_clickhouse_url,
            clickhouse_cluster=TEST_CLUSTER,
            files_directory=str(tmp_path_factory.mktemp("files")),
            outgoing_allow=LOOPBACK,
            secrets_keys=(SECRETS_KEY,),
            refresh_default="manual",
        )
    )
    async with served(app) as url:
        resources = app.state.resources
        keys = [(await resources.keys.create(await resources.tenants.create(slug)))[1] for slug in ("first", "other")]
        async with worked(resources) if has_worker else nullcontext():
            yield Server(url, app, *keys)


@pytest.fixture
async def client(server: Server) -> AsyncGenerator[httpx2.AsyncClient]:
    """A client of the first tenant."""
    async with server.client() as client:
        yield client


@pytest.fixture
def use(server: Server) -> Generator[Callable[..., None]]:
    """Let the running service use a model of the test's own, and other settings."""
    before = server.app.state.copilot

    def exchange(model: Any, **settings: Any) -> None:
        changed = structs.replace(server.resources, settings=structs.replace(before.settings, **settings))
        server.app.state.copilot = build_copilot(changed, model)

    yield exchange
    server.app.state.copilot = before
    server.app.state.draining.clear()
