"""The examples of docs/language.md: each is described as it says, runs, and compiles to the SQL in `goldens/`.

`UPDATE_GOLDENS=1 pytest tests/language/test_goldens.py` writes the files; a person reads the difference.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, get_args

import pytest
from msgspec import Struct

from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.compiler import CompiledQuery, Shape, compile_definition, render_members
from segment_copilot.language import decode, parse
from segment_copilot.language.catalog import Catalog
from segment_copilot.language.describe import describe
from segment_copilot.language.nodes import LEAF_TYPES, Metric
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.postgres import Postgres
from tests.support.language.data_sets import deliver, fetch_members
from tests.support.language.reference import IDENTIFY, Event, members

Json = dict[str, Any]

PAGE = Path(__file__).parents[2] / "docs" / "language.md"
GOLDENS = Path(__file__).parent / "goldens"
AS_OF = datetime(2026, 6, 15, 12, tzinfo=UTC)
AS_BITS = {"big_spenders_among_the_active", "two_signs_of_loyalty", "spain_or_gold", "quick_buyers", "not_vip"}
VIP, STAFF = 7, 8
VIP_DEFINITION: Json = {
    "logic": "AND",
    "conditions": [{"type": "event_count", "event_type": "order_placed", "value": 4}],
}
STAFF_DEFINITION: Json = {
    "logic": "AND",
    "conditions": [{"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}],
}
_EXAMPLE = re.compile(r"((?:^> [^\n]*\n)+)\n```json (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(Struct, frozen=True):
    """One example of the page: a sentence and, below it, the definition."""

    name: str
    sentence: str
    definition: Json


def examples() -> list[Example]:
    found = _EXAMPLE.findall(PAGE.read_text("utf-8"))
    return [Example(name, " ".join(quote.replace("> ", "").split()), json.loads(text)) for quote, name, text in found]


EXAMPLES = examples()


def compiled(definition: Json, tenant_id: int = 1, *, shape: Shape | None = None) -> CompiledQuery:
    plan = compile_definition(
        parse(definition),
        catalog=Catalog(),
        references={VIP: decode(VIP_DEFINITION), STAFF: decode(STAFF_DEFINITION)},
        tenant_id=tenant_id,
        as_of=AS_OF,
    ).plan
    return render_members(plan, shape=shape)


def golden(example: Example, *, shape: Shape | None = None) -> str:
    """The SQL under a comment that says what it is asked with."""
    query = compiled(example.definition, shape=shape)
    params = [f"{name} = {json.dumps(value, ensure_ascii=False, default=str)}" for name, value in query.params.items()]
    return "\n".join([*(f"-- {line}".rstrip() for line in [example.sentence, "", *params]), "", query.sql, ""])


def names_in(item: Any) -> Iterator[str]:
    """Every word of the language in *item*: types, operators, fields, metrics, occurrences."""
    if isinstance(item, list):
        for one in item:
            yield from names_in(one)
    elif isinstance(item, dict):
        yield from item
        for value in item.values():
            yield from names_in(value)
    elif isinstance(item, str):
        yield item


def test_the_page_has_an_example_of_every_condition_window_and_kind_of_metric():
    assert len({example.name for example in EXAMPLES}) == len(EXAMPLES)
    assert len(EXAMPLES) == PAGE.read_text("utf-8").count("```json")
    words = {word for example in EXAMPLES for word in names_in(example.definition)}
    assert words >= {*LEAF_TYPES, "group", "at_least", "exclude", "negate", "where", "timezone"}
    assert words >= {
        "last",
        "from",
        "to",
        "period",
        "window_days",
        "search_window",
        "within",
        "strict",
        "none_between",
        "same",
        "at",
    }
    assert words & set(get_args(Metric)) >= {"sum", "avg", "count_distinct"}


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.name for example in EXAMPLES])
def test_the_sentence_is_what_the_service_says(example: Example):
    assert describe(decode(example.definition), {VIP: "VIP", STAFF: "Staff"}) == example.sentence


GOLDEN_FILES: dict[str, tuple[Example, Shape | None]] = {
    **{example.name: (example, None) for example in EXAMPLES},
    # All examples are small enough for a chain; these are bits as well.
    **{f"{example.name}.bitmasks": (example, "bitmasks") for example in EXAMPLES if example.name in AS_BITS},
}


@pytest.mark.parametrize("name", sorted(GOLDEN_FILES))
def test_the_sql_is_the_one_that_was_reviewed(name: str):
    example, shape = GOLDEN_FILES[name]
    file, now = GOLDENS / f"{name}.sql", golden(example, shape=shape)
    if os.environ.get("UPDATE_GOLDENS"):
        GOLDENS.mkdir(exist_ok=True)
        file.write_text(now, "utf-8")
    reviewed = file.read_text("utf-8") if file.exists() else ""
    changes = difflib.unified_diff(
        reviewed.splitlines(), now.splitlines(), f"reviewed {file.name}", "compiled now", lineterm=""
    )
    if told := "\n".join(changes):
        pytest.fail(f"{told}\n\nIf this is meant: UPDATE_GOLDENS=1 pytest {Path(__file__).name}", pytrace=False)


def test_every_golden_has_an_example():
    wanted = {f"{name}.sql" for name in GOLDEN_FILES}
    if os.environ.get("UPDATE_GOLDENS"):
        for file in GOLDENS.glob("*"):
            if file.name not in wanted:
                file.unlink()
    assert {file.name for file in GOLDENS.glob("*")} == wanted


# The shop that the examples are asked about.


def identified(random: Random) -> Json:
    """What is known of somebody; now and then nothing of it."""
    traits = {
        "country": random.choice(["ES", "PT", "DE", "US"]),
        "age": random.choice([19, 25, 34, 35, 61]),
        "loyalty_tier": random.choice(["silver", "gold"]),
        "tags": random.sample(["running", "climbing", "staff", "chess"], 2),
        "email_opt_in": random.choice([True, False]),
        "address": random.choice([{"city": "Vigo"}, {"zip": "1"}]),
        "renewed_at": random.choice(["2025-06-19T23:00:00Z", "2025-12-31", "2026-02-01"]),
        "signup_date": random.choice(["2025-06-20", "2026-01-01", "2025-12-31", "2024-07-15", "2026-06-10"]),
        "birth_date": random.choice(["1990-06-15", "1985-06-22", "2001-12-24"]),
        "trial_ends_at": random.choice(["2026-06-30", "2026-07-01", "2026-07-31T21:00:00Z", "2026-08-01"]),
    }
    return {name: value for name, value in traits.items() if random.random() < 0.8}  # most of them


def happened(random: Random) -> tuple[str, Json]:
    event_type = random.choice(
        [*["page_viewed"] * 4, "product_viewed", "cart_add", "order_placed", "search_performed", "order_refunded"]
    )
    payload: Json = {
        "page_viewed": {"path": random.choice(["/blog/x", "/pricing"]), "device": random.choice(["mobile", "desktop"])},
        "search_performed": {"query": random.choice(["red shoes", "sneakers", "hat"])},
        "order_placed": {"total": random.choice([20, 79.5, "120.5", 400]), "category": random.choice("abcd")}
        | random.choice([{}, {"ship_to": "ES"}, {"ship_to": "DE"}])
        | {
            "products": [{"sku": random.choice(["SHOE-1", "HAT-1"]), "price": random.choice([20, 50])} for _ in "ab"][
                : random.choice([0, 0, 1, 2])
            ]
        }
        | random.choice([{}, {"coupon": "WELCOME"}, {"coupon": "X"}]),
        "order_refunded": {"refund": random.choice([10, 50, "90"]), "total": random.choice([20, 79.5])},
    }.get(event_type, {})
    return event_type, payload


def history() -> Iterator[Event]:
    """A hundred and fifty people: some who never came, some who come every week."""
    random, products = Random(7), Random(7)  # noqa: S311  # repeatable, not secret
    for number in range(150):
        user = f"u{number:03}"
        yield Event(user, IDENTIFY, AS_OF - timedelta(days=500), identified(random))
        for _ in range(random.choice([0, 2, 8, 40])):
            ago = timedelta(minutes=random.choice([random.randrange(3_000), random.randrange(250_000)]))
            event_type, payload = happened(random)
            times = [0, 30, 60] if random.random() < 0.2 else [0]  # now and then one after another
            names = [event_type, "cart_add", "order_placed"] if len(times) > 1 else [event_type]
            for later, name in zip(times, names, strict=True):
                of = {"product_id": products.choice("xyz")}
                yield Event(user, name, AS_OF - ago + timedelta(minutes=later), payload | of)


HISTORY = list(history())


@pytest.fixture(scope="module")
async def shop(module_postgres: Postgres, module_clickhouse: ClickHouse) -> Tenant:
    tenant = await Tenants(module_postgres).create("examples")
    await deliver(module_postgres, module_clickhouse, tenant, deliveries=HISTORY)
    return tenant


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.name for example in EXAMPLES])
async def test_it_runs_and_finds_whom_the_interpreter_finds(
    module_clickhouse: ClickHouse, shop: Tenant, example: Example
):
    wanted = members(
        example.definition, HISTORY, as_of=AS_OF, references={VIP: VIP_DEFINITION, STAFF: STAFF_DEFINITION}
    )
    assert 0 < len(wanted) < 150  # the example tells people apart
    assert await fetch_members(module_clickhouse, compiled(example.definition, shop.id)) == wanted
