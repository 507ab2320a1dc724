"""Holds the members of runs in memory, as many as fit: what a run has written never changes once it is published.

A user who was erased has no number any more, so what is held of them is never asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from pyroaring import BitMap

from segment_copilot.access.tenants import Tenant
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import ROWS

_BYTES: Final = 256 * 2**20
_LARGEST: Final = 2_000_000
"""Members of the largest run that is held: a set of them takes four megabytes at most."""
_TOGETHER: Final = 200
_READ: Final = """
SELECT run_id, arrayFilter(number -> bitmapContains(set, number), {numbers:Array(UInt32)}),
    if(bitmapCardinality(set) <= {largest:UInt64}, hex(set), '')
FROM (
    SELECT run_id, groupBitmapMergeState(members) AS set FROM segment_states
    WHERE tenant_id = {tenant:UInt32} AND segment_id IN {segments:Array(UInt64)} AND run_id IN {runs:Array(UUID)}
    GROUP BY run_id)
"""


class HeldRuns:
    """Reads and holds the members of runs of all tenants; those that were asked for longest ago go first."""

    def __init__(self, clickhouse: ClickHouse, *, limit: int = _BYTES) -> None:
        self._clickhouse = clickhouse
        self._limit = limit
        self._held = OrderedDict[UUID, tuple[BitMap, int]]()
        self._bytes = 0

    async def containing(
        self, tenant: Tenant, runs: Mapping[UUID, int], numbers: Sequence[int]
    ) -> dict[int, set[UUID]]:
        """Return, for each of the users' *numbers*, those of the *runs* (with the segment of each) that have it."""
        found: dict[int, set[UUID]] = {number: set() for number in numbers}
        missing = list[UUID]()
        for run_id in runs:
            if (held := self._held.get(run_id)) is None:
                missing.append(run_id)
                continue
            self._held.move_to_end(run_id)
            for number, inside in found.items():
                if number in held[0]:
                    inside.add(run_id)
        for start in range(0, len(missing), _TOGETHER):
            some = missing[start : start + _TOGETHER]
            params = {
                "tenant": tenant.id,
                "segments": [runs[run_id] for run_id in some],
                "runs": some,
                "numbers": list(found),
                "largest": _LARGEST,
            }
            states = dict[UUID, list[str]]()
            for run_id, inside, state in (
                await self._clickhouse.fetch(_READ, params, purpose="members", merge=ROWS)
            ).rows:
                for number in inside:
                    found[number].add(run_id)
                states.setdefault(run_id, []).append(state)
            for run_id, parts in states.items():  # a part for each shard that has some of the members
                if all(parts):
                    self._hold(run_id, [bytes.fromhex(part) for part in parts])
        return found

    def _hold(self, run_id: UUID, parts: Sequence[bytes]) -> None:
        if run_id in self._held:
            return
        size = sum(map(len, parts))
        self._held[run_id] = (BitMap.union(*map(read_state, parts)), size)
        self._bytes += size
        while self._bytes > self._limit:
            _, (_, size) = self._held.popitem(last=False)
            self._bytes -= size


def read_state(state: bytes) -> BitMap:
    """Return the numbers in ClickHouse's state of a groupBitmap of UInt32: few as they are, many as a portable bitmap."""
    kind, rest = state[0], state[1:]
    size, place = 0, 0
    while True:  # a number in groups of seven bits, the lowest first
        size |= (rest[place] & 0x7F) << (7 * place)
        place += 1
        if rest[place - 1] < 0x80:  # noqa: PLR2004  # the highest bit says that more follow
            break
    content = rest[place:]
    if kind == 0:
        return BitMap(int.from_bytes(content[4 * one : 4 * one + 4], "little") for one in range(size))
    return BitMap.deserialize(content[:size])
