"""Which of a trait's values counts: the newest at the instant that is asked about, in the history and in the table of current ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from segment_copilot.access.tenants import Tenants
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.postgres import Postgres
from tests.support.language.data_sets import WAYS, DataSet, deliver, draw_world, fetch_members, say
from tests.support.language.reference import IDENTIFY, Event, Said

Json = dict[str, Any]

FIRST, SECOND, AS_OF, LATER = (datetime(2026, 6, day, 12, tzinfo=UTC) for day in (1, 2, 3, 4))


def said_to_be(user: str, plan: str, at: datetime) -> Event:
    return Event(user, IDENTIFY, at, {"plan": plan})


HISTORY = (
    said_to_be("rose", "free", FIRST),
    said_to_be("rose", "pro", SECOND),
    said_to_be("fell", "pro", FIRST),
    said_to_be("fell", "free", SECOND),
    said_to_be("will rise", "free", FIRST),
    said_to_be("will rise", "pro", LATER),
    said_to_be("will fall", "pro", FIRST),
    said_to_be("will fall", "free", LATER),
    said_to_be("will come", "pro", LATER),
    said_to_be("rose by another id", "free", FIRST),
    said_to_be("other of rose", "pro", SECOND),
    said_to_be("fell by another id", "pro", FIRST),
    said_to_be("other of fell", "free", SECOND),
)
PRO = {"rose", "will fall"}
LINKS = (Said("alias", "other of rose", "rose by another id"), Said("alias", "other of fell", "fell by another id"))


@pytest.mark.parametrize("links", [(), LINKS], ids=["each id somebody", "ids linked"])
async def test_the_newest_value_at_the_instant_is_the_trait(
    module_postgres: Postgres, module_clickhouse: ClickHouse, links: tuple[Said, ...]
):
    tenant = await Tenants(module_postgres).create("linked" if links else "apart")
    await deliver(module_postgres, module_clickhouse, tenant, deliveries=HISTORY)
    if links:
        await say(module_postgres, module_clickhouse, tenant, links)
    data = DataSet(0, draw_world(0), tenant, HISTORY, {}, links)
    condition = {"type": "user_property", "property": "plan", "operator": "eq", "value": "pro"}
    universe = data.universe(AS_OF)
    for negated, wanted in (
        (False, PRO | ({"rose by another id"} if links else {"other of rose", "fell by another id"})),
        (True, {"fell", "will rise"} | ({"fell by another id"} if links else {"other of fell", "rose by another id"})),
    ):
        definition: Json = {"logic": "AND", "conditions": [condition | ({"negate": True} if negated else {})]}
        assert data.read(definition, AS_OF, universe) == wanted
        for shape, traits in WAYS:
            query = await data.compile(module_clickhouse, definition, AS_OF, shape=shape, traits=traits)
            assert await fetch_members(module_clickhouse, query) == wanted, (shape, traits, negated)
