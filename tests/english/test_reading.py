"""What comes of a sentence: a draft that explains every word, a question, or a refusal that names what is missing."""

from __future__ import annotations

import pytest
from msgspec import structs

from evals.corpus.notation import parse_definition
from evals.corpus.printing import write_definition
from evals.corpus.tenants import tenant
from segment_copilot.english import Asked, Drafted, Refused, read_audience
from segment_copilot.english.reading.audience import LONGEST, decide, understand
from segment_copilot.english.reading.same import members
from segment_copilot.language.catalog import Catalog, EventType, Property
from tests.support.english.catalogs import AS_OF, DEMO

SEGMENTS = {segment.name: number for number, segment in DEMO.segments.items()}


def read(text: str, catalog: Catalog = DEMO) -> Drafted | Asked | Refused:
    return read_audience(text, catalog, AS_OF, catalog.timezone)


def draft(text: str) -> Drafted:
    made = read(text)
    assert isinstance(made, Drafted), (text, made)
    return made


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("users who bought at least twice in the past 2 weeks", "count(order_placed)≥2 in 2w"),
        ("US customers who spent more than 1,000 dollars", "country=US & sum(order_placed.total)>1000"),
        ("users who have never been refunded", "count(order_refunded)=0"),
        ("German customers with 2+ oders", "country=DE & count(order_placed)≥2"),
        ("Users whose average order value is above 80", "avg(order_placed.total)>80"),
        ("people who viewed the pricing page twice in the last 24 hours", "count(page_viewed[path=/pricing])≥2 in 24h"),
        ("users who added to cart and then purchased", "seq(cart_add > order_placed)"),
        ("users who visited in at least 3 of the last 4 weeks", "periods(page_viewed)≥3 of 4 weeks"),
        ("people aged 18 to 25 in Madrid", "age 18..25 & city=Madrid"),
    ],
)
def test_a_clear_sentence_is_drafted(text: str, meaning: str) -> None:
    made = draft(text).definition

    assert members(made) == members(parse_definition(meaning, SEGMENTS)), write_definition(made)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("added to cart, then ordered, then refunded, in that order", "seq(cart_add > order_placed > order_refunded)"),
        ("viewed a product and ordered within 2 days of it", "seq(product_viewed > order_placed) in 2d"),
        ("added to cart and afterwards ordered", "seq(cart_add > order_placed)"),
        ("added to cart, then no order", "count(cart_add)≥1 & not seq(cart_add > order_placed)"),
        ("added to cart then ordered, at most 3 hours apart", "seq(cart_add > order_placed) in 3h"),
        ("added to cart then ordered, nothing else in between", "seq(cart_add > order_placed; strict)"),
        ("only ever ordered shoes", "every(order_placed.category)=shoes"),
        ("added to cart, then ordered within 3 hours of the cart add", "seq(cart_add > order_placed) in 3h"),
        ("only ordered shoes, never bags", "every(order_placed.category)=shoes"),
        ("ordered shoes and nothing else", "every(order_placed.category)=shoes"),
        (
            "first order was below 20, the latest above 100",
            "first(order_placed.total)<20 & latest(order_placed.total)>100",
        ),
        ("visited on at least 3 days of the last 7", "periods(page_viewed)≥3 of 7 days"),
        ("did not order in May, did in April", "count(order_placed)=0 from 2026-05-01 to 2026-06-01 & count(order_placed)≥1 from 2026-04-01 to 2026-05-01"),
        ("ordered before 2026 and not since", "last(order_placed)<2026-01-01"),
        ("ordered since the first of April and no refund since then", "count(order_placed)≥1 from 2026-04-01 & count(order_refunded)=0 from 2026-04-01"),
        ("ordered 60 to 90 days ago and not ordered again since", "count(order_placed)≥1 90d..60d ago & count(order_placed)=0 in 60d"),
        ("no order in 60 days, but ordered before", "last(order_placed)>60d"),
        ("has not ordered since May 15 but did before", "last(order_placed)<2026-05-15"),
        ("at least 2 orders, the most recent one 90 to 180 days ago", "count(order_placed)≥2 & last(order_placed) 90d..180d"),
        ("ordered twice in the last 7 days and no refund in the same 7 days", "count(order_placed)≥2 in 7d & count(order_refunded)=0 in 7d"),
        ("ordered in the month of May", "count(order_placed)≥1 from 2026-05-01 to 2026-06-01"),
        ("visited every week of the last 4", "periods(page_viewed)≥4 of 4 weeks"),
        ("ordered on 5 different days out of the last 30", "periods(order_placed)≥5 of 30 days"),
        ("visited every day for two weeks", "periods(page_viewed)≥14 of 14 days"),
        ("at least two visits in each of the last 3 weeks, this week included", "periods(page_viewed)≥3 of 3 weeks each 2"),
        ("viewed a product and ordered within the first 10 days after it", "seq(product_viewed > order_placed) in 10d"),
        ("viewed a product and then ordered within a month", "seq(product_viewed > order_placed) in 30d"),
        ("added to cart, ordered and added to cart again", "seq(cart_add > order_placed > cart_add)"),
        ("no refund between the cart add and the order", "seq(cart_add > order_placed; without order_refunded)"),
        ("viewed a product, then ordered, no other event of any kind between the two", "seq(product_viewed > order_placed; strict)"),
        ("ordered in the last 30 days after no orders in the 180 days before", "count(order_placed)≥1 in 30d & count(order_placed)=0 210d..30d ago"),
        ("last order within 150 days but not within the last 120 days", "last(order_placed)<150d & count(order_placed)=0 in 120d"),
        ("their first order ever was in the last 30 days", "first(order_placed) in_last 30d"),
        ("visited in the last week but did not order in that week", "count(page_viewed)≥1 in 1w & count(order_placed)=0 in 1w"),
        ("ordered in April and none the month after", "count(order_placed)≥1 from 2026-04-01 to 2026-05-01 & count(order_placed)=0 from 2026-05-01 to 2026-06-01"),
    ],
)  # fmt: skip
def test_what_came_after_what_is_among_the_clean_readings(text: str, meaning: str) -> None:
    found = understand(text, DEMO, AS_OF, DEMO.timezone).candidates
    clean = {members(one.definition) for one in found if not one.left}

    assert members(parse_definition(meaning, SEGMENTS)) in clean, [write_definition(one.definition) for one in found]


