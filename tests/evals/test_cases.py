"""The cases: what is asked of whom, and that the set is fit to judge by."""

from __future__ import annotations

import msgspec
import pytest

from evals.cases import SCHEMA, BadCase, Case, choose, json_schema, load_cases
from evals.definitions import SegmentIds, complement, walk, with_ids, with_names, without
from evals.fixtures import datasets
from evals.lint import HARD_FEATURES, lint

DEFINITION = {
    "logic": "AND",
    "conditions": [
        {"type": "event_count", "event_type": "a"},
        {
            "type": "group",
            "logic": "OR",
            "conditions": [{"type": "segment_membership", "segment": "S", "operator": "in"}],
        },
    ],
    "exclude": {"logic": "AND", "conditions": [{"type": "user_property", "property": "p", "operator": "is_set"}]},
}


def test_the_committed_cases_have_no_fault(cases):
    assert list(lint(cases)) == []


def test_the_set_is_as_large_and_as_hard_as_promised(cases):
    hard = [case for case in cases if HARD_FEATURES & set(case.features)]

    assert len(cases) >= 60
    assert 3 * len(hard) >= len(cases)
    assert {case.category for case in cases} == {
        "data", "audience", "recipe", "edit", "explain", "ambiguous", "unknown", "impossible", "injection",
    }  # fmt: skip
    assert {case.tenant for case in cases} == {"shop", "gym"}


def test_every_example_of_segops_copilot_page_is_asked(cases):
    sources = {case.source for case in cases}

    assert {f"SegOps copilot example {number}" for number in range(1, 10)} <= sources


def test_the_schema_of_the_cases_is_written_down():
    assert msgspec.json.decode(SCHEMA.read_bytes()) == msgspec.json.decode(msgspec.json.encode(json_schema()))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- {id: a, category: data, tenant: shop, source: x, ask: hi, expect: {outcome: maybe}}", "maybe"),
        ("- {id: a, category: data, tenant: shop, source: x, expect: {outcome: draft}}", "messages"),
        ("- {id: a, category: data, tenant: shop, source: x, ask: hi, extra: 1, expect: {outcome: draft}}", "extra"),
        ("- {id: A b, category: data, tenant: shop, source: x, ask: hi, expect: {outcome: draft}}", "id"),
        ("- {id: a, [", "while parsing"),
    ],
    ids=["outcome", "no question", "unknown field", "id", "no yaml"],
)
def test_a_bad_case_is_refused_with_its_place(tmp_path, text, told):
    (tmp_path / "cases.yaml").write_text(text)

    with pytest.raises(BadCase, match=told) as error:
        load_cases(tmp_path)

    assert "cases.yaml" in str(error.value)


def test_an_id_is_used_once(tmp_path):
    one = "- {id: a, category: data, tenant: shop, source: x, ask: hi, expect: {outcome: answer}}\n"
    (tmp_path / "cases.yaml").write_text(one * 2)

    with pytest.raises(BadCase, match="more than one case"):
        load_cases(tmp_path)


def test_a_draft_wants_to_be_proposed_and_offered_unless_it_says_otherwise(tmp_path):
    (tmp_path / "cases.yaml").write_text(
        "- {id: a, category: audience, tenant: shop, source: x, ask: hi, expect: {outcome: draft, components: []}}"
    )

    (case,) = load_cases(tmp_path)

    assert case.expect.tools.must == ("propose_segment|revise_segment",)
    assert case.expect.components == ()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"expect": {"outcome": ["draft"]}}, "no gold"),
        ({"expect": {"outcome": ["decline"]}}, "sorry"),
        ({"expect": {"outcome": ["answer"], "tools": {"must": ["query_everything"]}}}, "no tool query_everything"),
        ({"expect": {"outcome": ["answer"], "components": ["PieChart"]}}, "no component PieChart"),
        ({"expect": {"outcome": ["answer"], "facts": [{"kind": "members", "segment": "Nobody"}]}}, "no segment Nobody"),
        (
            {
                "expect": {
                    "outcome": ["draft"],
                    "gold": [
                        {
                            "definition": {
                                "logic": "AND",
                                "conditions": [{"type": "event_count", "event_type": "no_such"}],
                            }
                        }
                    ],
                }
            },
            "names the event no_such",
        ),
        (
            {
                "features": ["sequence"],
                "expect": {
                    "outcome": ["draft"],
                    "gold": [
                        {
                            "definition": {
                                "logic": "AND",
                                "conditions": [{"type": "event_count", "event_type": "cart_add"}],
                            }
                        }
                    ],
                },
            },
            "tagged sequence",
        ),
    ],
    ids=["no gold", "empty refusal", "tool", "component", "segment", "event", "tag"],
)
def test_lint_sees(change, fault):
    plain = {"id": "odd", "category": "data", "tenant": "shop", "source": "a test of the lint"}
    odd = msgspec.convert({**plain, "messages": [{"role": "user", "content": "Something odd"}], **change}, Case)

    found = [one for one in lint([odd]) if one.startswith("odd:")]

    assert any(fault in one for one in found), found


