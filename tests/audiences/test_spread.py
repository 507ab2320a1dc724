"""Ranks over shards: the border that all shards' distributions give, and members and evidence as on one server."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from segment_copilot.audiences.spread import Border, Moved, Ranks, Told, narrowed
from segment_copilot.compiler import (
    Person,
    Plan,
    Span,
    read_evidence,
    render_evidence,
    render_is_member,
    render_members,
    render_preview,
    with_bounds,
)
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import sampled
from segment_copilot.stores.postgres import Postgres
from tests.support.engines import SHARDS
from tests.support.language.data_sets import FEW_STEPS, WAYS, DataSet, fetch_members, load_data_set
from tests.support.language.strategies import AMOUNT

Json = dict[str, Any]

PARTS: tuple[Json, ...] = (
    *({"top": number} for number in (1, 25)),
    *({"bottom": number} for number in (2, 40)),
    *({"top_percent": share} for share in (0.001, 33.333)),
    *({"bottom_percent": share} for share in (12.5, 66.667)),
)


def by(measure: str) -> Json:
    return {"measure": measure, "event_type": "*"} | (
        {} if measure in {"count", "days_active"} else {"property": AMOUNT}
    )


def ranked_by(measure: str, **part: Any) -> Json:
    return {"logic": "AND", "conditions": [{"type": "rank", "by": by(measure), **part}]}


def tell(values: Sequence[int], span: Span, steps: int) -> Told:
    """What a shard tells that has a user with each of the values, which are sorted: those that fill another step."""
    first = 0 if span.after is None else bisect_right(values, int(span.after))
    last = len(values) if span.before is None else bisect_left(values, int(span.before))
    inside = values[first:last]
    distinct = sorted(set(inside))
    step = max(1, -(-len(inside) // steps))
    running = {value: bisect_right(inside, value) for value in distinct}
    told = [
        value
        for value in distinct
        if len(distinct) <= steps
        or value == distinct[-1]
        or running[value] // step > bisect_left(inside, value) // step
    ]
    return Told(first, [str(value) for value in told], [running[value] for value in told], len(told) == len(distinct))


def test_the_border_is_that_of_all_users_wherever_they_are():
    """Of shards as different as can be, with values that very many have, and told few values at once."""
    random = Random(1)  # noqa: S311  (a test is to be repeatable)
    rounds = 0
    for run in range(300):
        shards = [
            sorted(random.choice([random.randrange(3_000), random.randrange(20), number * 700]) for _ in range(size))
            for number in range(1 + run % 4)
            for size in [random.choice([0, 1, 60, 900])]
        ]
        everybody = sorted(value for shard in shards for value in shard)
        for wanted in {1, len(everybody) // 3, len(everybody)} - {0} if everybody else ():
            span, found = Span(), None
            while not isinstance(found, Border):
                told = [tell(shard, span, 32) for shard in shards]
                found = narrowed(told, wanted, span, key=int)
                rounds += 1
                if isinstance(found, Span):
                    assert found != span
                    span = found
            border = everybody[wanted - 1]
            assert (int(found.value), found.before) == (border, bisect_left(everybody, border))
            assert found.up_to in {None, bisect_right(everybody, border)}
    assert rounds > 1_200


def test_a_border_that_is_not_where_it_was_is_looked_for_anew():
    whole = Told(3, ["5", "7"], [1, 4], is_whole=True)
    assert narrowed([whole], 4, Span("2"), key=int) == Border("5", 3, 4)
    assert narrowed([whole], 8, Span("2", "9"), key=int) == Border("9", 7)
    for wanted, span in ((3, Span("2")), (8, Span("2"))):
        with pytest.raises(Moved):
            narrowed([whole], wanted, span, key=int)


@pytest.fixture(scope="module", params=[False, True], ids=["ids apart", "ids linked"])
async def data(request: pytest.FixtureRequest, module_postgres: Postgres, module_clickhouse: ClickHouse) -> DataSet:
    return await load_data_set(module_postgres, module_clickhouse, 120 + request.param, linked=request.param, users=90)


def spread_plan(data: DataSet, definition: Json) -> Plan:
    """A plan as over shards; one server is one shard then."""
    return replace(data.plan(definition, data.world.as_ofs[0]), spread=True)


def ranks(clickhouse: ClickHouse) -> Ranks:
    return Ranks(clickhouse, steps=FEW_STEPS)


@pytest.mark.parametrize("measure", ["count", "days_active", "sum", "avg", "min", "max", "count_distinct"])
async def test_who_is_ranked_with_bounds_is_whom_the_interpreter_ranks(
    module_clickhouse: ClickHouse, data: DataSet, measure: str
):
    """Alone and negated, in both shapes, counted, of one user; in what another segment refers to."""
    as_of = data.world.as_ofs[0]
    universe = data.universe(as_of)
    sizes = set[int]()
    for part in PARTS:
        definition = ranked_by(measure, **part)
        wanted = data.read(definition, as_of, universe)
        data = replace(data, references={**data.references, 9: definition})
        referring: Json = {"type": "segment_membership", "segment_id": 9, "operator": "not_in"}
        for asked, members in (
            (definition, wanted),
            ({"logic": "OR", "conditions": [referring]}, universe.keys() - wanted),
        ):
            (plan,) = await ranks(module_clickhouse).bounded([spread_plan(data, asked)], purpose="compute")
            for shape, traits in WAYS[:2]:
                query = render_members(plan, shape=shape, traits=traits)
                assert await fetch_members(module_clickhouse, query) == members, (asked, part, shape)
            query = render_preview(plan, sample=7)
            ((everybody, matched, sample),) = (
                await module_clickhouse.fetch(query.sql, query.params, purpose="preview", merge=sampled(7))
            ).rows
            assert (everybody, matched, sample) == (len(universe), len(members), sorted(members, key=str.encode)[:7])
            for user_id in [*sorted(wanted)[:1], *sorted(universe.keys() - wanted)[:1]]:
                query = render_is_member(plan, user_id=user_id, other_ids=data.person(user_id)[1])
                rows = (await module_clickhouse.fetch(query.sql, query.params, purpose="preview", user=user_id)).rows
                assert bool(rows) == (user_id in members), (asked, part, user_id)
        sizes.add(len(wanted))
    assert len(sizes) > 4


@pytest.mark.skipif(SHARDS > 1, reason="one server, which has everybody, is compared with")
@pytest.mark.parametrize("measure", ["count", "sum", "avg", "max"])
async def test_a_place_is_told_as_one_server_tells_it(module_clickhouse: ClickHouse, data: DataSet, measure: str):
    as_of = data.world.as_ofs[0]
    universe = data.universe(as_of)
    everyone_ranked = data.read(ranked_by(measure, top_percent=100), as_of, universe)
    users = [*sorted(everyone_ranked)[::9], *sorted(universe.keys() - everyone_ranked)[:2], "nobody at all"]
    ranked = 0
    for part in PARTS[1::2]:
        plan = data.plan(ranked_by(measure, **part), as_of)
        (bounded,) = await ranks(module_clickhouse).bounded([replace(plan, spread=True)], purpose="preview")
        for user_id in users:
            person = Person(*data.person(user_id))
            placed = await ranks(module_clickhouse).placed(bounded, person, purpose="preview")
            of_one = []
            for one in (plan, placed):
                query = render_evidence(one, user_id=person.user_id, other_ids=person.other_ids)
                rows = (await module_clickhouse.fetch(query.sql, query.params, purpose="preview")).rows
                of_one.append(read_evidence(one, rows))
            assert of_one[0] == of_one[1], (part, user_id)
            ((measured,),) = [[verdict.evidence.measured for verdict in of_one[1].verdicts]]
            ranked += measured["place"] is not None
    assert ranked > 10


async def test_of_nobody_nobody_is_first(module_clickhouse: ClickHouse, data: DataSet):
    nothing = {"type": "rank", "by": {"measure": "count", "event_type": "never happened"}, "top_percent": 100}
    for negate, members in ((False, set[str]()), (True, set(data.universe(data.world.as_ofs[0])))):
        definition = {"logic": "AND", "conditions": [nothing | {"negate": negate}]}
        (plan,) = await ranks(module_clickhouse).bounded([spread_plan(data, definition)], purpose="compute")
        assert await fetch_members(module_clickhouse, render_members(plan)) == members


def test_a_shard_never_ranks_its_own_users_by_themselves(data: DataSet):
    plan = spread_plan(data, ranked_by("count", top=3))
    with pytest.raises(ValueError, match="no bounds"):
        render_members(plan)
    with pytest.raises(ValueError, match="no bounds"):
        render_evidence(with_bounds(plan, {}), user_id="u1")


async def test_where_all_are_on_one_server_plans_stay_as_they_are(module_clickhouse: ClickHouse, data: DataSet):
    plan = replace(spread_plan(data, ranked_by("count", top=3)), spread=False)
    assert await ranks(module_clickhouse).bounded([plan], purpose="compute") == [plan]
    assert await ranks(module_clickhouse).placed(plan, Person("u1"), purpose="compute") is plan
