"""A case says what is asked of whom, and what a right answer must be. Read from YAML, checked as structs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

CASES: Final = Path(__file__).parent / "cases" / "dev"
SCHEMA: Final = Path(__file__).parent / "schema" / "case.schema.json"

Category = Literal[
    "data",  # a question about numbers, lists and trends
    "audience",  # an audience in words
    "recipe",  # an audience as a marketing recipe tells it
    "edit",  # a change to a draft
    "explain",  # what a segment says
    "ambiguous",  # words that have several readings, or a threshold left open
    "unknown",  # names an event, property or segment that does not exist
    "impossible",  # what neither the data nor the copilot can do
    "injection",  # instructions in the question or in the data
]
Feature = Literal["or", "exclusion", "sequence", "calendar", "value_lookup"]
Outcome = Literal["draft", "answer", "clarify", "decline"]
Name = Annotated[str, Meta(min_length=1)]
Definition = dict[str, Any]
"""In the segment language, except that a segment is named (`segment: High LTV`) where the language wants its id."""


class Turn(Struct, frozen=True, forbid_unknown_fields=True):
    """One message: what was said before, and last the question."""

    role: Literal["user", "assistant"]
    content: Name


class Viewing(Struct, frozen=True, forbid_unknown_fields=True):
    """Says what the person is looking at: a saved segment by its name, or an unsaved draft."""

    segment: Name | None = None
    draft: Definition | None = None
    timezone: Name | None = None


class Gold(Struct, frozen=True, forbid_unknown_fields=True):
    """A right definition. *reading* says which reading of the words it is, where there is more than one."""

    definition: Definition
    reading: str = ""


class Tools(Struct, frozen=True, forbid_unknown_fields=True):
    """*must*: each entry is one tool, or several with `|` of which one is enough. *may* costs nothing; others cost score."""

    must: tuple[Name, ...] = ()
    may: tuple[Name, ...] = ()
    must_not: tuple[Name, ...] = ()


class Arguments(Struct, frozen=True, forbid_unknown_fields=True):
    """At least one call of *tool* (several with `|`) has all these arguments.

    A text that is an instant or a date matches when it names the same instant in the run's time zone.
    """

    tool: Name
    match: dict[str, Any]


class Fact(Struct, frozen=True, forbid_unknown_fields=True):
    """Something true that the answer must show, found out without the copilot.

    members: how many a saved segment holds. matching: how many a definition holds. events: how many happened.
    ranking: event types by how often they happened. largest: segments by members.
    """

    kind: Literal["members", "matching", "events", "ranking", "largest"]
    segment: str = ""
    definition: Definition = {}
    event_type: str = ""
    start: str = ""  # a local date, from its midnight
    end: str = ""  # likewise, not included; empty: the case's instant
    limit: int = 5


class Text(Struct, frozen=True, forbid_unknown_fields=True):
    """Holds what is said anywhere a person reads: text, question, draft. `|` parts alternatives; case does not matter."""

    must: tuple[Name, ...] = ()
    must_not: tuple[Name, ...] = ()


class Expect(Struct, frozen=True, forbid_unknown_fields=True):
    """Says what a right answer is. *outcome* lists every way of answering that is right."""

    outcome: Annotated[tuple[Outcome, ...], Meta(min_length=1)]
    gold: tuple[Gold, ...] = ()  # the draft must have the members of one of them
    assumes: bool = False  # the draft must say what it assumed
    subject: tuple[Name, ...] = ()  # without a gold: names (`|` parts alternatives) that a draft must look at
    unmapped: tuple[Name, ...] = ()  # parts of the request that cannot be expressed, and must be said to be so
    tools: Tools = Tools()
    arguments: tuple[Arguments, ...] = ()
    components: tuple[Name, ...] = ()
    facts: tuple[Fact, ...] = ()
    text: Text = Text()
    options: tuple[Name, ...] = ()  # a question must offer or mention each
    suggest: tuple[Name, ...] = ()  # existing names, one of which must be offered instead
    max_turns: int = 6
    max_calls: int = 8


class Case(Struct, frozen=True, forbid_unknown_fields=True):
    """One question to one tenant."""

    id: Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    category: Category
    tenant: Literal["shop", "gym", "saas", "media"]
    source: Name  # where the question comes from
    messages: Annotated[tuple[Turn, ...], Meta(min_length=1)]
    expect: Expect
    language: Literal["en", "es"] = "en"
    difficulty: Literal["easy", "medium", "hard"] = "medium"
    features: tuple[Feature, ...] = ()
    context: Viewing = Viewing()
    note: str = ""  # for the judge and for readers: the trap

    @property
    def question(self) -> str:
        """The last thing the person said."""
        return self.messages[-1].content


class BadCase(Exception):
    """A file of cases that cannot be read; the text says where."""


def load_cases(folder: Path = CASES) -> tuple[Case, ...]:
    """Return every case below *folder*, by id. Raises BadCase."""
    found = [case for path in sorted(folder.rglob("*.yaml")) for case in _read(path)]
    ids = [case.id for case in found]
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise BadCase(f"more than one case has the id {', '.join(twice)}")
    return tuple(sorted(found, key=lambda case: case.id))


def _read(path: Path) -> Iterator[Case]:
    try:
        documents = yaml.safe_load(path.read_text("utf-8")) or []
    except yaml.YAMLError as error:
        raise BadCase(f"{path.name}: {error}") from error
    for number, document in enumerate(documents):
        try:
            yield msgspec.convert(_normal(document), Case)
        except msgspec.ValidationError as error:
            name = document.get("id", f"number {number + 1}") if isinstance(document, dict) else f"number {number + 1}"
            raise BadCase(f"{path.name}: case {name}: {error}") from error


def _normal(document: Any) -> Any:
    """Write out the short forms: `ask: text` for one message, a single outcome, a gold that is a bare definition.

    A case whose first outcome is a draft wants it proposed and its button drawn unless it says otherwise.
    """
    if not isinstance(document, dict):
        return document
    found: dict[str, Any] = dict(document)
    if "ask" in found:
        found["messages"] = [*found.get("messages", []), {"role": "user", "content": found.pop("ask")}]
    expect = dict(found.get("expect") or {})
    if isinstance(expect.get("outcome"), str):
        expect["outcome"] = [expect["outcome"]]
    gold = expect.get("gold", [])
    golds = gold if isinstance(gold, list) else [gold]
    expect["gold"] = [one if "definition" in one else {"definition": one} for one in golds]
    if expect.get("outcome", [])[:1] == ["draft"]:
        expect.setdefault("tools", {"must": ["propose_segment|revise_segment"]})
        expect.setdefault("components", ["CreateSegmentCTA"])
    found["expect"] = expect
    return found


def choose(cases: Iterable[Case], only: Sequence[str]) -> tuple[Case, ...]:
    """Choose the cases whose category, tenant or feature is in *only*, or whose id begins with one; all when empty.

    A whole id is that one case, though the ids of its rephrasings begin with it.
    """
    known = tuple(cases)
    if not only:
        return known
    ids = {case.id for case in known}
    return tuple(case for case in known if any(_named(case, wanted, whole=wanted in ids) for wanted in only))


def _named(case: Case, wanted: str, *, whole: bool) -> bool:
    if whole:
        return case.id == wanted
    return case.id.startswith(wanted) or wanted in {case.category, case.tenant, *case.features}


def leaves(definition: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every condition of a definition that is no group, the excluded ones last."""
    for condition in definition["conditions"]:
        if condition.get("type") == "group":
            yield from leaves(condition)
        else:
            yield condition
    if "exclude" in definition:
        yield from leaves(definition["exclude"])


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a case in its long form, for editors and other harnesses."""
    return msgspec.json.schema(Case)
