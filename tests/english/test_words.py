"""What was typed is kept beside what is read: each word can be pointed to."""

from __future__ import annotations

from datetime import date

import pytest

from segment_copilot.english.reading.anchors import find, names_of
from segment_copilot.english.times.when import window
from segment_copilot.english.words.languages import foreign_language
from segment_copilot.english.words.sentence import read_sentence
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


TODAY = date(2026, 6, 17)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("L30D", "last", "30d"),
        ("p12m", "last", "12mo"),
        ("in the three weeks up to now", "last", "3w"),
        ("since 6 wks", "last", "6w"),
        ("rolling 30 days", "last", "30d"),
        ("between 1 and 15 March", "range", "2026-03-01 2026-03-16"),
        ("28-30 nov 2025", "range", "2025-11-28 2025-12-01"),
        ("jan-mar", "range", "2026-01-01 2026-04-01"),
        ("Nov-Dec 2025", "range", "2025-11-01 2026-01-01"),
        ("first half of 2026", "range", "2026-01-01 2026-07-01"),
        ("the month before last", "range", "2026-04-01 2026-05-01"),
        ("last wknd", "range", "2026-06-13 2026-06-15"),
        ("1980 through 1989", "range", "1980-01-01 1990-01-01"),
        ("before 1960", "range", "None 1960-01-01"),
        ("visited in Q1 2026", "range", "2026-01-01 2026-04-01"),
        ("on or after June 1", "range", "2026-06-01 None"),
        ("since the first of March", "range", "2026-03-01 None"),
        ("since the start of April", "range", "2026-04-01 None"),
        ("since mid may", "range", "2026-05-15 None"),
        ("by the end of May", "range", "None 2026-06-01"),
        ("in the first week of June", "range", "2026-06-01 2026-06-08"),
        ("in June first week (1st to 7th both inclusive)", "range", "2026-06-01 2026-06-08"),
        ("the last 10 days of May", "range", "2026-05-22 2026-06-01"),
        ("between September and November of last year", "range", "2025-09-01 2025-12-01"),
        ("April 2025 to March 2026", "range", "2025-04-01 2026-04-01"),
        ("from now until 15 July", "range", "2026-06-17 2026-07-16"),
        ("since Easter Monday (6 April)", "range", "2026-04-06 None"),
        ("in winter (December until February)", "range", "2025-12-01 2026-03-01"),
        ("after 1 April 2026 (inclusive)", "range", "2026-04-01 None"),
        ("on Monday to Friday of last week", "range", "2026-06-08 2026-06-13"),
        ("Tuesday this week", "range", "2026-06-16 2026-06-17"),
        ("since xmas", "range", "2025-12-25 None"),
        ("2024 H2", "range", "2024-07-01 2025-01-01"),
        ("last weekend (13/14 June)", "range", "2026-06-13 2026-06-15"),
        ("within the last quarter (calendar)", "period", "2026-01-01 2026-04-01"),
        ("last month (rolling)", "last", "1mo"),
        ("in the last week (7 days)", "last", "7d"),
        ("in the 30 days before 15 June", "range", "2026-05-16 2026-06-15"),
        ("no older than a month", "ago", "1mo"),
        ("30 days ago or less", "ago", "30d"),
        ("in the 5 days that come", "next", "5d"),
    ],
)
def test_a_time_is_read_however_it_is_written(text: str, kind: str, said: str) -> None:
    tokens = read_sentence(text, NAMES.vocabulary, NAMES.is_name).tokens
    read = next(found for at in range(len(tokens)) if (found := window(tokens, at, TODAY)) is not None)[0]

    assert read.kind == kind
    assert (read.length.json if read.length else f"{read.first} {read.after}") == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("in April and none the month after", "2026-05-01 2026-06-01"),
        ("on Monday, and on mobile the day before", "2026-06-07 2026-06-08"),
        ("in the last 30 days, never in the 180 days before that", "210d 30d"),
        ("10 to 7 days ago, none in the 7 days since", "7d"),
        ("came this week and the week before", "2026-06-01 2026-06-08"),
    ],
)
def test_a_time_counts_from_the_one_before_it(text: str, said: str) -> None:
    window = find(text, NAMES, AS_OF, DEMO.timezone).windows[-1].window

    lengths = [one.json for one in (window.length, window.near) if one is not None]
    assert " ".join(lengths or [str(window.first), str(window.after)]) == said


@pytest.mark.parametrize("text", ["bought it the day before signing up", "in the 30 days before ordering"])
def test_a_time_before_something_done_counts_from_no_time(text: str) -> None:
    found = find(f"visited in May, {text}", NAMES, AS_OF, DEMO.timezone)

    assert all(one.window.first != date(2026, 4, 30) for one in found.windows[1:])


@pytest.mark.parametrize(
    "text",
    [
        "May I have them", "2 to 4 orders", "a march of 30", "version 5.2.1", "the May cohort", "2025 orders",
        "second quarter of the test", "the 2024 campaign", "plans for Christmas",
    ],
)  # fmt: skip
def test_what_is_no_time_is_read_as_none(text: str) -> None:
    tokens = read_sentence(text, NAMES.vocabulary, NAMES.is_name).tokens

    assert not any(window(tokens, at, TODAY) for at in range(len(tokens)))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("ppl w 2+ orders n a cart", ["people", "with", "2", "+", "orders", "and", "a", "cart"]),
        ("3 visits or more", ["3", "or", "more", "visits"]),
        ("250 up to 1,100", ["250", "to", "1,100"]),
        ("500s", ["500"]),
        ("30 min", ["30", "minutes"]),
        ("on 5.2.1", ["on", "5.2.1"]),
        ("1st order", ["first", "order"]),
        ("over .8", ["over", "0.8"]),
        ("from us or canada", ["from", "us", "or", "canada"]),
    ],
)
def test_shorthand_is_opened(text: str, plain: list[str]) -> None:
    assert [token for token, _ in words(text)] == plain


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Clients that the name of the city begins with New", None),
        ("Clients qui ont acheté", "fr"),
        ("Customers of the shop", None),
    ],
)
def test_english_words_that_a_description_has_are_english(text: str, language: str | None) -> None:
    described = frozenset({"that", "the", "of", "with", "name", "city", "begins"})
    assert foreign_language(text, described) == language
