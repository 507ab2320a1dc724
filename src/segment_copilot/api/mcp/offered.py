"""Puts together what this service offers to hosts."""

from __future__ import annotations

from typing import Final

from segment_copilot.api.mcp.asking import asking_offer
from segment_copilot.api.mcp.offers import offers
from segment_copilot.api.mcp.prompts import prompts
from segment_copilot.api.mcp.registry import Registry
from segment_copilot.api.mcp.saving import saving_offers
from segment_copilot.api.mcp.views import pages

INSTRUCTIONS: Final = (
    "segment-copilot answers questions about a workspace's users, events and segments, and drafts segments. Begin with "
    "list_event_schemas: definitions may name only what exists. propose_segment checks, counts and words a definition and "
    "saves nothing; create_segment saves, once the person has seen the draft and wants it. ask_copilot takes a question in "
    "plain words instead. Say numbers exactly as a tool gave them."
)


def registry() -> Registry:
    """Return everything that hosts may list and call, by name."""
    all_offers = (*offers(), asking_offer(), *saving_offers())
    return Registry(
        name="segment-copilot",
        title="Segment copilot",
        instructions=INSTRUCTIONS,
        offers=tuple(sorted(all_offers, key=lambda offer: offer.name)),
        pages=pages(),
        prompts=prompts(),
    )
