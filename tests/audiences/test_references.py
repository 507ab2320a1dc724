"""What a definition refers to is read whole, as it is saved now, and never from another tenant."""

from __future__ import annotations

from typing import Any

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.references import References, not_found
from segment_copilot.audiences.segments import Changes
from segment_copilot.compiler import all_conditions
from segment_copilot.errors import NotFound
from segment_copilot.language import decode
from segment_copilot.resources import Resources
from segment_copilot.stores.postgres import Postgres

BOUGHT = {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 1}
SPANISH = {"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}


@pytest.fixture
def references(resources: Resources) -> References:
    return References(resources.postgres)


def inside(*segment_ids: int) -> list[dict[str, Any]]:
    return [{"type": "segment_membership", "segment_id": segment_id} for segment_id in segment_ids]


async def save(resources: Resources, tenant: Tenant, name: str, *conditions: Any, **more: Any) -> int:
    definition = {"logic": "AND", "conditions": list(conditions), **more}
    return (await resources.segments.create(tenant, name=name, definition=definition)).segment.id


async def close_circle(postgres: Postgres, segment_id: int, *, to: int) -> None:
    """As no save can: two of them at once, in a store that somebody wrote into."""
    sql = "UPDATE segments SET definition = $2 WHERE id = $1"
    text = f'{{"logic": "AND", "conditions": [{{"type": "segment_membership", "segment_id": {to}}}]}}'
    await postgres.execute(sql, segment_id, text)


async def test_a_definition_is_read_as_it_is_saved_now(resources: Resources, tenant: Tenant, references: References):
    saved = await save(resources, tenant, "Buyers", BOUGHT)
    first = await references.definition(tenant, saved)

    changed = {"logic": "OR", "conditions": [SPANISH]}
    await resources.segments.update(tenant, saved, Changes(definition=changed))

    assert first.conditions == decode({"logic": "AND", "conditions": [BOUGHT]}).conditions
    assert (await references.definition(tenant, saved)).conditions == decode(changed).conditions
    assert all_conditions((await references.load(tenant, [saved]))[saved]) == decode(changed).conditions


async def test_all_that_is_referred_to_is_loaded_however_deep(
    resources: Resources, tenant: Tenant, references: References
):
    buyers = await save(resources, tenant, "Buyers", BOUGHT)
    spain = await save(resources, tenant, "Spain", SPANISH)
    group = {"type": "group", "logic": "OR", "conditions": [*inside(buyers), BOUGHT]}
    middle = await save(resources, tenant, "Middle", group)
    outer = await save(resources, tenant, "Outer", BOUGHT, exclude={"logic": "OR", "conditions": inside(middle, spain)})
    await save(resources, tenant, "Other", BOUGHT)

    loaded = await references.load(tenant, [outer])

    assert loaded.keys() == {outer, middle, spain, buyers}
    assert loaded == {segment_id: await references.definition(tenant, segment_id) for segment_id in loaded}
    assert (await references.load(tenant, [spain, buyers])).keys() == {spain, buyers}


async def test_a_circle_in_the_store_is_loaded_once_round(resources: Resources, tenant: Tenant, references: References):
    first = await save(resources, tenant, "A", BOUGHT)
    second = await save(resources, tenant, "B", *inside(first))
    await close_circle(resources.postgres, first, to=second)

    assert (await references.load(tenant, [first])).keys() == {first, second}


@pytest.mark.parametrize("segment_id", [0, -1, 2**63 - 1, 2**63, -(2**63), 10**40])
async def test_an_id_that_is_none_is_left_out(resources: Resources, tenant: Tenant, references: References, segment_id):
    saved = await save(resources, tenant, "Buyers", BOUGHT)

    assert (await references.load(tenant, [saved, segment_id])).keys() == {saved}


async def test_nothing_wanted_is_nothing_loaded(tenant: Tenant, references: References):
    assert (await references.load(tenant, []), await references.names(tenant, [])) == ({}, {})


async def test_names_are_those_of_now_and_unknown_ids_have_none(
    resources: Resources, tenant: Tenant, references: References
):
    first, second = [await save(resources, tenant, name, BOUGHT) for name in ("A", "B")]
    await resources.segments.update(tenant, second, Changes(name="C"))

    assert await references.names(tenant, [first, second, second + 100]) == {first: "A", second: "C"}
    assert await references.names(tenant, {second: None}) == {second: "C"}


async def test_another_tenants_segment_is_as_one_that_never_was(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, references: References
):
    saved = await save(resources, tenant, "Mine", BOUGHT)

    with pytest.raises(NotFound) as theirs:
        await references.definition(other_tenant, saved)
    with pytest.raises(NotFound) as never:
        await references.definition(tenant, saved + 100)

    assert (str(theirs.value), theirs.value.code) == (f"There is no segment {saved}.", "segment_not_found")
    assert str(never.value) == str(not_found(saved + 100))
    assert await references.load(other_tenant, [saved]) == {}
    assert await references.names(other_tenant, [saved]) == {}
