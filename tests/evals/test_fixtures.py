"""The tenants: what the service shows of them, that their segments divide people, and how messy the messy one is."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

import httpx2
import pytest

from evals.cases import leaves
from evals.definitions import with_ids
from evals.fixtures import AS_OF, TENANTS, Dataset, believable, edges
from evals.fixtures.boundary import Vocabulary, users_of
from evals.fixtures.catalogs import catalog_markdown, catalog_of
from evals.fixtures.rows import IDENTIFY, payload_of, values_by_path
from segment_copilot.events.shapes import SHOWN_SAMPLES
from segment_copilot.language.catalog import MAX_SAMPLE_LENGTH, MAX_SAMPLES, Catalog, Property

UTC = ZoneInfo("UTC")
tenants = pytest.mark.parametrize("tenant", TENANTS)


@pytest.fixture(scope="module")
def catalogs(fixtures) -> dict[str, Catalog]:
    return {one.tenant: catalog_of(one) for one in fixtures if one.name == "believable"}


@pytest.fixture(scope="module")
def believables(fixtures) -> dict[str, Dataset]:
    return {one.tenant: one for one in fixtures if one.name == "believable"}


# Against the service


def of_property(one: Property) -> tuple[object, ...]:
    """What the catalog says of a property; of more values than the service shows it may show any."""
    values = frozenset(map(repr, one.samples)) if len(one.samples) <= SHOWN_SAMPLES else SHOWN_SAMPLES
    return one.told_types, one.types, one.description, one.schema_type, one.required, values


def shown(one: dict, made: Property) -> tuple[object, ...]:
    """The same of a property as the service shows it."""
    samples = one["sample_values"]
    values = frozenset(map(repr, samples)) if len(made.samples) <= SHOWN_SAMPLES else len(samples)
    types, observed = tuple(one["types"]), tuple(one["observed_types"])
    return types, observed, one["description"], one["declared_type"], one["required"], values


@tenants
async def test_the_catalog_made_of_the_rows_is_the_one_that_the_service_shows(service, loaded, catalogs, tenant):
    key = {"authorization": f"ApiKey {loaded.keys[f'evals-{tenant}-believable']}"}
    async with httpx2.AsyncClient(base_url=service.url, headers=key) as client:
        found = (await client.get("/api/catalog/")).raise_for_status().json()
    made = catalogs[tenant]

    assert found["timezone"] == made.timezone
    assert {one["name"]: shown(one, made.traits[one["name"]]) for one in found["traits"]} == {
        path: of_property(one) for path, one in made.traits.items()
    }
    assert {one["name"]: (one["description"], one["event_count"]) for one in found["event_types"]} == {
        name: (one.description, one.event_count) for name, one in made.event_types.items()
    }
    for event_type in found["event_types"]:
        properties = made.event_types[event_type["name"]].properties
        assert {one["name"]: shown(one, properties[one["name"]]) for one in event_type["properties"]} == {
            path: of_property(one) for path, one in properties.items()
        }
    assert [(one["name"], one["description"]) for one in found["segments"]] == [
        (one.name, one.description) for one in made.segments.values()
    ]


@tenants
@pytest.mark.parametrize("dataset", ["believable", "boundary"])
async def test_each_saved_segment_holds_some_people_and_not_nearly_all(service, believables, tenant, dataset):
    space = service.workspace(tenant, dataset)
    sizes = {}
    for segment in believables[tenant].segments:
        preview = await space.preview(with_ids(segment.definition, space.segments))
        assert preview.valid, (segment.name, preview.findings)
        sizes[segment.name] = len(preview.members) / preview.universe

    assert {name: share for name, share in sizes.items() if not 0 < share < 0.9} == {}


def test_nulls_and_long_texts_are_no_values(believables, catalogs):
    texts = [value for row in believables["shop"].rows for _, value in values_by_path(row.payload)]
    assert None in texts
    assert any(isinstance(one, str) and len(one) > MAX_SAMPLE_LENGTH for one in texts)

    made = catalogs["shop"]
    kept = [one for event_type in made.event_types.values() for one in event_type.properties.values()]
    samples = [sample for one in (*kept, *made.traits.values()) for sample in one.samples]

    assert None not in samples
    assert all(len(one) <= MAX_SAMPLE_LENGTH for one in samples if isinstance(one, str))
    assert all(len(one.samples) <= MAX_SAMPLES for one in kept)


# The pages for writers


@tenants
def test_a_page_names_everything_that_a_sentence_may_be_about(believables, catalogs, tenant):
    page, catalog = catalog_markdown(believables[tenant]), catalogs[tenant]
    properties = [one.path for event_type in catalog.event_types.values() for one in event_type.properties.values()]

    for heading in catalog.event_types:
        assert f"\n### {heading}\n" in page
    for path in (*properties, *catalog.traits):
        assert f"\n- `{path}` (" in page
    for segment in catalog.segments.values():
        assert f"\n- **{segment.name}**: {segment.description}\n" in page
    assert page.count("\n### ") == len(catalog.event_types)
    assert page.count("\n- `") == len(properties) + len(catalog.traits)


def test_a_page_tells_the_day_as_it_is_in_the_zone_of_the_tenant(believables):
    assert "Today is Wednesday, 17 June 2026, 18:00, in the time zone UTC." in catalog_markdown(believables["shop"])
    assert "Today is Thursday, 18 June 2026, 04:00, in the time zone Australia/Sydney." in catalog_markdown(
        believables["media"]
    )


def test_a_page_shows_values_as_they_are_stored(believables):
    page = catalog_markdown(believables["media"])

    line = page.partition("- `Is Subscriber` (string): Yes or No, as the old system wrote it  \n  values: ")[2]
    assert set(line.partition("\n")[0].split(", ")) == {'"Yes"', '"yes"', '"Y"', '"No"', '"no"', '"N"'}


# The data


@tenants
def test_a_tenant_is_made_the_same_every_time_and_ends_at_the_frozen_instant(tenant):
    made = believable(tenant)

    assert made == believable(tenant)
    assert max(row.occurred_at for row in made.rows) <= AS_OF


@tenants
def test_events_are_as_their_schemas_say(believables, tenant):
    python = {"string": str, "datetime": str, "number": (int, float), "boolean": bool, "list": list}
    declared = {
        (schema.event_type, one.name): one for schema in believables[tenant].schemas for one in schema.properties
    }
    for row in believables[tenant].rows:
        for path, value in values_by_path(row.payload):
            one = declared.get((row.event_type, path))
            # what people typed is declared as text, and some of it came as a number
            if one is not None and value is not None and path != "Date of Birth":
                assert isinstance(value, python[one.type]), (row.event_type, path, value)


@pytest.mark.parametrize("tenant", ["saas", "media"])
def test_the_newer_tenants_have_events_without_words_and_at_least_eight_segments(catalogs, tenant):
    catalog = catalogs[tenant]
    silent = [one for one in catalog.event_types.values() if not one.description]

    assert {one.is_declared for one in silent} == {True, False}
    assert len(catalog.segments) >= 8
    assert len({leaf["type"] for one in believable(tenant).segments for leaf in leaves(one.definition)}) >= 4


def test_traits_of_a_company_stand_inside_those_of_a_user(catalogs, believables):
    assert {"company.name", "company.employees", "company.industry"} <= catalogs["saas"].traits.keys()
    identified = next(row for row in believables["saas"].rows if row.event_type == IDENTIFY)
    assert payload_of(dict(values_by_path(identified.payload))) == identified.payload


def test_a_user_on_the_edge_of_a_nested_trait_has_it_where_it_is_read(believables):
    saas = believables["saas"]
    test = {"type": "user_property", "property": "company.industry", "operator": "eq", "value": "finance"}
    definition = {"logic": "AND", "conditions": [test]}
    rows = users_of("x", definition, vocabulary=Vocabulary(saas.rows), segments=saas.segments, timezone=saas.timezone)

    companies = [row.payload.get("company", {}) for row in rows if row.event_type == IDENTIFY]
    industries = {company.get("industry") for company in companies}
    assert "finance" in industries
    assert industries & set(catalog_of(saas).traits["company.industry"].samples) > {"finance"}
    assert all("company.industry" not in row.payload for row in rows)
    assert any("name" in company for company in companies)


ITEMS = {
    "any_of": "products",
    "conditions": [
        {"property": "sku", "operator": "eq", "value": "A-1"},
        {"property": "price.net", "operator": "gt", "value": 10},
    ],
}


def test_users_have_lists_with_the_item_asked_for_and_lists_where_only_two_items_together_are_it(believables):
    shop = believables["shop"]
    count = {"type": "event_count", "event_type": "order_placed", "where": [ITEMS]}
    rows = users_of(
        "x",
        {"logic": "AND", "conditions": [count]},
        vocabulary=Vocabulary(shop.rows),
        segments=shop.segments,
        timezone=shop.timezone,
    )

    lists = [row.payload["products"] for row in rows if "products" in row.payload]
    both = [[(one.get("sku") == "A-1", one.get("price", {}).get("net", 0) > 10) for one in items] for items in lists]
    assert any((True, True) in items for items in both)
    assert any((True, False) in items and (False, True) in items and (True, True) not in items for items in both)


def test_items_that_are_texts_or_must_not_be_so_have_two_sides():
    text = {"any_of": "tags", "conditions": [{"property": ".", "operator": "eq", "value": "new"}]}
    unlike = {"any_of": "tags", "conditions": [{"property": ".", "operator": "eq", "value": "new", "negate": True}]}

    good, bad = edges.values(text, [["old"]], AS_OF, UTC)
    assert all("new" in items for items in good)
    assert ["old"] in bad
    assert not any("new" in items for items in bad if items is not edges.MISSING)

    good, bad = edges.values(unlike, [["old"]], AS_OF, UTC)
    assert ["old"] in good
    assert ["new"] in bad


def test_the_media_tenant_is_as_messy_as_it_says(catalogs):
    media = catalogs["media"]

    def values(path: str, event_type: str = "") -> set[object]:
        found = media.event_types[event_type].properties if event_type else media.traits
        return set(found[path].samples)

    assert values("Is Subscriber") == {"Yes", "yes", "Y", "No", "no", "N"}
    assert values("Email Consent") == {0, 1}
    assert values("Amount", "subscription_renewed") >= {"12.50", "1,299.00"}
    assert {"SPORT", "Sport", "tech", "Tech"} <= values("Section", "Article Read")
    assert {type(one) for one in values("Household Size")} == {int, str}
    forms = [r"\d{4}-\d\d-\d\d", r"\d\d/\d\d/\d{4}", r"[A-Z][a-z]{2} \d{1,2}, \d{4}", r"\d{12,13}"]
    dates = [str(one) for one in values("signupDate")]
    assert all(any(re.fullmatch(form, one) for one in dates) for form in forms)
    names = [*media.event_types, *media.traits]
    assert any(" " in name for name in names)
    assert any(re.fullmatch("[a-z]+[A-Z][A-Za-z]+", name) for name in names)
    assert any("_" in name for name in names)
