"""Everything that the service speaks to behind a proxy of its own: PostgreSQL, two shards of ClickHouse, the Messages API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from segment_copilot.embedded import Engine, Engines, start_engines
from segment_copilot.embedded.clickhouse_config import CLUSTER
from segment_copilot.embedded.engine import prepare_clickhouse, prepare_shards
from tests.chaos.service import Stores
from tests.chaos.streams import answer_all
from tests.support.messages_server import run_messages_server
from tests.support.proxies import Proxy, run_proxy

POSTGRES: Final = "PostgreSQL"
MESSAGES: Final = "Messages API"
SHARDS: Final = 2


class Sharded(Struct, frozen=True):
    """The engines, how the service reaches them through *proxies* (by what is behind each), and the settings for it."""

    engines: Engines
    stores: Stores
    proxies: dict[str, Proxy]
    settings: dict[str, str]


def shard(number: int) -> str:
    """Return the name of a shard among the proxies."""
    return f"shard {number}"


@asynccontextmanager
async def start_sharded(directory: Path) -> AsyncGenerator[Sharded]:
    """Start the engines with a proxy before each; the cluster knows its shards by their proxies alone."""
    async with AsyncExitStack() as stack:
        prepared = await asyncio.to_thread(prepare_shards, directory / "clickhouse", SHARDS)
        proxies, cluster, urls = dict[str, Proxy](), list[int](), list[str]()
        for number, (_, port) in enumerate(prepared, 1):
            proxy, url = await stack.enter_async_context(run_proxy(f"clickhouse://127.0.0.1:{port}"))
            proxies[shard(number)] = proxy
            cluster.append(int(url.rpartition(":")[2]))
        shards = [prepare_clickhouse(one.directory, cluster=tuple(cluster)) for one, _ in prepared]
        ending = stack.enter_context(contextlib.ExitStack())
        await asyncio.to_thread(_start, shards, [port for _, port in prepared], ending)
        base = await asyncio.to_thread(start_engines, directory, clickhouse_url=shards[0].url)
        stack.callback(base.stop)
        assert base.postgres is not None
        engines = Engines(
            directory, postgres=base.postgres, clickhouse=shards[0], other_shards=shards[1:], resources=ending.pop_all()
        )
        stack.callback(engines.stop)
        for number, one in enumerate(shards, 1):
            assert proxies[shard(number)].target[1] == one.port
            account = one.url.rpartition("@")[0]
            urls.append(f"{account}@127.0.0.1:{cluster[number - 1]}/{one.url.rpartition('/')[2]}")
        proxies[POSTGRES], database_url = await stack.enter_async_context(run_proxy(base.postgres.url))
        server = await stack.enter_async_context(run_messages_server())
        answer_all(server)
        proxies[MESSAGES], messages_url = await stack.enter_async_context(run_proxy(server.url))
        settings = {
            "CLICKHOUSE_CLUSTER": CLUSTER,
            "COPILOT_MODEL": "claude",
            "ANTHROPIC_API_KEY": "sk-ant-chaos",
            "ANTHROPIC_BASE_URL": messages_url,
            "CLAUDE_FIRST_SECONDS": "4",
            "CLAUDE_IDLE_SECONDS": "4",
            "COPILOT_BREAKER_SECONDS": "2",
        }
        yield Sharded(engines, Stores(database_url, urls[0]), proxies, settings)


def _start(engines: list[Engine], ports: list[int], ending: contextlib.ExitStack) -> None:
    for engine, port in zip(engines, ports, strict=True):
        ending.callback(engine.stop)
        engine.launch(port=port)
    for engine in engines:
        engine.wait_ready()
