"""Tells Prometheus how full the pools of connections are, at the moment when it asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from weakref import WeakKeyDictionary

from msgspec import Struct
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

NAMES = ("postgres", "clickhouse", "clickhouse_read")
"""Pools: of PostgreSQL, of ClickHouse, and of it for what people wait for. Those of shards are added up."""


class PoolState(Struct, frozen=True):
    """A pool's connections now: *used* by somebody, open and *idle*, at *most* so many; and how many tasks wait for one."""

    used: int
    idle: int
    most: int
    waiting: int


_POOLS: WeakKeyDictionary[object, tuple[str, Callable[[], PoolState]]] = WeakKeyDictionary()


def watch_pool(owner: object, name: str, look: Callable[[], PoolState]) -> None:
    """Let *look*, which must not refer to *owner*, tell a pool's state for as long as *owner* lives and is not unwatched."""
    _POOLS[owner] = (name, look)


def unwatch_pool(owner: object) -> None:
    """Forget the pool of *owner*, which is closed."""
    _POOLS.pop(owner, None)


class _Pools(Collector):
    def collect(self) -> Iterator[Metric]:
        """Yield the gauges of all pools, added up by name."""
        states = defaultdict[str, list[PoolState]](list)
        for name, look in list(_POOLS.values()):
            states[name].append(look())
        prefix = "segment_copilot_db_client_connection"
        count = GaugeMetricFamily(f"{prefix}_count", "Connections that are open.", labels=["pool", "state"])
        most = GaugeMetricFamily(f"{prefix}_max", "Connections that there may be.", labels=["pool"])
        waiting = GaugeMetricFamily(
            f"{prefix}_pending_requests", "Tasks that wait for a connection now.", labels=["pool"]
        )
        for name, of_name in states.items():
            count.add_metric([name, "used"], sum(one.used for one in of_name))
            count.add_metric([name, "idle"], sum(one.idle for one in of_name))
            most.add_metric([name], sum(one.most for one in of_name))
            waiting.add_metric([name], sum(one.waiting for one in of_name))
        yield from (count, most, waiting)


REGISTRY.register(_Pools())
