"""Grades a draft's definition: by what it selects, not by how it is written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from evals.client import Preview
from evals.definitions import names_in, tested_path, walk, where_tests, with_ids, with_names, without
from evals.fixtures.rows import IDENTIFY
from evals.graders.grading import Answer, Grade, Grading, verdict
from evals.truth import Truth

SEEKING_NO_TEXT = frozenset({
    "gt", "gte", "lt", "lte", "between", "not_between", "matches_regex",
    "before", "after", "in_last", "not_in_last", "in_next", "in_window", "not_in_window",
    "anniversary_in_next", "anniversary_in_last", "anniversary_in",
})  # fmt: skip
"""Operators whose value is no text that is looked for as it is stored."""


def drafted(answer: Answer, grading: Grading) -> dict[str, Any] | None:
    """Return the definition of the draft, with names of segments."""
    draft = answer.transcript.draft
    return None if draft is None else with_names(draft["definition"], grading.home(answer.case).segments)


async def everywhere(definition: Mapping[str, Any], tenant: str, grading: Grading) -> dict[str, Preview]:
    """Return who matches in each dataset of the tenant."""
    spaces = {name: space for (owner, name), space in grading.service.workspaces.items() if owner == tenant}
    found = await asyncio.gather(*(space.preview(with_ids(definition, space.segments)) for space in spaces.values()))
    return dict(zip(spaces, found, strict=True))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the share of all that both sets hold; two empty sets are the same."""
    return len(one & other) / len(one | other) if one | other else 1.0


async def equivalence(answer: Answer, grading: Grading) -> Grade | None:
    """Check that the draft has the same members as a gold definition, in every dataset of the tenant."""
    definition = drafted(answer, grading)
    if not answer.case.expect.gold or (definition is None and "draft" not in answer.case.expect.outcome[:1]):
        return None
    if definition is None:
        if answer.forms & set(answer.case.expect.outcome):
            return None  # asking was right too
        return Grade(False, 0.0, "there is no draft")
    found = await everywhere(definition, answer.case.tenant, grading)
    if bad := [preview.findings[0] for preview in found.values() if not preview.valid]:
        return Grade(False, 0.0, f"the definition does not compile: {bad[0]}")
    best = Grade(False, -1.0, "")
    for gold in answer.case.expect.gold:
        wanted = await everywhere(gold.definition, answer.case.tenant, grading)
        likeness = {name: jaccard(found[name].members, wanted[name].members) for name in found}
        same = all(found[name].members == wanted[name].members for name in found)
        told = ", ".join(
            f"{name}: {len(found[name].members)} for {len(wanted[name].members)}"
            + ("" if found[name].members == wanted[name].members else f" (Jaccard {likeness[name]:.2f})")
            for name in found
        )
        grade = Grade(
            same, sum(likeness.values()) / len(likeness), told + (f" [{gold.reading}]" if gold.reading else "")
        )
        if (grade.passed, grade.score) > (best.passed, best.score):
            best = grade
    return best


async def grounding(answer: Answer, grading: Grading) -> Grade | None:
    """Check that every name in the draft exists, and every text in it was said by the person or is in the data."""
    definition = drafted(answer, grading)
    if definition is None:
        return None
    truth = grading.truths[answer.case.tenant]
    said = " ".join(turn.content for turn in answer.case.messages).casefold()
    faults = [*_unknown_names(definition, truth), *_unknown_values(definition, truth, said)]
    return verdict(faults, good="every name and value exists")


def _unknown_names(definition: Mapping[str, Any], truth: Truth) -> Iterator[str]:
    for kind, event_type, name in names_in(definition):
        if kind == "event" and event_type not in truth.event_types:
            yield f"no event type {event_type}"
        elif kind == "property" and name not in truth.event_types.get(event_type, ()):
            yield f"{event_type} has no property {name}"
        elif kind == "trait" and name not in truth.traits:
            yield f"no trait {name}"
        elif kind == "segment" and name not in truth.segments:
            yield f"no segment {name}"


