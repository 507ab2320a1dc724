"""Checks that a set of cases is fit to judge by: read alone, and against the fixtures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from evals.cases import SCHEMA, Case, json_schema
from evals.definitions import names_in, walk, with_ids, without
from evals.fixtures import datasets
from evals.fixtures.rows import Dataset
from evals.service import Service
from evals.truth import Truth
from segment_copilot.copilot.conversation.prompt import PROMPT
from segment_copilot.copilot.tools import COMPONENTS, TOOLS

LEAST_CASES: Final = 60
HARD_FEATURES: Final = frozenset({"or", "exclusion", "sequence", "calendar", "value_lookup"})
PLANNED_TOOLS: Final = frozenset(
    {"search_segments", "explain_segment", "compare_segments", "check_user_membership", "revise_segment", "ask_user"}
)
"""Tools that are specified and that cases may name before the service has them."""
_SHINGLE: Final = 8


def lint(cases: Sequence[Case]) -> Iterator[str]:
    """Return the faults that need no service to see."""
    truths = _truths()
    for case in cases:
        yield from (f"{case.id}: {fault}" for fault in _faults(case, truths[case.tenant]))
    yield from _set_faults(cases)
    if not SCHEMA.exists() or msgspec.json.decode(SCHEMA.read_bytes()) != _plain(json_schema()):
        yield f"{SCHEMA.name} is stale: python -m evals lint --write-schema"


@cache
def _truths() -> Mapping[str, Truth]:
    """Return what is true in each tenant; made once: it takes half a second, and nothing changes it."""
    tenants: dict[str, list[Dataset]] = {}
    for one in datasets(()):
        tenants.setdefault(one.tenant, []).append(one)
    return {tenant: Truth(own) for tenant, own in tenants.items()}


def write_schema(path: Path = SCHEMA) -> None:
    """Write the cases' JSON Schema."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(json_schema())) + b"\n")


def _plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def _set_faults(cases: Sequence[Case]) -> Iterator[str]:
    if len(cases) < LEAST_CASES:
        yield f"{len(cases)} cases, at least {LEAST_CASES} are wanted"
    hard = [case for case in cases if HARD_FEATURES & set(case.features)]
    if 3 * len(hard) < len(cases):
        yield f"only {len(hard)} of {len(cases)} need OR, exclusion, sequences, calendar windows or value look-ups"
    twice = [text for text, count in Counter((case.tenant, case.messages) for case in cases).items() if count > 1]
    yield from (f"asked twice: {text[1][-1].content}" for text in twice)


def _faults(case: Case, truth: Truth) -> Iterator[str]:
    expect = case.expect
    if case.messages[-1].role != "user":
        yield "the last message is not the person's"
    if "draft" in expect.outcome[:1] and not (expect.gold or expect.assumes):
        yield "a draft is wanted, and there is no gold definition"
    if not set(expect.outcome) & {"draft", "answer"} and not (expect.suggest or expect.text.must or expect.options):
        yield "whoever says sorry to everything passes: say what a refusal must name"
    if case.source.startswith("written") and len(case.source) < len("written for"):
        yield "says not where it comes from"
    yield from _unknown_tools(case)
    yield from (f"no component {one}" for name in expect.components for one in name.split("|") if one not in COMPONENTS)
    for gold in expect.gold:
        yield from _gold_faults(gold.definition, truth)
    for fact in expect.facts:
        if fact.segment and fact.segment not in truth.segments:
            yield f"no segment {fact.segment}"
        if fact.event_type and fact.event_type not in truth.event_types:
            yield f"no event type {fact.event_type}"
    if case.context.segment and case.context.segment not in truth.segments:
        yield f"no segment {case.context.segment}"
    yield from _feature_faults(case)
    if _shingles(case.question) & _prompt():
        yield "its words stand in the prompt"


