"""Takes a conversation to its next turn, within bounds: questions are answered, audiences drafted, everything else is said."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast

from msgspec import Struct, structs

from segment_copilot.english.answers.changes import revise
from segment_copilot.english.answers.drafts import Request, ask, count, draft, offer, refuse
from segment_copilot.english.answers.table import ANSWERS, unanswered
from segment_copilot.english.dialogue import LONGEST, TOO_LARGE, ReadEdit, Reads, Said, dialogue, too_long
from segment_copilot.english.edits import Edited, read_edit
from segment_copilot.english.outcomes import Asked, Drafted, Outcome, Refused
from segment_copilot.english.plan import Answer, Base, Context, Result, Turn, Unmapped, play, say
from segment_copilot.english.questions.intents import phrases_of
from segment_copilot.english.reading.anchors import names_of
from segment_copilot.english.reading.audience import read_audience
from segment_copilot.language.catalog import Catalog

Json = Mapping[str, Any]

_OUTCOMES: Final = 256
_CONVERSATIONS: Final = 8
_QUOTED: Final = 300  # characters of a message


class Conversation(Struct, frozen=True):
    """Holds what the person *said*, what the look-ups gave since, and what may be looked at besides."""

    said: tuple[str, ...]
    results: tuple[Result, ...]
    catalog: Catalog
    as_of: datetime
    timezone: str
    tools: frozenset[str]
    tools_allowed: bool = True
    view: Json = {}


class Reader:
    """Answers conversations. It keeps what it read last, so that a run reads each sentence once and not at every turn."""

    def __init__(self) -> None:
        self._outcomes: OrderedDict[tuple[Any, ...], Outcome] = OrderedDict()
        self._understood: OrderedDict[tuple[Any, ...], Said] = OrderedDict()

    def answer(self, asked: Conversation) -> Turn:
        """Return what the turn says and calls: a function of the conversation alone."""
        if not asked.said:
            return Turn(("There is no question in this conversation.",))
        text = asked.said[-1]
        if len(text) > LONGEST:
            return _refused(Turn((too_long(text),), refused=True), text)
        context = Context(
            names_of(asked.catalog),
            asked.as_of,
            asked.timezone,
            asked.tools,
            asked.tools_allowed,
            in_view(asked.view),
        )
        said = self._said(asked, context)
        context = structs.replace(context, base=said.base if said.question is not None else context.base)
        try:
            turn = play(_answer(said, context), asked.results, context)
        except OverflowError:
            turn = Turn((TOO_LARGE,), refused=True)
        if said.question is not None and said.question.slots.notes and not turn.calls:
            turn = structs.replace(turn, sentences=(*said.question.slots.notes, *turn.sentences))
        return _refused(turn, text)

    def _said(self, asked: Conversation, context: Context) -> Said:
        key = (asked.said, asked.as_of, asked.timezone, str(asked.view), id(context.names))
        if key not in self._understood:
            self._understood[key] = dialogue(asked.said, context, Reads(self._audiences(asked, context), _edits(asked)))
            while len(self._understood) > _CONVERSATIONS:
                self._understood.popitem(last=False)
        return self._understood[key]

    def _audiences(self, asked: Conversation, context: Context) -> Any:
        def read(text: str) -> Outcome:
            key = (text, asked.as_of, asked.timezone, id(context.names))
            if key not in self._outcomes:
                self._outcomes[key] = read_audience(text, asked.catalog, asked.as_of, asked.timezone)
                while len(self._outcomes) > _OUTCOMES:
                    self._outcomes.popitem(last=False)
            return self._outcomes[key]

        return read


def _edits(asked: Conversation) -> ReadEdit:
    def read(text: str, base: Base) -> Outcome | None:
        return read_edit(text, base, asked.catalog, asked.as_of, asked.timezone)

    return read


def _answer(said: Said, context: Context) -> Answer:
    if said.question is not None:
        if said.question.unfit:
            return say(said.question.unfit, refuses=True)
        return ANSWERS[said.question.intent.answer](said.question, context)
    match said.edit or said.outcome:
        case Edited() as edited:
            return revise(edited, said.was, said.text, context)
        case Drafted() as drafted:
            request = Request(drafted, said.quotes, orders=said.orders, things=said.things)
            return count(request, context) if said.counts else draft(request, context)
        case Asked() as question:
            return ask(question, context)
        case Refused() as refused:
            first = said.text.split(maxsplit=1)[0].lower().strip("¿¡\"'“") if said.text.strip() else ""
            asks = said.text.rstrip().endswith("?") or first in phrases_of("begins_a_question")
            if refused.without and not asks:
                return offer(refused, said.text, context)
            return (
                unanswered(said.text) if asks and not refused.unplaced else refuse(refused, said.text, context.catalog)
            )
        case None:
            return say(*said.aside, refuses=True)


def in_view(view: Json) -> Base | None:
    """Return what the person is looking at: the draft, else the saved segment."""
    shown = view.get("draft")
    if isinstance(shown, Mapping):
        found = cast("Json", shown)
        definition = found.get("definition", found)
        if _is_definition(definition):
            assumed: Any = found.get("assumptions")
            told = tuple(one for one in cast("list[object]", assumed) if isinstance(one, str)) if isinstance(assumed, list) else ()  # fmt: skip
            return Base(definition, _text(found.get("name")), in_view=True, assumptions=told)
    segment = view.get("segment")
    if isinstance(segment, Mapping):
        found = cast("Json", segment)
        if _is_definition(found.get("definition")):
            return Base(found["definition"], _text(found.get("name")), segment_id=found.get("id"), in_view=True)
    return None


def _is_definition(document: Any) -> bool:
    """Return whether it has the shape of a definition; what is inside is checked by the tool."""
    if not isinstance(document, Mapping):
        return False
    conditions: Any = cast("Json", document).get("conditions")
    return isinstance(conditions, list) and conditions != []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _refused(turn: Turn, message: str) -> Turn:
    """Return the turn of a refusal with what was refused: the whole *message* where it was not said of which part."""
    if not turn.refused:
        return turn
    parts = turn.unmapped or (Unmapped("", turn.sentences[0] if turn.sentences else ""),)
    text = message.strip()[:_QUOTED].rstrip()
    return structs.replace(turn, unmapped=tuple(structs.replace(one, text=one.text or text) for one in parts))
