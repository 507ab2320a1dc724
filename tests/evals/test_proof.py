"""That the graders tell right from wrong, on a few cases of every kind; `python -m evals prove` does it on all."""

from __future__ import annotations

import pytest

from evals.cases import choose
from evals.definitions import with_ids
from evals.graders.drafts import everywhere, grounding
from evals.lint import lint_data
from evals.proof.mutants import mutants
from evals.proof.proving import AgentProof, MutantProof, Proof, Tally, prove
from evals.proof.tables import proof_markdown
from evals.running import grading_of
from tests.support.evals_answers import answered, case_of

FEW = [
    "shop-bought-7d-never-wishlist",
    "shop-ordered-last-month-not-this",
    "shop-viewed-then-cart-1h",
    "shop-gold-and-platinum",
    "gym-shop-spenders-60d",
    "gym-visited-centro-or-norte",
    "shop-top-events-this-week",
    "shop-high-ltv-size",
    "gym-check-ins-last-week",
    "shop-explain-vip-buyers",
    "shop-big-spenders-quiet",
    "shop-unknown-gift-card",
    "shop-injection-in-values",
    "gym-socios-yoga-14d",
]


@pytest.fixture(scope="module")
async def proof(loaded, cases, fixtures) -> Proof:
    return await prove(loaded, choose(cases, FEW), fixtures, say=lambda _told: None)


def agent(proof: Proof, name: str) -> AgentProof:
    return next(one for one in proof.agents if one.agent == name)


def test_the_oracle_passes_every_case(proof):
    assert agent(proof, "oracle").failed == ()


@pytest.mark.parametrize("name", ["null", "echo", "chatty", "overreaching"])
def test_an_agent_that_plays_a_wrong_part_passes_none(proof, name):
    assert agent(proof, name).passed == ()
    assert agent(proof, name).blind == ()


@pytest.mark.parametrize(
    ("name", "grader"),
    [
        ("null", "outcome"),
        ("echo", "outcome"),
        ("chatty", "tools"),
        ("chatty", "numbers"),
        ("overreaching", "equivalence"),
    ],
)
def test_it_is_seen_by_the_grader_that_should(proof, name, grader):
    tally = agent(proof, name).graders[grader]

    assert tally.passed < tally.spoke


def test_nearly_every_mutant_has_other_members_somewhere(proof):
    assert proof.mutants.made > 100
    assert proof.mutants.rate >= 0.98, proof.mutants.survivors
    assert proof.faults() == []


def test_one_dataset_alone_would_miss_mutants(proof):
    """Why there is a boundary dataset."""
    assert proof.mutants.killed_by_believable < proof.mutants.killed


def test_the_table_names_every_agent(proof):
    told = proof_markdown(proof)

    assert "| | oracle | null | echo | overreaching | chatty |" in told


def test_a_proof_that_fails_says_what():
    blind = AgentProof("null", 2, passed=("a",), failed=("b",), blind=("b",), graders={"outcome": Tally(1, 2)})
    found = Proof((blind,), MutantProof(100, 90, 80, {}, ()))

    assert found.faults() == [
        "null fails b by the wrong grader",
        "null passes a",
        "only 90.0% of the mutants are killed",
    ]


async def test_golds_have_members_and_say_nothing_in_vain(cases, service):
    assert await lint_data(choose(cases, FEW), service) == []


async def test_an_idle_condition_in_a_gold_is_seen(cases, service):
    case = next(one for one in cases if one.id == "shop-aov-over-120")
    gold = case.expect.gold[0].definition
    gold["conditions"].append({"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 1})
    try:
        found = await lint_data([case], service)
    finally:
        gold["conditions"].pop()

    assert any("changes nobody" in fault for fault in found)


async def test_definitions_that_say_the_same_are_the_same(cases, service, fixtures):
    """Written otherwise, equal members: the grader looks at what a definition selects."""
    grading = grading_of(service, fixtures)
    one = {
        "logic": "AND",
        "conditions": [{"type": "user_property", "property": "country", "operator": "in", "value": ["ES", "FR"]}],
    }
    leaves = [
        {"type": "user_property", "property": "country", "operator": "eq", "value": value} for value in ("ES", "FR")
    ]

    assert await everywhere(one, "shop", grading) != {}
    first, second = (
        await everywhere(one, "shop", grading),
        await everywhere({"logic": "OR", "conditions": leaves}, "shop", grading),
    )
    assert {name: found.members for name, found in first.items()} == {
        name: found.members for name, found in second.items()
    }


async def test_a_mutant_is_one_step_from_its_gold(cases, service, fixtures):
    truth = grading_of(service, fixtures).truths["shop"]
    case = next(one for one in cases if one.id == "shop-more-than-3-orders-90d")
    made = list(mutants(case.expect.gold[0].definition, truth))
    space = service.workspace("shop", "boundary")

    assert {"strictness", "window by a day", "off by one", "all of history", "negation", "other event"} <= {
        rule for rule, _ in made
    }
    for _rule, mutant in made:
        assert (await space.preview(with_ids(mutant, space.segments))).valid


async def test_a_test_of_items_is_changed_inside_and_taken_apart(service, fixtures):
    truth = grading_of(service, fixtures).truths["shop"]
    sku = {"property": "sku", "operator": "eq", "value": "A-1"}
    price = {"property": "price", "operator": "gt", "value": 10}
    count = {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 1}
    gold = {"logic": "AND", "conditions": [count | {"where": [{"any_of": "products", "conditions": [sku, price]}]}]}
    space = service.workspace("shop", "boundary")

    made = list(mutants(gold, truth))
    wheres = [(rule, mutant["conditions"][0].get("where")) for rule, mutant in made]

    def items(*tests):
        return {"any_of": "products", "conditions": list(tests)}

    assert ("filter dropped", [items(sku)]) in wheres
    assert ("strictness", [items(sku, price | {"operator": "gte"})]) in wheres
    assert ("other value", [items(sku | {"value": "not A-1"}, price)]) in wheres
    assert ("each of another item", [items(sku), items(price)]) in wheres
    for _rule, mutant in made:
        assert (await space.preview(with_ids(mutant, space.segments))).valid


async def test_values_of_items_are_to_be_in_the_data_or_said(service, fixtures):
    item = {"any_of": "category", "conditions": [{"property": ".", "operator": "eq", "value": "sofas"}]}
    count = {"type": "event_count", "event_type": "order_placed", "where": [item]}
    draft = ("segment.draft", {"definition": {"logic": "AND", "conditions": [count]}})
    grading = grading_of(service, fixtures)

    invented = await grounding(answered(case_of(), draft), grading)
    said = await grounding(answered(case_of(ask="Who bought sofas?"), draft), grading)

    assert invented is not None
    assert (invented.passed, invented.detail) == (False, "category never is 'sofas'")
    assert said is not None
    assert said.passed
