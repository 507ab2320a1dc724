"""Explaining one user: the verdicts are those of the members, and what was measured is what the definition tests."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from segment_copilot.audiences.spread import Ranks
from segment_copilot.compiler import Person, UserEvidence, read_evidence, render_evidence
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.postgres import Postgres
from tests.support.language.data_sets import SEGMENT_IDS, DataSet, fetch_members, leaves_of, load_data_set
from tests.support.language.strategies import Draw

Json = dict[str, Any]


@pytest.fixture(scope="module")
async def data(module_postgres: Postgres, module_clickhouse: ClickHouse) -> DataSet:
    return await load_data_set(module_postgres, module_clickhouse, 78)


async def evidence(
    clickhouse: ClickHouse, data: DataSet, definition: Json, as_of: datetime, user_id: str
) -> UserEvidence:
    (plan,) = await data.asked(clickhouse, definition, as_of=as_of)
    plan = await Ranks(clickhouse).placed(plan, Person(user_id), purpose="preview")
    query = render_evidence(plan, user_id=user_id)
    return read_evidence(plan, (await clickhouse.fetch(query.sql, query.params, purpose="preview", user=user_id)).rows)


@pytest.mark.timeout(300)
async def test_every_verdict_is_what_the_interpreter_says_for_members_and_for_others(
    module_clickhouse: ClickHouse, data: DataSet
):
    draw, as_of = Draw(data.seed + 2, data.world), data.world.as_ofs[0]
    universe = data.universe(as_of)
    kinds, verdicts = set[str](), set[bool]()
    for definition in [draw.definition(SEGMENT_IDS) for _ in range(25)]:
        members = await fetch_members(module_clickhouse, await data.compile(module_clickhouse, definition, as_of))
        asked = [*sorted(members)[:2], *sorted(universe.keys() - members)[:2]]
        leaves = list(leaves_of(definition))
        zone = {"timezone": definition["timezone"]} if "timezone" in definition else {}
        found = [data.read({"logic": "AND", "conditions": [leaf]} | zone, as_of, universe) for leaf in leaves]
        for user_id in asked:
            told = await evidence(module_clickhouse, data, definition, as_of, user_id)
            assert told.in_universe
            assert told.is_member == (user_id in members), (user_id, definition)
            matches = [verdict.matches for verdict in told.verdicts]
            assert matches == [user_id in users for users in found], (user_id, definition)
            kinds |= {leaf["type"] for leaf in leaves}
            verdicts |= set(matches)
    assert verdicts == {True, False}
    assert len(kinds) == 12, kinds


async def test_a_user_nobody_has_seen_is_in_nothing(module_clickhouse: ClickHouse, data: DataSet):
    never = {
        "logic": "AND",
        "conditions": [{"type": "event_count", "event_type": "view", "operator": "eq", "value": 0}],
    }
    told = await evidence(module_clickhouse, data, never, data.world.as_ofs[0], "nobody at all")
    assert (told.in_universe, told.is_member, told.verdicts[0].matches) == (False, False, False)
