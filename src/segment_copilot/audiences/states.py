"""Says what the members of a segment at one moment are in ClickHouse, and writes them: a *state*.

A state is a set of user numbers (`user_numbers.py`) that a run has written: one bitmap. Those of late are stored whole; any
other is the newest with the differences since undone, of which each is a pair of bitmaps, who entered and who left. Nothing
here is seen before PostgreSQL names its run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from segment_copilot.compiler import CompiledQuery

STORED: Final = """(
    SELECT groupBitmapMergeState(members) FROM segment_states
    WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND run_id = {run:UUID})"""
_SINCE: Final = """(
    SELECT bitmapXor(groupBitmapXorState(entered), groupBitmapXorState(gone)) FROM segment_deltas
    WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND change_set IN {undone:Array(UUID)})"""
_NEXT: Final = """
INSERT INTO segment_states (tenant_id, segment_id, run_id, members)
SELECT {tenant:UInt32}, next.segment_id, next.run_id,
    bitmapAndnot(bitmapOr(stored.members, bitmapBuild(next.entered)), bitmapBuild(next.gone))
FROM (
    SELECT {segments:Array(UInt64)}[place] AS segment_id, {runs:Array(UUID)}[place] AS run_id,
        {befores:Array(UUID)}[place] AS before, {entered:Array(Array(UInt32))}[place] AS entered,
        {gone:Array(Array(UInt32))}[place] AS gone
    FROM (SELECT arrayJoin(arrayEnumerate({segments:Array(UInt64)})) AS place)
) AS next
LEFT JOIN (
    SELECT segment_id, run_id, groupBitmapMergeState(members) AS members FROM segment_states
    WHERE tenant_id = {tenant:UInt32} AND segment_id IN {segments:Array(UInt64)} AND run_id IN {befores:Array(UUID)}
    GROUP BY segment_id, run_id
) AS stored ON stored.segment_id = next.segment_id AND stored.run_id = next.before
"""
KEPT: Final = timedelta(days=90)
"""So long a state stays readable after it was replaced, where no setting says otherwise."""

NOBODY: Final = UUID(int=0)
"""A run that has no members."""


class State(Struct, frozen=True):
    """The members of a segment: those that *run_id* has stored, with the differences *undone* taken back."""

    tenant_id: int
    segment_id: int
    run_id: UUID
    undone: tuple[UUID, ...] = ()

    @property
    def sql(self) -> str:
        """The set of their numbers, as an expression with the parameters `params`."""
        return f"bitmapXor({STORED}, {_SINCE})" if self.undone else STORED

    @property
    def users(self) -> str:
        """What follows FROM to read their `user_id` and `user_key`, in the order of ids; conditions may be added by AND."""
        return f"user_numbers WHERE tenant_id = {{tenant:UInt32}} AND bitmapContains({self.sql}, number)"

    @property
    def params(self) -> Mapping[str, object]:
        """The values of the parameters in `sql` and `users`."""
        found: dict[str, object] = {"tenant": self.tenant_id, "segment": self.segment_id, "run": self.run_id}
        return {**found, "undone": list(self.undone)} if self.undone else found


class Next(Struct, frozen=True):
    """The next state of a segment: the members of *before* (None: nobody), those who entered, and not those who are gone."""

    segment_id: int
    run_id: UUID
    before: UUID | None
    entered: Sequence[int]
    gone: Sequence[int]


def write_next(tenant_id: int, states: Sequence[Next]) -> CompiledQuery:
    """Return the statement that writes the next states of several segments. Users are named by their numbers."""
    params = {
        "tenant": tenant_id,
        "segments": [one.segment_id for one in states],
        "runs": [one.run_id for one in states],
        "befores": [one.before or NOBODY for one in states],
        "entered": [list(one.entered) for one in states],
        "gone": [list(one.gone) for one in states],
    }
    return CompiledQuery(_NEXT, params)
