"""What the samples of a name leave open is looked up in the store, of this tenant alone, and a failure stops nobody."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from segment_copilot.access.tenants import Tenant
from segment_copilot.language.catalog import MAX_SAMPLES, Answers, Catalog, Property, Question
from segment_copilot.resources import Resources
from segment_copilot.stores import clickhouse as store
from tests.support.resources import NOW, Remember, timedelta

DAY = timedelta(days=1)
TOWNS = [f"Town{number:03d}" for number in range(MAX_SAMPLES + 10)]
IDENTIFY = "context_identified"


def where(operator: str, value: Any = None, path: str = "city", **more: Any) -> dict[str, Any]:
    test = {"property": path, "operator": operator, **({} if value is None else {"value": value}), **more}
    return {"type": "event_count", "event_type": "visit", "where": [test]}


def trait(operator: str, value: Any = None, path: str = "city", **more: Any) -> dict[str, Any]:
    return {"type": "user_property", "property": path, "operator": operator, **({} if value is None else {"value": value}), **more}  # fmt: skip


@pytest.fixture
async def towns(tenant: Tenant, other_tenant: Tenant, remember: Remember) -> Tenant:
    lived = [*TOWNS, "Zwolle", "Paris", "Paris", "paris", "x" * 70]
    bought = [*TOWNS, "Zwolle", "zwolle", "zwolle"]
    await remember(tenant, [(f"u{at:03d}", IDENTIFY, 2 * DAY, {"city": city, "tags": [city], "home": {"to.wn": city}}) for at, city in enumerate(lived)])  # fmt: skip
    await remember(tenant, [(f"u{at:03d}", "visit", DAY, {"city": city, "renewal": "2026-06-01" if at == 62 else city}) for at, city in enumerate(bought)])  # fmt: skip
    await remember(tenant, [("u061", IDENTIFY, DAY, {"city": "Lyon"})])  # one of those who lived in Paris moved
    await remember(other_tenant, [(f"v{at}", IDENTIFY, DAY, {"city": "Zwola"}) for at in range(9)])
    return tenant


@pytest.fixture
def warned(resources: Resources, towns: Tenant):
    async def ask(condition: dict[str, Any]) -> list[tuple[str, tuple[str, ...], str]]:
        definition = {"logic": "AND", "conditions": [condition]}
        found = await resources.previews.preview(towns, definition, as_of=NOW)
        assert found.warnings == () or found.warnings[0].code == "other_spellings" or not found.matched_users
        return [(one.code, one.suggestions, one.detail) for one in found.warnings]

    return ask


async def test_a_value_beyond_the_samples_is_known_and_a_wrong_one_gets_the_nearest_of_all(warned: Any):
    assert await warned(trait("eq", "Zwolle")) == []
    assert await warned(trait("contains_any", ["Zwolle"], "tags")) == []
    assert await warned(trait("eq", "Zwolle", r"home.to\.wn")) == []
    assert await warned(trait("eq", "x" * 70)) == await warned(trait("contains", "xxx")) == []
    for condition in (
        trait("eq", "Zwole"),
        trait("contains", "Zwole", "tags"),
        trait("in", ["Zwole"], r"home.to\.wn"),
        where("eq", "Zwole"),
    ):
        ((code, suggestions, _),) = await warned(condition)
        assert (code, suggestions[0].lower()) == ("unseen_value", "zwolle"), condition
    ((code, suggestions, _),) = await warned(trait("eq", "Timbuktu"))
    assert (code, suggestions) == ("unseen_value", ())
    assert [code for code, _, _ in await warned(trait("contains", "yyy"))] == ["unseen_value"]


async def test_spellings_are_told_with_how_many_have_them(warned: Any):
    ((code, suggestions, detail),) = await warned(trait("eq", "Paris"))
    assert (code, suggestions) == ("other_spellings", ("paris",))
    assert "'Paris' (1), 'paris' (1)" in detail  # as users are now: one moved
    ((code, suggestions, detail),) = await warned(where("eq", "ZWOLLE"))
    assert (code, suggestions) == ("unseen_value", ("zwolle", "Zwolle"))
    assert "'zwolle' (2), 'Zwolle' (1)" in detail


async def test_a_type_that_only_values_beyond_the_samples_have_is_none_that_is_missing(warned: Any):
    assert await warned(where("in_last", "40d", "renewal")) == []
    assert [code for code, _, _ in await warned(where("in_last", "40d"))] == ["value_type_unseen"]


async def test_a_value_of_a_moment_ago_is_known_now(resources: Resources, tenant: Tenant, remember: Remember):
    async def told(value: str) -> list[str]:
        found = await resources.previews.preview(tenant, {"logic": "AND", "conditions": [trait("eq", value, "plan")]}, as_of=NOW)  # fmt: skip
        return [one.code for one in found.warnings]

    await remember(tenant, [("ana", IDENTIFY, DAY, {"plan": "free"})])
    assert await told("free") == []
    await remember(tenant, [("ben", IDENTIFY, DAY, {"plan": "pro"})])
    assert await told("pro") == []
    assert await told("team") == ["unseen_value"]


async def test_what_takes_too_long_is_left_open(resources: Resources, towns: Tenant, monkeypatch: pytest.MonkeyPatch):
    known = Catalog(traits={"city": Property("city", ("string",), samples=tuple(TOWNS[:MAX_SAMPLES]))})
    question = Question((), "city", texts=frozenset({"zwolle"}))
    answered = await resources.previews._values.answer(towns, known, [question])  # pyright: ignore[reportPrivateUsage]
    limits = structs.replace(store.LIMITS["preview"], rows_read=1)
    monkeypatch.setitem(store.LIMITS, "preview", limits)

    left = await resources.previews._values.answer(towns, known, [question])  # pyright: ignore[reportPrivateUsage]

    assert answered.traits["city"].answers.spellings["zwolle"].counts == {"Zwolle": 1}
    assert left.traits["city"].answers == Answers()
