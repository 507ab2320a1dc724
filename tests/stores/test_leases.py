"""The queue of leased rows, on a table of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from segment_copilot.stores.leases import MAX_ATTEMPTS, Lease, LeaseLost, Leases, Queue
from segment_copilot.stores.postgres import Postgres
from segment_copilot.stores.presence import LIVING, Presence

ERRANDS = Queue("errands", waiting="waiting", working="working", failed="failed")
ENDLESS = Queue("errands", waiting="waiting", working="waiting")
SHORT = timedelta(seconds=1)
LAPSED = timedelta(0)
"""The lease of a worker that is about to die."""
NO_PAUSE = timedelta(0)

Add = Callable[[int], Awaitable[list[int]]]


@pytest.fixture
async def add(postgres: Postgres) -> Add:
    """Puts errands into a new table, and returns their ids."""
    await postgres.execute("""
        DROP TABLE IF EXISTS errands;
        CREATE TABLE errands (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL DEFAULT 'errand',
            status text NOT NULL DEFAULT 'waiting', attempts int NOT NULL DEFAULT 0,
            lease_until timestamptz, lease_id uuid, holder int, error text,
            begun int NOT NULL DEFAULT 0)""")

    async def insert(number: int) -> list[int]:
        sql = "INSERT INTO errands (attempts) SELECT 0 FROM generate_series(1, $1) RETURNING id"
        return [row["id"] for row in await postgres.fetch(sql, number)]

    return insert


async def row(postgres: Postgres, id_: int) -> dict[str, Any]:
    found = await postgres.fetchrow("SELECT * FROM errands WHERE id = $1", id_)
    assert found is not None
    return {key: found[key] for key in found.keys()}  # noqa: SIM118  # a Record is no dict


async def lapse(postgres: Postgres) -> None:
    """As if the time of every lease and pause had come."""
    await postgres.execute("UPDATE errands SET lease_until = now() WHERE lease_until > now()")


async def until_after(postgres: Postgres, lease: Lease) -> None:
    """Ask until the lease, as it was claimed, would have ended by the database's clock and by ours."""
    loop, length = asyncio.get_running_loop(), lease.until - asyncio.get_running_loop().time()
    first_end = await postgres.fetchval(
        "SELECT clock_timestamp() + $1::interval", max(timedelta(seconds=length), SHORT)
    )
    while loop.time() <= lease.until or await postgres.fetchval("SELECT now() <= $1", first_end):
        await postgres.ping()


async def forever() -> None:
    async with asyncio.timeout(10):  # so that a test of what should end it fails
        await asyncio.Event().wait()


async def test_a_row_goes_to_one_worker_the_oldest_first(postgres: Postgres, add: Add):
    ids = await add(40)
    workers = [Leases(postgres, ERRANDS) for _ in range(8)]

    claimed = await asyncio.gather(*(worker.claim(postgres, limit=5) for worker in workers))

    assert sorted(lease.id for leases in claimed for lease in leases) == ids
    assert await workers[0].claim(postgres) == []
    assert all([lease.id for lease in leases] == sorted(lease.id for lease in leases) for leases in claimed)


async def test_only_rows_of_the_condition_are_claimed(postgres: Postgres, add: Add):
    first, second = await add(2)
    leases = Leases(postgres, ERRANDS)
    await postgres.execute("UPDATE errands SET kind = 'urgent' WHERE id = $1", second)

    assert [lease.id for lease in await leases.claim(postgres, "kind = $1", "urgent", limit=9)] == [second]
    assert [lease.id for lease in await leases.claim(postgres, limit=9)] == [first]


@pytest.mark.parametrize("queue", [ERRANDS, ENDLESS])
async def test_a_worker_that_is_alive_is_not_overtaken_however_long_its_work_takes(
    postgres: Postgres, add: Add, queue: Queue
):
    await add(3)
    leases, others = Leases(postgres, queue, length=SHORT), Leases(postgres, queue, length=SHORT)
    claimed = await leases.claim(postgres, limit=3)

    async with leases.renewed(claimed):
        for _ in range(2):
            await until_after(postgres, claimed[0])
            assert await others.claim(postgres) == []
        ended = [await leases.end(postgres, lease, "done") for lease in claimed]

    assert ended == [True] * 3


