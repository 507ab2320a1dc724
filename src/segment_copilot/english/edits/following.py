"""Whether a message edits the draft on the table, and the plan that does it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

import jsonpatch
from msgspec import structs

from segment_copilot.english.answers.drafting import Count, Draft
from segment_copilot.english.audience.draft import Proposal
from segment_copilot.english.audience.leaves import leaves
from segment_copilot.english.audience.sentences import read_audience
from segment_copilot.english.edits.about import counted, makes_it_one, supposed
from segment_copilot.english.edits.book import logic_of, remarks
from segment_copilot.english.edits.drafted import Drafted, Json
from segment_copilot.english.edits.editor import do
from segment_copilot.english.edits.fragments import sort_fragment
from segment_copilot.english.edits.grammar import readings
from segment_copilot.english.edits.patches import Op, Unfit
from segment_copilot.english.edits.people import speaks_of_people
from segment_copilot.english.edits.revising import Revise, changes, in_short
from segment_copilot.english.edits.sheet import Sheet
from segment_copilot.english.edits.spots import spots
from segment_copilot.english.edits.steps import Step
from segment_copilot.english.edits.targets import matching, read_target
from segment_copilot.english.edits.verbs import WORDS
from segment_copilot.english.edits.which import Unsure
from segment_copilot.english.linking.index import Index
from segment_copilot.english.plan import Ask, Context, Plan, Say, declined
from segment_copilot.english.times import dates
from segment_copilot.english.times.phrases import lowers
from segment_copilot.english.words.command import strip_command
from segment_copilot.english.words.lexer import Token, read, word, written
from segment_copilot.english.words.lexicon import PEOPLE
from segment_copilot.english.words.phrasebook import rewritten
from segment_copilot.english.words.spelling import corrected
from segment_copilot.errors import InvalidDefinition
from segment_copilot.language import decode

_ASKING: Final = {"how", "which", "what", "who", "when", "where", "why", "is", "are", "does", "did", "show", "list", "explain", "tell", "give", "has", "was", "were",
                  "whose", "compare", "find", "get", "display", "describe"}  # fmt: skip
_WEAK: Final = {"what about", "how about", "and", "with", "who", "that", "or", "count", "take", "pick", "choose", "consider", "look at", "plus", "while", "where", "whose",
                "having", "not", "no", "never", "without", "just", "say", "try", "it is", "it was", "either", "must", "except", "nor", "minus", "excluding", "only",
                "show only", "restore"}  # fmt: skip
"""Verbs that a new request or a follow-up question may begin with as well."""
_ANEW: Final = {
    "start over",
    "start again",
    "start from scratch",
    "from scratch",
    "reset",
    "new segment",
    "forget it",
    "begin again",
    "let's start over",
    "clear everything",
}
_BACK: Final = {
    "go back",
    "please go back",
    "no, go back",
    "go back one step",
    "go back to the previous version",
    "back",
    "take it back",
    "take that back",
}
_JOINING: Final = {
    "and",
    "or",
    "only",
    "what about",
    "how about",
    "just",
    "plus",
    "except",
    "excluding",
    "minus",
    "not",
    "show only",
}
_OURS: Final = {"segment", "draft", "audience", "it", "this", "that", "all", "everything", "them", "the", "my", "our"}
_FEW: Final = 4


def read_edit(text: str, drafted: Drafted, context: Context, *, recent: bool = True) -> Plan | None:
    """The plan for an edit of *drafted*; None when the message is something else. *recent* when the draft is what was spoken of last."""
    index = context.index
    today = dates.local_date(context.as_of, context.timezone)
    tokens, notes = corrected(_plain(read(text)), index, also=WORDS)
    if (asked_about := counted(tokens, drafted, index, today)) is not None:
        return asked_about
    if drafted.counted and makes_it_one(tokens):
        return Draft(
            Proposal(
                drafted.name or "New segment",
                drafted.name or "New segment",
                dict(drafted.definition),
                drafted.assumptions,
            )
        )
    if strip_command(tokens).creates:
        return None
    if text.strip(" .!").lower() in _ANEW:
        return Say(
            (
                "All right: describe the new audience, for example 'users who placed at least 5 orders in the last 90 days'.",
            )
        )
    if text.strip(" .!").lower() in _BACK:
        return _undone(drafted, index)
    if (given := supposed(tokens)) is not None:
        plan = read_edit(written(given), drafted, context)
        return Count(plan.proposal()) if isinstance(plan, Revise) else plan
    found = [asked for asked in readings(tokens) if _edits(asked, tokens, drafted, index, today, recent=recent)]
    if not found:
        return None
    if found[0][0].mode == "undo":
        return _undone(drafted, index)
    slips = [note for note in notes if note.rpartition(" ")[2].strip("'") not in WORDS]
    wrong: list[Unfit] = []
    for asked in found:
        sheet = Sheet(drafted.definition, index, today, text)
        try:
            made = _done(sheet, _asked_again(asked) if drafted.counted else asked)
        except Unsure as unsure:
            return Ask(unsure.question, text, unsure.options, around=unsure.around)
        except Unfit as error:
            wrong.append(error)
            continue
        told = tuple(_sentence(note) for note in (*slips, *dict.fromkeys(sheet.notes)))
        return _plan(drafted, sheet, made, told, index)
    return declined((str(wrong[-1]),)) if _surely(found[-1]) else None


def _plain(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """The "one" of "this one" is no number, and "whoever" is anyone who."""
    made: list[Token] = []
    for at, token in enumerate(tokens):
        before = tokens[at - 1].lower if at else ""
        if token.lower == "whoever":
            made += [word("anyone"), word("who")]
        else:
            made.append(word("one") if token.lower == "one" and before in _POINTED else token)
    return tuple(made)


_POINTED: Final = {
    "this",
    "that",
    "the",
    "last",
    "first",
    "second",
    "third",
    "other",
    "which",
    "new",
    "old",
    "same",
    "either",
    "any",
}


def _asked_again(asked: Sequence[Step]) -> tuple[Step, ...]:
    """Of "and in France?" after a count of Spain: another count, not both together."""
    return tuple(structs.replace(step, mode="set") if step.verb == "and" and not step.also else step for step in asked)


def _done(sheet: Sheet, asked: Sequence[Step]) -> list[Op]:
    """Every step, one after the other; one that only says again what an earlier one did is passed over. Raises Unfit or Unsure."""
    first = sheet.definition
    made: list[Op] = []
    for step in asked:
        try:
            made += do(sheet, step)
        except Unfit:
            again = Sheet(first, sheet.index, sheet.today, sheet.text)
            if not made or not do(again, step):
                raise
    if (mistake := _mistake(sheet.definition)) and not _mistake(first):
        raise Unfit(f"I understood the change, but the language refuses it: {mistake}")
    return made


def _mistake(definition: Json) -> str:
    """Why the language refuses a definition; "" when it does not."""
    try:
        decode(definition)
    except InvalidDefinition as error:
        return next((finding.detail for finding in error.findings), error.detail)
    return ""


def _plan(drafted: Drafted, sheet: Sheet, made: Sequence[Op], notes: tuple[str, ...], index: Index) -> Plan:
    if drafted.counted:
        name = drafted.name or "Matching users"
        return Count(Proposal(name, name, dict(sheet.definition), notes))
    said = changes(drafted, sheet.definition, index) if made else ()
    named = (f"The draft is called “{sheet.name}” now.",) if sheet.name else ()
    short = in_short(sheet.definition, index)
    return Revise(drafted, sheet.definition, tuple(made), (*said, *named), sheet.name, notes, *short)


def _sentence(note: str) -> str:
    return note if note.endswith(".") else f"{note[:1].upper()}{note[1:]}."


def after(plan: Plan, drafted: Drafted | None) -> Drafted | None:
    """What is on the table after a plan."""
    match plan:
        case Revise():
            return plan.edited()
        case Draft():
            made = plan.proposal
            return Drafted(made.definition, made.name, assumptions=made.assumptions, earlier=drafted, named=made.named)
        case Count():
            return Drafted(plan.proposal.definition, plan.proposal.name, counted=True, earlier=drafted)
        case _:
            return drafted


def commands(text: str, drafted: Drafted, context: Context) -> bool:
    """Whether a message tells in so many words what to change, so that it is no answer to a question."""
    found = readings(read(text))
    told = bool(found) and found[0][0].mode != "bare" and found[0][0].verb not in _WEAK
    return told and isinstance(read_edit(text, drafted, context), Revise)


def calls(plan: Plan) -> bool:
    """Whether a plan looks something up, so that it, and no draft, is what was spoken of last."""
    return not isinstance(plan, Say | Ask)


def _edits(
    asked: Sequence[Step], tokens: Sequence[Token], drafted: Drafted, index: Index, today: date, *, recent: bool
) -> bool:
    """Whether the message edits: by its verb, or because it is a piece of a sentence that only makes sense so."""
    first = asked[0]
    if not _about_this(first, tokens, drafted, index):
        return False
    if logic_of(first.words) and recent:
        return True
    if first.mode in {"remove", "rename", "undo"} and _about_all(first):
        return first.mode == "undo"
    if first.marked and not _asks(tokens[-1:]):
        return True
    if first.mode != "bare" and first.verb not in _WEAK:
        return not (first.verb in {"include", "allow", "use", "count", "move", "put"} and _asks(tokens))
    if drafted.saved and not (first.also or first.instead or first.told) and not recent:
        return False
    if not recent:
        return first.instead and not _asks(tokens)
    if first.verb in {"and", "or"} and tokens[0].lower not in _ASKING and not _names_people(first.words):
        return True
    if (
        _asks(tokens)
        and first.verb not in {"what about", "how about"}
        and not (len(asked) == 1 and sort_fragment(first.words, today).bare)
    ):
        return False
    if (
        first.verb in _JOINING
        or first.also
        or first.instead
        or first.mode == "or"
        or (first.told and first.mode == "bare")
    ):
        return not (first.verb == "show only" and _names_people(first.words))
    if _names_people(tokens) and not _points(tokens):
        return False
    return not drafted.saved and not _many(tokens, index, today)


def _surely(asked: Sequence[Step]) -> bool:
    """Whether nothing but an edit can be meant, so that what does not fit is said."""
    first = asked[0]
    return (
        first.mode != "bare" and first.verb not in _WEAK - {"or", "and", "only", "except", "without"}
    ) or first.instead


def _about_all(step: Step) -> bool:
    """Whether the verb is about the segment as such: "delete this segment"."""
    words = {token.lower for token in step.words if token.kind != "sign"}
    return step.mode == "remove" and words <= _OURS


def _asks(tokens: Sequence[Token]) -> bool:
    if not tokens or tokens[-1].lower == "?":
        return bool(tokens)
    said = tokens[1].lower if len(tokens) > 1 else ""
    told = (tokens[0].lower in {"who", "whose"} and said not in {"is", "are", "was", "were"}) or (
        len(tokens) > 1 and tokens[1].lower == "not"
    )
    return tokens[0].lower in _ASKING and not told


def _points(tokens: Sequence[Token]) -> bool:
    return any(token.lower in {"those", "ones", "them", "these"} for token in tokens[:_FEW])


def _names_people(tokens: Sequence[Token]) -> bool:
    """Whether a new sentence begins, with its own subject: "Users who", "US customers in"."""
    if tokens and tokens[0].lower in {"in", "not", "from", "on", "with", "without", "who", "whose"}:
        return False
    near = [token for token in tokens[:_FEW] if token.stem in PEOPLE and token.lower not in {"ones", "one", "those"}]
    return bool(near) or speaks_of_people([token for token in tokens if token.lower not in {"those", "ones"}])


def _many(tokens: Sequence[Token], index: Index, today: date) -> bool:
    """Whether it is a whole audience, said without a subject: several clauses, or one thing after another."""
    found = read_audience(rewritten(tokens), index, today)
    nodes = [node for node in (found.include, found.exclude) if node is not None]
    read = [leaf for node in nodes for leaf in leaves(node)]
    ordered = any(leaf.condition["type"] == "event_sequence" for leaf in read)
    return ordered or (len(read) > 1 and tokens[0].lower not in {"in", "from", "with", "on", "aged"})


def _about_this(first: Step, tokens: Sequence[Token], drafted: Drafted, index: Index) -> bool:
    """Whether it can be about the draft: not about a saved segment as such, the assistant, another workspace, or people named anew."""
    said = {token.lower for token in tokens}
    stemmed = {token.stem for token in tokens}
    if said & {"instructions", "prompt", "workspace", "tenant"} or lowers(tuple(tokens), 0, 2) == ("number", "of"):
        return False
    known = spots(drafted.definition)
    if first.mode == "remove" and first.verb in _DELETING and "segment" in stemmed and not said & {"from", "exclusion"}:
        target = read_target(first.words)
        return bool(target.words) and bool(matching(target, known, index))
    if (
        tokens[0].lower in {"take", "combine", "merge", "from", "start"}
        and "segment" in {token.stem for token in tokens[:6]}
        and not said & {"this", "that"}
    ):
        return False
    if tokens[0].lower in _EVERYBODY and said & {"who", "whose"}:
        return False
    cut = next((at for at, token in enumerate(tokens) if token.lower == ":" and at), 0)
    if cut and first.mode == "bare":
        target = read_target(tokens[:cut])
        named = bool(target.words or target.part) and bool(matching(target, known, index))
        return named or remarks(tokens[:cut])
    if cut and first.mode != "rename" and any(token.stem in PEOPLE for token in tokens[cut + 1 : cut + 3]):
        return False
    rest = strip_command(tokens).rest
    return (
        first.mode != "bare"
        or not rest
        or rest[0].lower not in _EVERYBODY - {"all"}
        or bool(said & {"too", "also", "instead"})
    )


_DELETING: Final = {"delete", "get rid of", "erase", "kill", "scrap", "remove", "drop", "eliminate", "throw away"}
_EVERYBODY: Final = {"everyone", "everybody", "anyone", "anybody", "all"}


def _undone(drafted: Drafted, index: Index) -> Plan:
    before = drafted.earlier
    if before is None:
        return declined(
            ("I do not see an earlier version of this draft. Tell me what it should be, for example: make it 5.",)
        )
    made = [dict(one) for one in jsonpatch.make_patch(dict(drafted.definition), dict(before.definition))]
    if not made:
        return Say(("The draft is as it was before already.",))
    name = before.name if before.named or before.segment_id is not None else ""
    said = changes(drafted, before.definition, index)
    return Revise(drafted, before.definition, tuple(made), said, name, (), *in_short(before.definition, index))