def _unknown_values(definition: Mapping[str, Any], truth: Truth, said: str) -> Iterator[str]:
    for event_type, path, test in _tests(definition):
        values = test.get("value")
        for value in values if isinstance(values, list) else [values]:
            known = not isinstance(value, str) or test.get("operator", "eq") in SEEKING_NO_TEXT
            if not known and not truth.has_value(event_type, path, value) and str(value).casefold() not in said:
                yield f"{path} never is {value!r}"


def _tests(definition: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield each test of a value with the event type and the path where it is; of items, the list's path."""
    for _path, condition in walk(definition):
        if condition.get("type") == "user_property":
            yield IDENTIFY, condition["property"], condition
            continue
        steps = condition.get("events") or [condition] if condition.get("type") != "group" else []
        for step in steps:
            match = step if isinstance(step, Mapping) else {"event_type": step}
            names = match.get("event_type", [])
            for name in names if isinstance(names, list) else [names]:
                if match.get("type") == "event_property":
                    yield name, match["property"], match
                for test in where_tests(match):
                    yield from ((name, tested_path(test), one) for one in test.get("conditions", (test,)))


async def subject(answer: Answer, grading: Grading) -> Grade | None:
    """Check that the draft looks at what the question is about, where no single definition is right."""
    definition = drafted(answer, grading)
    if definition is None or not answer.case.expect.subject:
        return None
    named = {name or event_type for _kind, event_type, name in names_in(definition)}
    missing = [one for one in answer.case.expect.subject if not set(one.split("|")) & named]
    return verdict(
        [f"it does not look at {one.replace('|', ' or ')}" for one in missing], good=", ".join(sorted(named))
    )


async def minimality(answer: Answer, grading: Grading) -> Grade | None:
    """Check that no condition is there for nothing: without it, some dataset has other members."""
    definition = drafted(answer, grading)
    if definition is None or not answer.case.expect.gold:
        return None
    whole = await everywhere(definition, answer.case.tenant, grading)
    if not all(preview.valid for preview in whole.values()):
        return None
    idle: list[str] = []
    leaves = [(path, condition) for path, condition in walk(definition) if condition.get("type") != "group"]
    for path, condition in leaves:
        rest = without(definition, path)
        if rest is None:
            continue
        found = await everywhere(rest, answer.case.tenant, grading)
        if all(found[name].valid and found[name].members == whole[name].members for name in whole):
            idle.append(f"{condition['type']} at {'/'.join(map(str, path))} changes nobody")
    return verdict(idle, good=f"each of {len(leaves)} conditions matters", score=1 - len(idle) / max(len(leaves), 1))


async def draft(answer: Answer, grading: Grading) -> Grade | None:
    """Check that the draft is whole and true: name, description, count and tier of its own definition, a button."""
    made = answer.transcript.draft
    if made is None:
        return None
    faults = [f"no {name}" for name in ("name", "description", "words") if not str(made.get(name, "")).strip()]
    preview = await grading.home(answer.case).preview(made["definition"])
    if not preview.valid:
        return verdict([f"the definition does not compile: {preview.findings[0]}"])
    told = made["preview"]
    if told["count"] != len(preview.members) or told["universe"] != preview.universe:
        faults.append(
            f"it says {told['count']} of {told['universe']}, counted {len(preview.members)} of {preview.universe}"
        )
    if made["tier"] != preview.tier:
        faults.append(f"it says {made['tier']}, the definition is {preview.tier}")
    if preview.warnings:
        faults.append(f"warnings: {', '.join(preview.warnings)}")
    buttons = [one.props for one in answer.transcript.components if one.name == "CreateSegmentCTA"]
    if not any(
        button["draft_id"] == made["draft_id"] and button["definition"] == made["definition"] for button in buttons
    ):
        faults.append("no button saves it")
    return verdict(faults, good=f"{told['count']} of {told['universe']}, {made['tier']}")
