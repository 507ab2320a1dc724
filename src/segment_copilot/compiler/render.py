"""Renders a plan as SQL text and parameters.

    plan → trees.normal → a positive tree → chain or bitmasks → keys of users → the question

In a chain the sources of a plan (`sources.source_of`: an event type, a trait, a sequence, …) narrow one another with
`IN`, and a source is read once in every group where it stands. Where that is more than twice for each, or there are very
many, every source is read once and the tree is tested on bits (docs/decisions/0007-two-shapes.md). A tree that is true
for a user for whom nothing happened is asked as the complement of its complement, against the table of users.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from segment_copilot.compiler.bitmasks import Bitmasks, render_bitmasks
from segment_copilot.compiler.chain import LEVELS, Part, chain_of, render_chain
from segment_copilot.compiler.fragments import CompiledQuery, Fragment, bind, join, nested, query, sql
from segment_copilot.compiler.slots import Node, Plan
from segment_copilot.compiler.sources import Sources, by_source
from segment_copilot.compiler.tables import STORED, Person, TableNames, Tables, is_in
from segment_copilot.compiler.traits import TraitTable
from segment_copilot.compiler.trees import complement_of, is_positive, is_true, normal, slots_of

Shape = Literal["chain", "bitmasks"]
_CHAIN_SOURCES: Final = 24
_CHAIN_READS: Final = 2  # of each source, on the average
_SOURCES_IN_A_RANGE: Final[dict[Shape, int]] = {"chain": 16, "bitmasks": 7}
"""Each source holds a table of its users while it is read; so many fit into 200 MB for half a million users."""
INTO_STATES: Final = "INSERT INTO segment_states (tenant_id, segment_id, run_id, members)\n"
_SMALL: Final = 1_000_000  # events: of fewer no plan needs much memory


class KeyRange(Struct, frozen=True):
    """Names the users whose keys lie from *first* to *last*, both in."""

    first: int
    last: int


def shape_of(plan: Plan) -> Shape:
    """Return the shape that a plan gets where no other is asked for."""
    tree = _positive(normal(plan.root))
    return _shape_of(tree, chain_of(tree))


def _shape_of(tree: Node, chain: Part) -> Shape:
    sources = _count_sources(tree)
    fits = sources <= _CHAIN_SOURCES and chain.reads <= _CHAIN_READS * sources and chain.levels <= LEVELS
    return "chain" if fits else "bitmasks"


def key_ranges(plan: Plan, *, events: int) -> tuple[KeyRange | None, ...]:
    """Cut the users into ranges that are asked one after the other, so that memory stays bounded; None is everybody.

    Args:
        plan: What is asked.
        events: About how many the tenant has.
    """
    if events < _SMALL:
        return (None,)
    tree = _positive(normal(plan.root))
    number = -(-_count_sources(tree) // _SOURCES_IN_A_RANGE[_shape_of(tree, chain_of(tree))])
    if number == 1:
        return (None,)
    ends = [(index * 2**64) // number for index in range(number + 1)]
    return tuple(KeyRange(first, end - 1) for first, end in pairwise(ends))  # keys are hashes: all are as full


def _positive(root: Node) -> Node:
    """Return a normal tree, or its complement: the one of them that is positive."""
    return root if is_positive(root) else complement_of(root)


def _count_sources(tree: Node) -> int:
    return len(by_source(slots_of([tree])))


def render_keys(
    plan: Plan, *, shape: Shape | None = None, traits: TraitTable = "current", keys: KeyRange | None = None
) -> CompiledQuery:
    """Write the query for `user_key` of every member, each once."""
    rendering = _Rendering(plan, shape, traits=traits, keys=keys)
    if not rendering.is_positive:
        return query(sql("SELECT user_key\n{}", rendering.users([rendering.is_member])))
    found = rendering.keys
    if rendering.shape == "bitmasks":
        return query(found)
    return query(sql("SELECT DISTINCT user_key FROM {}", nested(found)))


def render_members(
    plan: Plan, *, shape: Shape | None = None, traits: TraitTable = "current", keys: KeyRange | None = None
) -> CompiledQuery:
    """Write the query for `user_key, user_id` of every member in the range, each once."""
    rendering = _Rendering(plan, shape, traits=traits, keys=keys)
    return query(sql("SELECT user_key, user_id\n{}", rendering.users([rendering.is_member])))


def render_preview(
    plan: Plan, *, sample: int, shape: Shape | None = None, keys: KeyRange | None = None
) -> CompiledQuery:
    """Write one row of the users in the range: `universe`, `matched_users`, `sample_user_ids` (the first by id)."""
    rendering = _Rendering(plan, shape, keys=keys)
    columns = [
        sql("count() AS universe"),
        sql("countIf({} AS is_member) AS matched_users", rendering.is_member),
        _sample(sample),
    ]
    return query(sql("SELECT\n{}\n{}", _listed(columns), rendering.users()))


def render_preview_of_many(
    plan: Plan, nodes: Sequence[Node], *, sample: int, keys: KeyRange | None = None
) -> CompiledQuery:
    """Write the row of `render_preview`, and in it the number of users of each of *nodes*: every source is read once.

    The nodes are parts of the plan, or made of them.
    """
    rendering = _Rendering(plan, "bitmasks", keys=keys)
    root, *trees = [normal(node) for node in (plan.root, *nodes)]
    masks = Bitmasks([root, *trees])
    columns = [
        sql("count() AS universe"),
        sql("countIf({} AS is_member) AS matched_users", masks.test(root)),
        _sample(sample),
        *(sql("countIf({}) AS count_{}", masks.test(tree), index) for index, tree in enumerate(trees)),
    ]
    universe = nested(sql("SELECT user_id, user_key\n{}", rendering.users()))
    template = "SELECT\n{}\nFROM {} AS universe\nLEFT JOIN {} AS happened USING (user_key)"
    return query(sql(template, _listed(columns), universe, nested(masks.rows(rendering.sources))))


def render_membership_insert(
    plan: Plan, *, segment_id: int, run_id: UUID, shape: Shape | None = None, keys: KeyRange | None = None
) -> CompiledQuery:
    """Write the numbers of the members of one run, those in the range; they never pass through Python."""
    rendering = _Rendering(plan, shape, keys=keys)
    members = nested(sql("SELECT user_key\n{}", rendering.users([rendering.is_member])))
    segment, run = bind(segment_id, "UInt64", name="segment"), bind(run_id, "UUID", name="run")
    tenant = rendering.tables.tenant
    template = (
        "SELECT {}, {}, {}, groupBitmapState(number)\nFROM {} AS members INNER ANY JOIN {} AS numbers USING (user_key)"
    )
    return query(sql(INTO_STATES + template, tenant, segment, run, members, numbers_of(tenant)))


def numbers_of(tenant: Fragment) -> Fragment:
    """The numbers of users, to be joined: in another `IN` the server would plan all that stands in it once more."""
    return nested(sql("SELECT user_key, number\nFROM user_numbers\nWHERE tenant_id = {}", tenant))


class SharedSlots:
    """Asks each slot of several plans, of one tenant at one instant, once; and has the members of each plan from them.

    The statements belong to one session of the server: `create` makes a temporary table with a row for every user.

    Args:
        plans: What is asked.
        names: Where the rows stand that are read: of all users, or of those that are to be evaluated.

    Raises:
        ValueError: The plans are of several tenants or instants.
    """

    def __init__(self, plans: Sequence[Plan], *, names: TableNames = STORED) -> None:
        check_alike(plans)
        self._names = names
        self._first = replace(plans[0], linked=any(plan.linked for plan in plans))
        trees = [normal(plan.root) for plan in plans]
        self._masks = Bitmasks(trees)
        self._tests = [self._masks.test(tree) for tree in trees]

    def create(self) -> CompiledQuery:
        """Ask for every slot."""
        rendering = _Rendering(self._first, "bitmasks", names=self._names)
        template = (
            "CREATE TEMPORARY TABLE shared_slots ENGINE = Memory AS\nSELECT user_id, user_key, {}\n"
            "FROM {} AS universe\nLEFT JOIN {} AS happened USING (user_key)"
        )
        universe = nested(sql("SELECT user_id, user_key\n{}", rendering.users()))
        return query(sql(template, self._masks.columns, universe, nested(self._masks.rows(rendering.sources))))

    def create_members(self, segment_ids: Sequence[int]) -> CompiledQuery:
        """Make another temporary table, of the members of each plan: `segment_id, user_key, user_id`.

        The ids are those of the plans' segments, in their order.
        """
        ids, tests = bind(list(segment_ids), "Array(UInt64)"), [sql("toUInt8({})", test) for test in self._tests]
        template = "SELECT user_key, user_id, arrayFilter((id, is_in) -> is_in, {}, [\n{}\n]) AS ids\nFROM shared_slots"
        rows = nested(sql(template, ids, _listed(tests)))
        create = "CREATE TEMPORARY TABLE shared_members ENGINE = Memory AS\nSELECT segment_id, user_key, user_id FROM {}\nARRAY JOIN ids AS segment_id"
        return query(sql(create, rows))

    def ask(self) -> CompiledQuery:
        """Write a row for each user, with 1 or 0 for each of the plans: whether the user is in its audience."""
        return query(sql("SELECT\n{}\nFROM shared_slots", _listed([sql("toUInt8({})", test) for test in self._tests])))


def check_alike(plans: Sequence[Plan]) -> None:
    """Raise ValueError unless the plans are of one tenant and one instant."""
    if len({(plan.tenant_id, plan.as_of) for plan in plans}) != 1:
        raise ValueError("plans that share slots are of one tenant and one instant")


def render_is_member(
    plan: Plan, *, user_id: str, other_ids: tuple[str, ...] = (), shape: Shape | None = None
) -> CompiledQuery:
    """Write one row with 1 when the user is in the universe and matches; no row otherwise.

    *other_ids* are those that are linked to the user's.
    """
    rendering = _Rendering(plan, shape, person=Person(user_id, other_ids))
    return query(sql("SELECT 1\n{}", rendering.users([rendering.is_member])))


class UserSlots:
    """Asks each slot of several plans, of one tenant at one instant, about one user; and has from that whose member they are.

    The plans are no part of the query: to write each as a test of bits would cost more to plan than all of the rest.

    Raises:
        ValueError: The plans are of several tenants or instants.
    """

    def __init__(self, plans: Sequence[Plan]) -> None:
        check_alike(plans)
        self._first = plans[0]
        self._trees = [normal(plan.root) for plan in plans]
        self._masks = Bitmasks(self._trees)

    def query(self, user_id: str, *, other_ids: tuple[str, ...] = ()) -> CompiledQuery:
        """Write one row of bits; none for a user who is not in the universe. *other_ids* are linked to the user's."""
        rendering = _Rendering(self._first, "bitmasks", person=Person(user_id, other_ids))
        universe = nested(sql("SELECT user_key\n{}", rendering.users()))
        rows = nested(self._masks.rows(rendering.sources))
        template = "SELECT {}\nFROM {} AS universe\nLEFT JOIN {} AS happened USING (user_key)"
        return query(sql(template, self._masks.columns, universe, rows))

    def read(self, rows: Sequence[tuple[Any, ...]]) -> list[bool]:
        """Return, for each plan, whether the user is a member, from the rows of the query."""
        if not rows:
            return [False] * len(self._trees)
        true = self._masks.holding(rows[0])
        return [is_true(tree, true) for tree in self._trees]