def _unknown_tools(case: Case) -> Iterator[str]:
    tools = case.expect.tools
    named = [*tools.must, *tools.may, *tools.must_not, *(one.tool for one in case.expect.arguments)]
    known = TOOLS.keys() | PLANNED_TOOLS
    yield from (f"no tool {one}" for name in named for one in name.split("|") if one not in known)


def _gold_faults(definition: Mapping[str, Any], truth: Truth) -> Iterator[str]:
    for kind, event_type, name in names_in(definition):
        known: Any = {
            "event": truth.event_types,
            "property": truth.event_types.get(event_type, ()),
            "trait": truth.traits,
            "segment": truth.segments,
        }[kind]
        if (event_type if kind == "event" else name) not in known:
            yield f"its gold names the {kind} {name or event_type}, which does not exist"


def _feature_faults(case: Case) -> Iterator[str]:
    """Check that some gold has what a tag promises, and that what every gold has is tagged."""
    if not case.expect.gold:
        return
    found = [_features(gold.definition) for gold in case.expect.gold]
    for feature in ("or", "exclusion", "sequence", "calendar"):
        some, every = any(feature in one for one in found), all(feature in one for one in found)
        if feature in case.features and not some:
            yield f"is tagged {feature}, and no gold needs it"
        if feature not in case.features and every:
            yield f"is not tagged {feature}, and every gold needs it"


def _features(definition: Mapping[str, Any]) -> set[str]:
    found: set[str] = {"exclusion"} if "exclude" in definition else set()
    if definition["logic"] == "OR" and len(definition["conditions"]) > 1:
        found.add("or")
    for _path, condition in walk(definition):
        where = condition.get("where")
        if condition.get("logic") == "OR" or (isinstance(where, Mapping) and where["logic"] == "OR"):
            found.add("or")
        if condition.get("operator") == "in" and "segment" not in condition and len(condition["value"]) > 1:
            found.add("or")
        if condition.get("negate") or (condition["type"] == "event_count" and condition.get("value") == 0):
            found.add("exclusion")
        if condition.get("type") == "recency" and condition["operator"] in {"gt", "gte"}:
            found.add("quiet")
        if condition["type"] == "event_sequence":
            found.add("sequence")
        windows = (condition.get("window") or {}, condition.get("search_window") or {})
        if condition["type"] == "event_periods" or any("period" in window for window in windows):
            found.add("calendar")
    return found


@cache
def _prompt() -> set[tuple[str, ...]]:
    return _shingles(PROMPT)


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = text.casefold().split()
    return {tuple(words[place : place + _SHINGLE]) for place in range(len(words) - _SHINGLE + 1)}


async def lint_data(cases: Sequence[Case], service: Service) -> list[str]:
    """Find faults against running fixtures: a gold that nobody or nearly everybody meets, or that says something in vain."""
    found: list[str] = []
    for case in cases:
        for place, gold in enumerate(case.expect.gold):
            found += [f"{case.id}, gold {place}: {fault}" for fault in await _measured(case, gold.definition, service)]
    return found


async def _measured(case: Case, definition: Mapping[str, Any], service: Service) -> list[str]:
    spaces = {name: space for (tenant, name), space in service.workspaces.items() if tenant == case.tenant}
    whole = {name: await space.preview(with_ids(definition, space.segments)) for name, space in spaces.items()}
    faults: list[str] = []
    for name, preview in whole.items():
        if not preview.valid:
            return [f"does not compile: {preview.findings[0]}"]
        if not preview.members:
            faults.append(f"nobody in {name}")
        elif len(preview.members) > 0.9 * preview.universe:
            faults.append(f"{len(preview.members)} of {preview.universe} in {name}")
    for path, condition in list(walk(definition)):
        rest = without(definition, path)
        if rest is None or condition.get("type") == "group":
            continue
        found = {name: await space.preview(with_ids(rest, space.segments)) for name, space in spaces.items()}
        if all(found[name].members == whole[name].members for name in whole):
            faults.append(f"the {condition['type']} at {'/'.join(map(str, path))} changes nobody")
    return faults
