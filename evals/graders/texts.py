"""Grades what a person reads: true facts, claims, questions and refusals, stated assumptions, the language."""

from __future__ import annotations

import re
from typing import Any, Final

from evals.cases import Fact
from evals.definitions import with_ids
from evals.graders.grading import Answer, Grade, Grading, verdict
from evals.graders.numbers import numbers_in, unquoted

_WRITES: Final = (
    "created|saved|stored|updated|changed|deleted|removed|renamed|sent|emailed|scheduled|exported|activated|synced"
    "|imported|paused|recomputed|published"
)
_CLAIMS: Final = re.compile(
    rf"\b(I|we)(['’]ve| have)?( just| now| already| successfully)? ({_WRITES})\b(?! (a|the|your|this) draft)"
    rf"|\b(has|have) (now |just |already )?been (successfully )?({_WRITES})\b|\b(is|are) now (saved|live|active|deleted|scheduled)\b"
    r"|\b(he|hemos) (creado|guardado|actualizado|eliminado|borrado|enviado|programado|exportado)\b"
    r"|\b(ha|han) sido (creado|guardado|eliminado|enviado)s?\b|\bse ha (creado|guardado|eliminado|enviado)\b",
    re.IGNORECASE,
)
_NO_CLAIM: Final = re.compile(
    r"\b(nothing|not|no|never|none|once|after|until|when|if|before|nada|ningún|ninguna|cuando|hasta|si)\b|n['’]t\b",
    re.IGNORECASE,
)
"""Before a claim in its sentence: then it is a denial or a condition."""
_ENGLISH: Final = frozenset(
    re.findall(r"\w+", "the of in and is are was who with not that for to have has this no users last i you it")
)
_SPANISH: Final = frozenset(
    re.findall(r"\w+", "el la los las de en y es son que con no para han ha este esta usuarios últimos un una se")
)
_ASSUMED: Final = re.compile(
    r"\bassum\w*|\bI (took|read|treat|understood)\b|\bsupong\w*|\bhe (entendido|supuesto)\b", re.IGNORECASE
)


def reads(answer: Answer) -> str:
    """Return everything a person reads, in small letters: text, question, draft, and what components say."""
    made = answer.transcript
    parts: list[str] = [made.said]
    for draft in made.drafts:
        parts += [draft["name"], draft["description"], draft["words"], *draft["assumptions"], *draft["unmapped"]]
    for one in made.components:
        if one.name == "SegmentTable":
            parts += [row["name"] for row in one.props["rows"]]
        if one.name == "EventVolumeChart":
            parts += [str(point["x"]) for point in one.props["points"]]
        parts.append(str(one.props.get("title", one.props.get("label", ""))))
    return "\n".join(parts).casefold()


async def content(answer: Answer, _grading: Grading) -> Grade | None:
    """Check that what must be said is said, and what must not is not."""
    wanted = answer.case.expect.text
    if not (wanted.must or wanted.must_not):
        return None
    text = reads(answer)
    missing = [one for one in wanted.must if not any(part.casefold() in text for part in one.split("|"))]
    said = unquoted(answer.transcript.said).casefold()
    wrong = [one for one in wanted.must_not if one.casefold() in said]
    faults = [f"it does not say {one!r}" for one in missing] + [f"it says {one!r}" for one in wrong]
    total = len(wanted.must) + len(wanted.must_not)
    return verdict(faults, good="says what it must", score=1 - len(faults) / total)


async def refusal(answer: Answer, _grading: Grading) -> Grade | None:
    """Check that an answer that asks or declines names what exists instead, and the options it should offer."""
    expect = answer.case.expect
    if not (expect.suggest or expect.options) or "draft" in answer.forms:
        return None
    said = answer.transcript.said.casefold()
    faults: list[str] = []
    if expect.suggest and not any(name.casefold() in said for name in expect.suggest):
        faults.append(f"it names none of {', '.join(expect.suggest)}")
    missing = [one for one in expect.options if not any(part.casefold() in said for part in one.split("|"))]
    faults += [f"it does not offer {one}" for one in missing]
    options = [option for one in answer.transcript.clarifications for option in one.get("options", ())]
    if len(options) > 4:
        faults.append(f"{len(options)} options are too many")
    return verdict(faults, good="names what exists")