@pytest.mark.parametrize(
    "text", ["added to cart and an order more than 2 days later", "ordered after", "ordered last May", "ordered in December 2026"]
)  # fmt: skip
def test_an_order_in_time_that_cannot_be_said_is_not_dropped(text: str) -> None:
    assert not isinstance(read(text), Drafted)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("renewal before 1 September", "renewal_date<2026-09-01"),
        ("renews in August", "renewal_date 2026-08-01..2026-08-31"),
        ("signed up after 1 September", "signed_up_at≥2025-09-02"),
        ("trial ended in May", "trial_ends_at 2026-05-01..2026-05-31"),
    ],
)
def test_a_day_without_a_year_is_to_come_where_the_dates_of_a_field_are(text: str, meaning: str) -> None:
    saas = tenant("saas")
    found = understand(text, saas.catalog, saas.as_of, saas.catalog.timezone).candidates
    clean = [members(one.definition) for one in found if not one.left]

    assert clean[:1] == [members(parse_definition(meaning, {}))], [write_definition(one.definition) for one in found]


@pytest.mark.parametrize("word", ["unicorn", "frobnicated", "barely", "recently", "almost"])
def test_a_word_that_no_rule_takes_stops_the_draft_and_is_named(word: str) -> None:
    made = read(f"users who bought {word} shoes in the last 30 days")

    assert isinstance(made, Refused)
    assert word in [part.text for part in made.unplaced]


def test_no_certainty_lets_a_word_be_left_over() -> None:
    understood = understand("users who bought unicorn shoes", DEMO, AS_OF, DEMO.timezone)
    first = understood.candidates[0]
    assert first.left

    sure = structs.replace(understood, candidates=(structs.replace(first, probability=1.0),))

    assert isinstance(decide(sure, DEMO), Refused)


