"""What is offered for a wrong name is near it: never the whole list, never twice, none rather than noise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segment_copilot.language.catalog import nearest

TOWNS = [f"Town{number:03d}" for number in range(50)]
EVENTS = ["order_placed", "order_cancelled", "wishlist_add", "page_viewed", "checkout_started"]
NAMES = st.lists(st.text(alphabet="abcdeé_. ", max_size=6), max_size=12)


@pytest.mark.parametrize(
    ("name", "names", "best"),
    [
        ("Zwole", [*TOWNS, "Zwolle"], "Zwolle"),
        ("Madird", ["Paris", "Madrid"], "Madrid"),
        ("paris", ["Pariss", "PARIS", "Parys"], "PARIS"),
        ("sael", ["vip", "sale"], "sale"),
        ("FRA", ["ES", "FR"], "FR"),
        ("/prices", ["/pricing", "/"], "/pricing"),
        ("orders_placed", EVENTS, "order_placed"),
        ("ordr", EVENTS, "order_placed"),
        ("signup", ["sign_in", "sign_up"], "sign_up"),
        ("price", ["quantity", "unit_price"], "unit_price"),
        ("High LTV customers", ["High LTV", "Churned"], "High LTV"),
    ],
)
def test_the_name_that_was_meant_comes_first(name: str, names: list[str], best: str):
    assert nearest(name, names)[0] == best


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("Zwole", TOWNS),
        ("Lisbon", ["free", "pro", "team"]),
        ("US", ["ES", "FR", "UK"]),
        ("amount", ["count", "country"]),
        ("last_name", ["first_name"]),
        ("purchase", EVENTS),
        ("", ["a", "order_placed"]),
        ("order_placed", []),
    ],
)
def test_nothing_near_is_nothing_offered(name: str, names: list[str]):
    assert nearest(name, names) == ()


@given(name=st.text(alphabet="abcdeé_. ", max_size=6), names=NAMES, limit=st.integers(1, 5))
def test_what_is_offered_is_of_the_list_once_and_of_a_number(name: str, names: list[str], limit: int):
    found = nearest(name, [*names, *names], limit=limit)

    assert set(found) <= set(names)
    assert len(found) == len(set(found)) <= limit
    assert found == nearest(name, names, limit=limit)


@given(names=st.lists(st.text(alphabet="abcdeé", min_size=1, max_size=6), min_size=1, max_size=12))
def test_a_name_that_is_there_is_nearest_to_itself(names: list[str]):
    assert nearest(names[-1], names)[0] == names[-1]
