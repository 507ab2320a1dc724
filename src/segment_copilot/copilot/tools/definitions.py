"""Finds the definition a call is about: of a saved segment, of a draft of the thread, or what the person looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from segment_copilot.audiences.previews import PreparedDefinition
from segment_copilot.audiences.references import without_definition
from segment_copilot.copilot.guards.bounds import first_findings
from segment_copilot.copilot.stream.components import Draft, DraftBase
from segment_copilot.copilot.stream.run_events import Suggestion, SuggestionKind, Unmapped
from segment_copilot.copilot.tools.context import ToolContext
from segment_copilot.copilot.tools.reading import SegmentReference, find_segment
from segment_copilot.errors import Finding, InvalidDefinition, InvalidInput, NotFound
from segment_copilot.language import encode, invalid
from segment_copilot.language.catalog import nearest

SegmentId = Annotated[int, Meta(ge=1, le=2**63 - 1)]
_QUOTED: Final = 300  # characters

AudienceReference = SegmentReference | dict[str, Any]
"""The definition's schema stands with propose_segment: it is long, and a model reads it once."""


NAMES_NOTHING: Final = frozenset({"unknown_name", "named_elsewhere"})
"""Warnings that are errors here: a definition that the copilot writes names only what exists, where it is."""


class KnownDefinition(Struct, frozen=True):
    """Holds a definition with what is known of it. *origin* is what a draft made from it would tell as its base."""

    definition: Mapping[str, Any]
    name: str = ""
    description: str = ""
    revision: int = 0
    origin: DraftBase = DraftBase()
    assumptions: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()
    is_written: bool = False  # by the model, just now: then it may name only what exists


async def find_definition(context: ToolContext, reference: int | str | Mapping[str, Any] | None) -> KnownDefinition:
    """Find the definition of a segment's id or name, or of a draft_id; None stands for what is in view."""
    if reference is None:
        return await definition_in_view(context)
    if isinstance(reference, Mapping):
        return KnownDefinition(add_timezone(context, reference), is_written=True)
    if isinstance(reference, str) and (found := _drafts(context).get(reference)) is not None:
        return definition_of_draft(found)
    return await definition_of_segment(context, (await find_segment(context, reference)).id)


async def definition_in_view(context: ToolContext) -> KnownDefinition:
    """Return the run's latest draft, else the draft or segment the person looks at, else the thread's latest draft."""
    if context.memory.drafts:
        return definition_of_draft(next(reversed(context.memory.drafts.values())))
    if context.view.draft is not None:
        return _definition_of_view(context.view.draft)
    if context.view.segment_id is not None:
        return await definition_of_segment(context, context.view.segment_id)
    if context.memory.earlier_drafts:
        return definition_of_draft(next(reversed(context.memory.earlier_drafts.values())))
    detail = "There is no draft and no segment in view yet. Name a segment, or call propose_segment for a new draft."
    raise InvalidInput(detail, code="nothing_in_view", findings=[Finding("", "nothing_in_view", detail)])


def find_draft(context: ToolContext, draft_id: str) -> Draft:
    """Return the draft of that id, of this run or an earlier one of the thread."""
    known = _drafts(context)
    if (found := known.get(draft_id)) is not None:
        return found
    detail = "There is no such draft in this conversation. Leave draft_id out to change the latest one."
    raise NotFound(
        detail, code="unknown_draft", findings=[Finding("/draft_id", "unknown_draft", detail, nearest(draft_id, known))]
    )


def definition_of_draft(found: Draft) -> KnownDefinition:
    """Return the definition of a draft that this thread made."""
    origin = found.base if found.base is not UNSET else DraftBase()
    return KnownDefinition(
        definition=found.definition,
        name=found.name,
        description=found.description,
        revision=found.revision,
        origin=DraftBase(found.draft_id, found.revision, origin.segment_id, origin.version),
        assumptions=found.assumptions,
        unmapped=found.unmapped,
    )


async def definition_of_segment(context: ToolContext, segment_id: int) -> KnownDefinition:
    """Return the definition of a saved segment of the tenant.

    Raises:
        NotFound: There is no such segment.
        Conflict: It is a draft that has no definition yet.
    """
    found = await context.use_cases.segments.get(context.tenant, segment_id)
    if found.definition is None:
        raise without_definition(segment_id)
    return KnownDefinition(
        definition=msgspec.json.decode(encode(found.definition)),
        name=found.name,
        description=found.description,
        origin=DraftBase(segment_id=found.id, version=found.version),
    )