@pytest.mark.parametrize("text", ["looks good", "thanks", "ok great, ship it", "yes", "hello", "delete it", "users"])
def test_what_asks_for_nobody_is_never_drafted(text: str) -> None:
    assert not isinstance(read(text), Drafted)


@pytest.mark.parametrize("text", ["buyers bigger than 300", "orders worth 3", "people who bought for 2 euros"])
def test_an_amount_is_never_a_number_of_times(text: str) -> None:
    every = understand(text, DEMO, AS_OF, DEMO.timezone).candidates

    assert not [
        one
        for one in every
        if not one.left and "count(order_placed)≥" in write_definition(one.definition).replace("≥1", "")
    ]


def test_a_value_that_a_field_does_not_have_is_told_with_those_it_has() -> None:
    made = read("users on the enterprise plan")

    assert isinstance(made, Refused)
    assert made.unplaced[0].text == "enterprise"
    assert made.unplaced[0].names == ("free", "starter", "pro", "business")


def test_two_likely_readings_are_asked_about() -> None:
    understood = understand("users who ordered shoes but not bags in the last 30 days", DEMO, AS_OF, DEMO.timezone)
    one, two = [candidate for candidate in understood.candidates if not candidate.left][:2]
    even = (structs.replace(one, probability=0.5), structs.replace(two, probability=0.4))

    made = decide(structs.replace(understood, candidates=even), DEMO)

    assert isinstance(made, Asked)
    assert [option.draft.definition for option in made.options] == [one.definition, two.definition]


def test_a_label_before_a_colon_names_the_draft() -> None:
    made = draft("Big baskets: customers who spent more than 500")

    assert made.name == "Big baskets"
    assert write_definition(made.definition) == "sum(order_placed.total)>500"


def test_the_parts_of_a_reading_are_the_persons_own_words_and_point_at_conditions() -> None:
    text = "Users who ordered at least twice in the past 60 days and live in Germany"
    made = draft(text)

    assert made.reading
    assert all(text[part.start : part.end] == part.text for part in made.reading)
    pointed = {pointer for part in made.reading for pointer in part.pointers}
    assert pointed == {f"/conditions/{at}" for at in range(len(made.definition.conditions))}
    assert next(part for part in made.reading if "Germany" in part.text).pointers != made.reading[0].pointers


def test_a_slip_that_was_mended_is_told() -> None:
    assert draft("German customers with 2+ oders").assumptions == ("“oders” is read as “orders”.",)


@pytest.mark.parametrize("values", [("yes", "no"), ("Y", "N"), (1, 0), ("true", "false")])
def test_yes_and_no_are_recognised_by_the_values(values: tuple[str | int, str | int]) -> None:
    kind = "number" if isinstance(values[0], int) else "string"
    consent = Property("marketing_consent", (kind,), samples=values)
    catalog = Catalog(event_types={"login": EventType("login", event_count=5)}, traits={"marketing_consent": consent})

    made = read("users with marketing consent", catalog)

    assert isinstance(made, Drafted)
    assert write_definition(made.definition) in {f"marketing_consent={values[0]}", f'marketing_consent="{values[0]}"'}


def test_a_text_that_is_too_long_is_not_read() -> None:
    made = read("users who bought shoes " * (LONGEST // 20))

    assert isinstance(made, Refused)
    assert made.too_long


@pytest.mark.parametrize("text", ["users who bought shoes and ", "shoes or bags, not 5 ", "who ", "not ", "a, "])
def test_however_involved_a_text_is_the_work_is_bounded(text: str) -> None:
    made = read((text * 2_000)[:LONGEST])
    assert isinstance(made, Refused)

    few = understand(" ".join([text] * 4), DEMO, AS_OF, DEMO.timezone)
    assert few.steps <= 2_500


def test_what_is_denied_in_another_clause_turns_no_number_around() -> None:
    text = "Customers worth more than five hundred dollars in total who did not buy anything in the past 30 days"

    found = understand(text, DEMO, AS_OF, DEMO.timezone).candidates

    assert not [one for one in found if "≤500" in write_definition(one.definition) and not one.left]
