"""Grades what was done: the kind of answer, the tools, their arguments, and what it cost."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from evals.cases import Outcome
from evals.graders.grading import Answer, Grade, Grading, verdict
from evals.transcript import Transcript

_ASKS: Final = re.compile(
    r"\?|¿|\b(tell me (which|how|what)|which (one|of)|do you mean|please (say|choose|specify|tell)"
    r"|dime (cuál|qué|cuánto|cuántos))\b",
    re.IGNORECASE,
)
_DECLINES: Final = re.compile(
    r"\b(can(no|')t|can not|cannot|unable|not able|not possible|do(es)? not (exist|have|know|understand|support|keep)"
    r"|do(es)?n't (exist|have|know|understand|support|keep)|there (is|are) no\b|there isn't|there aren't|no such|not available"
    r"|nothing (in|here) |only understand|outside (of )?what|out of scope|i only|won't|will not"
    r"|no (existe|existen|puedo|hay|tengo|es posible|está disponible))",
    re.IGNORECASE,
)
_LOOKING: Final = {"list_event_schemas", "get_event_schema", "list_property_values", "search_segments", "list_segments"}


def forms(transcript: Transcript) -> frozenset[Outcome]:
    """Say what kind of answer it is. A draft is a draft; without one, a text may show, ask and decline at once."""
    if transcript.drafts:
        return frozenset({"draft"})
    found = set[Outcome]()
    if transcript.clarifications or transcript.outcome == "input_required" or _ASKS.search(transcript.text):
        found.add("clarify")
    if transcript.outcome == "refused" or _DECLINES.search(transcript.text):
        found.add("decline")
    read = any(tool.ok and tool.name not in _LOOKING for tool in transcript.tools)
    if transcript.text.strip() and (transcript.components or read or not found):
        found.add("answer")
    return frozenset(found)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


async def outcome(answer: Answer, _grading: Grading) -> Grade:
    """Check that the answer is of the right kind."""
    wanted, got = answer.case.expect.outcome, answer.forms
    if not answer.transcript.drafts and _plain(answer.transcript.text) == _plain(answer.case.question):
        return Grade(False, 0.0, "it only repeats the question")
    if answer.transcript.outcome.startswith("error:"):
        return Grade(False, 0.0, f"the run failed: {answer.transcript.outcome}")
    if answer.transcript.outcome == "limit":
        return Grade(False, 0.0, "the run reached a limit")
    right = bool(got & set(wanted))
    if (
        right
        and "answer" in got
        and "draft" not in got
        and not {"answer"} & set(wanted)
        and answer.transcript.components
    ):
        right = False  # it drew something it should not have had
    told = f"{' and '.join(sorted(got)) or 'nothing'}; wanted {' or '.join(wanted)}"
    return Grade(right, float(right), told)


async def tools(answer: Answer, _grading: Grading) -> Grade | None:
    """Check that what had to be called was called and went well, and what must not be called was not."""
    expect = answer.case.expect.tools
    if not (expect.must or expect.must_not):
        return None
    if _asked_instead(answer):
        return None
    went_well = {tool.name for tool in answer.transcript.tools if tool.ok}
    called = [tool.name for tool in answer.transcript.tools]
    missing = [wanted for wanted in expect.must if not set(wanted.split("|")) & went_well]
    forbidden = sorted(set(called) & set(expect.must_not))
    faults = [f"{one} was not called" for one in missing] + [f"{one} was called" for one in forbidden]
    wanted = {name for one in (*expect.must, *expect.may) for name in one.split("|")}
    shown = bool(answer.case.expect.components)  # then drawing was asked for
    extra = [name for name in called if name not in wanted and not (shown and name.startswith("display_"))]
    recall = 1 - len(missing) / len(expect.must) if expect.must else 1.0
    score = 0.0 if forbidden else max(recall - 0.1 * len(extra), 0.0)
    good = f"{', '.join(called) or 'none'}" + (f"; not asked for: {', '.join(extra)}" if extra else "")
    return verdict(faults, good=good, score=score)


def _asked_instead(answer: Answer) -> bool:
    """Return whether it asked or declined where that is right too: then nothing had to be called."""
    first = answer.case.expect.outcome[0]
    return first not in answer.forms and bool(answer.forms & set(answer.case.expect.outcome))


async def arguments(answer: Answer, grading: Grading) -> Grade | None:
    """Check that some call of the tool has the arguments the case asks for; times are compared as instants."""
    wanted = answer.case.expect.arguments
    if not wanted:
        return None
    zone = ZoneInfo(answer.case.context.timezone or grading.truths[answer.case.tenant].timezone)
    faults: list[str] = []
    for one in wanted:
        made = [tool.arguments for tool in answer.transcript.tools if tool.name in one.tool.split("|")]
        if not made:
            faults.append(f"{one.tool} was not called")
        elif not any(_matches(arguments_, one.match, zone, answer, grading) for arguments_ in made):
            faults.append(f"{one.tool} was called with {_short(made[-1])}, wanted {_short(one.match)}")
    return verdict(faults, good="as expected", score=1 - len(faults) / len(wanted))


def _matches(
    made: Mapping[str, Any], wanted: Mapping[str, Any], zone: ZoneInfo, answer: Answer, grading: Grading
) -> bool:
    return all(_same(made.get(name), value, zone, answer, grading) for name, value in wanted.items())


def _same(made: Any, wanted: Any, zone: ZoneInfo, answer: Answer, grading: Grading) -> bool:
    if isinstance(wanted, str) and wanted in grading.truths[answer.case.tenant].segments:
        return made in {wanted, grading.home(answer.case).segments.id_of(wanted)} or (
            isinstance(made, str) and made.casefold() == wanted.casefold()
        )
    if isinstance(made, str) and isinstance(wanted, str):
        one, other = instant(made, zone), instant(wanted, zone)
        return one == other if one and other else made.casefold() == wanted.casefold()
    if isinstance(wanted, list):
        return isinstance(made, list) and set(map(str, made)) == set(map(str, wanted))
    return made == wanted


def instant(text: str, zone: ZoneInfo) -> datetime | None:
    """Return a date as its local midnight, or an instant; None for any other text."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def _short(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()[:160]


async def components(answer: Answer, _grading: Grading) -> Grade | None:
    """Check that what had to be drawn is drawn."""
    wanted = answer.case.expect.components
    if not wanted or _asked_instead(answer):
        return None
    drawn = {one.name for one in answer.transcript.components}
    missing = [one for one in wanted if not set(one.split("|")) & drawn]
    return verdict(
        [f"no {one}" for one in missing], good=", ".join(sorted(drawn)), score=1 - len(missing) / len(wanted)
    )


async def efficiency(answer: Answer, _grading: Grading) -> Grade:
    """Check that the answer stays within the case's turns and calls, and asks nothing twice."""
    made = answer.transcript
    expect = answer.case.expect
    repeated = [
        name
        for (name, _), count in Counter((tool.name, _short(tool.arguments)) for tool in made.tools).items()
        if count > 1
    ]
    faults = [f"{name} was asked the same twice" for name in repeated]
    if made.turns > expect.max_turns:
        faults.append(f"{made.turns} turns, at most {expect.max_turns}")
    if len(made.tools) > expect.max_calls:
        faults.append(f"{len(made.tools)} calls, at most {expect.max_calls}")
    return verdict(faults, good=f"{made.turns} turns, {len(made.tools)} calls, {made.seconds:.2f} s")
