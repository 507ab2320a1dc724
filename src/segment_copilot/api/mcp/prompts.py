"""Offers ways to begin, as prompts that hosts show to people; names are completed as they are typed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from segment_copilot.api.mcp.registry import Asking, Document, Prompt

_SEGMENT: Final = {"name": "segment", "description": "A saved segment's name.", "required": True}


def prompts() -> tuple[Prompt, ...]:
    """Return the prompts."""

    async def complete(asking: Asking, argument: str, written: str) -> Sequence[str]:
        if argument != "segment":
            return ()
        catalog = await asking.copilot.use_cases.discovery.catalog(asking.caller.tenant)
        names = sorted(one.name for one in catalog.segments.values())
        beginning = written.casefold()
        first = [name for name in names if name.casefold().startswith(beginning)]
        return [*first, *(name for name in names if beginning in name.casefold() and name not in first)]

    async def draft(asking: Asking, given: Document) -> Document:  # noqa: ARG001 — the same for everybody
        return _says(
            f"Draft a segment for this audience: {given['audience']}\n\n"
            "Look up the event types and their properties first (list_event_schemas, get_event_schema, "
            "list_property_values), and whether such a segment exists (search_segments). Then propose_segment. Show me "
            "who is in it, how many, what you assumed and what the data cannot express. Save nothing before I say so."
        )

    async def explain(asking: Asking, given: Document) -> Document:  # noqa: ARG001
        return _says(
            f"Explain who is in the segment “{given['segment']}”: its conditions in words, how the audience comes about "
            "condition by condition (explain_segment), and how its size has gone (query_segment_membership_trend)."
        )

    audience = {"name": "audience", "description": "Who shall be in it, in your words.", "required": True}
    return (
        Prompt(
            {
                "name": "draft_segment",
                "title": "Draft a segment",
                "description": "From a description in words to a counted draft.",
                "arguments": [audience],
            },
            draft,
        ),
        Prompt(
            {
                "name": "explain_segment",
                "title": "Explain a segment",
                "description": "Who is in it, why, and how its size has gone.",
                "arguments": [_SEGMENT],
            },
            explain,
            complete,
        ),
    )


def _says(text: str) -> Document:
    return {"messages": [{"role": "user", "content": {"type": "text", "text": text}}]}
