"""The plans that end in a draft or a count of an audience."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from segment_copilot.english.answers.telling import unable
from segment_copilot.english.audience.draft import Proposal
from segment_copilot.english.plan import Call, Context, Result, Turn, latest
from segment_copilot.language.describe import in_percent

PROPOSE, CTA = "propose_segment", "display_create_segment_cta"
PREVIEW, CARD = "preview_segment", "display_metric_card"


class Draft(Struct, frozen=True):
    """Propose a segment, offer its button, and say what it is."""

    proposal: Proposal

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        proposed = latest(results, PROPOSE)
        if proposed is None:
            return (
                Turn(calls=(Call(PROPOSE, self.proposal.arguments()),))
                if context.tools_allowed
                else Turn(("I cannot draft this segment now: no more look-ups are allowed in this answer.",))
            )
        if proposed.failed:
            return unable(f"I understood the audience, but it could not be drafted: {proposed.message}", proposed)
        if latest(results, CTA) is None and context.tools_allowed and CTA in context.tools:
            return Turn(calls=(Call(CTA, {"draft_id": proposed.document["draft_id"]}),))
        return Turn((*draft_sentences(proposed.document, self.proposal.assumptions), *_left_out(self.proposal.orders)))


class Count(Struct, frozen=True):
    """Count an audience without drafting it."""

    proposal: Proposal

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        counted = latest(results, PREVIEW)
        if counted is None:
            return (
                Turn(calls=(Call(PREVIEW, {"definition": self.proposal.definition}),))
                if context.tools_allowed
                else Turn(("I cannot count this audience now: no more look-ups are allowed in this answer.",))
            )
        if counted.failed:
            return unable(f"I understood the question, but it could not be counted: {counted.message}", counted)
        document = counted.document
        if latest(results, CARD) is None and context.tools_allowed and CARD in context.tools:
            card = {"title": self.proposal.name[:120], "value": document["matched_users"], "unit": "users"}
            return Turn(calls=(Call(CARD, card),))
        return Turn(
            (
                _matched(document, document["matched_users"]),
                _words(document),
                *_assumed(self.proposal.assumptions),
                *_alone(document),
                *_warned(document),
            )
        )


def draft_sentences(document: Mapping[str, Any], assumptions: Sequence[str]) -> tuple[str, ...]:
    """What a draft is, from the tool's result."""
    tier = str(document.get("tier", "")).replace("_", " ")
    reason = str(document.get("tier_reason") or "").rstrip(".")
    return (
        f"I drafted the segment “{document['name']}”.",
        _words(document),
        _matched(document, document["count"]),
        f"It would be a {tier} segment{': ' + reason if reason else ''}." if tier else "",
        *_assumed(assumptions),
        *_alone(document),
        *_warned(document),
        "Nothing is saved yet: save it, or tell me what to change.",
    )


def _matched(document: Mapping[str, Any], count: int) -> str:
    share = f" ({in_percent(document['percent'])})" if isinstance(document.get("percent"), int | float) else ""
    return f"The audience matches {count:,} of {document['universe']:,} users{share}."


def _words(document: Mapping[str, Any]) -> str:
    words = str(document.get("words") or "").strip()
    return f"In words: {words}" + ("" if words.endswith(".") else ".") if words else ""


def _left_out(orders: Sequence[str]) -> tuple[str, ...]:
    """What the message asks of the answer is not repeated: it may be somebody else's words."""
    return ("What else your message asks of me is not part of the segment, and I did not do it.",) if orders else ()


def _assumed(assumptions: Sequence[str]) -> tuple[str, ...]:
    return ("I assumed: " + " ".join(assumptions),) if assumptions else ()


def _alone(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Where nobody or nearly everybody matches, how many each condition matches alone."""
    counts = _records(document, "conditions")
    if not counts:
        return ()
    said = "; ".join(f"{item['words']}: {item['matched_users']:,}" for item in counts)
    return (f"Each condition on its own matches: {said}.",)


def _warned(document: Mapping[str, Any]) -> tuple[str, ...]:
    """What is odd about the definition, in the server's words."""
    return tuple(f"Note: {warning['detail']}" for warning in _records(document, "warnings") if warning.get("detail"))


def _records(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects in a result; empty where it is missing."""
    return msgspec.convert(document.get(name) or [], list[dict[str, Any]])
