"""Two readings of one definition: the compiled SQL on real data, in every shape, and the reference interpreter.

`LANGUAGE_DEFINITIONS=3000 LANGUAGE_SEED=7 pytest tests/language/test_semantics.py` runs longer, and elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import os
from datetime import datetime
from typing import Any

import pytest

from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.postgres import Postgres
from tests.support.language.data_sets import (
    SEGMENT_IDS,
    WAYS,
    DataSet,
    explain_difference,
    fetch_members,
    load_data_set,
)
from tests.support.language.strategies import Draw

DEFINITIONS = int(os.environ.get("LANGUAGE_DEFINITIONS", "250"))
SEED = int(os.environ.get("LANGUAGE_SEED", "1"))
A_DATA_SET = 50
AT_ONCE = 3
SHOWN = 3

Json = dict[str, Any]


@pytest.mark.timeout(60 + DEFINITIONS)
async def test_the_compiled_sql_and_the_reference_interpreter_find_the_same_members(
    module_postgres: Postgres, module_clickhouse: ClickHouse
):
    differences: list[str] = []
    for number in range(-(-DEFINITIONS // A_DATA_SET)):
        linked = number % 2 == 1  # ids that are one person's
        data = await load_data_set(module_postgres, module_clickhouse, SEED * 10_000 + number, linked=linked)
        differences += await compare(module_clickhouse, data)
        if len(differences) >= SHOWN:
            break
    assert not differences, "\n\n".join(differences[:SHOWN])


async def compare(clickhouse: ClickHouse, data: DataSet) -> list[str]:
    """Read definitions over *data* both ways, a few at a time; what differs, in words."""
    universes = {as_of: data.universe(as_of) for as_of in data.world.as_ofs}
    draw = Draw(data.seed + 5_000, data.world)
    drawn = [(draw.definition(SEGMENT_IDS), draw.one(data.world.as_ofs)) for _ in range(A_DATA_SET)]
    turns = asyncio.Semaphore(AT_ONCE)

    async def difference(definition: Json, as_of: datetime) -> str | None:
        universe = universes[as_of]
        async with turns:
            read = data.read(definition, as_of, universe)
            for shape, traits in WAYS if "user_property" in json.dumps(definition) else WAYS[:2]:
                query = await data.compile(clickhouse, definition, as_of, shape=shape, traits=traits)
                if await fetch_members(clickhouse, query) != read:
                    way = (shape, traits)
                    return await explain_difference(
                        clickhouse, data, definition, as_of=as_of, universe=universe, way=way
                    )
        return None

    return [told for told in await asyncio.gather(*(difference(*one) for one in drawn)) if told]
