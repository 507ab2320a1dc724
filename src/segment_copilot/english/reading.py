"""From a conversation to its next turn, within bounds: what is too long is not read, what is too involved is given up."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec import Struct, structs

from segment_copilot.english.budget import TooInvolved, limited
from segment_copilot.english.dialogue import LONGEST, dialogue
from segment_copilot.english.edits.drafted import Json, in_view
from segment_copilot.english.linking.index import Index
from segment_copilot.english.plan import Context, Plan, Result, Say, Turn
from segment_copilot.english.understanding import understand
from segment_copilot.language.catalog import Catalog

STEPS: Final = 600_000
"""What one text may take, against a catalog of ordinary size."""
_ORDINARY: Final = 100  # names
_LARGEST: Final = 10
"""A larger catalog has more to compare each word with: its texts may take more steps, up to so many times as many."""
_KEPT: Final = 8
_INVOLVED: Final = "This sentence is too involved for the offline model: please say it in a shorter one."
_TOO_LARGE: Final = "A number in this message is too large for the offline model: please say it with a smaller one."


class Conversation(Struct, frozen=True):
    """What the person *said*, what the look-ups gave since, and what may be looked at besides."""

    said: tuple[str, ...]
    results: tuple[Result, ...]
    catalog: Catalog
    as_of: datetime
    timezone: str
    tools: frozenset[str]
    tools_allowed: bool = True
    view: Json = {}


class _Understood(Struct, frozen=True):
    """A conversation as the person told it, and the plan for what is asked now; *context* is what the plan may look at."""

    said: tuple[str, ...]
    asked: Context
    plan: Plan
    context: Context
    refused: bool = False


class Reader:
    """Answers requests. It holds the catalogs and conversations read last, so that a run reads each once, not at every turn."""

    def __init__(self) -> None:
        self._indexes: tuple[Index, ...] = ()
        self._understood: tuple[_Understood, ...] = ()

    def answer(self, asked: Conversation) -> Turn:
        """What the turn says and calls: a function of the conversation alone."""
        said = asked.said
        if not said:
            return Turn(("There is no question in this conversation.",))
        if len(said[-1]) > LONGEST:
            return Turn((_too_long(said[-1]),), refused=True)
        index = self._index(asked.catalog)
        context = Context(index, asked.as_of, asked.timezone, asked.tools, drafted=in_view(asked.view))
        try:
            found = self._understanding(said, context)
            turn = found.plan.turn(asked.results, structs.replace(found.context, tools_allowed=asked.tools_allowed))
        except OverflowError:
            return Turn((_TOO_LARGE,), refused=True)
        return structs.replace(turn, refused=found.refused)

    def _understanding(self, said: tuple[str, ...], context: Context) -> _Understood:
        known = next((one for one in self._understood if one.said == said and one.asked == context), None)
        if known is None:
            known = _understood(said, context)
            self._understood = (known, *self._understood[: _KEPT - 1])
        return known

    def _index(self, catalog: Catalog) -> Index:
        known = next((one for one in self._indexes if one.catalog is catalog or one.catalog == catalog), None) or Index(
            catalog
        )
        self._indexes = (known, *(one for one in self._indexes if one is not known))[:_KEPT]
        return known


def _understood(said: tuple[str, ...], asked: Context) -> _Understood:
    most = STEPS * min(_LARGEST, max(1, asked.index.size // _ORDINARY))
    now = dialogue(said, asked, most=most)
    context = structs.replace(asked, drafted=now.drafted, recent=now.recent)
    if len(now.text) > LONGEST:  # with the answers that it was given
        return _Understood(said, asked, Say((_too_long(now.text),)), context, refused=True)
    try:
        with limited(most):
            plan = understand(now.text, context, follows=bool(now.before))
    except TooInvolved:
        return _Understood(said, asked, Say((_INVOLVED,)), context, refused=True)
    return _Understood(said, asked, plan, context)


def _too_long(text: str) -> str:
    return f"The offline model reads at most {LONGEST:,} characters, and this message has {len(text):,}: please say it in fewer words."
