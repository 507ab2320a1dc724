"""How an audience comes about: every number is that of the interpreter for the definition cut down to it."""

from __future__ import annotations

from typing import Any

import pytest

from segment_copilot.compiler import Conditions, Plan, read_narrowing, render_narrowing
from segment_copilot.compiler.slots import GroupNode, Node
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import SUMS
from segment_copilot.stores.postgres import Postgres
from tests.support.language.data_sets import SEGMENT_IDS, DataSet, load_data_set
from tests.support.language.strategies import Draw

Json = dict[str, Any]


@pytest.fixture(scope="module")
async def data(module_postgres: Postgres, module_clickhouse: ClickHouse) -> DataSet:
    return await load_data_set(module_postgres, module_clickhouse, 79)


def children(node: Node) -> tuple[Node, ...]:
    assert isinstance(node, GroupNode)
    return node.children


def conditions_of(plan: Plan, definition: Json) -> Conditions:
    """Each condition that is let in, and each that is taken out by itself."""
    included, excluded = children(plan.root) if "exclude" in definition else (plan.root, None)
    assert isinstance(included, GroupNode)
    return Conditions(included.logic, included.children, children(excluded) if excluded else ())


def cut(definition: Json, included: list[Json], excluded: list[Json]) -> Json:
    """The definition with these conditions only; without any that lets in, everybody is."""
    everybody = {"type": "event_count", "event_type": "*", "operator": "gte", "value": 0}
    kept = {key: definition[key] for key in definition.keys() & {"timezone"}}
    kept |= {"logic": definition["logic"], "conditions": included or [everybody]}
    return kept | ({"exclude": {"logic": "OR", "conditions": excluded}} if excluded else {})


@pytest.mark.timeout(300)
async def test_every_number_is_what_the_interpreter_says_of_the_definition_cut_down(
    module_clickhouse: ClickHouse, data: DataSet
):
    draw, as_of = Draw(data.seed + 2, data.world), data.world.as_ofs[0]
    universe = data.universe(as_of)
    logics, sizes, changed = set[str](), set[int](), 0
    for definition in [draw.definition(SEGMENT_IDS) for _ in range(60)]:
        if "exclude" in definition:
            definition["exclude"]["logic"] = "OR"
        included, excluded = definition["conditions"], definition.get("exclude", {}).get("conditions", [])
        cuts = [
            *(cut(definition, included[: n + 1], []) for n in range(len(included))),
            *(cut(definition, included, excluded[: n + 1]) for n in range(len(excluded))),
            *(cut(definition, included[:n] + included[n + 1 :], excluded) for n in range(len(included))),
            *(cut(definition, included, excluded[:n] + excluded[n + 1 :]) for n in range(len(excluded))),
        ]
        zone = {"timezone": definition["timezone"]} if "timezone" in definition else {}
        alone = [{"logic": "AND", "conditions": [each]} | zone for each in [*included, *excluded]]
        (plan,) = await data.asked(module_clickhouse, definition, as_of=as_of)
        conditions = conditions_of(plan, definition)
        nodes = (*conditions.inclusions, *conditions.exclusions)

        query = render_narrowing(plan, conditions, nodes)
        rows = (await module_clickhouse.fetch(query.sql, query.params, purpose="preview", merge=SUMS)).rows
        found = read_narrowing(rows[0], conditions, nodes)

        told = [len(data.read(each, as_of, universe)) for each in cuts]
        assert [*found.counts_after, *found.counts_without] == told, definition
        assert found.node_counts == tuple(len(data.read(each, as_of, universe)) for each in alone), definition
        assert found.universe == len(universe)
        logics.add(conditions.logic)
        sizes.add(len(nodes))
        changed += len(set(told))
    assert logics == {"AND", "OR"}
    assert max(sizes) > 3
    assert changed > 100