def render_counts(plan: Plan, nodes: Sequence[Node]) -> CompiledQuery:
    """Write one row: `universe`, and for each of *nodes*, parts of the plan or made of them, its number of users."""
    rendering = _Rendering(plan, "bitmasks")
    trees = [normal(node) for node in nodes]
    masks = Bitmasks(trees)
    columns = [sql("(SELECT count()\n{}) AS universe", rendering.users().indented(3))]
    for index, tree in enumerate(trees):
        positive = is_positive(tree)
        template = "countIf({}) AS count_{}" if positive else "universe - countIf({}) AS count_{}"
        columns.append(sql(template, masks.test(tree if positive else complement_of(tree)), index))
    rows = masks.rows(rendering.sources)
    return query(sql("SELECT\n{}\nFROM {}", _listed(columns), nested(rows)))


def _listed(columns: Sequence[Fragment]) -> Fragment:
    return join(",\n", columns).indented(2)


def _sample(limit: int) -> Fragment:
    if limit == 0:
        return sql("emptyArrayString() AS sample_user_ids")
    most = bind(limit, "UInt16", name="limit")
    return sql("groupArraySortedIf({})(user_id, is_member) AS sample_user_ids", most)


class _Rendering:
    """Writes one query."""

    def __init__(
        self,
        plan: Plan,
        shape: Shape | None,
        *,
        person: Person | None = None,
        traits: TraitTable = "current",
        keys: KeyRange | None = None,
        names: TableNames = STORED,
    ) -> None:
        self._plan = plan
        self._shape: Shape | None = shape
        self._one = list[Fragment]()
        only = None
        if keys is not None:
            first, last = bind(keys.first, "UInt64", name="first_key"), bind(keys.last, "UInt64", name="last_key")
            only = sql("user_key BETWEEN {} AND {}", first, last)
        self.tables = Tables(plan, only=only, person=person, names=names)
        if person is not None:
            self._one.append(sql("user_id = {}", self.tables.user))
        self.sources = Sources(self.tables, plan.as_of, traits=traits)

    @cached_property
    def _root(self) -> Node:
        return normal(self._plan.root)

    @cached_property
    def is_positive(self) -> bool:
        """Return whether the members are those of a positive tree, and not all others."""
        return is_positive(self._root)

    @cached_property
    def _tree(self) -> Node:
        return self._root if self.is_positive else complement_of(self._root)

    @cached_property
    def _chain(self) -> Part:
        return chain_of(self._tree)

    @cached_property
    def shape(self) -> Shape:
        """The shape of the query."""
        return _shape_of(self._tree, self._chain) if self._shape is None else self._shape

    def users(self, conditions: Sequence[Fragment] = ()) -> Fragment:
        """Write FROM and WHERE of the universe."""
        return self.tables.users([*self._one, *conditions])

    @property
    def keys(self) -> Fragment:
        """Write `SELECT user_key` of the users of the positive tree."""
        if self.shape == "chain":
            return render_chain(self._chain, self.sources)
        return render_bitmasks(self._tree, self.sources)

    @property
    def is_member(self) -> Fragment:
        """A condition on `user_key`."""
        return is_in(self.keys, negated=not self.is_positive)
