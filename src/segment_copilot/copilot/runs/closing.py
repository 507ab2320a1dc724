"""What the server itself says: a text when a run would end without one, and what a text may not leave out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from segment_copilot.copilot.stream.components import Draft
from segment_copilot.copilot.stream.events import Limit, Outcome

NOTHING_SAVED: Final = "Nothing has been saved: the copilot drafts, a person saves."
_NEARLY_ALL: Final = 95  # percent
_NUMBER: Final = re.compile(r"\d(?:[\d.,\u00a0\u202f]*\d)?")
_NOBODY: Final = re.compile(
    r"\b(?:nobody|no one|none|no (?:\w+ )?users?|empty|zero|nadie|ning[uú]n\w*|cero)\b", re.IGNORECASE
)
_LIMITS: Final[dict[Limit, str]] = {
    "max_turns": "I stopped here: this question needs more steps than one answer may take.",
    "max_tool_calls": "I stopped here: this question needs more look-ups than one answer may make.",
    "max_cost": "I stopped here: this answer has reached what one may cost.",
    "max_tokens": "I stopped here: the answer grew longer than one may be.",
    "repeated_calls": "I stopped here: I was asking for the same thing again and again.",
}


def text(outcome: Outcome, limit: Limit | None, drafts: Sequence[Draft]) -> str:
    """A sentence for a run that said nothing."""
    if outcome == "refused":
        return "I cannot help with this request. I can answer questions about your segments and events, and draft segments."
    sentences = [_LIMITS[limit]] if limit else []
    if drafts:
        sentences.append(_drafted(drafts[-1]))
    elif not limit:
        sentences.append("I have nothing to add to what is shown.")
    return " ".join(sentences)


def unsaid_count(said: str, subject: str, count: int, universe: int) -> str:
    """A sentence on how many *subject* matches, when that is nobody or nearly everybody and *said* does not tell it."""
    if 0 < count <= universe * _NEARLY_ALL / 100:
        return ""
    told = {re.sub(r"\D", "", number) for number in _NUMBER.findall(said)}
    if str(count) in told or (count == 0 and _NOBODY.search(said)):
        return ""
    who = "everybody" if count == universe else "nearly everybody"
    return f"{subject} matches {who if count else 'nobody'}: {count:,} of {universe:,} users."


def _drafted(draft: Draft) -> str:
    preview = draft.preview
    return (
        f"I drafted the segment “{draft.name}”: {draft.words} "
        f"It matches {preview.count:,} of {preview.universe:,} users. Nothing is saved yet."
    )
