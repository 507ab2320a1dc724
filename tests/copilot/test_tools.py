"""What each tool answers over real stores, and what it draws."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segment_copilot.copilot.guards.bounds import MAX_BYTES, bound
from segment_copilot.copilot.tools import COMPONENTS, TOOLS
from segment_copilot.events import Event, observe_names, write_block
from tests.support.copilot_runs import BUYERS, NOBODY, Ask, Script, Shop, Told, asking, calls, says
from tests.support.resources import NOW

PROPOSAL = {"name": "Recent buyers", "description": "Bought this week.", "definition": BUYERS}

NAMES = [
    "ask_user",
    "check_user_membership",
    "compare_segments",
    "display_create_segment_cta",
    "display_event_chart",
    "display_metric_card",
    "display_segment_table",
    "explain_segment",
    "get_event_schema",
    "get_segment_detail",
    "list_activations",
    "list_event_schemas",
    "list_property_values",
    "list_recent_events",
    "list_segments",
    "preview_segment",
    "propose_segment",
    "query_event_volume",
    "query_segment_changes",
    "query_segment_membership_trend",
    "query_top_events",
    "revise_segment",
    "search_segments",
]


async def called(ask: Ask, *wanted: tuple[str, dict[str, Any]], **more: Any) -> Told:
    """A run that makes these calls one turn each, then answers."""
    return await ask(Script(*[calls(one) for one in wanted], says("Done.")), asking(**more))


def test_the_tools_stand_in_a_fixed_order_with_plain_object_schemas():
    assert list(TOOLS) == sorted(NAMES)
    for tool in TOOLS.values():
        schema = tool.specification.input_schema
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert all("description" in argument for argument in schema["properties"].values()), tool.name
        assert tool.specification.description
    assert {"MetricCard", "SegmentTable", "EventVolumeChart", "CreateSegmentCTA"} == COMPONENTS


def test_a_definition_is_described_by_the_language_itself():
    schema = TOOLS["propose_segment"].specification.input_schema

    assert "EventCount" in schema["$defs"]
    assert schema["properties"]["definition"]["$ref"] == "#/$defs/Definition"
    assert "discriminator" not in str(schema)
    assert set(TOOLS["query_top_events"].specification.input_schema["properties"]) == {"from", "to", "limit"}


async def test_segments_are_listed_by_size_with_their_total(ask: Ask, shop: Shop):
    told = await called(ask, ("list_segments", {"limit": 1}))

    result = told.result()
    assert [segment["name"] for segment in result["segments"]] == ["Buyers"]
    assert result["segments"][0]["member_count"] == 2
    assert (result["total"], result["truncated"], result["source"]) == (2, True, "postgres")


@pytest.mark.parametrize("reference", ["Lapsed", "  lapsed ", "ID"])
async def test_a_segment_is_found_by_id_or_name_and_put_into_words(ask: Ask, shop: Shop, reference):
    told = await called(ask, ("get_segment_detail", {"segment": shop.lapsed if reference == "ID" else reference}))

    result = told.result()
    assert result["id"] == shop.lapsed
    assert len(result["conditions"]) == 1
    assert "7 days" in result["conditions"][0]
    assert "Buyers" in result["exclusions"][0]
    assert result["definition"]["conditions"][0]["type"] == "recency"


async def test_an_unknown_segment_is_an_error_with_the_nearest_name(ask: Ask):
    told = await called(ask, ("get_segment_detail", {"segment": "Byers"}))

    error = told.one("tool.result")["error"]
    assert (error["code"], error["retry"]) == ("unknown_segment", "adjust")
    assert error["findings"][0]["suggestions"] == ["Buyers"]


@pytest.mark.parametrize("tool", ["get_segment_detail", "query_segment_membership_trend", "query_segment_changes"])
async def test_another_tenants_segment_does_not_exist(ask: Ask, shop: Shop, tool):
    more = {"from": "2026-01-01"} if tool == "query_segment_changes" else {}
    by_id = await called(ask, (tool, {"segment": shop.foreign} | more))
    by_name = await called(ask, (tool, {"segment": "Foreign"} | more))

    assert by_id.one("tool.result")["error"]["code"] == "unknown_segment"
    assert by_name.one("tool.result")["error"]["code"] == "unknown_segment"


async def test_nothing_of_another_tenant_shows_in_any_reading(ask: Ask, shop: Shop):
    told = await called(
        ask,
        ("list_segments", {}),
        ("list_event_schemas", {}),
        ("list_recent_events", {}),
        ("query_top_events", {"from": "2026-01-01", "to": "2027-01-01"}),
        ("display_segment_table", {"title": "All", "segment_ids": [shop.foreign]}),
        ("preview_segment", {"definition": {"logic": "AND", "conditions": [{"type": "segment_membership", "segment_id": shop.foreign}]}}),
        ("get_event_schema", {"event_type": "secret_event"}),
    )  # fmt: skip

    assert "Foreign" not in str(told.of("tool.result")[:4])
    assert "secret_event" not in str(told.of("tool.result")[:4])
    assert [result["ok"] for result in told.of("tool.result")[4:]] == [False, False, False]


async def test_event_types_are_listed_with_what_was_seen_of_them(ask: Ask):
    told = await called(ask, ("list_event_schemas", {}))

    result = told.result()
    assert [schema["event_type"] for schema in result["schemas"]] == ["order_placed", "page_viewed", "wishlist_add"]
    order = result["schemas"][0]
    assert order["event_count"] == 3
    assert order["registered"] is False
    assert {item["name"] for item in order["properties"]} == {"total", "tags", "ship.city"}


async def test_one_event_type_shows_values_that_occurred(ask: Ask):
    told = await called(ask, ("get_event_schema", {"event_type": "page_viewed"}))

    (path,) = told.result()["properties"]
    assert path["path"] == "path"
    assert "/pricing" in path["samples"]


async def test_top_events_stop_at_the_runs_instant_and_leave_identifies_out(ask: Ask):
    told = await called(ask, ("query_top_events", {"from": "2026-01-01", "to": "2027-01-01", "limit": 2}))

    result = told.result()
    assert result["event_types"] == [
        {"event_type": "order_placed", "count": 3},
        {"event_type": "page_viewed", "count": 2},
    ]
    assert (result["total"], result["truncated"]) == (6, True)
    assert (result["from"], result["to"]) == ("2026-01-01", "2026-06-15T12:00:00Z")


async def test_volume_counts_local_days_and_fills_empty_ones(ask: Ask):
    told = await called(
        ask, ("query_event_volume", {"event_type": "order_placed", "from": "2026-06-11", "to": "2026-06-15"})
    )

    result = told.result()
    assert result["points"] == [
        {"day": "2026-06-11", "count": 0},
        {"day": "2026-06-12", "count": 1},
        {"day": "2026-06-13", "count": 1},
        {"day": "2026-06-14", "count": 1},
    ]
    assert (result["total"], result["timezone"]) == (3, "Europe/Madrid")


async def test_volume_counts_only_the_events_that_pass(ask: Ask):
    days = {"event_type": "order_placed", "from": "2026-01-01", "to": "2026-06-16"}
    over = [{"property": "total", "operator": "gt", "value": 50}]
    told = await called(
        ask,
        ("query_event_volume", {**days, "where": over}),
        (
            "query_event_volume",
            {**days, "where": [*over, {"property": "ship.city", "operator": "eq", "value": "Rome"}]},
        ),
        ("query_event_volume", {**days, "where": [{"property": "totl", "operator": "gt", "value": 50}]}),
        ("query_event_volume", {**days, "where": [{"property": "total", "operator": "about", "value": 50}]}),
        ("query_event_volume", {"from": "2026-01-01", "to": "2026-06-16", "where": over}),
    )

    every, rome, unknown, wrong, untyped = told.of("tool.result")
    assert every["data"]["total"] > rome["data"]["total"] >= 1
    assert every["data"]["total"] == sum(point["count"] for point in every["data"]["points"])
    assert unknown["error"]["findings"][0]["pointer"] == "/where/0/property"
    assert wrong["error"]["findings"][0]["pointer"].startswith("/where/0")
    assert untyped["error"]["code"] == "no_event_type"


async def test_a_range_that_makes_no_sense_is_an_error(ask: Ask):
    told = await called(
        ask,
        ("query_top_events", {"from": "2026-06-02", "to": "2026-06-01"}),
        ("query_top_events", {"from": "yesterday", "to": "2026-06-01"}),
        ("query_event_volume", {"from": "2020-01-01", "to": "2026-06-01"}),
        ("query_event_volume", {"event_type": "orders", "from": "2026-05-01", "to": "2026-06-01"}),
    )

    errors = [result["error"] for result in told.of("tool.result")]
    assert [error["code"] for error in errors] == ["empty_range", "invalid_instant", "range_too_long", "unknown_name"]
    assert errors[3]["findings"][0]["suggestions"] == ["order_placed"]


async def test_the_trend_has_the_days_a_segment_was_computed(ask: Ask, shop: Shop):
    told = await called(ask, ("query_segment_membership_trend", {"segment": "Buyers", "days": 7}))

    result = told.result()
    assert result["points"] == [{"day": "2026-06-15", "count": 2}]
    assert (result["segment_id"], result["name"], result["from"]) == (shop.buyers, "Buyers", "2026-06-09")


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        ({"property": "total", "event_type": "order_placed"}, [("90", 1), (10.5, 1), (90, 1)]),
        ({"property": "tags", "event_type": "order_placed"}, [("sale", 2), ("gift", 1)]),
        ({"property": "ship.city", "event_type": "order_placed"}, [("Madrid", 1), ("Rome", 1)]),
        ({"property": "country"}, [("ES", 1), ("FR", 1)]),
        ({"property": "address.zip"}, [("28001", 1)]),
    ],
)
async def test_values_are_counted_by_kind_and_as_they_stand(ask: Ask, arguments, values):
    told = await called(ask, ("list_property_values", arguments))

    result = told.result()
    assert [(item["value"], item["count"]) for item in result["values"]] == values
    assert (result["total_distinct"], result["truncated"]) == (len(values), False)


async def test_values_are_counted_in_a_range(ask: Ask):
    prices = {"property": "total", "event_type": "order_placed"}
    told = await called(
        ask,
        ("list_property_values", {**prices, "from": "2026-06-13", "to": "2026-06-14"}),
        ("list_property_values", {**prices, "to": "2026-06-13"}),
        ("list_property_values", {"property": "country", "from": "2026-06-13"}),
        ("list_property_values", {**prices, "from": "2026-06-14", "to": "2026-06-13"}),
    )

    within, before, trait, empty = told.of("tool.result")
    assert [len(one["data"]["values"]) for one in (within, before)] == [1, 1]
    assert [one["error"]["code"] for one in (trait, empty)] == ["no_range", "empty_range"]


async def test_values_are_searched_in_any_case(ask: Ask):
    told = await called(ask, ("list_property_values", {"property": "country", "search": " e"}))

    assert [item["value"] for item in told.result()["values"]] == ["ES"]


async def test_an_unknown_property_is_an_error_with_the_nearest_one(ask: Ask):
    told = await called(ask, ("list_property_values", {"property": "totl", "event_type": "order_placed"}))

    assert told.one("tool.result")["error"]["findings"][0]["suggestions"][0] == "total"


async def test_a_preview_counts_and_drafts_nothing(ask: Ask):
    told = await called(ask, ("preview_segment", {"definition": BUYERS}))

    result = told.result()
    assert (result["matched_users"], result["universe"], result["percent"]) == (2, 4, 50.0)
    assert result["as_of"] == "2026-06-15T12:00:00Z"
    assert told.of("segment.draft") == []
    assert "conditions" not in result


async def test_a_draft_counts_what_it_will_have_as_members(ask: Ask, shop: Shop):
    told = await called(ask, ("propose_segment", {**PROPOSAL, "assumptions": ["A purchase is order_placed."]}))

    draft = told.one("segment.draft")
    saved = await shop.resources.previews.preview(shop.tenant, draft["definition"], as_of=NOW)
    assert draft["preview"]["count"] == saved.matched_users == 2
    assert draft["preview"]["as_of"] == "2026-06-15T12:00:00Z"
    assert draft["tier"] == "dynamic_plus"
    assert draft["assumptions"] == ["A purchase is order_placed."]
    assert draft["words"] == told.result()["words"]
    assert set(draft) >= {
        "draft_id",
        "revision",
        "name",
        "description",
        "definition",
        "tier_reason",
        "unmapped",
        "warnings",
    }
    assert told.names.index("segment.draft") > told.names.index("tool.result")


async def test_a_draft_names_only_what_exists(ask: Ask):
    wrong = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placd"}]}

    told = await called(ask, ("propose_segment", {**PROPOSAL, "definition": wrong}))

    error = told.one("tool.result")["error"]
    assert (error["code"], error["retry"]) == ("invalid_definition", "adjust")
    assert error["findings"][0]["pointer"] == "/definition/conditions/0/event_type"
    assert error["findings"][0]["suggestions"] == ["order_placed"]
    assert told.of("segment.draft") == []
    assert told.of("component") == []


async def test_every_mistake_of_a_definition_comes_back_at_once(ask: Ask):
    wrong = {
        "logic": "AND",
        "conditions": [
            {"type": "event_count", "event_type": "order_placed", "operator": "contains"},
            {"type": "recency", "event_type": "order_placed"},
        ],
    }

    told = await called(ask, ("propose_segment", {**PROPOSAL, "definition": wrong}))

    assert len(told.one("tool.result")["error"]["findings"]) == 3  # of the second, operator and window_days


async def test_after_four_failed_proposals_the_model_is_told_to_ask(ask: Ask):
    wrong = [
        ("propose_segment", {**PROPOSAL, "definition": {"logic": "AND", "conditions": [{"type": "event_count", "event_type": f"nothing_{number}"}]}})
        for number in range(5)
    ]  # fmt: skip

    told = await called(ask, *wrong)

    errors = [result["error"] for result in told.of("tool.result")]
    assert [error["code"] for error in errors] == ["invalid_definition"] * 4 + ["too_many_repairs"]
    assert errors[-1]["retry"] == "never"


async def test_an_empty_audience_counts_each_condition_alone(ask: Ask):
    told = await called(ask, ("propose_segment", {**PROPOSAL, "definition": NOBODY}))

    counted = [(one["pointer"], one["matched_users"]) for one in told.result()["conditions"]]
    assert counted == [("/conditions/0", 2), ("/conditions/1", 0)]


async def test_an_asked_time_zone_is_the_drafts(ask: Ask):
    named = await called(ask, ("propose_segment", PROPOSAL), context={"timezone": "Asia/Tokyo"})
    unnamed = await called(ask, ("propose_segment", PROPOSAL))

    assert named.one("segment.draft")["definition"]["timezone"] == "Asia/Tokyo"
    assert "timezone" not in unnamed.one("segment.draft")["definition"]


async def test_a_card_shows_a_number_that_was_read(ask: Ask):
    told = await called(
        ask,
        ("get_segment_detail", {"segment": "Buyers"}),
        ("display_metric_card", {"title": "Buyers", "value": 2, "unit": "users"}),
    )

    card = told.one("component")
    assert card["name"] == "MetricCard"
    assert card["props"] == {
        "component": "MetricCard", "title": "Buyers", "value": 2, "unit": "users", "as_of": "2026-06-15T12:00:00Z",
    }  # fmt: skip


async def test_a_card_with_an_invented_number_is_refused(ask: Ask):
    told = await called(
        ask,
        ("get_segment_detail", {"segment": "Buyers"}),
        ("display_metric_card", {"title": "Buyers", "value": 2000}),
    )

    assert told.of("tool.result")[1]["error"]["code"] == "unknown_number"
    assert told.of("component") == []


async def test_a_table_shows_stored_rows_in_the_asked_order(ask: Ask, shop: Shop):
    told = await called(
        ask, ("display_segment_table", {"title": "Segments", "segment_ids": [shop.lapsed, shop.buyers]})
    )

    props = told.one("component")["props"]
    assert [row["name"] for row in props["rows"]] == ["Lapsed", "Buyers"]
    assert [row["member_count"] for row in props["rows"]] == [None, 2]
    assert (props["total"], props["truncated"]) == (2, False)


@pytest.mark.parametrize(
    ("measure", "query", "first"),
    [
        ("events", ("query_event_volume", {"from": "2026-06-14", "to": "2026-06-15"}), {"x": "2026-06-14", "y": 1}),
        ("members", ("query_segment_membership_trend", {"segment": "Buyers"}), {"x": "2026-06-15", "y": 2}),
        (
            "event_types",
            ("query_top_events", {"from": "2026-06-01", "to": "2026-06-15"}),
            {"x": "order_placed", "y": 3},
        ),
    ],
)
async def test_a_chart_draws_the_points_of_an_earlier_result(ask: Ask, measure, query, first):
    told = await called(ask, query, ("display_event_chart", {"title": "Chart", "measure": measure}))

    props = told.one("component")["props"]
    assert props["points"][0] == first
    assert (props["measure"], props["timezone"]) == (measure, "Europe/Madrid")
    assert {"from", "to", "unit"} <= set(props)


async def test_a_chart_without_a_result_is_refused(ask: Ask):
    told = await called(ask, ("display_event_chart", {"title": "Chart", "measure": "events"}))

    assert told.one("tool.result")["error"]["code"] == "nothing_to_draw"


async def test_a_button_needs_a_draft_of_this_run(ask: Ask):
    told = await called(ask, ("display_create_segment_cta", {"draft_id": "draft_1"}))

    assert told.one("tool.result")["error"]["code"] == "unknown_draft"


async def test_a_button_holds_the_request_that_saves(ask: Ask, shop: Shop):
    told = await called(ask, ("propose_segment", PROPOSAL))

    props = told.one("component")["props"]
    assert (props["save"]["method"], props["save"]["path"]) == ("POST", "/api/segments/")
    assert props["save"]["body"] == {
        "name": "Recent buyers",
        "description": "Bought this week.",
        "segment_type": "ai",
        "definition": props["definition"],
    }
    assert props["count"] == 2


async def test_recent_events_are_counted_by_type_since_an_instant(ask: Ask):
    told = await called(ask, ("list_recent_events", {"since": "2026-06-15"}))

    result = told.result()
    assert (result["events"], result["total"], result["by_type"]) == ([], 0, [])
    assert result["since"] == "2026-06-14T22:00:00Z"


def test_a_large_result_is_cut_and_says_so():
    document = {"rows": [{"name": "x" * 90, "n": number} for number in range(500)], "total": 500}

    cut, truncated = bound(document)

    assert truncated
    assert cut["truncated"] is True
    assert cut["total"] == 500
    assert len(msgspec.json.encode(cut)) <= MAX_BYTES


def test_the_longest_list_loses_its_end_and_the_rest_stays():
    findings = [{"pointer": f"/{number}", "suggestions": ["s" * 900] * 3} for number in range(20)]
    schemas = [{"name": str(number), "properties": [{"path": "p" * 60}] * 60} for number in range(4)]

    failed, _ = bound({"error": {"code": "invalid_definition", "findings": findings}})
    listed, _ = bound({"schemas": schemas, "total": 4})

    assert failed["error"]["code"] == "invalid_definition"
    assert failed["error"]["truncated"] is True
    assert failed["error"]["findings"][0]["pointer"] == "/0"
    assert len(listed["schemas"]) >= 1
    assert listed["schemas"][0]["properties"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(st.text(max_size=40), inner, max_size=12),
    max_leaves=60,
)


@given(document=st.dictionaries(st.text(max_size=20), JSON, max_size=8), times=st.sampled_from([1, 30]))
def test_any_result_fits_and_says_whether_it_is_whole(document: dict[str, Any], times: int):
    document = {key: [value] * times for key, value in document.items() if key not in {"truncated", "omitted"}}

    cut, truncated = bound(document)

    assert len(msgspec.json.encode(cut)) <= MAX_BYTES
    assert truncated is bool(cut.get("truncated", False))
    assert truncated or len(msgspec.json.encode(cut)) == len(msgspec.json.encode(bound(cut)[0]))


def test_a_result_that_cannot_be_shortened_names_what_is_left_out():
    cut, truncated = bound({"id": 7, "definition": {"deep": {str(n): "x" * 50 for n in range(500)}}})

    assert truncated
    assert cut == {"id": 7, "truncated": True, "omitted": ["definition"]}


def test_control_characters_of_stored_text_do_not_reach_a_model():
    cut, _ = bound({"name": "a\u0000b\u202ec\x1b[31m"})

    assert cut == {"name": "a b c [31m"}


async def test_a_name_of_a_moment_ago_is_known_to_every_tool(ask: Ask, shop: Shop):
    tenant = await shop.resources.tenants.create("a-moment-ago")
    await shop.resources.discovery.catalog(tenant)
    happened = [("signed_up", '{"plan": "pro"}'), ("context_identified", '{"city": "Lyon"}')]
    events = [Event(tenant.id, name, "ana", name, NOW, payload) for name, payload in happened]
    await write_block(shop.resources.clickhouse, events, token="a-moment-ago")
    await observe_names(shop.resources.postgres, events)

    wanted = [
        ("get_event_schema", {"event_type": "signed_up"}),
        ("list_property_values", {"property": "plan", "event_type": "signed_up"}),
        ("list_property_values", {"property": "city"}),
        ("query_event_volume", {"event_type": "signed_up", "from": "2026-06-14", "to": "2026-06-16"}),
    ]
    told = await ask(Script(*[calls(one) for one in wanted], says("Done.")), asking(), tenant=tenant)

    assert [one["ok"] for one in told.of("tool.result")] == [True] * 4


async def test_a_draft_that_names_a_trait_as_a_property_is_told_where_it_is(ask: Ask):
    condition = {"type": "event_property", "event_type": "order_placed", "property": "country", "operator": "eq", "value": "ES"}  # fmt: skip
    proposal = {"name": "Spain", "description": "In Spain.", "definition": {"logic": "AND", "conditions": [condition]}}

    told = await called(ask, ("propose_segment", proposal))

    found = told.one("tool.result")["error"]["findings"]
    assert [one["code"] for one in found] == ["unknown_name", "named_elsewhere"]
    assert "user_property" in found[1]["detail"]
