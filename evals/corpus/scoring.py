"""Judges what a model made of the sentences of the corpus, and counts it by kind, tenant and origin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from evals.corpus.examples import Example
from evals.corpus.members import are_same, form_in
from evals.corpus.playing import Heard, Model, play
from evals.corpus.printing import write_definition
from evals.corpus.tenants import tenant
from segment_copilot.language import Definition
from segment_copilot.language.equivalence import Form

Verdict = Literal["right", "one click", "asked", "refused", "wrong", "other"]
VERDICTS: Final[tuple[Verdict, ...]] = ("right", "one click", "asked", "refused", "wrong", "other")
"""right: as one of the meanings. one click: a question, one of whose answers is right. wrong: people were drafted who were
not asked for. other: something was looked up or said."""

TOOLS: Final[Mapping[str, frozenset[str]]] = {
    intent: frozenset(tools.split())
    for intent, tools in {
        "how_many": "preview_segment",
        "size": "get_segment_detail list_segments preview_segment",
        "trend": "query_segment_membership_trend",
        "movement": "query_segment_changes",
        "explain": "get_segment_detail explain_segment",
        "compare": "compare_segments",
        "list_segments": "list_segments",
        "find_segment": "search_segments list_segments",
        "used_by": "list_activations",
        "event_volume": "query_event_volume query_top_events",
        "top_events": "query_top_events",
        "recent_events": "list_recent_events",
        "values": "list_property_values get_event_schema",
        "event_types": "list_event_schemas query_top_events",
        "properties": "get_event_schema list_event_schemas",
        "user": "check_user_membership",
        "help": "",
    }.items()
}
"""What a question's answer has to look at; help looks at nothing."""


class Scored(Struct, frozen=True):
    """Tells what a model made of one example."""

    example: Example
    heard: Heard
    verdict: Verdict


def score(model: Model, examples: Iterable[Example], *, done: Callable[[], None] = lambda: None) -> list[Scored]:
    """Ask a model every example."""
    found = list[Scored]()
    for example in examples:
        heard = play(model, example)
        found.append(Scored(example, heard, judge(example, heard)))
        done()
    return found


def judge(example: Example, heard: Heard) -> Verdict:
    """Return what is to be thought of an answer."""
    meaning = example.meaning

    def is_meant(definition: Definition | None, meanings: Sequence[Definition] = meaning.drafts) -> bool:
        return definition is not None and any(are_same(example.tenant, definition, one) for one in meanings)

    match heard.kind:
        case "draft":
            return "right" if is_meant(heard.definition) else "wrong"
        case "broken":
            return "wrong"
        case "ask":
            wanted = (*meaning.drafts, *(meaning.ask or ()))
            offers = any(is_meant(option, wanted) for option in heard.options)
            if meaning.ask is not None and (offers or not meaning.ask):
                return "right"
            return "one click" if offers else "asked"
        case "look_up":
            return "right" if _is_answered(example, heard) else "other"
        case "refuse" | "say":
            talks = meaning.is_ack or any(intent == "help" for intent, _ in meaning.questions)
            if talks or meaning.refuse is not None:
                return "right"
            return "refused" if heard.kind == "refuse" else "other"


def _is_answered(example: Example, heard: Heard) -> bool:
    return any(heard.tool in TOOLS[intent] for intent, _about in example.meaning.questions)


# Tables.


def summary(scored: Sequence[Scored], title: str) -> str:
    """Write what was scored as Markdown."""
    lines = [f"## {title}", "", *_headlines(scored), ""]
    for name, key in (
        ("kind", lambda one: one.example.kind),
        ("tenant", lambda one: one.example.tenant),
        ("origin", lambda one: one.example.origin),
    ):
        lines += [*_table(scored, name, key), ""]
    return "\n".join(lines)


def _headlines(scored: Sequence[Scored]) -> Iterator[str]:
    for name, rate in _rates(scored).items():
        yield f"- {name}: {rate}"


