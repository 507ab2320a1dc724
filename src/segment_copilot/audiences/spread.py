"""Refuses what cannot be answered where users are spread over shards: a user's place among all users of the tenant.

Each shard would rank its own users. It takes two steps instead: every shard tells how its users are distributed, and the bounds
that follow from all of them are parameters of the plan that each then runs. Whoever builds that does it here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from segment_copilot.compiler import Referenced, all_conditions
from segment_copilot.errors import Finding, InvalidDefinition
from segment_copilot.language import Condition, Definition, Parsed
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.cluster import Cluster

OF_ALL: Final = frozenset({"rank"})
"""The types of conditions that are about all users of a tenant."""


def check_spread(clickhouse: ClickHouse, parsed: Parsed, references: Mapping[int, Referenced]) -> None:
    """Raise InvalidDefinition where users are on several shards and a condition is about all of them."""
    if not isinstance(clickhouse, Cluster):
        return
    pointers = [one.pointer for one in parsed.leaves if _is_of_all([one.leaf])]
    behind = [one for one in references.values() if isinstance(one, Definition)]
    if not pointers and any(_is_of_all(all_conditions(one)) for one in behind):
        pointers = [""]
    if pointers:
        detail = (
            "A rank is among all users, who are spread over several shards of ClickHouse here; it cannot be asked there "
            "yet. Ask for those above or below a number instead."
        )
        raise InvalidDefinition(detail, findings=[Finding(pointer, "not_over_shards", detail) for pointer in pointers])


def _is_of_all(conditions: Iterable[Condition]) -> bool:
    return any(str(one.__struct_config__.tag) in OF_ALL for one in conditions)
