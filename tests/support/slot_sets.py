"""The statements that write the members of many segments, everything asked of everybody."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

from segment_copilot.compiler import Asked, CompiledQuery, Kept, Plan, SlotSets


def written_together(
    plans: Sequence[Plan], *, segment_ids: Sequence[int], run_ids: Sequence[UUID]
) -> list[CompiledQuery]:
    """Ask every source, and make the members of each plan's run of the sets."""
    sets, statements, kept = SlotSets(plans), list[CompiledQuery](), dict[Asked, Kept]()
    for slots in sets.asked:
        set_id = uuid4()
        statements.append(sets.ask(slots, set_id=set_id))
        kept |= {slot: Kept(set_id, place) for place, slot in enumerate(slots)}
    return [*statements, sets.members(kept, segment_ids=segment_ids, run_ids=run_ids)]