def _rates(scored: Sequence[Scored]) -> dict[str, str]:
    """Return what is measured, by what it is of."""
    expressible = [one for one in scored if one.example.meaning.drafts and one.example.kind in _AUDIENCES]
    impossible = [one for one in scored if one.example.kind in {"refuse", "ask", "ack"}]
    edits = [one for one in scored if one.example.kind == "edit"]
    questions = [one for one in scored if one.example.kind == "question"]
    families = agreement(scored).values()
    rates = {
        "sentences": str(len(scored)),
        "drafts of other people than were asked for": _of(scored, "wrong"),
        f"{len(expressible)} audiences that can be expressed: right": _of(expressible, "right"),
        "… right or one click away": _of(expressible, "right", "one click"),
        "… wrong": _of(expressible, "wrong"),
    }
    for tenant_name in sorted({one.example.tenant for one in expressible}):
        here = [one for one in expressible if one.example.tenant == tenant_name]
        rates[f"… right, {tenant_name} ({len(here)})"] = _of(here, "right")
    rates |= {
        f"{len(impossible)} that are impossible, open or no request: drafted": _of(impossible, "wrong"),
        f"{len(edits)} edits: right": _of(edits, "right"),
        "… edits wrong": _of(edits, "wrong"),
        f"{len(questions)} questions: right": _of(questions, "right"),
        "… drafted": _of(questions, "wrong"),
        f"{len(families)} meanings said in several ways: understood alike": _share(
            sum(one.is_alike for one in families), len(families)
        ),
        "… all of them right": _share(sum(one.is_right for one in families), len(families)),
    }
    return rates


def _of(scored: Sequence[Scored], *verdicts: Verdict) -> str:
    return _share(sum(_count(scored, verdict) for verdict in verdicts), len(scored))


_AUDIENCES: Final = frozenset({"audience", "followup"})


class Agreement(Struct, frozen=True):
    """Tells of a family that means one thing whether all its ways of saying it are understood alike, and right."""

    is_alike: bool
    is_right: bool


def agreement(scored: Iterable[Scored]) -> dict[str, Agreement]:
    """Return of each meaning that is said in several ways how those agree."""
    families = dict[str, list[Scored]]()
    for one in scored:
        if one.example.meaning.drafts:
            families.setdefault(one.example.family, []).append(one)
    return {
        name: Agreement(len({_understood(one) for one in members}) == 1, all(one.verdict == "right" for one in members))
        for name, members in families.items()
        if len(members) > 1 and len({_meant(one.example) for one in members}) == 1
    }


def _meant(example: Example) -> frozenset[Form]:
    return frozenset(form_in(example.tenant, definition) for definition in example.meaning.drafts)


def _understood(one: Scored) -> Form | str:
    """Return what came of a sentence, as far as it can be the same of two."""
    definition = one.heard.definition
    return one.heard.kind if definition is None else form_in(one.example.tenant, definition)


def _table(scored: Sequence[Scored], name: str, key: Callable[[Scored], str]) -> Iterator[str]:
    yield f"| {name} | n | {' | '.join(VERDICTS)} |"
    yield "|---|---:|" + "---:|" * len(VERDICTS)
    groups = dict[str, list[Scored]]()
    for one in scored:
        groups.setdefault(key(one), []).append(one)
    for group, members in [*sorted(groups.items()), ("**all**", list(scored))]:
        cells = [_share(_count(members, verdict), len(members)) for verdict in VERDICTS]
        yield f"| {group} | {len(members)} | {' | '.join(cells)} |"


def _count(scored: Iterable[Scored], verdict: Verdict) -> int:
    return sum(one.verdict == verdict for one in scored)


def _share(part: int, whole: int) -> str:
    return f"{part} ({100 * part / whole:.0f} %)" if whole else "0"


def listing(scored: Sequence[Scored]) -> str:
    """Write every sentence that was not read right, and what came of it, the worst first."""
    order = ("wrong", "other", "refused", "asked", "one click")
    rows = [one for verdict in order for one in scored if one.verdict == verdict]
    return "\n".join(line for one in rows for line in _told(one)) + "\n"


def _told(one: Scored) -> Iterator[str]:
    example, heard = one.example, one.heard
    names = {number: segment.name for number, segment in tenant(example.tenant).catalog.segments.items()}
    yield f"{one.verdict}: {example.place}: {' => '.join(example.texts)!r}"
    if example.draft is not None:
        yield f"    base:  {write_definition(example.draft, names)}"
    for meant in (*example.meaning.drafts, *(example.meaning.ask or ())):
        yield f"    meant: {write_definition(meant, names)}"
    if heard.definition is not None:
        yield f"    heard: {write_definition(heard.definition, names)}"
    for option in heard.options:
        yield f"    offered: {'nothing' if option is None else write_definition(option, names)}"
    if heard.text:
        yield f"    said: {heard.text[:240]!r}"
