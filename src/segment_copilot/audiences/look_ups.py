"""Looks up which segments users are in: the published members of many segments at once, a user at a time.

A run's members never change, so those of published runs are held in memory (`held_runs.py`), and a look-up is a question to
PostgreSQL, which runs are published, and one to ClickHouse, which number the user has. Look-ups of one tenant that come while
another is under way wait for it and are answered together, by one question to each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.held_runs import HeldRuns
from segment_copilot.events.identity_links import IdentityLinks
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import ROWS
from segment_copilot.stores.postgres import Postgres, Record

_TOGETHER: Final = 1_000
_NUMBERS: Final = """
SELECT user_id, number FROM user_numbers WHERE tenant_id = {tenant:UInt32} AND user_id IN {users:Array(String)}
"""
_SEGMENTS: Final = """
SELECT id, name, published_run, member_count, last_computed_at FROM segments
WHERE tenant_id = $1 AND CASE WHEN $2::bigint[] IS NULL THEN is_active ELSE id = ANY($2) END ORDER BY id
"""


class SegmentOfUser(Struct, frozen=True):
    """A segment that a user is in; *member_count* is null where it was never computed."""

    segment_id: int
    segment_name: str
    member_count: int | None
    computed_at: datetime


class LookUps:
    """Looks users of all tenants up; every method takes the tenant."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse, links: IdentityLinks) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._links = links
        self._runs = HeldRuns(clickhouse)
        self._waiting = dict[int, dict[str, asyncio.Future[tuple[SegmentOfUser, ...]]]]()
        self._tasks = dict[int, asyncio.Task[None]]()

    async def one(self, tenant: Tenant, user_id: str) -> tuple[SegmentOfUser, ...]:
        """Return the active segments whose published members include the user, with whoever asks at the same time."""
        waiting = self._waiting.setdefault(tenant.id, {})
        if (answer := waiting.get(user_id)) is None:
            answer = waiting[user_id] = asyncio.get_running_loop().create_future()
            answer.add_done_callback(_look_at)
        task = self._tasks.get(tenant.id)
        if task is None or task.done():
            self._tasks[tenant.id] = asyncio.create_task(self._answer(tenant))
        return await asyncio.shield(answer)  # who goes away takes no answer along

    async def many(
        self, tenant: Tenant, user_ids: Sequence[str], *, segments: Sequence[Record] | None = None
    ) -> dict[str, tuple[SegmentOfUser, ...]]:
        """Return, for each user, those of *segments* (default: all active ones) that they are in."""
        if segments is None:
            segments = await self.segments(tenant)
        published = [row for row in segments if row["published_run"] and row["member_count"] != 0]
        if not published or not user_ids:
            return dict.fromkeys(user_ids, ())
        persons = await self._links.persons(tenant, user_ids)
        ids = {user_id: (one.user_id, *one.other_ids) for user_id, one in persons.items()}
        numbers = await self._numbers(tenant, {id_ for theirs in ids.values() for id_ in theirs})
        runs = await self._runs_of(tenant, numbers, published)
        return {
            user_id: tuple(
                SegmentOfUser(row["id"], row["name"], row["member_count"], row["last_computed_at"])
                for row in published
                if any(row["published_run"] in runs.get(id_, ()) for id_ in theirs)
            )
            for user_id, theirs in ids.items()
        }

    async def segments(self, tenant: Tenant, segment_ids: Sequence[int] | None = None) -> list[Record]:
        """Return the rows of these segments (default: of all active ones) that `many` takes, by id."""
        return await self._postgres.fetch(_SEGMENTS, tenant.id, None if segment_ids is None else list(segment_ids))

    async def _answer(self, tenant: Tenant) -> None:
        """Answer all who wait, those too who come while others are answered."""
        while waiting := self._waiting.pop(tenant.id, None):
            asked = list(waiting.items())
            for start in range(0, len(asked), _TOGETHER):
                some = dict(asked[start : start + _TOGETHER])
                try:
                    found = await self.many(tenant, list(some))
                except Exception as error:  # noqa: BLE001  # it is theirs who asked
                    for answer in some.values():
                        answer.set_exception(error)
                else:
                    for user_id, answer in some.items():
                        answer.set_result(found[user_id])
        self._tasks.pop(tenant.id, None)

    async def _numbers(self, tenant: Tenant, ids: Iterable[str]) -> dict[str, int]:
        params = {"tenant": tenant.id, "users": list(ids)}
        return dict((await self._clickhouse.fetch(_NUMBERS, params, purpose="members", merge=ROWS)).rows)

    async def _runs_of(
        self, tenant: Tenant, numbers: Mapping[str, int], published: Sequence[Record]
    ) -> Mapping[str, set[UUID]]:
        """Return the runs that have each of these ids among their members."""
        if not numbers:
            return {}
        runs = {row["published_run"]: int(row["id"]) for row in published}
        found = await self._runs.containing(tenant, runs, list(numbers.values()))
        return {id_: found[number] for id_, number in numbers.items()}


def _look_at(answer: asyncio.Future[tuple[SegmentOfUser, ...]]) -> None:
    """Take note of an error that nobody waited for."""
    if not answer.cancelled():
        answer.exception()
