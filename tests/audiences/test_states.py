"""States: members at every instant are what was published then, whatever happened since; look-ups answer the newest."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import get_args
from uuid import uuid4

import pytest
from pyroaring import BitMap

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.held_runs import HeldRuns, read_state
from segment_copilot.audiences.segments import Changes, Segment
from segment_copilot.audiences.uploads import Mode
from segment_copilot.errors import Gone, InvalidInput
from segment_copilot.lists import Window
from segment_copilot.resources import Resources
from tests.support.resources import NOW, Remember

DAY = timedelta(days=1)
SEEDS = int(os.environ.get("STATES_SEEDS", "1"))
USERS = "abcdefgh"


def buys(days: int) -> dict[str, object]:
    condition = {"type": "event_count", "event_type": "order_placed", "window_days": days}
    return {"logic": "AND", "conditions": [condition]}


async def drain(resources: Resources) -> None:
    while await resources.computations.run_next():
        pass


async def members(resources: Resources, tenant: Tenant, segment: Segment, as_of: datetime | None = None) -> str:
    """All members, read in pages of three."""
    found, cursor = list[str](), None
    while True:
        page = await resources.members.page(tenant, segment.id, limit=3, cursor=cursor, as_of=as_of)
        found += [one.user_id for one in page.members]
        if (cursor := page.cursor) is None:
            assert page.count == len(found)
            return "".join(found)


async def members_then(resources: Resources, tenant: Tenant, segment: Segment, at: datetime) -> str | None:
    """None where nothing was published by then."""
    try:
        return await members(resources, tenant, segment, at)
    except InvalidInput as nothing:
        if nothing.findings[0].code != "not_computed_then":
            raise
        return None


async def instant(resources: Resources) -> datetime:
    return await resources.postgres.fetchval("SELECT clock_timestamp()")


async def replayed(resources: Resources, tenant: Tenant, segment: Segment) -> str:
    """The members, from all changes since the beginning."""
    found = set[str]()
    for one in (await resources.changes.page(tenant, segment.id, Window(10_000))).results:
        (found.add if one.change == "entered" else found.remove)(one.user_id)
    return "".join(sorted(found))


@pytest.mark.timeout(60 + 60 * SEEDS)
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_members_at_every_instant_are_what_was_published_then(
    resources: Resources, tenant: Tenant, remember: Remember, seed: int
):
    random = Random(seed)  # noqa: S311  # a draw of test cases
    rules = [(await resources.segments.create(tenant, name=f"{n}", definition=buys(n))).segment for n in (2, 30)]
    static = (await resources.segments.create(tenant, name="List", segment_type="static")).segment
    segments, clock = [*rules, static], NOW
    kept: list[tuple[datetime, list[str]]] = []
    for _ in range(10):
        match random.choice(["events", "events", "upload", "definition", "one"]):
            case "events":
                some = random.sample(USERS, random.randint(1, 4))
                ago = NOW - clock + timedelta(hours=1)  # events come before the clock of their computation
                await remember(tenant, [(user, "order_placed", ago, {}) for user in some])
                await resources.computations.request_all(tenant, as_of=clock)
            case "upload":
                some, modes = random.sample(USERS + "xyz", random.randint(0, 5)), get_args(Mode)
                mode: Mode = random.choice(modes)
                await resources.uploads.receive(tenant, static.id, some, mode=mode)
            case "definition":
                await resources.segments.update(tenant, rules[0].id, Changes(definition=buys(random.randint(1, 9))))
                await resources.computations.request(tenant, rules[0].id, as_of=clock)
            case _:
                await resources.computations.request(tenant, random.choice(rules).id, as_of=clock)
        await drain(resources)
        if random.random() < 0.3:
            await resources.removals.remove_due()
        clock += timedelta(hours=random.choice([1, 20, 60]))
        kept.append((await instant(resources), [await members(resources, tenant, one) for one in segments]))
    await resources.removals.remove_due()

    for at, were in kept:
        for segment, was in zip(segments, were, strict=True):
            assert (await members_then(resources, tenant, segment, at) or "") == was
    for segment, is_now in zip(segments, kept[-1][1], strict=True):
        assert await replayed(resources, tenant, segment) == is_now
        for user in USERS:
            names = [one.segment_id for one in await resources.members.segments_of_user(tenant, user)]
            assert (segment.id in names) == (user in is_now)
    sql = "SELECT uniqExact(number) = count() AND uniqExact(user_id) = count() FROM user_numbers"
    assert (await resources.clickhouse.fetch(sql, purpose="catalog")).rows == [(True,)]


async def test_an_instant_that_cannot_be_answered_says_why(resources: Resources, tenant: Tenant, remember: Remember):
    segment = (await resources.segments.create(tenant, name="Buyers", definition=buys(9))).segment
    before = await instant(resources)
    await remember(tenant, [("ana", "order_placed", DAY, {})])
    await resources.computations.request(tenant, segment.id, as_of=NOW)
    await drain(resources)

    for at, code in [(before, "not_computed_then"), (datetime.now(UTC) + DAY, "still_to_come")]:
        with pytest.raises(InvalidInput) as refused:
            await members(resources, tenant, segment, at)
        assert refused.value.findings[0].code == code
    with pytest.raises(Gone) as old:
        await members(resources, tenant, segment, datetime.now(UTC) - 91 * DAY)
    assert old.value.code == "history_expired"
    at = await instant(resources)
    page = await resources.members.page(tenant, segment.id, limit=1, as_of=at)
    assert ([one.user_id for one in page.members], page.count) == (["ana"], 1)


async def test_differences_go_when_no_state_is_read_from_them_and_the_log_stays(
    resources: Resources, tenant: Tenant, remember: Remember
):
    segment = (await resources.segments.create(tenant, name="Buyers", definition=buys(9))).segment
    for user in "abc":
        await remember(tenant, [(user, "order_placed", DAY, {})])
        await resources.computations.request(tenant, segment.id, as_of=NOW)
        await drain(resources)
    await resources.postgres.execute(
        "UPDATE computations SET finished_at = finished_at - interval '91 days' WHERE id < 3"
    )
    await resources.removals.remove_due()

    counts = "SELECT (SELECT count() FROM segment_deltas), (SELECT count() FROM membership_changes)"
    assert (await resources.clickhouse.fetch(counts, purpose="catalog")).rows == [(1, 3)]
    assert await members(resources, tenant, segment, datetime.now(UTC) - DAY) == "ab"
    assert await members(resources, tenant, segment) == "abc"


async def test_two_who_number_at_once_give_each_user_one_number(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    await remember(tenant, [(user, "seen", DAY, {}) for user in "abcde"])
    await remember(other_tenant, [("a", "seen", DAY, {})])
    upload = (await resources.segments.create(tenant, name="List", segment_type="static")).segment
    receive = resources.uploads.receive
    await asyncio.gather(
        *(resources.user_numbers.give(tenant) for _ in range(4)),
        resources.user_numbers.give(other_tenant),
        *(receive(tenant, upload.id, list(some), mode="add") for some in ("ax", "xy", "yz")),
    )
    sql = "SELECT tenant_id, groupArray(number) FROM (SELECT * FROM user_numbers ORDER BY number) GROUP BY tenant_id ORDER BY 1"
    rows = (await resources.clickhouse.fetch(sql, purpose="catalog")).rows
    assert [(tenant_id, list(numbers)) for tenant_id, numbers in rows] == [
        (tenant.id, list(range(1, 9))),
        (other_tenant.id, [1]),
    ]


async def test_the_number_of_an_erased_user_is_never_given_again(
    resources: Resources, tenant: Tenant, remember: Remember
):
    await remember(tenant, [("a", "seen", DAY, {}), ("b", "seen", DAY, {})])
    await resources.user_numbers.give(tenant)
    sql = "ALTER TABLE user_numbers DELETE WHERE number = 2 SETTINGS mutations_sync = 2"
    await resources.clickhouse.execute(sql, purpose="migrate")
    await remember(tenant, [("c", "seen", DAY, {})])
    await resources.user_numbers.give(tenant)
    found = await resources.clickhouse.fetch("SELECT max(number), count() > 1 FROM user_numbers", purpose="catalog")
    assert found.rows[0][0] >= 3


async def states(resources: Resources, tenant: Tenant, sets: Sequence[Sequence[int]]) -> dict[object, int]:
    """Runs with these members, with the segment of each."""
    runs: dict[object, int] = {uuid4(): number for number, _ in enumerate(sets, 1)}
    for (run, segment), numbers in zip(runs.items(), sets, strict=True):
        sql = """
            INSERT INTO segment_states (tenant_id, segment_id, run_id, members)
            SELECT {tenant:UInt32}, {segment:UInt64}, {run:UUID}, bitmapBuild({numbers:Array(UInt32)})"""
        params = {"tenant": tenant.id, "segment": segment, "run": run, "numbers": list(numbers)}
        await resources.clickhouse.execute(sql, params, purpose="compute")
    return runs


SETS = (range(1, 20), range(1, 32), range(1, 33), range(1, 34), range(0, 200_000, 3), (2**32 - 1, 1, 70_000), ())


async def test_what_is_held_of_runs_is_what_they_have(resources: Resources, tenant: Tenant):
    runs = await states(resources, tenant, SETS)
    numbers = [1, 3, 32, 33, 70_000, 199_998, 2**32 - 1]
    for limit in (2**20, 40_000, 0):  # all of them fit, some, none
        held = HeldRuns(resources.clickhouse, limit=limit)
        for _ in range(2):
            found = await held.containing(tenant, runs, numbers)  # type: ignore[arg-type]
            for run, wanted in zip(runs, SETS, strict=True):
                assert [number for number in numbers if run in found[number]] == [n for n in numbers if n in wanted]
    sql = "SELECT segment_id, hex(members) FROM segment_states ORDER BY segment_id"
    for number, state in (await resources.clickhouse.fetch(sql, purpose="catalog")).rows:
        assert read_state(bytes.fromhex(state)) == BitMap(SETS[number - 1])


async def test_look_ups_that_come_at_once_are_answered_together(
    resources: Resources, tenant: Tenant, remember: Remember, monkeypatch: pytest.MonkeyPatch
):
    segment = (await resources.segments.create(tenant, name="Buyers", definition=buys(9))).segment
    await remember(tenant, [(user, "order_placed", DAY, {}) for user in "abc"])
    await resources.computations.request(tenant, segment.id, as_of=NOW)
    await drain(resources)
    fetch, asked, begun = resources.reading.fetch, list[str](), asyncio.Event()

    async def noted(*args: object, **options: object) -> object:
        asked.append(str(args[0]))
        begun.set()
        return await fetch(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(resources.reading, "fetch", noted)
    look_up = resources.members.segments_of_user
    first = asyncio.create_task(look_up(tenant, "a"))
    await begun.wait()
    rest = [asyncio.create_task(look_up(tenant, user)) for user in "abcxyz" * 3]
    gone = asyncio.create_task(look_up(tenant, "c"))
    await asyncio.sleep(0)
    gone.cancel()
    found = [bool(one) for one in await asyncio.gather(first, *rest)]
    assert found == [True, *([True] * 3 + [False] * 3) * 3]
    assert len([sql for sql in asked if "user_numbers" in sql]) == 2
