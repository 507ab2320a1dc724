"""An example is what somebody said, to whom, and what it means. Read from the corpus' files; README.md says how they look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from evals.corpus.notation import NotationError, parse_definition
from evals.corpus.tenants import segment_ids
from segment_copilot.language import Definition

FOLDER: Final = Path(__file__).parent / "examples"
BETWEEN: Final = " => "

Kind = Literal["audience", "edit", "followup", "question", "ack", "refuse", "ask"]

INTENTS: Final[Mapping[str, str]] = {
    "how_many": "how many people an audience has (then `: ` and the definition)",
    "size": "how many members a saved segment has",
    "trend": "how a saved segment's size moved over time",
    "movement": "who entered or left a saved segment",
    "explain": "what a saved segment or the draft says, or why it has so many people",
    "compare": "two saved segments beside one another, their overlap",
    "list_segments": "which saved segments there are, the largest, the newest",
    "find_segment": "whether there is a segment about something",
    "used_by": "what uses a segment or sends it on: activations, connectors, destinations",
    "event_volume": "how often an event happened, by day",
    "top_events": "which events happen most",
    "recent_events": "the latest events",
    "values": "which values a property or trait has",
    "event_types": "which events are tracked",
    "properties": "what is known of an event, or of users",
    "user": "whether or why a user (by id) is in a segment",
    "help": "what the copilot can do, or how something works",
}
"""What can be asked that is no audience; `talk` answers them."""


class Meaning(Struct, frozen=True):
    """Holds every answer that is right."""

    drafts: tuple[Definition, ...] = ()
    ask: tuple[Definition, ...] | None = None  # a question is right; its options, where they are told
    refuse: str | None = None  # what cannot be had, where a refusal is right
    questions: tuple[tuple[str, str], ...] = ()  # intents and what they are about
    is_ack: bool = False


class Example(Struct, frozen=True):
    """One line of the corpus."""

    texts: tuple[str, ...]  # what the person said, the last one to be judged
    meaning: Meaning
    tenant: str
    origin: str
    family: str  # rephrasings of one meaning share it
    draft: Definition | None = None  # what lay on the table before
    viewing: str = ""  # the saved segment that was looked at
    place: str = ""  # file and line

    @property
    def text(self) -> str:
        """Return the last thing the person said."""
        return self.texts[-1]

    @property
    def kind(self) -> Kind:
        """Return what kind of request it is."""
        meaning = self.meaning
        if meaning.is_ack:
            return "ack"
        if meaning.questions:
            return "question"
        if not meaning.drafts:
            return "ask" if meaning.refuse is None else "refuse"
        if self.draft is not None or self.viewing:
            return "edit"
        return "followup" if len(self.texts) > 1 else "audience"


class Fault(Struct, frozen=True):
    """Tells what is wrong with a line."""

    line: int
    sentence: str


def load(paths: Sequence[Path] = ()) -> tuple[Example, ...]:
    """Return the examples of the files, or of all of the corpus. Raises NotationError at the first fault."""
    found = list[Example]()
    for path in paths or sorted(FOLDER.rglob("*.txt")):
        examples, faults = read(path.read_text("utf-8"), segments=segment_ids(), name=path.stem)
        if faults:
            raise NotationError(f"{path.name}, line {faults[0].line}: {faults[0].sentence}")
        found += examples
    return tuple(found)


def read(
    text: str, *, segments: Mapping[str, Mapping[str, int]], name: str = ""
) -> tuple[tuple[Example, ...], tuple[Fault, ...]]:
    """Return the examples of a file's text, and what is wrong with the other lines; *segments* are ids by tenant and name."""
    examples, faults = list[Example](), list[Fault]()
    tenant, origin, family = "", name, ""
    for number, line in enumerate(map(str.strip, text.split("\n")), 1):
        if not line:
            family = ""
        elif line.startswith("@"):
            word, _, value = line[1:].partition(" ")
            value = value.strip()
            if word == "tenant" and value in segments:
                tenant = value
            elif word == "origin" and value:
                origin = value
            elif word == "family" and value:
                family = value
            elif word == "tenant":
                faults.append(Fault(number, f"There is no tenant “{value}”; there are {', '.join(segments)}."))
            else:
                faults.append(Fault(number, "A line with @ says @tenant, @origin or @family and a name."))
        elif not line.startswith("#"):
            try:
                if not tenant:
                    raise NotationError("Say @tenant before the first example.")  # noqa: TRY301
                examples.append(_example(line, tenant, origin, family, segments[tenant], f"{name}:{number}"))
            except NotationError as error:
                faults.append(Fault(number, str(error)))
    return tuple(examples), tuple(faults)


def _example(line: str, tenant: str, origin: str, family: str, segments: Mapping[str, int], place: str) -> Example:
    *said, meant = line.removeprefix("\\").split(BETWEEN)
    draft: Definition | None = None
    viewing = ""
    match said:
        case [first, *rest] if first.startswith("draft: "):
            draft, said = parse_definition(first.removeprefix("draft: "), segments), rest
        case [first, *rest] if first.startswith("viewing: "):
            viewing, said = first.removeprefix("viewing: ").strip().strip('"'), rest
            if viewing not in segments:
                raise NotationError(f"There is no segment “{viewing}”; there are {', '.join(segments)}.")
        case _:
            pass
    if not said or not all(text.strip() for text in said):
        raise NotationError("An example is `text => meaning`.")
    texts = tuple(text.strip().replace("\\n", "\n") for text in said)
    return Example(
        texts=texts,
        meaning=parse_meaning(meant, segments),
        tenant=tenant,
        origin=origin,
        family=f"{origin}/{family}" if family else f"{tenant}/{' / '.join(texts)}",
        draft=draft,
        viewing=viewing,
        place=place,
    )


def parse_meaning(text: str, segments: Mapping[str, int]) -> Meaning:
    """Return what is right: definitions, `ask: A || B`, `refuse: word`, `question: intent`, `ack`, joined by `||`."""
    drafts, options, questions = list[Definition](), list[Definition](), list[tuple[str, str]]()
    refuse: str | None = None
    asks = is_ack = False
    for part in map(str.strip, text.split("||")):
        word, colon, rest = part.partition(":")
        rest = rest.strip()
        if part == "ack":
            is_ack = True
        elif colon and word == "refuse":
            if not rest:
                raise NotationError("After “refuse:” comes what cannot be had.")
            refuse = rest
        elif colon and word == "question":
            questions.append(_question(rest, segments))
        elif colon and word == "ask":
            asks = True
            if rest:
                options.append(parse_definition(rest, segments))
        else:
            (options if asks else drafts).append(parse_definition(part, segments))
    return Meaning(tuple(drafts), tuple(options) if asks else None, refuse, tuple(questions), is_ack)


def _question(text: str, segments: Mapping[str, int]) -> tuple[str, str]:
    intent, _, about = text.partition(":")
    intent, about = intent.strip(), about.strip()
    if intent not in INTENTS:
        raise NotationError(f"There is no question “{intent}”; there are {', '.join(INTENTS)}.")
    if intent == "how_many" and about:
        parse_definition(about, segments)
    return intent, about


def definitions(example: Example) -> Iterator[Definition]:
    """Yield every definition that an example writes."""
    yield from example.meaning.drafts
    yield from example.meaning.ask or ()
    if example.draft is not None:
        yield example.draft