async def test_what_a_dead_worker_held_is_claimed_once_its_lease_has_ended(postgres: Postgres, add: Add):
    await add(1)
    (dead,) = await Leases(postgres, ERRANDS, length=SHORT).claim(postgres)
    leases = Leases(postgres, ERRANDS)

    await until_after(postgres, dead)
    (taken,) = await leases.claim(postgres)

    assert taken.id == dead.id
    assert not await Leases(postgres, ERRANDS).end(postgres, dead, "done")  # it was only slow, and comes back
    assert await leases.end(postgres, taken, "done")


async def test_work_whose_lease_another_holds_is_cancelled(postgres: Postgres, add: Add):
    await add(1)
    leases = Leases(postgres, ERRANDS, length=SHORT)
    claimed = await leases.claim(postgres)
    await postgres.execute("UPDATE errands SET lease_id = gen_random_uuid(), lease_until = now() + interval '1 hour'")

    with pytest.raises(LeaseLost):
        async with leases.renewed(claimed):
            await forever()

    assert await postgres.fetchval("SELECT lease_until > now() + interval '59 minutes' FROM errands")  # left alone


async def test_work_that_cannot_be_renewed_is_cancelled_before_another_may_claim_it(postgres: Postgres, add: Add):
    """PostgreSQL answers no renewal: the row is locked."""
    (id_,) = await add(1)
    leases = Leases(postgres, ERRANDS, length=2 * SHORT)
    claimed = await leases.claim(postgres)
    cancelled_at = list[float]()

    async def work() -> None:
        try:
            await forever()
        finally:
            cancelled_at.append(asyncio.get_running_loop().time())

    async with postgres.transaction() as transaction:
        await transaction.execute("SELECT FROM errands WHERE id = $1 FOR UPDATE", id_)
        with pytest.raises(LeaseLost):
            async with leases.renewed(claimed):
                await work()

    assert cancelled_at[0] < claimed[0].until


async def test_a_renewal_that_fails_is_tried_again(postgres: Postgres, add: Add):
    await add(1)
    leases = Leases(postgres, ERRANDS, length=2 * SHORT)
    claimed = await leases.claim(postgres)

    async with leases.renewed(claimed):
        with capture_logs() as logs:
            await postgres.execute("ALTER TABLE errands RENAME TO away")
            while not logs:
                await postgres.ping()
            await postgres.execute("ALTER TABLE away RENAME TO errands")
        await until_after(postgres, claimed[0])

    assert [entry["event"] for entry in logs] == ["lease.not_renewed"]


async def test_of_rows_renewed_together_one_that_goes_takes_none_along(postgres: Postgres, add: Add):
    deleted, released, ended, kept = await add(4)
    leases = Leases(postgres, ERRANDS, length=SHORT)
    claimed = {lease.id: lease for lease in await leases.claim(postgres, limit=4)}

    async with leases.renewed(list(claimed.values())):
        await postgres.execute("DELETE FROM errands WHERE id = $1", deleted)
        await leases.release([claimed[released]], pause=timedelta(hours=1))
        await leases.end(postgres, claimed[ended], "done")
        await until_after(postgres, claimed[kept])
        assert await Leases(postgres, ERRANDS).claim(postgres) == []

    assert [(await row(postgres, id_))["status"] for id_ in (released, ended, kept)] == ["waiting", "done", "working"]
    assert (await row(postgres, ended))["lease_until"] is None


async def test_what_follows_the_end_of_all_rows_is_not_cancelled(postgres: Postgres, add: Add):
    await add(1)
    leases = Leases(postgres, ERRANDS, length=SHORT)
    claimed = await leases.claim(postgres)

    async with leases.renewed(claimed):
        await leases.end(postgres, claimed[0], "done")
        await until_after(postgres, claimed[0])


