"""Planning stays cheap: the form of the SQL for many conditions, and the members that this form finds.

The server plans what stands in an `IN` twice a level, so it is the form that is looked at and no time.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

import pytest

from benchmarks.many import FORMS, TYPES, formed, many
from segment_copilot.compiler import KeyRange, SharedSlots, key_ranges, leaves, render_counts, render_keys, shape_of
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import ROWS, SUMS
from segment_copilot.stores.postgres import Postgres
from tests.support.language.compiled_text import compiled, planned
from tests.support.language.data_sets import WAYS, DataSet, fetch_members, load_data_set
from tests.support.language.strategies import Draw, complement

Json = dict[str, Any]

LEVELS = 6
NUMBERS = (1, 6, 7, 20, 50, 100, 500)
KINDS = (*TYPES, "mixed")


def depth(sql: str) -> int:
    """How many `IN (SELECT …)` stand in one another."""
    deepest, inside = 0, list[bool]()
    for found in re.finditer(r"(\bIN )?\((?=(\s*SELECT)?)|\)", sql):
        if found[0] == ")":
            inside.pop()
        else:
            inside.append(bool(found[1] and found[2]))
            deepest = max(deepest, sum(inside))
    return deepest


def reads(sql: str) -> int:
    return len(re.findall(r"FROM (?:events|traits|users)", sql))


def test_the_depth_is_counted():
    assert (
        depth("a IN (\n SELECT b FROM (\nSELECT c WHERE d NOT IN (\nSELECT e)) WHERE f IN (1, 2)) OR g IN (SELECT h)")
        == 2
    )


class Measured(NamedTuple):
    """What is looked at of the text of a query."""

    depth: int
    length: int
    reads: int


@functools.cache
def measured(form: str, kind: str, number: int) -> tuple[Measured, ...]:
    """Every query of *number* conditions; two tests look at them, and to compile five hundred takes a while."""
    queries = [query.sql for query in compiled(formed(form, many(kind, number)))]
    return tuple(Measured(depth(sql), len(sql), reads(sql)) for sql in queries)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_conditions_is_planned_in_a_bounded_depth_and_linear_text(kind: str, form: str):
    sizes = dict[int, list[int]]()
    for number in NUMBERS:
        queries = measured(form, kind, number)
        assert max(query.depth for query in queries) <= LEVELS, number
        sizes[number] = [query.length for query in queries]
    for fewer, more in ((50, 100), (100, 500)):
        for small, large in zip(sizes[fewer], sizes[more], strict=True):
            assert large <= small * more / fewer * 1.15, (fewer, more)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_source_is_read_a_few_times_at_most(kind: str, form: str):
    for number in (10, 24, 100, 500):
        # A trait is read now, changed since, and before; six of them may be read apart.
        told = {"user_property": 3, "sample": 1, "mixed": number + 2 * 6}.get(kind, number)
        for query in measured(form, kind, number)[:2]:
            assert query.reads <= told + 1, number


def nested(conditions: Sequence[Json], random: Random) -> Json:
    """Groups in groups, AND and OR in turn, of two to four each; some are negated."""
    parts: list[Json] = list(conditions)
    logic = "OR"
    while len(parts) > 4:
        logic = "AND" if logic == "OR" else "OR"
        taken, parts = parts, list[Json]()
        while taken:
            some = [taken.pop() for _ in range(min(len(taken), random.randint(2, 4)))]
            parts.append({"type": "group", "logic": logic, "conditions": some, "negate": random.random() < 0.3})
    return {"logic": "OR" if logic == "AND" else "AND", "conditions": parts}


def in_line(conditions: Sequence[Json]) -> Json:
    """A condition and a group in each group, AND and OR in turn, as deep as groups may nest; the rest in the last."""
    *first, last = [[one] for one in conditions[:6]] + [list(conditions[6:])]
    inside: list[Json] = last
    for index, level in enumerate(reversed(first)):
        logic = ("AND", "OR")[index % 2]
        inside = [*level, {"type": "group", "logic": logic, "conditions": inside, "negate": index % 3 == 0}]
    return {"logic": "AND", "conditions": inside}


def some_of(conditions: Sequence[Json], least: int, *, negate: bool = False) -> Json:
    return {"type": "group", "logic": "AT_LEAST", "at_least": least, "conditions": [*conditions], "negate": negate}


def counted(conditions: Sequence[Json], random: Random) -> Json:
    """Groups that count their conditions in one another, beside conditions that have to hold."""
    parts: list[Json] = list(conditions)
    while len(parts) > 5:
        taken, parts = parts, list[Json]()
        while taken:
            some = [taken.pop() for _ in range(min(len(taken), random.randint(3, 5)))]
            parts.append(some_of(some, random.randint(1, len(some)), negate=random.random() < 0.3))
    return {"logic": "AND", "conditions": parts}


@pytest.mark.parametrize("seed", range(40))
def test_groups_in_groups_stay_as_shallow(seed: int):
    random = Random(seed)  # noqa: S311  (a test is to be repeatable)
    conditions = [many("mixed", 60)[index] for index in random.sample(range(60), random.randint(8, 60))]
    for definition in (nested(conditions, random), in_line(conditions), counted(conditions, random)):
        assert max(depth(query.sql) for query in compiled(definition)) <= LEVELS


def referring(levels: int) -> tuple[Json, dict[int, Json]]:
    """Segments that refer to one another eight deep, each in a group with what happened and with what did not."""

    def of(number: int) -> Json:
        some = many("mixed", 10 * (number + 1))[10 * number :]
        member = {"type": "segment_membership", "segment_id": number + 1, "negate": number % 2 == 1}
        inner: Json = {"type": "group", "logic": "OR", "conditions": [member, some[1], some[2]]}
        return {"logic": "AND", "conditions": [some[3] | {"negate": True}, inner, some[4]]}

    references = {number: of(number) for number in range(1, levels)}
    return of(0), references | {levels: {"logic": "AND", "conditions": many("mixed", 3)}}


def test_references_stay_as_shallow():
    definition, references = referring(8)
    queries = compiled(definition, references=references)
    assert max(depth(query.sql) for query in queries) <= LEVELS
    assert len(queries[0].sql) < 60_000


def test_the_few_conditions_of_most_definitions_are_a_chain():
    for kind in KINDS:
        assert shape_of(planned(formed("AND", many(kind, 6)))) == "chain"
    assert shape_of(planned(formed("AND", many("user_property", 100)))) == "chain"
    assert shape_of(planned(formed("AND", many("event_count", 30)))) == "bitmasks"


# What is found in these forms.


@pytest.fixture(scope="module")
async def data(module_postgres: Postgres, module_clickhouse: ClickHouse) -> DataSet:
    return await load_data_set(module_postgres, module_clickhouse, 80)


class Weighed:
    """Drawn conditions with the users that each one means by the interpreter, turned so that these are most users."""

    def __init__(self, data: DataSet, number: int, kind: str | None = None) -> None:
        self.as_of = data.world.as_ofs[0]
        universe = data.universe(self.as_of)
        self.everyone = frozenset(universe)
        self.users = list[tuple[Json, frozenset[str]]]()
        draw = Draw(data.seed + 9, data.world)
        while len(self.users) < number:
            leaf = draw.leaf() | {"negate": False}
            if kind in {None, leaf["type"]}:
                found = frozenset(data.read({"logic": "AND", "conditions": [leaf]}, self.as_of, universe))
                most = 2 * len(found) >= len(self.everyone)
                self.users.append((leaf, found) if most else (complement(leaf), self.everyone - found))

    def definition(self, logic: str, some: Sequence[int], *, negate: bool) -> tuple[Json, frozenset[str]]:
        """These conditions (or their complements) under a logic, and whom they mean."""
        told = [self.users[index] for index in some]
        if negate:
            told = [(complement(leaf), self.everyone - found) for leaf, found in told]
        sets = [found for _, found in told]
        means = frozenset[str].intersection(*sets) if logic == "AND" else frozenset[str]().union(*sets)
        return formed(logic, [leaf for leaf, _ in told]), means


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", [None, "user_property", "sample"], ids=["mixed", "traits", "samples"])
async def test_many_conditions_find_whom_each_of_them_means(
    module_clickhouse: ClickHouse, data: DataSet, kind: str | None
):
    weighed, random = Weighed(data, 150, kind), Random(4)  # noqa: S311  (a test is to be repeatable)
    told = set[int]()
    for number in (8, 14, 20, 70):
        for logic, negate in (("AND", False), ("OR", False), ("AND", True), ("OR", True)):
            some = random.sample(range(150), number)
            definition, means = weighed.definition(logic, some, negate=negate)
            told.add(len(means))
            for shape, traits in WAYS:
                query = await data.compile(module_clickhouse, definition, weighed.as_of, shape=shape, traits=traits)
                assert await fetch_members(module_clickhouse, query) == means, (shape, traits, definition)
    assert len(told) > 3, told


@pytest.mark.parametrize("kind", [None, "user_property"], ids=["mixed", "traits"])
async def test_so_many_of_many_conditions_find_whom_so_many_of_them_mean(
    module_clickhouse: ClickHouse, data: DataSet, kind: str | None
):
    weighed, random = Weighed(data, 150, kind), Random(8)  # noqa: S311  (a test is to be repeatable)
    told = set[int]()
    for number in (8, 30):
        some = [weighed.users[index] for index in random.sample(range(150), number)]
        found = Counter(user for _, users in some for user in users)
        least = sorted(found.values())[len(found) // 2]
        means = {user for user, times in found.items() if times >= least}
        told.add(least)
        definition = {"logic": "AND", "conditions": [some_of([leaf for leaf, _ in some], least)]}
        for shape, traits in WAYS[:2]:
            query = await data.compile(module_clickhouse, definition, weighed.as_of, shape=shape, traits=traits)
            assert await fetch_members(module_clickhouse, query) == means, (shape, traits, definition)
    assert len(told) > 1, told


async def test_groups_of_many_conditions_find_whom_the_interpreter_finds(module_clickhouse: ClickHouse, data: DataSet):
    weighed, random = Weighed(data, 40), Random(6)  # noqa: S311  (a test is to be repeatable)
    universe, some = data.universe(weighed.as_of), 0
    for _ in range(12):
        leaves_ = [weighed.users[index][0] for index in random.sample(range(40), 16)]
        definition = nested(leaves_, random)
        means = data.read(definition, weighed.as_of, universe)
        some += 0 < len(means) < len(universe)
        for shape, traits in WAYS:
            query = await data.compile(module_clickhouse, definition, weighed.as_of, shape=shape, traits=traits)
            assert await fetch_members(module_clickhouse, query) == means, (shape, traits, definition)
    assert some > 3


async def test_many_traits_in_ranges_of_keys_and_counted_by_themselves(module_clickhouse: ClickHouse, data: DataSet):
    weighed = Weighed(data, 90, "user_property")
    definition, means = weighed.definition("AND", range(12), negate=False)
    plan = data.plan(definition, weighed.as_of)
    found = 0
    for keys in (KeyRange(0, 2**63 - 1), KeyRange(2**63, 2**64 - 1)):
        query = render_keys(plan, keys=keys)
        found += len((await module_clickhouse.fetch(query.sql, query.params, purpose="preview", merge=ROWS)).rows)
    assert found == len(means)

    definition, _ = weighed.definition("OR", range(90), negate=False)
    plan = data.plan(definition, weighed.as_of)
    query = render_counts(plan, leaves(plan.root))
    ((_, *counts),) = (await module_clickhouse.fetch(query.sql, query.params, purpose="preview", merge=SUMS)).rows
    assert counts == [len(users) for _, users in weighed.users]


def test_segments_together_read_traits_and_samples_at_once():
    plans = [planned(formed("AND", many(kind, 40))) for kind in ("user_property", "sample")]
    sql = SharedSlots(plans).create().sql
    assert reads(sql) == 5  # the universe, samples; traits now, those changed since, and before
    assert depth(sql) == 1
    assert "bits_1" in sql


def test_what_is_one_source_needs_no_ranges():
    for kind in ("user_property", "sample"):
        assert key_ranges(planned(formed("AND", many(kind, 100))), events=10_000_000) == (None,)
