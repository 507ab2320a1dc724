"""Says what the members of a segment at one moment are in ClickHouse: a *state*.

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

from segment_copilot.stores.clickhouse import ClickHouse

STORED: Final = """(
    SELECT groupBitmapMergeState(members) FROM segment_states
    WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND run_id = {run:UUID})"""
_SINCE: Final = """(
    SELECT bitmapXor(groupBitmapXorState(entered), groupBitmapXorState(gone)) FROM segment_deltas
    WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND change_set IN {undone:Array(UUID)})"""
_DROP: Final = """
ALTER TABLE segment_states DELETE
WHERE tenant_id = {tenant:UInt32} AND segment_id IN {segments:Array(UInt64)} AND run_id IN {runs:Array(UUID)}
SETTINGS mutations_sync = 1
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
        """Holds what follows FROM to read their `user_id` and `user_key`, in the order of ids; conditions may be added by AND."""
        return f"user_numbers WHERE tenant_id = {{tenant:UInt32}} AND bitmapContains({self.sql}, number)"

    @property
    def params(self) -> Mapping[str, object]:
        """The values of the parameters in `sql` and `users`."""
        found: dict[str, object] = {"tenant": self.tenant_id, "segment": self.segment_id, "run": self.run_id}
        return {**found, "undone": list(self.undone)} if self.undone else found


async def drop_runs(clickhouse: ClickHouse, tenant_id: int, *, segments: Sequence[int], runs: Sequence[UUID]) -> None:
    """Remove what runs of a tenant have written, wholly or in part."""
    params = {"tenant": tenant_id, "segments": list(segments), "runs": list(runs)}
    await clickhouse.execute(_DROP, params, purpose="compute")
