"""Injection: every place for a string, filled from installed corpora of SQL and format-string payloads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from segment_copilot import compiler
from segment_copilot.access.tenants import Tenants
from segment_copilot.compiler import (
    compile_definition,
    leaves,
    render_counts,
    render_event_filter,
    render_members,
    render_preview,
    render_trait_filter,
)
from segment_copilot.language import Definition, decode, parse
from segment_copilot.language.catalog import Catalog
from segment_copilot.language.operators import OPERATORS, POSITIVE_OF
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import SUMS
from segment_copilot.stores.merging import sampled as with_samples
from segment_copilot.stores.postgres import Postgres
from tests.support.language.compiled_text import (
    as_key,
    as_name,
    compiled,
    compiled_for_touched,
    definitions,
    in_every_place,
    string_tests,
    with_strings,
)
from tests.support.language.data_sets import deliver, fetch_members
from tests.support.language.payloads import OWN, installed, payloads, sql_injections
from tests.support.language.reference import IDENTIFY, Event, Reading, people
from tests.support.language.strategies import AS_OFS
from tests.support.searches import some

Json = dict[str, Any]

AS_OF = AS_OFS[0]
MARKER = "mzqk"
USER_LENGTH, NAME_LENGTH = 256, 128
ASKED = 24


def _dates_in(window: Json, **others: str) -> Json:
    return {"operator": "in_window", "value": window} | others


REFUSING = {
    ("Definition", "timezone"): ("/timezone", lambda text: {"timezone": text}),
    ("Window", "last"): ("/conditions/0/window/last", lambda text: {"window": {"last": text}}),
    ("Window", "from_"): ("/conditions/0/window/from", lambda text: {"window": {"from": text}}),
    ("Window", "to"): ("/conditions/0/window/to", lambda text: {"window": {"to": text}}),
    ("Window", "between"): ("/conditions/0/window/between/0", lambda text: {"window": {"between": [text, "1d"]}}),
    ("LocalTime", "hours"): ("/conditions/0/at/hours/0", lambda text: {"at": {"hours": [text, "18:00"]}}),
    ("Step", "within"): ("/conditions/0/events/1/within", lambda text: {"events": ["e", {"event_type": "e", "within": text}]}),
    ("EventTime", "value"): ("/conditions/0/value", lambda text: {"operator": "after", "value": text}),
    ("DateWindow", "last"): ("/conditions/0/value/last", lambda text: _dates_in({"last": text})),
    ("DateWindow", "from_"): ("/conditions/0/value/from", lambda text: _dates_in({"from": text})),
    ("DateWindow", "to"): ("/conditions/0/value/to", lambda text: _dates_in({"to": text})),
    ("DateWindow", "between"): ("/conditions/0/value/between/0", lambda text: _dates_in({"between": [text, "1d"]})),
    ("ValueObject", "last"): ("/conditions/0/value/last", lambda text: _dates_in({"last": text}, property="p")),
    ("ValueObject", "from_"): ("/conditions/0/value/from", lambda text: _dates_in({"from": text}, property="p")),
    ("ValueObject", "to"): ("/conditions/0/value/to", lambda text: _dates_in({"to": text}, property="p")),
    ("ValueObject", "between"): ("/conditions/0/value/between/0", lambda text: _dates_in({"between": [text, "1d"]}, property="p")),
    ("EventTime", "value2"): ("/conditions/0/value2", lambda text: {"operator": "between", "value": "2026-06-01", "value2": text}),
}  # fmt: skip
"""The places whose strings have a grammar: what does not fit it is an error there, and nothing is compiled."""
KINDS = {
    "Step": "event_sequence",
    "EventTime": "event_time",
    "DateWindow": "event_time",
    "ValueObject": "event_property",
}
"""The conditions that have those places, where another than a count has."""


def free_strings(nodes: type[Any]) -> set[tuple[str, str]]:
    """The fields of the language that may hold a string that is no word of the language."""
    found: set[tuple[str, str]] = set()
    waiting: list[Any] = [msgspec.inspect.type_info(nodes)]
    seen: set[str] = set()

    def holds_text(kind: Any) -> bool:
        match kind:
            case msgspec.inspect.StrType():
                return True
            case msgspec.inspect.Metadata():
                return holds_text(kind.type)
            case msgspec.inspect.ListType():
                return holds_text(kind.item_type)
            case msgspec.inspect.UnionType():
                texts = [holds_text(one) for one in kind.types]  # each is walked, whatever the first one is
                return any(texts)
            case msgspec.inspect.StructType():
                waiting.append(kind)
        return False

    while waiting:
        struct = waiting.pop()
        if struct.cls.__name__ not in seen:
            seen.add(struct.cls.__name__)
            found |= {(struct.cls.__name__, field.name) for field in struct.fields if holds_text(field.type)}
    return found


def filled(node: Any) -> Iterator[tuple[str, str]]:
    """The fields below *node* that hold the marker."""
    if isinstance(node, (list, tuple)):
        for one in node:
            yield from filled(one)
    elif isinstance(node, msgspec.Struct):
        for name in node.__struct_fields__:
            value = getattr(node, name)
            if MARKER in (value if isinstance(value, list) else [value]):
                yield type(node).__name__, name
            yield from filled(value)


def test_every_place_for_a_string_is_filled_or_refuses_what_it_is_not_made_for():
    places = free_strings(Definition)
    assert ("PropertyTest", "property") in places
    reached = set(filled(decode(with_strings(in_every_place(), MARKER))))
    assert not reached & REFUSING.keys()
    assert reached | REFUSING.keys() == places


def test_every_operator_and_every_renderer_is_asked():
    assert {test["operator"] for test in string_tests()} == set(OPERATORS)
    renderers = {name for name in compiler.__all__ if name.startswith("render_")}
    assert renderers == {
        "render_amount",
        "render_before",
        "render_copies",
        "render_counts",
        "render_distribution",
        "render_event_filter",
        "render_evidence",
        "render_is_member",
        "render_keys",
        "render_members",
        "render_membership_insert",
        "render_narrowing",
        "render_persons",
        "render_preview",
        "render_preview_of_many",
        "render_trait_filter",
    }


def test_the_corpus_is_large_and_has_both_kinds():
    corpus = payloads()
    assert len(corpus) > 1_000
    assert {"%s%s%s%s%s", "{0}", "%n"} <= set(corpus)
    assert len(set(sql_injections())) > 800
    assert any("FROM numbers(" in text for text in corpus)  # ClickHouse's own


def test_a_corpus_that_is_not_installed_is_a_failure_in_ci_and_a_skip_elsewhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no_such_corpus"):
        installed("no_such_corpus")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception):
        installed("no_such_corpus")


def tried() -> list[str]:
    """What is put into every place: our own payloads, and as many of the others as this search looks at."""
    corpus = payloads()
    return list(dict.fromkeys([*(text for text in corpus if text in OWN), *some(corpus, one_in=8)]))


@pytest.mark.search
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_text_is_the_same_for_every_payload_in_every_place():
    everywhere = in_every_place()
    usual = [query.sql for query in compiled(with_strings(everywhere, "usual"))]
    touched = [query.sql for query in compiled_for_touched(with_strings(everywhere, "usual"))]
    for number, payload in enumerate(tried()):
        queries = compiled(with_strings(everywhere, payload), user_id=payload)
        assert [query.sql for query in queries] == usual, payload
        if number % 10 == 0:  # planning at two instants, ten times as slow
            queries = compiled_for_touched(with_strings(everywhere, payload))
            assert [query.sql for query in queries] == touched, payload


@pytest.mark.search
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_text_of_a_filter_of_events_or_traits_is_the_same_for_every_payload():
    def filtered(text: str) -> list[str]:
        tests = with_strings(string_tests(), text)
        of_events = render_event_filter(as_name(text), tests, catalog=Catalog(), as_of=AS_OF)
        of_traits = [render_trait_filter(test, catalog=Catalog(), as_of=AS_OF) for test in tests]
        return [one.sql for one in (of_events, *of_traits)]

    usual = filtered("usual")
    for payload in tried():
        assert filtered(payload) == usual, payload


@pytest.mark.parametrize("payload", OWN, ids=lambda payload: ascii(payload)[:20])
def test_the_text_of_random_definitions_is_the_same_for_every_string(payload: str):
    for definition in definitions(30):
        usual, unusual = compiled(with_strings(definition, "usual")), compiled(with_strings(definition, payload))
        for one, other in zip(usual, unusual, strict=True):
            assert one.sql == other.sql
            assert one.params.keys() == other.params.keys()


@pytest.mark.parametrize(("place", "refusal"), REFUSING.items(), ids=[".".join(place) for place in REFUSING])
def test_a_place_with_a_grammar_refuses_every_payload(place: tuple[str, str], refusal: Any):
    pointer, write = refusal
    kind = KINDS.get(place[0], "event_count")
    every = 4 if place[0] == "Definition" else 1  # each wrong time zone is compared with all that there are
    for payload in payloads()[::every]:
        fields: Json = write(payload)
        outer = {"timezone": fields.pop("timezone")} if place[0] == "Definition" else {}
        leaf = {"type": kind} | ({} if kind == "event_sequence" else {"event_type": "e"}) | fields
        parsed = parse({"logic": "AND", "conditions": [leaf]} | outer)
        assert parsed.definition is None, payload
        assert pointer in [finding.pointer for finding in parsed.findings], payload


@pytest.mark.parametrize("name", ["logic", "type", "operator", "unknown"])
def test_a_word_of_the_language_is_refused_when_it_is_a_payload(name: str):
    for payload in payloads():
        leaf = {"type": "user_property", "property": "p", "operator": "is_set"}
        definition = {"logic": "AND", "conditions": [leaf | ({payload: 1} if name == "unknown" else {name: payload})]}
        if name == "logic":
            definition = {"logic": payload, "conditions": [leaf]}
        parsed = parse(definition)
        assert parsed.definition is None, payload
        assert len(parsed.findings) == 1, payload


# Asked of the real thing.


def sampled() -> list[str]:
    """Our own payloads and, evenly, some of the others; all can be the name of an event type."""
    fit = [text for text in payloads() if as_name(text) == text and len(text) <= NAME_LENGTH]
    others = fit[len(OWN) :: len(fit) // ASKED]
    return list(dict.fromkeys([*(text for text in fit if text in OWN), *others]))


def history(texts: list[str]) -> Iterator[Event]:
    """Users, traits, events, keys and values that are payloads, and others that almost are."""
    for number, text in enumerate(texts):
        key, next_text = as_key(text), texts[(number + 1) % len(texts)]
        for minutes, user, value in (
            (40, text, text),
            (30, f"near {text}", f"{text}x"),
            (20, f"list {text}", [text, next_text]),
            (10, next_text, f"before {text} after"),
        ):
            at = AS_OF - timedelta(minutes=minutes)
            yield Event(user[:USER_LENGTH], IDENTIFY, at, {key: value})
            yield Event(user[:USER_LENGTH], text, at, {key: value}, f"{minutes} {text}"[:NAME_LENGTH])
        yield Event(text, text, AS_OF - timedelta(minutes=5), {key: text})


def positive(definition: Json) -> list[Json]:
    """The conditions of *definition* that match only who has, or did, something with the string."""
    return [
        leaf
        for leaf in definition["conditions"]
        if leaf.get("operator") not in POSITIVE_OF and leaf["type"] != "sample" and leaf.get("value") not in (5, "30d")
    ]


@pytest.mark.timeout(600)
async def test_both_readings_agree_about_users_events_and_values_that_are_payloads(
    module_postgres: Postgres, module_clickhouse: ClickHouse
):
    texts = sampled()
    assert len(texts) >= ASKED
    tenant = await Tenants(module_postgres).create("payloads")
    deliveries = list(history(texts))
    await deliver(module_postgres, module_clickhouse, tenant, deliveries=deliveries)
    universe, reading = people(deliveries, AS_OF), Reading(AS_OF, "UTC", {}, {})
    matched = 0
    for text in texts:
        everywhere = with_strings(in_every_place(), text)
        narrow = {"logic": "OR", "conditions": positive(everywhere)}
        plans = [
            compile_definition(
                parse(definition), catalog=Catalog(), references={}, tenant_id=tenant.id, as_of=AS_OF
            ).plan
            for definition in (everywhere, narrow)
        ]
        query = render_preview(plans[0], sample=10_000)
        result = await module_clickhouse.fetch(query.sql, query.params, purpose="compute", merge=with_samples(10_000))
        row = dict(zip(result.columns, result.rows[0], strict=True))
        assert row["sample_user_ids"] == sorted(reading.members(everywhere, universe)), text
        query = render_counts(plans[0], leaves(plans[0].root))
        _, *counts = (await module_clickhouse.fetch(query.sql, query.params, purpose="compute", merge=SUMS)).rows[0]
        found = [reading.members({"logic": "AND", "conditions": [leaf]}, universe) for leaf in everywhere["conditions"]]
        for leaf, users, count in zip(everywhere["conditions"], found, counts, strict=False):
            assert count == len(users), (text, leaf)
        members = await fetch_members(module_clickhouse, render_members(plans[1]))
        wanted = [
            users for leaf, users in zip(everywhere["conditions"], found, strict=True) if leaf in narrow["conditions"]
        ]
        assert members == set().union(*wanted), text
        matched += text in members
        assert len(members) < len(universe), text
    assert matched == len(texts)
