"""A cell that a person reads as a number, and a computer as text, is noticed."""

from __future__ import annotations

import pytest

from segment_copilot.importing.values import looks_like_number

AMOUNTS = [
    "1,089.95",
    "1.089,95",
    "1 234,50",
    "1'000.50",
    "12 345 678",
    "$8.50",
    "US$ 7",
    "89,95 €",
    "USD 5",
    "5%",
    "1,200",
]
OTHERS = ["g1", "007", "01234", "+4917612345", "1.2.3", "10.0.0.1", "2026-06-20", "ab", "€", "", "Paid", "12:30"]


@pytest.mark.parametrize("text", [*AMOUNTS, *OTHERS])
def test_an_amount_is_told_from_a_code(text: str):
    assert looks_like_number(text) is (text in AMOUNTS)
