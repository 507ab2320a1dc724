"""Steps about one and the same thing: the field is bound at every step, or "same" is named as what could not be placed."""

from __future__ import annotations

import pytest

from evals.corpus.notation import parse_definition
from evals.corpus.printing import write_definition
from evals.corpus.tenants import tenant
from segment_copilot.english import Drafted, read_audience
from segment_copilot.english.reading.same import members


@pytest.mark.parametrize(
    ("whose", "text", "meaning"),
    [
        ("shop", "viewed a product, then added the same product to the cart", "seq(product_viewed > cart_add; same product_id)"),
        ("shop", "added a product to the cart after viewing that same product", "seq(product_viewed > cart_add; same product_id)"),
        ("shop", "opened an email and then clicked an email of the same campaign within 2 days", "seq(email_opened > email_clicked; same campaign) in 2d"),
        ("saas", "started a subscription and later cancelled the same plan", "seq(subscription_started > subscription_cancelled; same plan)"),
        ("saas", "tried the same plan they are on", "count(trial_began[plan=trait(plan)])≥1"),
    ],
)  # fmt: skip
def test_the_field_behind_same_is_bound_at_every_step(whose: str, text: str, meaning: str) -> None:
    told = tenant(whose)
    read = read_audience(text, told.catalog, told.as_of, told.catalog.timezone)
    assert isinstance(read, Drafted), read
    assert members(read.definition) == members(parse_definition(meaning)), write_definition(read.definition)


@pytest.mark.parametrize(
    ("whose", "text"),
    [
        ("shop", "viewed a product, then placed an order for the same product"),  # an order has no product_id
        (
            "shop",
            "viewed a product, then added the same product to the cart, then placed an order",
        ),  # nor has the third step
        ("media", "read an article, then shared an article of the same length"),
    ],
)
def test_same_is_never_passed_over_where_no_field_is_at_every_step(whose: str, text: str) -> None:
    told = tenant(whose)
    read = read_audience(text, told.catalog, told.as_of, told.catalog.timezone)
    assert not isinstance(read, Drafted), read
