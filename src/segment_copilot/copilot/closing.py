"""What the server itself says: a text when a run would end without one."""

from __future__ import annotations

from collections.abc import Sequence

from segment_copilot.copilot.components import Draft
from segment_copilot.copilot.events import Limit, Outcome

_LIMITS: dict[Limit, str] = {
    "max_turns": "I stopped here: this question needs more steps than one answer may take.",
    "max_tool_calls": "I stopped here: this question needs more look-ups than one answer may make.",
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


def _drafted(draft: Draft) -> str:
    preview = draft.preview
    return (
        f"I drafted the segment “{draft.name}”: {draft.words} "
        f"It matches {preview.count:,} of {preview.universe:,} users. Nothing is saved yet."
    )
