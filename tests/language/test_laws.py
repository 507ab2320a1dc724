"""Laws that hold between answers, whatever they are: asked of the compiled SQL over one random data set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from segment_copilot.access.tenants import Tenants
from segment_copilot.compiler import (
    KeyRange,
    Shape,
    leaves,
    render_counts,
    render_is_member,
    render_keys,
    render_preview,
)
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import ROWS, SUMS, sampled
from segment_copilot.stores.postgres import Postgres
from tests.support.language.data_sets import SEGMENT_IDS, DataSet, deliver, fetch_members, leaves_of, load_data_set
from tests.support.language.reference import Event, accept
from tests.support.language.strategies import DAYS, Draw

Json = dict[str, Any]


@pytest.fixture(scope="module")
async def data(module_postgres: Postgres, module_clickhouse: ClickHouse) -> DataSet:
    return await load_data_set(module_postgres, module_clickhouse, 77)


class Asked:
    """Asks for the members of conditions, at the data set's first instant."""

    def __init__(self, clickhouse: ClickHouse, data: DataSet) -> None:
        self.clickhouse = clickhouse
        self.data = data
        self.as_of = data.world.as_ofs[0]
        self.everyone = set(data.universe(self.as_of))

    async def group(self, logic: str, *conditions: Json) -> set[str]:
        definition = {"logic": logic, "conditions": list(conditions)}
        return await fetch_members(self.clickhouse, await self.data.compile(self.clickhouse, definition, self.as_of))


@pytest.fixture
def asked(module_clickhouse: ClickHouse, data: DataSet) -> Asked:
    return Asked(module_clickhouse, data)


def conditions(data: DataSet, number: int) -> list[Json]:
    """Conditions that are not negated."""
    draw = Draw(data.seed, data.world)
    return [draw.leaf() | {"negate": False} for _ in range(number)]


def negated(condition: Json) -> Json:
    return condition | {"negate": not condition["negate"]}


def group(logic: str, *parts: Json, negate: bool = False) -> Json:
    return {"type": "group", "logic": logic, "conditions": list(parts), "negate": negate}


async def test_a_condition_and_its_negation_split_the_universe(asked: Asked):
    for condition in conditions(asked.data, 20):
        those, others = await asked.group("AND", condition), await asked.group("AND", negated(condition))
        assert not those & others, condition
        assert those | others == asked.everyone, condition


async def test_de_morgan_and_double_negation(asked: Asked):
    drawn = conditions(asked.data, 24)
    for one, other in zip(drawn[::2], drawn[1::2], strict=True):
        neither = await asked.group("AND", group("OR", one, other, negate=True))
        assert neither == await asked.group("AND", negated(one), negated(other)), (one, other)
        not_both = await asked.group("AND", group("AND", one, other, negate=True))
        assert not_both == await asked.group("OR", negated(one), negated(other)), (one, other)
        twice = group("AND", group("AND", one, other, negate=True), negate=True)
        assert await asked.group("AND", twice) == await asked.group("AND", one, other), (one, other)


async def test_who_did_it_in_a_window_did_it_in_every_longer_one(asked: Asked):
    for least in (1, 2):
        count: Json = {"type": "event_count", "event_type": "*", "value": least}
        windows = [await asked.group("AND", count | {"window_days": days}) for days in DAYS]
        windows.append(await asked.group("AND", count))
        for shorter, longer in pairwise(windows):
            assert shorter <= longer
        assert windows[0] < windows[-1]


async def test_a_preview_counts_the_members_and_samples_the_first_of_them(module_clickhouse: ClickHouse, asked: Asked):
    data, draw = asked.data, Draw(asked.data.seed + 1, asked.data.world)
    for definition in [draw.definition(SEGMENT_IDS) for _ in range(12)]:
        (plan,) = await data.asked(module_clickhouse, definition, as_of=asked.as_of)
        query = render_preview(plan, sample=5)
        result = await module_clickhouse.fetch(query.sql, query.params, purpose="preview", merge=sampled(5))
        row = dict(zip(result.columns, result.rows[0], strict=True))
        query = render_counts(plan, leaves(plan.root))
        universe, *counts = (
            await module_clickhouse.fetch(query.sql, query.params, purpose="preview", merge=SUMS)
        ).rows[0]
        assert universe == row["universe"]
        members = data.read(definition, asked.as_of, data.universe(asked.as_of))
        assert row["universe"] == len(asked.everyone)
        assert row["matched_users"] == len(members), definition
        assert row["sample_user_ids"] == sorted(members)[:5]
        for leaf, count in zip(leaves_of(definition), counts, strict=True):
            alone = {key: value for key, value in definition.items() if key != "exclude"} | {"conditions": [leaf]}
            found = data.read(alone, asked.as_of, data.universe(asked.as_of))
            assert count == len(found), leaf


