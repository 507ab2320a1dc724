"""The answer to a change of a draft: the patch, the button, and what is another, in words."""

from __future__ import annotations

from typing import Any

from segment_copilot.english.answers.drafts import drafted_words
from segment_copilot.english.answers.quotes import quotes_of
from segment_copilot.english.edits import Edited
from segment_copilot.english.plan import PROPOSE, REVISE, Answer, Base, Call, Context
from segment_copilot.language.describe import describe

_CTA = "display_create_segment_cta"
_SAVE = "Nothing is saved yet: save the draft, or tell me what to change."


def revise(edited: Edited, base: Base | None, text: str, context: Context) -> Answer:
    """Change what is in view by a patch; what only this conversation made is proposed as a whole."""
    quotes = list(quotes_of(text, edited))
    told = {"reading": quotes} if quotes else {}
    shown = base is not None and base.in_view and REVISE in context.tools
    if shown and base is not None:
        arguments: dict[str, Any] = {"patch": [dict(one) for one in edited.patch]}
        arguments |= {"name": edited.name[:80]} if edited.name != base.name and edited.named else {}
        arguments |= {"segment_id": base.segment_id} if base.segment_id is not None else {}
        if edited.assumptions != base.assumptions:
            arguments["assumptions"] = list(edited.assumptions[:10])
        drafted = yield Call(REVISE, arguments | told)
    else:
        words = describe(edited.definition, context.segment_names)
        arguments = {
            "name": edited.name[:80] or words[:80], "description": words[:500], "definition": dict(edited.document),
            "assumptions": list(edited.assumptions[:10]), "unmapped": [],
        }  # fmt: skip
        drafted = yield Call(PROPOSE, arguments | told)
    yield Call(_CTA, {"draft_id": drafted["draft_id"]})
    _, *rest = drafted_words(drafted)
    count = f"{drafted['count']:,} of {drafted['universe']:,} users match now."
    kept = (
        "The saved segment stays as it is until you save this."
        if shown and base is not None and base.segment_id is not None
        else _SAVE
    )
    return (*edited.said, count, *rest, kept)
