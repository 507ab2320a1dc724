"""UNDERSTANDS ENGLISH: a sentence and a catalog → a draft, a question or a refusal. Pure: it reads no store and no clock.

A reading is built of anchors (what single words mention) by rules, scored as a whole, and drafted only when it is
clearly ahead of every other and no word is left over. It never drafts what it could not place.
"""

from segment_copilot.english.outcomes import Asked, Choice, Drafted, Part, Refused, Unplaced
from segment_copilot.english.reading.audience import read_audience

__all__ = ["Asked", "Choice", "Drafted", "Part", "Refused", "Unplaced", "read_audience"]