async def test_ranges_of_user_keys_hold_every_member_once(module_clickhouse: ClickHouse, asked: Asked):
    shapes: tuple[Shape, ...] = ("chain", "bitmasks")
    halves = (KeyRange(0, 2**63 - 1), KeyRange(2**63, 2**64 - 1))
    found = 0
    for condition in conditions(asked.data, 12):
        (plan,) = await asked.data.asked(
            module_clickhouse, {"logic": "AND", "conditions": [condition]}, as_of=asked.as_of
        )
        for shape in shapes:
            queries = [render_keys(plan, shape=shape, keys=keys) for keys in (None, *halves)]
            whole, *parts = [
                [
                    row[0]
                    for row in (
                        await module_clickhouse.fetch(query.sql, query.params, purpose="preview", merge=ROWS)
                    ).rows
                ]
                for query in queries
            ]
            assert sorted(whole) == sorted([*parts[0], *parts[1]]), condition
            assert all(keys.first <= key <= keys.last for keys, part in zip(halves, parts, strict=True) for key in part)
            found += bool(parts[0]) and bool(parts[1])
    assert found


async def test_membership_of_one_user_is_what_the_members_say(module_clickhouse: ClickHouse, asked: Asked):
    users = sorted(asked.everyone)[:8]
    for condition in conditions(asked.data, 4):
        members = await asked.group("AND", condition)
        (plan,) = await asked.data.asked(
            module_clickhouse, {"logic": "AND", "conditions": [condition]}, as_of=asked.as_of
        )
        for user_id in [*users, "nobody"]:
            query = render_is_member(plan, user_id=user_id)
            rows = (await module_clickhouse.fetch(query.sql, query.params, purpose="preview", user=user_id)).rows
            assert bool(rows) == (user_id in members)


async def test_asking_again_gives_the_same_members(module_clickhouse: ClickHouse, asked: Asked):
    for condition in conditions(asked.data, 8):
        query = await asked.data.compile(module_clickhouse, {"logic": "AND", "conditions": [condition]}, asked.as_of)
        answers = [
            await module_clickhouse.fetch(query.sql, query.params, purpose=p, merge=ROWS)
            for p in ("preview", "compute")
        ]
        assert sorted(answers[0].rows) == sorted(answers[1].rows), condition


async def test_neither_the_order_of_delivery_nor_repetition_matters(
    module_postgres: Postgres, module_clickhouse: ClickHouse, data: DataSet
):
    """When each event has an id: delivered once in order, and delivered twice out of order in other blocks."""
    random = Random(5)  # noqa: S311  (a test is to be repeatable)
    once = accept(data.deliveries)
    again = once * 2
    random.shuffle(again)
    asked: list[Asked] = []
    for name, deliveries, chunk in (("ordered", once, 5000), ("shuffled", again, 700)):
        tenant = await Tenants(module_postgres).create(name, timezone=data.tenant.timezone)
        await deliver(module_postgres, module_clickhouse, tenant, deliveries=deliveries, chunk=chunk)
        asked.append(Asked(module_clickhouse, DataSet(data.seed, data.world, tenant, tuple(deliveries), {})))
    for condition in conditions(data, 20):
        one, other = [await each.group("AND", condition) for each in asked]
        assert one == other, condition


@pytest.mark.parametrize(
    ("name", "as_of", "hours"),
    [
        ("spring", datetime(2026, 3, 29, 10, tzinfo=UTC), 23),  # the clock went forward in the night
        ("autumn", datetime(2026, 10, 25, 11, tzinfo=UTC), 25),
        ("summer", datetime(2026, 7, 1, 10, tzinfo=UTC), 24),
    ],
)
async def test_a_day_has_as_many_hours_as_the_clock_on_the_wall_says(
    module_postgres: Postgres, module_clickhouse: ClickHouse, data: DataSet, name: str, as_of: datetime, hours: int
):
    """In Madrid; where the clock never changes, every day has 24."""
    tenant = await Tenants(module_postgres).create(f"clock-{name}", timezone="Europe/Madrid")
    edge = timedelta(microseconds=1)
    times = [as_of - timedelta(hours=back) + step for back in (22, 23, 24, 25, 26) for step in (-edge, 0 * edge, edge)]
    events = [Event(f"u{number}", "view", time, {}) for number, time in enumerate(times)]
    await deliver(module_postgres, module_clickhouse, tenant, deliveries=events)
    asked = Asked(module_clickhouse, DataSet(data.seed, data.world, tenant, tuple(events), {}))
    asked.as_of = as_of

    async def within(window: Json, zone: str) -> set[str]:
        definition = {
            "logic": "AND",
            "timezone": zone,
            "conditions": [{"type": "event_count", "event_type": "view", "window": window}],
        }
        return await fetch_members(module_clickhouse, await asked.data.compile(module_clickhouse, definition, as_of))

    day = await within({"last": "1d"}, "Europe/Madrid")
    assert day == await within({"last": f"{hours}h"}, "Europe/Madrid")
    assert await within({"last": "1d"}, "Etc/GMT-1") == await within({"last": "24h"}, "Europe/Madrid")
    assert len(day) == 2 + 3 * (hours - 22)
