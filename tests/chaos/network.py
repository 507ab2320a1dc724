"""Faults between the service and all that it speaks to: each kind, before each of PostgreSQL, the shards and the Messages API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct

from tests.chaos.faults import Fault, Plant
from tests.chaos.service import Service
from tests.chaos.sharded import MESSAGES, POSTGRES, SHARDS, shard
from tests.support.proxies import Proxy

_DELAY_SECONDS: Final = 0.1
_BYTES_PER_SECOND: Final = 50_000.0


class Kind(Struct, frozen=True):
    """What a proxy does to every connection through it, for so many *seconds*."""

    name: str
    words: str
    do: Callable[[Proxy], None]
    seconds: float


def _delay(proxy: Proxy) -> None:
    proxy.delay = _DELAY_SECONDS


def _throttle(proxy: Proxy) -> None:
    proxy.bytes_per_second = _BYTES_PER_SECOND


KINDS: Final = (
    Kind("delay", "each piece late by 0.1 s", _delay, 8),
    Kind("throttle", "50 kB a second", _throttle, 8),
    Kind("cut", "connections closed and refused", Proxy.refuse, 6),
    Kind("reset", "connections answered by RST", Proxy.reset, 6),
    Kind("blackhole", "what is said is swallowed", Proxy.swallow, 12),
)
TARGETS: Final = (POSTGRES, *(shard(number) for number in range(1, SHARDS + 1)), MESSAGES)


def _planted(kind: Kind, target: str) -> Plant:
    @asynccontextmanager
    async def plant(service: Service) -> AsyncGenerator[None]:
        kind.do(service.behind[target])
        try:
            yield
        finally:
            service.behind[target].speak()

    return plant


NETWORK: Final = tuple(
    Fault(
        f"{target.lower().replace(' ', '-')}-{kind.name}",
        f"{target}: {kind.words}",
        _planted(kind, target),
        kind.seconds,
        target=target,
    )
    for target in TARGETS
    for kind in KINDS
)
