"""Long queries are planned in turns: one tenant's never stand in the way of another's, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from uuid import uuid4

import pytest
import structlog

from segment_copilot.errors import Unavailable
from segment_copilot.stores import clickhouse as module
from segment_copilot.stores.clickhouse import ClickHouse, open_clickhouse
from segment_copilot.stores.limits import LONG
from segment_copilot.stores.turns import AT_ONCE, PlanningTurns
from tests.support.proxies import eventually

PADDING = f" -- {'x' * LONG}"
SLOW_TO_PLAN = "SELECT (SELECT sleep(2)), {tenant:UInt32}" + PADDING  # a scalar is computed while the query is planned
SLOW_TO_ANSWER = (
    "SELECT sum(sleepEachRow(0.05)) FROM numbers(10000) WHERE {tenant:UInt32} > 0 SETTINGS max_block_size = 1" + PADDING
)
BEGUN = "SELECT count() FROM system.processes WHERE startsWith(query_id, {name:String}) AND {tenant:UInt32} > 0"


class Asking:
    """Asks for turns and notes in which order they come."""

    def __init__(self) -> None:
        self.turns = PlanningTurns()
        self.served = list[str]()
        self.ends = dict[str, asyncio.Event]()
        self.tasks = list[asyncio.Task[None]]()

    async def ask(self, name: str, *, size: int = LONG, seconds: float = 30) -> None:
        self.ends[name] = asyncio.Event()
        async with self.turns.turn(name[0], size=size, seconds=seconds):
            self.served.append(name)
            await self.ends[name].wait()

    def begin(self, *names: str, size: int = LONG) -> list[asyncio.Task[None]]:
        begun = [asyncio.create_task(self.ask(name, size=size)) for name in names]
        self.tasks += begun
        return begun


@pytest.fixture
async def asking() -> AsyncGenerator[Asking]:
    asking = Asking()
    yield asking
    for task in asking.tasks:
        task.cancel()
    await asyncio.gather(*asking.tasks, return_exceptions=True)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_tenant_has_one_turn_and_another_is_not_behind_its_queue(asking: Asking) -> None:
    asking.begin("a1", "a2", "a3", "b1")
    await settled()
    assert asking.served == ["a1", "b1"]


async def test_turns_go_round_among_tenants_and_in_order_within_one(asking: Asking) -> None:
    tasks = asking.begin("a1", "a2", "a3", "b1", "b2", "c1", "c2", "d1")
    for count in range(len(tasks)):
        await settled()
        asking.ends[asking.served[count]].set()
    await asyncio.gather(*tasks)
    assert asking.served == ["a1", "b1", "c1", "d1", "a2", "b2", "c2", "a3"]


async def test_no_more_than_two_tenants_have_a_turn_at_once(asking: Asking) -> None:
    asking.begin("a1", "b1", "c1", "d1")
    await settled()
    assert len(asking.served) == AT_ONCE == 2


async def test_a_short_query_waits_for_nobody(asking: Asking) -> None:
    asking.begin("a1", "b1")
    await settled()
    asking.begin("a2", size=LONG - 1)
    await settled()
    assert "a2" in asking.served


async def test_a_turn_that_does_not_come_is_a_sentence_and_is_taken_back(asking: Asking) -> None:
    (first,) = asking.begin("a1")
    await settled()
    with pytest.raises(Unavailable, match="did not come"):
        await asking.ask("a2", seconds=0)
    (third,) = asking.begin("a3")
    asking.ends["a1"].set()
    await first
    await settled()
    assert asking.served == ["a1", "a3"]
    asking.ends["a3"].set()
    await third
    assert asking.turns.turns.waiting == 0
    assert asking.turns.turns.free == AT_ONCE


@pytest.mark.parametrize("is_served", [False, True])
async def test_one_that_is_cancelled_while_its_turn_comes_leaves_it_to_the_next(
    asking: Asking, *, is_served: bool
) -> None:
    first, second, third = asking.begin("a1", "a2", "a3")
    await settled()
    if is_served:  # in this moment, and not told yet
        asking.ends["a1"].set()
        await first
    second.cancel()
    asking.ends["a1"].set()
    with suppress(asyncio.CancelledError):
        await second
    await settled()
    assert asking.served[-1] == "a3"
    asking.ends["a3"].set()
    await third
    assert asking.turns.turns.free == AT_ONCE


async def test_a_query_that_is_given_up_keeps_its_turn_until_the_server_is_rid_of_it(clickhouse: ClickHouse) -> None:
    name = uuid4().hex
    fetches = [
        clickhouse.fetch(SLOW_TO_PLAN, {"tenant": 7}, purpose="preview", query_id=f"{name}-{number}")
        for number in range(8)
    ]
    tasks = [asyncio.create_task(fetch) for fetch in fetches]

    async def begun(padding: str = "") -> int:
        params = {"name": f"{name}-", "tenant": 7}
        return (await clickhouse.fetch(BEGUN + padding, params, purpose="catalog")).rows[0][0]

    async def is_begun() -> bool:
        return await begun() > 0

    await eventually(is_begun)
    assert await begun() == 1  # the others wait here, where they can be given up
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert await begun(PADDING) == 0  # a long one of the same tenant, when its turn came


async def test_closing_waits_for_no_query_that_is_planned(
    module_clickhouse_url: str, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KILL_SECONDS", 0.2)
    query_id = uuid4().hex
    with structlog.testing.capture_logs() as lines:
        async with open_clickhouse(module_clickhouse_url) as own:
            task = asyncio.create_task(own.fetch(SLOW_TO_PLAN, {"tenant": 7}, purpose="preview", query_id=query_id))

            async def is_begun() -> bool:
                params = {"name": query_id, "tenant": 7}
                return (await clickhouse.fetch(BEGUN, params, purpose="catalog")).rows == [(1,)]

            await eventually(is_begun)
            task.cancel()
    assert not own._kills
    assert "clickhouse.kill" not in [line["event"] for line in lines]  # which is told when the query has ended
    await asyncio.wait([task])


async def test_a_query_that_is_planned_leaves_its_turn_while_it_runs(clickhouse: ClickHouse) -> None:
    name = uuid4().hex
    running = asyncio.create_task(
        clickhouse.fetch(SLOW_TO_ANSWER, {"tenant": 7}, purpose="compute", query_id=f"{name}-0")
    )
    await settled()  # it has its turn
    found = await clickhouse.fetch(BEGUN + PADDING, {"name": f"{name}-", "tenant": 7}, purpose="catalog")
    assert found.rows == [(1,)]
    running.cancel()
    await asyncio.wait([running])


async def test_a_query_that_the_server_refuses_leaves_its_turn(clickhouse: ClickHouse) -> None:
    for _ in range(AT_ONCE + 1):
        with pytest.raises(Unavailable):
            await clickhouse.fetch("SELECT {tenant:UInt32} FROM missing" + PADDING, {"tenant": 7}, purpose="catalog")
    assert clickhouse._turns.turns.free == AT_ONCE


async def test_a_tenant_has_its_share_of_the_connections_and_waits_for_itself(clickhouse_url: str) -> None:
    """Of four, two: the third query of the noisy one waits for its first, and another tenant's for nobody."""
    sql = "SELECT count() FROM system.processes WHERE query LIKE {mark:String} AND query NOT LIKE '%processes%'"
    slow = f"SELECT sleepEachRow(0.1) FROM numbers(40) WHERE {{tenant:UInt32}} > 0 SETTINGS max_block_size = 1 -- {uuid4().hex}"
    async with open_clickhouse(clickhouse_url, pool=4, of_one=2) as shared:
        noisy = [asyncio.create_task(shared.fetch(slow, {"tenant": 1}, purpose="preview")) for _ in range(6)]
        await eventually(lambda: _is(shared, sql, {"mark": f"%{slow[-32:]}%"}, 2))
        other = await shared.fetch("SELECT {tenant:UInt32}", {"tenant": 2}, purpose="preview")
        assert other.rows == [(2,)]
        assert shared._free.waiting == 4
        work = await shared.fetch("SELECT {tenant:UInt32}", {"tenant": 1}, purpose="compute")  # nobody waits for it
        assert work.rows == [(1,)]
        for task in noisy:
            task.cancel()
        await asyncio.gather(*noisy, return_exceptions=True)
        assert (shared._free.free, shared._free.waiting) == (4, 0)


async def _is(clickhouse: ClickHouse, sql: str, params: dict[str, object], expected: int) -> bool:
    return (await clickhouse.fetch(sql, params, purpose="catalog")).rows == [(expected,)]


async def test_the_server_is_told_whose_a_query_is(clickhouse_url: str) -> None:
    """As the key of a quota: the same connection speaks for one tenant after another, and for nobody."""
    sql = "SELECT quota_key FROM system.processes WHERE query_id = {id:String}"
    async with open_clickhouse(clickhouse_url, pool=1) as one:
        keys = list[str]()
        for params in ({"tenant": 7}, {"tenant": 8}, {}):
            query_id = uuid4().hex
            asked = f"{sql} {'AND {tenant:UInt32} > 0' if params else ''}"
            found = await one.fetch(asked, {"id": query_id, **params}, purpose="preview", query_id=query_id)
            keys += [key for (key,) in found.rows]

    assert keys == ["tenant 7", "tenant 8", ""]