@pytest.mark.parametrize("raised", [ValueError, TimeoutError, LeaseLost])
async def test_an_exception_of_the_work_comes_out_as_it_is(postgres: Postgres, add: Add, raised: type[Exception]):
    await add(1)
    leases = Leases(postgres, ERRANDS)
    error = raised("the work's own")

    with pytest.raises(raised) as caught:
        async with leases.renewed(await leases.claim(postgres)):
            raise error

    assert caught.value is error


async def test_only_what_was_begun_counts_when_its_worker_dies(postgres: Postgres, add: Add):
    begun, taken_back, untouched = await add(3)
    leases = Leases(postgres, ERRANDS, length=LAPSED)
    claimed = await leases.claim(postgres, limit=3)
    await leases.begin(claimed[:2])
    await leases.take_back([claimed[1]])

    again = {lease.id: lease.attempts for lease in await leases.claim(postgres, limit=3)}

    assert again == {begun: 1, taken_back: 0, untouched: 0}


async def test_a_row_that_killed_three_workers_is_spent(postgres: Postgres, add: Add):
    await add(1)
    leases = Leases(postgres, ERRANDS, length=LAPSED)
    spent = list[bool]()
    for _ in range(MAX_ATTEMPTS + 1):
        (lease,) = await leases.claim(postgres)
        spent.append(lease.spent)
        await leases.begin([lease])

    assert spent == [False, False, False, True]


async def test_a_row_given_back_because_a_store_is_away_has_all_its_attempts(postgres: Postgres, add: Add):
    (id_,) = await add(1)
    leases = Leases(postgres, ERRANDS)
    for _ in range(MAX_ATTEMPTS + 1):
        (lease,) = await leases.claim(postgres)
        await leases.begin([lease])
        await leases.release([lease], pause=timedelta(hours=1))
        assert await leases.claim(postgres) == []  # it waits for its pause
        await lapse(postgres)

    assert (await row(postgres, id_))["attempts"] == 0


async def test_a_row_that_fails_three_times_is_over_and_says_why(postgres: Postgres, add: Add):
    (id_,) = await add(1)
    leases = Leases(postgres, ERRANDS)
    over = list[bool]()
    for number in range(MAX_ATTEMPTS):
        (lease,) = await leases.claim(postgres)
        await leases.begin([lease])
        over.append(await leases.fail(postgres, lease, f"failure {number}", pause=NO_PAUSE))

    found = await row(postgres, id_)
    assert over == [False, False, True]
    assert (found["status"], found["error"], found["lease_until"]) == ("failed", "failure 2", None)
    assert await leases.claim(postgres) == []


async def test_a_final_failure_needs_no_other_attempt(postgres: Postgres, add: Add):
    (id_,) = await add(1)
    leases = Leases(postgres, ERRANDS)
    (lease,) = await leases.claim(postgres)

    assert await leases.fail(postgres, lease, "no use", pause=NO_PAUSE, final=True)

    assert (await row(postgres, id_))["status"] == "failed"


async def test_a_queue_without_a_last_status_hands_out_what_is_spent(postgres: Postgres, add: Add):
    await add(1)
    leases = Leases(postgres, ENDLESS)
    for _ in range(MAX_ATTEMPTS):
        (lease,) = await leases.claim(postgres)
        await leases.begin([lease])
        assert not await leases.fail(postgres, lease, "failure", pause=NO_PAUSE)

    (lease,) = await leases.claim(postgres)

    assert lease.spent


async def test_one_that_was_overtaken_changes_nothing(postgres: Postgres, add: Add):
    (id_,) = await add(1)
    slow = Leases(postgres, ERRANDS, length=LAPSED)
    (old,) = await slow.claim(postgres)
    await Leases(postgres, ERRANDS).claim(postgres)
    before = await row(postgres, id_)

    await slow.begin([old])
    await slow.take_back([old])
    await slow.release([old], pause=NO_PAUSE)
    assert not await slow.fail(postgres, old, "late", pause=NO_PAUSE, final=True)
    assert not await slow.end(postgres, old, "done")

    assert await row(postgres, id_) == before