def test_cases_are_chosen_by_id_category_tenant_or_feature(cases):
    assert {case.category for case in choose(cases, ["recipe"])} == {"recipe"}
    assert {case.tenant for case in choose(cases, ["gym"])} == {"gym"}
    assert all("sequence" in case.features for case in choose(cases, ["sequence"]))
    assert [case.id for case in choose(cases, ["shop-high-ltv-size"])] == ["shop-high-ltv-size"]
    assert {case.id for case in choose(cases, ["shop-high-ltv-si"])} > {"shop-high-ltv-size", "shop-high-ltv-size-r1"}
    assert choose(cases, []) == tuple(cases)


# Definitions


def test_segments_are_named_in_cases_and_numbered_in_workspaces():
    ids = SegmentIds({"S": 7})

    numbered = with_ids(DEFINITION, ids)

    assert numbered["conditions"][1]["conditions"][0] == {
        "type": "segment_membership",
        "segment_id": 7,
        "operator": "in",
    }
    assert with_names(numbered, ids) == DEFINITION


def test_a_condition_is_taken_out_with_what_it_leaves_empty():
    paths = {condition["type"]: path for path, condition in walk(DEFINITION)}

    assert "exclude" not in (without(DEFINITION, paths["user_property"]) or {})
    assert (without(DEFINITION, paths["segment_membership"]) or {})["conditions"] == DEFINITION["conditions"][:1]
    assert without({"logic": "AND", "conditions": DEFINITION["conditions"][:1]}, ("conditions", 0)) is None


async def test_a_complement_is_everybody_else(service, cases):
    definition = (
        next(case for case in cases if case.id == "shop-ordered-this-quarter-no-staff").expect.gold[0].definition
    )
    space = service.workspace("shop", "boundary")
    numbered = with_ids(definition, space.segments)

    inside, outside = await space.preview(numbered), await space.preview(complement(numbered))

    assert inside.members.isdisjoint(outside.members)
    assert len(inside.members) + len(outside.members) == inside.universe


# Fixtures


def test_the_same_cases_give_the_same_datasets(cases):
    assert datasets(cases) == datasets(cases)


def test_a_new_case_changes_nobody_who_was_there(cases):
    fewer = [case for case in cases if not case.id.startswith("shop-aov-over-120")]
    users = {
        name: set(map(str, dataset.rows))
        for name, chosen in (("all", cases), ("fewer", fewer))
        for dataset in datasets(chosen)
        if dataset.slug == "evals-shop-boundary"
    }

    assert users["fewer"] < users["all"]
    assert all("shop-aov-over-120" in row for row in users["all"] - users["fewer"])


def test_the_same_answer_asked_for_in_other_words_changes_nobody(cases):
    once = [case for case in cases if case.id != "shop-aov-over-120-r2"]

    assert len(once) == len(cases) - 1
    assert datasets(once) == datasets(cases)


def test_two_datasets_of_a_tenant_share_a_catalog_and_no_two_tenants_do(fixtures):
    by_tenant: dict[str, list[set[str]]] = {}
    for dataset in fixtures:
        by_tenant.setdefault(dataset.tenant, []).append({row.event_type for row in dataset.rows})

    for here, (own, edges) in by_tenant.items():
        assert edges <= own
        assert all(own & others == {"context_identified"} for there, (others, _) in by_tenant.items() if there != here)
