"""Puts a definition into words: one deterministic sentence that a marketer reads, and that says what the laws decide.

"Users who placed an order at least 3 times in the last 90 days, and who have not viewed a page for more than 30 days
(people who never did are not included)." It reads no store and says nothing about numbers of people.
"""

from segment_copilot.language.describe.sentences import describe, describe_condition, describe_value
from segment_copilot.language.describe.shares import in_percent, percent
from segment_copilot.language.describe.titles import entitle

__all__ = ["describe", "describe_condition", "describe_value", "entitle", "in_percent", "percent"]