@asynccontextmanager
async def present(postgres: Postgres) -> AsyncGenerator[Presence]:
    """A worker that others see while the block runs; at its end its session is closed, as by kill -9."""
    presence = Presence(postgres)
    async with presence.kept():
        assert presence.holder == presence.number
        yield presence


async def until_gone(postgres: Postgres, presence: Presence) -> None:
    async with asyncio.timeout(10):
        while await postgres.fetchval(f"SELECT $1::int = ANY ({LIVING})", presence.number):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("queue", [ERRANDS, ENDLESS])
async def test_what_a_killed_worker_held_is_claimed_at_once(postgres: Postgres, add: Add, queue: Queue):
    ids = await add(2)
    async with present(postgres) as alive:
        others = Leases(postgres, queue, presence=alive)
        async with present(postgres) as dead:
            leases = Leases(postgres, queue, presence=dead)
            claimed = await leases.claim(postgres, limit=2)
            await leases.begin(claimed[:1])
            assert await others.claim(postgres) == []  # it lives
        await until_gone(postgres, dead)

        taken = await others.claim(postgres, limit=9)

    assert [(lease.id, lease.attempts) for lease in taken] == [(ids[0], 1), (ids[1], 0)]  # perhaps it died of the first
    assert await leases.end(postgres, claimed[0], "done") is False


async def test_a_pause_holds_although_the_worker_that_asked_for_it_is_dead(postgres: Postgres, add: Add):
    await add(1)
    async with present(postgres) as dead:
        leases = Leases(postgres, ERRANDS, presence=dead)
        await leases.release(await leases.claim(postgres), pause=timedelta(minutes=1))
    await until_gone(postgres, dead)

    assert await Leases(postgres, ERRANDS).claim(postgres) == []


async def test_what_a_worker_could_not_give_back_it_claims_again_at_once(postgres: Postgres, add: Add):
    """PostgreSQL was away when its work failed: the row still says that it holds it, and that an attempt was begun."""
    (id_,) = await add(1)
    async with present(postgres) as presence:
        leases = Leases(postgres, ERRANDS, presence=presence)

        async def work(claimed: Lease) -> None:
            async with leases.renewed([claimed]):
                await leases.begin([claimed])
                raise ConnectionResetError

        for _ in range(MAX_ATTEMPTS + 1):
            (claimed,) = await leases.claim(postgres)
            assert await leases.claim(postgres) == []  # not while it works on it
            with pytest.raises(ConnectionResetError):
                await work(claimed)

        (again,) = await leases.claim(postgres)

    assert (again.id, again.attempts, again.begun) == (id_, 0, MAX_ATTEMPTS + 1)


async def test_a_worker_that_is_not_seen_holds_its_rows_by_their_leases_alone(postgres: Postgres, add: Add):
    await add(1)
    unseen = Leases(postgres, ERRANDS, presence=Presence(postgres))
    (claimed,) = await unseen.claim(postgres)

    async with present(postgres) as alive:
        assert await Leases(postgres, ERRANDS, presence=alive).claim(postgres) == []
    assert await unseen.end(postgres, claimed, "done")


async def test_work_that_is_cancelled_from_outside_is_left_to_others_and_was_no_attempt(postgres: Postgres, add: Add):
    """As when a worker is stopped and its grace is over."""
    await add(2)
    leases, begun = Leases(postgres, ERRANDS), asyncio.Event()
    first, second = await leases.claim(postgres, limit=2)

    async def work() -> None:
        async with leases.renewed([first, second]):
            await leases.begin([first, second])
            assert await leases.end(postgres, first, "done")
            begun.set()
            await forever()

    working = asyncio.create_task(work())
    await begun.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working

    (taken,) = await Leases(postgres, ERRANDS).claim(postgres, limit=9)
    assert (taken.id, taken.attempts) == (second.id, 0)
