"""Defines the language: what a definition is, how JSON becomes one, and what is wrong with JSON that does not.

It compiles nothing, and does no I/O.
"""

from segment_copilot.language.canonical import canonical, fingerprint, meaning
from segment_copilot.language.decode import Located, Parsed, decode, encode, invalid, parse, read_stored
from segment_copilot.language.names import names_of
from segment_copilot.language.nodes import (
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
    LocalTime,
    Measure,
    MeasureCompare,
    Monetary,
    PropertyTest,
    Rank,
    Recency,
    Sample,
    SegmentMembership,
    Step,
    UserProperty,
    WhereGroup,
    Window,
)
from segment_copilot.language.schema import definition_schema, language_components
from segment_copilot.language.tier import Tier, tier_of

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
    "LocalTime",
    "Located",
    "Measure",
    "MeasureCompare",
    "Monetary",
    "Parsed",
    "PropertyTest",
    "Rank",
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
    "meaning",
    "names_of",
    "parse",
    "read_stored",
    "tier_of",
]
