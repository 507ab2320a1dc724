"""What was typed is kept beside what is read: each word can be pointed to."""

from __future__ import annotations

import pytest

from segment_copilot.english_next.anchors import find, names_of
from segment_copilot.english_next.sentence import read_sentence
from tests.support.english.catalogs import AS_OF, DEMO

NAMES = names_of(DEMO)


def words(text: str) -> list[tuple[str, str]]:
    sentence = read_sentence(text, NAMES.vocabulary, NAMES.is_name)
    return [(token.lower, text[slice(*span)]) for token, span in zip(sentence.tokens, sentence.spans, strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("haven't bought", [("have", "have"), ("not", "n't"), ("bought", "bought")]),
        ("ppl w/o coupon", [("people", "ppl"), ("without", "w/o"), ("coupon", "coupon")]),
        ("more than twenty five", [("more", "more"), ("than", "than"), ("twenty five", "twenty five")]),
        ("bought  shoes ", [("bought", "bought"), ("shoes", "shoes")]),
    ],
)
def test_each_word_stands_where_it_was_typed(text: str, expected: list[tuple[str, str]]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("slip", "meant"), [("oders", "orders"), ("purchsed", "purchased"), ("custoners", "customers")]
)
def test_a_word_of_no_language_is_read_as_its_neighbour(slip: str, meant: str) -> None:
    assert words(slip)[0][0] == meant


@pytest.mark.parametrize("word", ["none", "latest", "current", "nine", "check"])
def test_a_word_of_english_is_never_corrected(word: str) -> None:
    assert words(word)[0][0] == word


def test_a_name_of_the_tenant_stands_for_nothing_else() -> None:
    assert [token for token, _ in words("VIP Buyers")] == ["vip", "buyers"]


def test_a_word_that_is_also_a_code_names_a_country_only_in_capitals() -> None:
    def countries(text: str) -> int:
        return len(find(text, NAMES, AS_OF, DEMO.timezone).values)

    assert countries("can you show it to us") == 0
    assert countries("customers in US") == 1


def test_a_number_is_compared_as_was_said_behind_its_noun() -> None:
    found = find("people with 2 orders at most", NAMES, AS_OF, DEMO.timezone)

    assert [(one.quantity.operator, one.quantity.value) for one in found.quantities] == [("lte", 2)]
