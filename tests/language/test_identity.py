"""Ids that are one person's: compiled over linked data is what the interpreter reads of the data with one id each."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from segment_copilot.audiences.user_numbers import UserNumbers
from segment_copilot.compiler import (
    Conditions,
    KeyRange,
    leaves,
    read_evidence,
    read_narrowing,
    render_counts,
    render_evidence,
    render_is_member,
    render_keys,
    render_membership_insert,
    render_narrowing,
    render_preview,
)
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import ROWS, SUMS, Merge, sampled
from segment_copilot.stores.postgres import Postgres
from tests.support.language.data_sets import (
    SEGMENT_IDS,
    WAYS,
    DataSet,
    explain_difference,
    fetch_members,
    leaves_of,
    load_data_set,
)
from tests.support.language.reference import IDENTIFY, Event, Said, canonical_ids, people
from tests.support.language.strategies import Draw
from tests.support.slot_sets import written_together

Json = dict[str, Any]


@pytest.fixture(scope="module")
async def data(module_postgres: Postgres, module_clickhouse: ClickHouse) -> DataSet:
    return await load_data_set(module_postgres, module_clickhouse, 85, linked=True, users=60)


@pytest.fixture(scope="module")
def as_of(data: DataSet) -> datetime:
    return data.world.as_ofs[0]


def definitions(data: DataSet, number: int, *, seed: int = 0) -> list[Json]:
    draw = Draw(data.seed + seed, data.world)
    return [draw.definition(SEGMENT_IDS) for _ in range(number)]


async def rows(clickhouse: ClickHouse, query: Any, merge: Merge = ROWS) -> list[tuple[Any, ...]]:
    return (await clickhouse.fetch(query.sql, query.params, purpose="preview", merge=merge)).rows


def test_what_is_drawn_has_persons_of_several_ids_chains_and_claims_that_came_too_late(data: DataSet, as_of: datetime):
    whose = canonical_ids(data.said)
    first = {one.id: one.of for one in reversed(data.said)}
    assert any(whose[one] != first[one] for one in whose)  # by a chain or a later merge
    assert len({one.id for one in data.said}) < len(data.said)
    assert "never seen" in data.universe(as_of)
    assert len(data.universe(as_of)) < len(people(data.deliveries, as_of)) - 10


async def test_members_are_persons_whatever_way_they_are_asked_for(
    module_clickhouse: ClickHouse, data: DataSet, as_of: datetime
):
    universe = data.universe(as_of)
    for definition in definitions(data, 14):
        read = data.read(definition, as_of, universe)
        for shape, traits in WAYS:
            query = await data.compile(module_clickhouse, definition, as_of, shape=shape, traits=traits)
            if await fetch_members(module_clickhouse, query) != read:
                told = explain_difference(
                    module_clickhouse, data, definition, as_of=as_of, universe=universe, way=(shape, traits)
                )
                pytest.fail(await told)


async def test_the_newest_value_of_all_ids_is_the_trait(module_clickhouse: ClickHouse, data: DataSet):
    """One trait, and so many that they are read at once; ids whose newest value is after `as_of` are among them."""
    as_of = min(data.world.as_ofs)
    draw, universe = Draw(data.seed + 9, data.world), data.universe(as_of)
    leaves = [draw.user_property() | draw.negate() for _ in range(72)]
    several = [leaves[start : start + 24] for start in range(0, 72, 24)]
    assert all(len({leaf["property"].split(".")[0] for leaf in some}) > 6 for some in several)
    asked = [[leaf] for leaf in leaves[:10]] + several
    for conditions in asked:
        definition = {"logic": "OR", "conditions": conditions}
        read = data.read(definition, as_of, universe)
        for shape, traits in WAYS[:3]:
            query = await data.compile(module_clickhouse, definition, as_of, shape=shape, traits=traits)
            assert await fetch_members(module_clickhouse, query) == read, (definition, shape, traits)


async def test_previews_counts_and_ranges_count_persons(module_clickhouse: ClickHouse, data: DataSet, as_of: datetime):
    universe = data.universe(as_of)
    for definition in definitions(data, 5, seed=1):
        (plan,), members = (
            await data.asked(module_clickhouse, definition, as_of=as_of),
            data.read(definition, as_of, universe),
        )
        ((everybody, matched, sample),) = await rows(module_clickhouse, render_preview(plan, sample=5), sampled(5))
        assert (everybody, matched, sample) == (len(universe), len(members), sorted(members)[:5]), definition
        ((everybody, *counts),) = await rows(module_clickhouse, render_counts(plan, leaves(plan.root)), SUMS)
        zone = {"timezone": definition["timezone"]} if "timezone" in definition else {}
        alone = [{"logic": "AND", "conditions": [leaf]} | zone for leaf in leaves_of(definition)]
        assert everybody == len(universe)
        assert counts == [len(data.read(each, as_of, universe)) for each in alone], definition
        halves = (KeyRange(0, 2**63 - 1), KeyRange(2**63, 2**64 - 1))
        keys = [await rows(module_clickhouse, render_keys(plan, keys=half)) for half in halves]
        whole = await rows(module_clickhouse, render_keys(plan))
        assert sorted(whole) == sorted([*keys[0], *keys[1]])
        assert len(whole) == len(members)


async def test_a_narrowing_counts_persons(module_clickhouse: ClickHouse, data: DataSet, as_of: datetime):
    universe = data.universe(as_of)
    for definition in definitions(data, 4, seed=2):
        grouped = {"logic": "AND", "conditions": [{"type": "group"} | without_exclusion(definition)]}
        (plan,) = await data.asked(module_clickhouse, grouped, as_of=as_of)
        conditions = Conditions("AND", (plan.root,), ())
        query = render_narrowing(plan, conditions, [plan.root])
        (row,) = await rows(module_clickhouse, query, SUMS)
        found = read_narrowing(row, conditions, [plan.root])
        zone = {"timezone": definition["timezone"]} if "timezone" in definition else {}
        read = data.read(without_exclusion(definition) | zone, as_of, universe)
        assert (found.universe, found.node_counts, found.counts_after) == (len(universe), (len(read),), (len(read),))


def without_exclusion(definition: Json) -> Json:
    return {key: definition[key] for key in ("logic", "conditions")}


async def test_one_person_is_explained_by_all_of_their_ids(
    module_clickhouse: ClickHouse, data: DataSet, as_of: datetime
):
    universe = data.universe(as_of)
    whose = canonical_ids(data.said)
    asked = [*sorted({of for of in whose.values() if of in universe})[:3], *sorted(whose)[:3], "u0"]
    verdicts = set[bool]()
    for definition in definitions(data, 4, seed=3):
        (plan,), members = (
            await data.asked(module_clickhouse, definition, as_of=as_of),
            data.read(definition, as_of, universe),
        )
        zone = {"timezone": definition["timezone"]} if "timezone" in definition else {}
        alone = [{"logic": "AND", "conditions": [leaf]} | zone for leaf in leaves_of(definition)]
        for id_ in asked:
            user_id, other_ids = data.person(id_)
            query = render_evidence(plan, user_id=user_id, other_ids=other_ids)
            found = await module_clickhouse.fetch(query.sql, query.params, purpose="preview", user=user_id)
            told = read_evidence(plan, found.rows)
            assert told.in_universe == (user_id in universe)
            assert told.is_member == (user_id in members), (user_id, definition)
            expected = [user_id in data.read(each, as_of, universe) for each in alone]
            assert [verdict.matches for verdict in told.verdicts] == expected, (user_id, definition)
            query = render_is_member(plan, user_id=user_id, other_ids=other_ids)
            assert bool(await rows(module_clickhouse, query)) == (user_id in members), (user_id, definition)
            verdicts |= set(expected)
    assert verdicts == {True, False}


async def test_members_that_are_written_are_persons_alone_and_together(
    module_postgres: Postgres, module_clickhouse: ClickHouse, data: DataSet, as_of: datetime
):
    await UserNumbers(module_postgres, module_clickhouse).give(data.tenant)
    universe = data.universe(as_of)
    drawn = definitions(data, 4, seed=4)
    plans = await data.asked(module_clickhouse, *drawn, as_of=as_of)
    alone, together = [uuid4() for _ in plans], [uuid4() for _ in plans]
    for plan, run_id in zip(plans, alone, strict=True):
        query = render_membership_insert(plan, segment_id=1, run_id=run_id)
        await module_clickhouse.execute(query.sql, query.params, purpose="compute")
    statements = written_together(plans, segment_ids=[1] * len(plans), run_ids=together)
    await module_clickhouse.script([(query.sql, query.params) for query in statements], purpose="compute")
    sql = """
        SELECT run_id, user_id, user_key = sipHash64(user_id) FROM (
            SELECT run_id, arrayJoin(bitmapToArray(members)) AS number FROM segment_states) AS written
        INNER JOIN user_numbers USING (number) WHERE tenant_id = {tenant:UInt32}"""
    written = (await module_clickhouse.fetch(sql, {"tenant": data.tenant.id}, purpose="compute", merge=ROWS)).rows
    for definition, *runs in zip(drawn, alone, together, strict=True):
        for run_id in runs:
            found = [user_id for run, user_id, _ in written if run == run_id]
            assert sorted(found) == sorted(data.read(definition, as_of, universe)), definition
    assert all(is_key for _, _, is_key in written)


def test_the_reference_reads_the_newest_trait_of_all_ids_and_their_events_in_one_order():
    """The interpreter itself: of the page's sentences on identity, one by one."""
    at = datetime.fromisoformat
    deliveries = [
        Event("anon_1", "view", at("2026-01-01T00:00:00Z"), {}, "a"),
        Event("u", "buy", at("2026-01-02T00:00:00Z"), {}, "b"),
        Event("anon_1", "view", at("2026-01-03T00:00:00Z"), {}, "c"),
        Event("u", IDENTIFY, at("2026-01-02T00:00:00Z"), {"plan": "pro"}, "d"),
        Event("anon_1", IDENTIFY, at("2026-01-04T00:00:00Z"), {"plan": "free"}, "e"),
        Event("u2", "view", at("2026-01-05T00:00:00Z"), {}, "f"),
    ]
    said = [Said("alias", "anon_1", "u"), Said("alias", "anon_1", "u2"), Said("merge", "u", "v")]

    found = people(deliveries, at("2026-02-01T00:00:00Z"), said)

    assert sorted(found) == ["u2", "v"]
    assert [event.event_id for event in found["v"].events] == ["a", "b", "d", "c", "e"]
    assert found["v"].traits == {"plan": "free"}
    assert sorted(people(deliveries, at("2026-01-01T00:00:00Z"), said)) == ["v"]