async def prepare(context: ToolContext, subject: KnownDefinition) -> PreparedDefinition:
    """Return the definition ready to be counted at the run's instant.

    Raises:
        InvalidDefinition: With every mistake, each with a pointer that begins with `/definition`.
    """
    try:
        found = await context.use_cases.previews.prepare(context.tenant, subject.definition, as_of=context.as_of)
        unknown = [finding for finding in found.warnings if finding.code in NAMES_NOTHING]
        if subject.is_written and unknown:
            raise invalid(unknown)
    except InvalidDefinition as error:
        raise error.relocate(argument_pointer) from error
    return found


def argument_pointer(pointer: str) -> str:
    """Return the place in a call's arguments, or its base, of a place in the definition there."""
    return f"/definition{pointer}"


def unmapped_of(error: InvalidDefinition, document: Mapping[str, Any]) -> tuple[Unmapped, ...]:
    """Return what of *document* cannot be expressed, and the names that might have been meant."""
    return tuple(_unmapped(found, document) for found in first_findings(error.findings))


def _unmapped(found: Finding, document: Mapping[str, Any]) -> Unmapped:
    steps = [step.replace("~1", "/").replace("~0", "~") for step in found.pointer.split("/")[1:]]
    owner: Any = None
    value: Any = document
    for step in steps:
        owner = value
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(step)
        elif isinstance(value, list):
            items = cast("list[Any]", value)
            value = items[int(step)] if step.isdecimal() and int(step) < len(items) else None
        else:
            value = None
    text = value if isinstance(value, str) else msgspec.json.encode(owner if value is None else value).decode()
    kind = _kind(steps, owner)
    suggested = tuple(Suggestion(kind, name) for name in found.suggestions) if kind is not None else ()
    return Unmapped(text[:_QUOTED], found.detail, suggested)


def _kind(steps: Sequence[str], owner: Any) -> SuggestionKind | None:
    """Return of what kind the names are that stand at such a place; None where none do."""
    named = next((step for step in reversed(steps) if not step.isdecimal()), "")
    match named:
        case "event_type" | "event_types":
            return "event_type"
        case "segment_id":
            return "segment"
        case "property":
            of_user = isinstance(owner, dict) and cast("dict[str, Any]", owner).get("type") == "user_property"
            return "trait" if of_user else "property"
        case "value" | "values":
            return "value"
        case _:
            return None


def add_timezone(context: ToolContext, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *document* in the time zone that the caller named, unless it names one itself."""
    if context.timezone_asked and "timezone" not in document:
        return {**document, "timezone": context.timezone}
    return document


def _drafts(context: ToolContext) -> dict[str, Draft]:
    return {**context.memory.earlier_drafts, **context.memory.drafts}


def _definition_of_view(shown: Mapping[str, Any]) -> KnownDefinition:
    """Read a draft as the client sent it: a whole one, or only its definition. Nothing of it is believed but the words."""
    inner = shown.get("definition")
    definition = cast("Mapping[str, Any]", inner) if isinstance(inner, dict) else shown
    revision = shown.get("revision")
    base = shown.get("base")
    came_from: Mapping[str, Any] = cast("dict[str, Any]", base) if isinstance(base, dict) else {}
    return KnownDefinition(
        definition=definition,
        name=_text(shown.get("name"), 80),
        description=_text(shown.get("description"), 500),
        revision=revision if type(revision) is int and 0 < revision < 2**31 else 1,
        origin=DraftBase(
            _text(shown.get("draft_id"), 128) or UNSET,
            revision if type(revision) is int else UNSET,
            _number(came_from.get("segment_id")),
            _number(came_from.get("version")),
        ),
        assumptions=_texts(shown.get("assumptions")),
        unmapped=_texts(shown.get("unmapped")),
    )


def _text(value: object, longest: int) -> str:
    return value.strip()[:longest] if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    items = cast("list[object]", value)[:10] if isinstance(value, list) else []
    return tuple(text for item in items if (text := _text(item, 300)))


def _number(value: object) -> int | UnsetType:
    return value if type(value) is int and 0 < value < 2**63 else UNSET
