"""The language: what a definition is, how JSON becomes one, and what is wrong with JSON that does not."""

from segment_copilot.conditions.decode import Located, Parsed, decode, encode, invalid, parse
from segment_copilot.conditions.nodes import (
    Condition,
    Definition,
    EventCount,
    EventProperty,
    EventSequence,
    Exclusion,
    Group,
    LastWindow,
    Leaf,
    Monetary,
    PropertyTest,
    Recency,
    SegmentMembership,
    Step,
    UserProperty,
    WhereGroup,
)
from segment_copilot.conditions.tier import Tier, tier_of

__all__ = [
    "Condition",
    "Definition",
    "EventCount",
    "EventProperty",
    "EventSequence",
    "Exclusion",
    "Group",
    "LastWindow",
    "Leaf",
    "Located",
    "Monetary",
    "Parsed",
    "PropertyTest",
    "Recency",
    "SegmentMembership",
    "Step",
    "Tier",
    "UserProperty",
    "WhereGroup",
    "decode",
    "encode",
    "invalid",
    "parse",
    "tier_of",
]
