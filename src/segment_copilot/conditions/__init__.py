"""The language: what a definition is, how JSON becomes one, and what is wrong with JSON that does not."""

from segment_copilot.conditions.canonical import canonical, fingerprint, meaning
from segment_copilot.conditions.decode import Located, Parsed, decode, encode, invalid, parse
from segment_copilot.conditions.lint import lint
from segment_copilot.conditions.names import names_of
from segment_copilot.conditions.nodes import (
    Condition,
    Definition,
    EventCount,
    EventMatch,
    EventPeriods,
    EventProperty,
    EventSequence,
    EventTime,
    Exclusion,
    Group,
    Leaf,
    Monetary,
    PropertyTest,
    Recency,
    Sample,
    SegmentMembership,
    Step,
    UserProperty,
    WhereGroup,
    Window,
)
from segment_copilot.conditions.schema import definition_schema, language_components
from segment_copilot.conditions.tier import Tier, tier_of

__all__ = [
    "Condition",
    "Definition",
    "EventCount",
    "EventMatch",
    "EventPeriods",
    "EventProperty",
    "EventSequence",
    "EventTime",
    "Exclusion",
    "Group",
    "Leaf",
    "Located",
    "Monetary",
    "Parsed",
    "PropertyTest",
    "Recency",
    "Sample",
    "SegmentMembership",
    "Step",
    "Tier",
    "UserProperty",
    "WhereGroup",
    "Window",
    "canonical",
    "decode",
    "definition_schema",
    "encode",
    "fingerprint",
    "invalid",
    "language_components",
    "lint",
    "meaning",
    "names_of",
    "parse",
    "tier_of",
]