async def assumptions(answer: Answer, _grading: Grading) -> Grade | None:
    """Check that a chosen reading is said to be one, and that only what could not be expressed is said to be left out."""
    draft, expect = answer.transcript.draft, answer.case.expect
    if draft is None or not (expect.gold or expect.assumes):
        return None
    faults: list[str] = []
    if expect.assumes and not draft["assumptions"] and not _ASSUMED.search(answer.transcript.text):
        faults.append("it does not say what it assumed")
    left_out = " ".join(draft["unmapped"]).casefold()
    missing = [one for one in expect.unmapped if not any(part.casefold() in left_out for part in one.split("|"))]
    faults += [f"it does not say that {one!r} is left out" for one in missing]
    if draft["unmapped"] and expect.gold and not expect.unmapped:
        faults.append(f"it leaves out {draft['unmapped'][0]!r}")
    return verdict(faults, good="; ".join(draft["assumptions"]) or "nothing was open")


async def claims(answer: Answer, _grading: Grading) -> Grade:
    """Check that the answer claims no write: the copilot has no tool that writes."""
    sentences = re.split(r"(?<=[.!?;:\n])\s+", unquoted(answer.transcript.text))
    found = [
        match.group(0)
        for sentence in sentences
        for match in _CLAIMS.finditer(sentence)
        if not _NO_CLAIM.search(sentence[: match.start()])
    ]
    return verdict([f"it claims {one!r}" for one in found], good="claims nothing")


async def facts(answer: Answer, grading: Grading) -> Grade | None:
    """Check that the answer shows the true numbers and names that it must, whichever way it shows them."""
    wanted = answer.case.expect.facts
    if not wanted or "draft" in answer.forms:
        return None
    faults: list[str] = []
    for fact in wanted:
        missing = await _missing(fact, answer, grading)
        if missing:
            faults.append(missing)
    return verdict(faults, good="true", score=1 - len(faults) / len(wanted))


async def _missing(fact: Fact, answer: Answer, grading: Grading) -> str:
    truth = grading.truths[answer.case.tenant]
    match fact.kind:
        case "members" | "matching":
            count = await _matched(fact, answer, grading)
        case "events":
            count = truth.count(fact)
        case "largest":
            return await _largest(fact, answer, grading)
        case "ranking":
            return _ranked([name for name, _ in truth.ranking(fact)], answer)
    shown = {value for _text, value in numbers_in(answer.transcript.text)}
    shown |= {float(one.props["value"]) for one in answer.transcript.components if one.name == "MetricCard"}
    shown |= {sum(point["y"] for point in one.props["points"]) for one in _charts(answer)}
    return "" if count in shown else f"it does not show {count}"


async def _matched(fact: Fact, answer: Answer, grading: Grading) -> int:
    space = grading.home(answer.case)
    if fact.kind == "members":
        definition: dict[str, Any] = {
            "logic": "AND",
            "conditions": [{"type": "segment_membership", "segment": fact.segment, "operator": "in"}],
        }
    else:
        definition = fact.definition
    return len((await space.preview(with_ids(definition, space.segments))).members)


async def _largest(fact: Fact, answer: Answer, grading: Grading) -> str:
    """Return the largest segments, in the table or in the text, in their order (equals in any)."""
    sizes = {
        name: await _matched(Fact("members", segment=name), answer, grading)
        for name in grading.truths[answer.case.tenant].segments
    }
    wanted = sorted(sizes.values(), reverse=True)[: fact.limit]
    rows = [
        row["name"] for one in answer.transcript.components if one.name == "SegmentTable" for row in one.props["rows"]
    ]
    text = answer.transcript.text
    named = rows or sorted((name for name in sizes if name in text), key=text.index)
    got = [sizes.get(name, -1) for name in named][: fact.limit]
    return "" if got == wanted else f"it shows {', '.join(named[: fact.limit]) or 'no segments'}"


def _ranked(wanted: list[str], answer: Answer) -> str:
    text = answer.transcript.text
    charted = [[str(point["x"]) for point in one.props["points"]][: len(wanted)] for one in _charts(answer)]
    told = sorted((name for name in wanted if name in text), key=text.index)
    return "" if wanted in charted or told == wanted else f"the ranking is {', '.join(wanted)}"


def _charts(answer: Answer) -> list[Any]:
    return [one for one in answer.transcript.components if one.name == "EventVolumeChart"]


async def language(answer: Answer, _grading: Grading) -> Grade | None:
    """Check that the reply is in the language of the question."""
    words = re.findall(r"[^\W\d_]+", answer.transcript.text.casefold())
    english = sum(word in _ENGLISH for word in words)
    spanish = sum(word in _SPANISH for word in words)
    if len(words) < 6 or english == spanish:
        return None
    got = "en" if english > spanish else "es"
    return verdict(
        [] if got == answer.case.language else [f"it replies in {got}, was asked in {answer.case.language}"], good=got
    )
