"""THE COMPILER turns a definition into ClickHouse SQL, in three pure stages.

language.parse     JSON → nodes                     shape errors, each with a pointer
bind               nodes + catalog → typed nodes    unknown names, operators, references
plan               typed nodes + as_of → slots      every boundary an instant
render             slots → SQL and parameters       trees → sources → chain or bitmasks

SQL text is made by `render` and what it calls, and nowhere else. The same slots also tell how an audience comes about
(`narrowing`), what is known of one user (`evidence`), the members of many segments at once (`SharedSlots`; `SlotSets`, by statements
whose answers can be kept), and in which of many segments one user is (`UserSlots`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from segment_copilot.compiler.bind import Bound, Referenced, Static, all_conditions, bind, referenced_segments
from segment_copilot.compiler.evidence import Evidence, UserEvidence, Verdict, read_evidence, render_evidence
from segment_copilot.compiler.filters import WHERE_POINTER, render_event_filter, render_trait_filter
from segment_copilot.compiler.fragments import CompiledQuery
from segment_copilot.compiler.moves import Move, SeenSince, moves_between, question_at, question_of, slots_between
from segment_copilot.compiler.narrowing import Conditions, Narrowing, read_narrowing, render_narrowing
from segment_copilot.compiler.plan import plan
from segment_copilot.compiler.ranks import (
    Span,
    places_of,
    ranks_of,
    ranks_users,
    render_amount,
    render_before,
    render_distribution,
    with_bounds,
)
from segment_copilot.compiler.relevance import can_change
from segment_copilot.compiler.render import (
    KeyRange,
    Shape,
    SharedSlots,
    UserSlots,
    key_ranges,
    render_counts,
    render_is_member,
    render_keys,
    render_members,
    render_membership_insert,
    render_preview,
    render_preview_of_many,
    shape_of,
)
from segment_copilot.compiler.sensitivity import roots_with
from segment_copilot.compiler.slot_sets import CREATE_ARRIVED, EVERYBODY, TOUCHED_BY_CAUSE, Asked, Kept, SlotSets
from segment_copilot.compiler.slots import Bounds, Plan, RankSlot, conjunction, leaves
from segment_copilot.compiler.tables import Person
from segment_copilot.compiler.touched import CREATE_TOUCHED, TOUCHED, render_copies, render_persons
from segment_copilot.compiler.traits import TraitTable
from segment_copilot.language import Parsed
from segment_copilot.language.catalog import Catalog


class Compiled(Struct, frozen=True):
    """A bound definition and its plan, which is asked for one range of users after the other."""

    bound: Bound
    plan: Plan
    ranges: tuple[KeyRange | None, ...]


def compile_definition(
    parsed: Parsed,
    *,
    catalog: Catalog,
    references: Mapping[int, Referenced],
    tenant_id: int,
    as_of: datetime,
    own_id: int | None = None,
    linked: bool = False,
    spread: bool = False,
) -> Compiled:
    """Bind a definition and plan it.

    *linked* if some ids of the tenant's users are one person's, *spread* if users are on several shards.

    Raises:
        InvalidDefinition: With every mistake in *parsed* and every one that binding finds.
    """
    bound = bind(parsed, catalog, references, own_id=own_id)
    defined = {segment_id: one for segment_id, one in references.items() if one is not None}
    planned = plan(bound.definition, tenant_id=tenant_id, as_of=as_of, timezone=catalog.timezone, references=defined)
    planned = replace(planned, linked=linked, spread=spread)
    events = sum(known.event_count for known in catalog.event_types.values())
    return Compiled(bound, planned, key_ranges(planned, events=events))


__all__ = [
    "CREATE_ARRIVED",
    "CREATE_TOUCHED",
    "EVERYBODY",
    "TOUCHED",
    "TOUCHED_BY_CAUSE",
    "WHERE_POINTER",
    "Asked",
    "Bound",
    "Bounds",
    "Compiled",
    "CompiledQuery",
    "Conditions",
    "Evidence",
    "Kept",
    "KeyRange",
    "Move",
    "Narrowing",
    "Person",
    "Plan",
    "RankSlot",
    "Referenced",
    "SeenSince",
    "Shape",
    "SharedSlots",
    "SlotSets",
    "Span",
    "Static",
    "TraitTable",
    "UserEvidence",
    "UserSlots",
    "Verdict",
    "all_conditions",
    "bind",
    "can_change",
    "compile_definition",
    "conjunction",
    "key_ranges",
    "leaves",
    "moves_between",
    "places_of",
    "plan",
    "question_at",
    "question_of",
    "ranks_of",
    "ranks_users",
    "read_evidence",
    "read_narrowing",
    "referenced_segments",
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
    "roots_with",
    "shape_of",
    "slots_between",
    "with_bounds",
]
