"""Two readings of one definition: the compiled SQL on real data, and the reference interpreter.

`LANGUAGE_DEFINITIONS=3000 LANGUAGE_SEED=7 pytest tests/language/test_semantics.py` runs longer, and elsewhere.
"""

from __future__ import annotations

import os

import pytest

from language.data_sets import SEGMENT_IDS, explain_difference, fetch_members, load_data_set
from language.strategies import Draw
from segment_copilot.clickhouse import ClickHouse
from segment_copilot.postgres import Postgres

DEFINITIONS = int(os.environ.get("LANGUAGE_DEFINITIONS", "280"))
SEED = int(os.environ.get("LANGUAGE_SEED", "1"))
A_DATA_SET = 40
SHOWN = int(os.environ.get("LANGUAGE_SHOWN", "3"))


@pytest.mark.timeout(60 + DEFINITIONS)
async def test_the_compiled_sql_and_the_reference_interpreter_find_the_same_members(
    module_postgres: Postgres, module_clickhouse: ClickHouse
):
    differences: list[str] = []
    for number in range(-(-DEFINITIONS // A_DATA_SET)):
        data = await load_data_set(module_postgres, module_clickhouse, SEED * 10_000 + number)
        universes = {as_of: data.universe(as_of) for as_of in data.world.as_ofs}
        draw = Draw(data.seed + 5_000, data.world)
        for _ in range(A_DATA_SET):
            definition, as_of = draw.definition(SEGMENT_IDS), draw.one(data.world.as_ofs)
            compiled = await fetch_members(module_clickhouse, data.compile(definition, as_of))
            if compiled != data.read(definition, as_of, universes[as_of]):
                told = explain_difference(module_clickhouse, data, definition, as_of=as_of, universe=universes[as_of])
                differences.append(await told)
                if len(differences) >= SHOWN:
                    break
    assert not differences, "\n\n".join(differences)
