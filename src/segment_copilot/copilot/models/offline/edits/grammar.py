"""An edit sentence to steps: which verb, and what it is about. Verbs are a table; everything else is read from the draft."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from segment_copilot.copilot.models.offline.edits.book import remarks, repeats, reworded
from segment_copilot.copilot.models.offline.edits.steps import Mode, Step
from segment_copilot.copilot.models.offline.lexer import Token, read, word, written
from segment_copilot.copilot.models.offline.lexicon import stems
from segment_copilot.copilot.models.offline.phrases import comparator, lowers


def phrases(text: str) -> tuple[tuple[str, ...], ...]:
    """Phrases that a bar separates, as words."""
    return tuple(tuple(words.split()) for words in text.split(" | "))


_VERBS: Final[dict[Mode, str]] = {
    "set": "make | set | change | adjust | modify | update | switch | turn | edit | tweak | put | use | go with | go for | try | move | correct | fix | "
    "let it be | have it | i meant | i mean | it should be | it must be | it has to be | should be | should have been | it should have been | take | "
    "what if it was | what if it were | what if it is | what if we used | what if we use | what if i used | what if you used | what if | how about | "
    "what about | count | pick | choose | go to | shift | base it on | look at | consider | instead use | say | it was | it is",
    "up": "raise | increase | bump | lift | extend | widen | expand | lengthen | loosen | relax | boost | enlarge | broaden | grow | bump up | push up | push | stretch",
    "down": "lower | reduce | decrease | shorten | shrink | tighten | trim | cut down | bring down | cut | narrow",
    "only": "only | just | keep only | keep just | limit to | limit it to | limit this to | limit them to | restrict to | restrict it to | restrict this to | "
    "restrict them to | narrow to | narrow it to | narrow it down to | narrow this to | narrow this down to | narrow down to | narrow them down to | "
    "focus on | focus it on | filter to | filter by | filter for | filter on | filter it to | filter it by | filter down to | require | require that | "
    "must | must be | must have | make sure | make sure that | make sure they | ensure | ensure that | only count | count only | only consider | "
    "only look at | only include | include only | only keep | only show | show only | only use | only want | only take | limit | restrict | "
    "they must | they should | they must be | they should be | they must have | they need to be | they have to be | it should only be | let us only",
    "add": "add | plus | and | with | who | that | add a condition | add the condition | add a condition that | add the condition that | add that | "
    "add a rule that | add a filter that | add a filter for | add a condition for | add a requirement that | additionally | in addition | "
    "add the requirement that | further | on top | while | where | whose | having | that also | who also | as long as | provided",
    "or": "or | or else | alternatively | allow | accept | either",
    "include": "include | let in | also count | count also | add in | and include | cover",
    "restore": "add back | bring back | put back | stop excluding | do not exclude | not exclude | no longer exclude | do not leave out | stop leaving out | "
    "include again | let back in | unexclude | re - include | do not omit | do not filter out | take back in | allow back | keep",
    "exclude": "exclude | except | except for | leave out | filter out | keep out | but not | and not | not | omit | other than | apart from | do not include | "
    "not include | excluding | but exclude | minus | leave off | rule out | do not count | ignore anyone | not count | weed out | not those",
    "without": "without | no | but without | with no | and no | and without | no more",
    "remove": "remove | drop | delete | take out | get rid of | lose | forget | forget about | ignore | skip | strip | strip out | scrap | ditch | kill | clear | "
    "take away | discard | eliminate | erase | dump | cut out | throw out | throw away | i do not care about | do not care about | never mind | "
    "do not need | no need for | i do not need | we do not need | stop requiring | no longer require | do not require | regardless of | "
    "disregard | take off | undo the | unset | do not test | do not check | irrespective of | stop checking | stop looking at",
    "swap": "replace | swap | substitute | exchange | trade | swap out | instead of | rather than | in place of",
    "negate": "invert | flip | negate | reverse | the opposite of | turn around",
    "rename": "rename | call it | name it | call this | name this | title it | call the segment | name the segment | call that | give it the name | rename it | "
    "rename this | rename the segment | let us call it | label it | retitle | retitle it | call the draft | name the draft",
    "undo": "undo | revert | go back | roll back | take that back | rollback | restore the previous | back to how it was | back to the previous | undo that | "
    "as it was before | as before | restore | put it back",
    "times": "double | triple | halve | quadruple | half",
}  # fmt: skip
_BY_WORDS: Final[dict[tuple[str, ...], Mode]] = {
    words: mode for mode, spoken in _VERBS.items() for words in phrases(spoken)
}
WORDS: Final = frozenset(said for words in _BY_WORDS for said in words if not said.endswith("ing"))
"""Words of the verbs here: none of them is a slip of another word."""
_LONGEST: Final = max(len(words) for words in _BY_WORDS)
_FACTORS: Final = {"double": 2.0, "triple": 3.0, "quadruple": 4.0, "halve": 0.5, "half": 0.5}
_BEFORE: Final = phrases(
    "same but | same except | the same but | the same except | same as before but | same segment but | the same segment but | same "
    "thing but | like this but | like this segment but | like that but | this but | this segment but | like this one but | same for | "
    "the same for | like before but | keep everything but | keep everything the same but | leave everything but | keep the rest but | "
    "keep it but | as before but | same with | the same with | same thing with | same thing for | please | can you | could you | would "
    "you | will you | can we | could we | ok | okay | hmm | well | sorry | wait | actually | now | then | so | great | thanks | perfect "
    "| nice | good | i want to | i want it to | i would like to | i would like | let us | let me | maybe | perhaps | rather | no wait | "
    "oh | ah | no , | yes , | on second thought | better | i think | we should | you should | should we | shall we | should i | and now "
    "| and then | but now | next | finally | first | one more thing | also please | hm | uh | hey | alright | cool | right | like this "
    ", | same , | i need it to | i need to | i want you to | i would rather | i want | let it | in that case | my mistake | oops | edit "
    ": | try to | like the draft but | like this segment , | like this segment | in this segment | in this draft | for this segment | "
    "for this draft | for this one | in the draft | for the draft | do the same but | do the same for | this time | this segment , | "
    "yes | yeah | yep | sure | go ahead and | just to"
)
_AFTER: Final = phrases(
    "please | now | thanks | thank you | the rest stays | the rest stays the same | keep the rest | keep the rest the same | keep the "
    "rest as is | keep the rest as it is | leave the rest | leave the rest alone | leave the rest as it is | leave the rest as is | and "
    "keep the rest | everything else stays | everything else stays the same | everything else the same | nothing else | keep everything "
    "else | keep everything else the same | the rest unchanged | leave everything else | leave everything else alone | rest stays the "
    "same | rest unchanged | rest as is | from the segment | from the draft | from this segment | from this draft | in the draft | in "
    "the segment | from the audience | from the definition | in this segment | in this draft | to the segment | to the draft | to this "
    "segment | to the audience | to this draft | from it | for me | then | if possible | i think | again | maybe | and the rest stays | "
    "the rest is fine | rest is fine | . | ! | ? | , | ; | that is it | that is all | right | ok | okay | altogether | entirely | "
    "completely | at all | after all | from the list | and leave the rest | but keep the rest | but leave the rest | the rest stays as "
    "it is | the rest can stay | the other conditions stay | the others stay | from the conditions | though | actually | of the segment "
    "| of the draft | as a condition | as a filter | everything else unchanged | the rest remains | for this segment | for this draft | "
    "here | if you can"
)
_TOO: Final = (("too",), ("as", "well"), ("also",), ("in", "addition"), ("on", "top"), ("either",))
_STRONG: Final[set[Mode]] = {"set", "up", "down", "times", "only", "remove", "exclude", "swap", "rename", "include", "restore", "add", "negate"}  # fmt: skip
_WEAK: Final = {"use", "count", "try", "take", "say", "put", "and", "with", "who", "that", "not", "nor", "while", "where", "whose", "having", "plus", "just",
                "must", "keep", "look at", "consider", "never", "cover", "further", "move", "what about", "how about", "except", "go to", "it is", "it was",
                "minus", "on top", "must be", "must have", "cut", "grow", "push", "pick", "lose", "trade", "shift", "turn"}  # fmt: skip
"""Verbs that do not begin a second edit in one sentence."""


def readings(tokens: Sequence[Token]) -> tuple[tuple[Step, ...], ...]:
    """The changes that a message may ask for, in order: first cut only where another verb follows, then at every comma and stop.

    What only remarks or says again is left out. A step without a verb is `bare`: it may be an edit or anything else.
    """
    made = [_steps(_parts(tuple(tokens))), _steps(_clauses(tuple(tokens)))]
    return tuple(dict.fromkeys(steps for steps in made if steps))


def _steps(parts: Sequence[tuple[Token, ...]]) -> tuple[Step, ...]:
    made: list[Step] = []
    held: tuple[Token, ...] = ()
    unit: Token | None = None
    for part in parts:
        if all(token.kind == "sign" or token.lower in _SAYING for token in part):
            continue
        if (made and repeats(part)) or remarks(part):
            unit = next((token for token in part if token.stem in _UNITS), unit)
            continue
        step = _step(part)
        if step is None:
            continue
        if unit is not None and step.words and step.words[-1].kind == "number":
            step = structs.replace(step, words=(*step.words, unit))  # "90 days is too long, try 30"
        if step.mode in _ABOUT and _points_back(step.words):
            if made and not held:
                continue  # what was named before is what that did already
            step = structs.replace(step, words=held or step.words)
            made = [one for one in made if one.words != held]
        held = step.words if step.mode == "bare" else ()
        made += [step]
    return tuple(made)


_SAYING: Final = {
    "no",
    "yes",
    "nope",
    "sorry",
    "wait",
    "ok",
    "okay",
    "right",
    "hmm",
    "well",
    "actually",
    "oops",
    "yeah",
    "and",
    "but",
    "please",
    "thanks",
    "also",
}
_UNITS: Final = stems("day week month hour year quarter")
_ABOUT: Final = {"remove", "exclude", "include", "restore", "negate", "without"}


def _points_back(words: Sequence[Token]) -> bool:
    """Whether a verb is about what was named before it: "take that part out"."""
    told = {word.lower for word in words if word.kind != "sign"}
    return bool(told & _POINTING) and told <= _POINTING | {
        "part",
        "condition",
        "one",
        "filter",
        "the",
        "bit",
        "rule",
        "out",
        "of",
        "exclusion",
    }


_POINTING: Final = {"it", "that", "this", "them", "those", "these"}
_STOPS: Final = {",", ";", ".", ":", "!", "?", "-", "(", ")"}


def _clauses(tokens: tuple[Token, ...]) -> list[tuple[Token, ...]]:
    """Cut at every stop."""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token.kind == "sign" and token.lower in _STOPS:
            parts.append([])
        else:
            parts[-1].append(token)
    return [piece for part in parts if part for piece in _parts(tuple(part))]


def _parts(tokens: tuple[Token, ...]) -> list[tuple[Token, ...]]:
    """Cut before "and" or a comma where another edit follows: "make it 5 and drop the country"."""
    parts: list[tuple[Token, ...]] = []
    start = 0
    at = 1
    while at < len(tokens):
        if tokens[at].lower in _JOINTS and at > start:
            end = at
            while end < len(tokens) and tokens[end].lower in _JOINTS | {"also", "please", "now"}:
                end += 1
            verb = _verb(tokens, end)
            if verb is not None and _begins(tokens, end, verb):
                parts.append(tokens[start:at])
                also = any(token.lower == "also" for token in tokens[at:end])
                start = end - 1 if also else end
                at = end
        at += 1
    return [*parts, tokens[start:]]


_JOINTS: Final = {"and", ",", ";", ".", "then", "but", "!", "-", ":"}


def _begins(tokens: tuple[Token, ...], at: int, verb: tuple[Mode, int]) -> bool:
    """Whether a verb begins an edit of its own; "and add to cart" does not."""
    words = " ".join(lowers(tokens, at, verb[1] - at))
    following = lowers(tokens, verb[1], 1)
    return verb[0] in _STRONG and words not in _WEAK and bool(following) and following not in {("to",), ("from",)}


def _verb(tokens: tuple[Token, ...], at: int) -> tuple[Mode, int] | None:
    compared = comparator(tokens, at)
    if compared is not None and compared[1] > at + 1:
        return None  # "no more than", "not less than"
    for size in range(min(_LONGEST, len(tokens) - at), 0, -1):
        mode = _BY_WORDS.get(lowers(tokens, at, size))
        if mode is not None:
            return mode, at + size
    return None


def _step(tokens: tuple[Token, ...]) -> Step | None:
    rest, told = _trimmed(tokens)
    if not rest:
        return None
    rest, also, instead = _flags(rest)
    worded = reworded(rest)
    told = told or worded != rest
    rest = worded
    if (scaled := _multiple(rest)) is not None:
        return scaled
    before = rest[0].lower
    if lowers(rest, 0, 2) in {("and", "also"), ("but", "also")} and len(rest) > 1 + 1:
        rest, also = rest[2:], True
    elif before == "also" and len(rest) > 1:
        rest, also = rest[1:], True
    verb: tuple[Mode, int] | None = _verb(rest, 0)
    inner = _verb(rest, 1) if before in {"and", "but"} and len(rest) > 1 else None
    if inner is not None and (verb is None or verb[1] <= 1):
        rest, also = rest[1:], also or before == "and"
        verb = (inner[0], inner[1] - 1)
    elif before == "but" and verb is None and len(rest) > 1:
        rest, told = rest[1:], True
    mode, end = verb or _BARE
    words = " ".join(lowers(rest, 0, end))
    after = {token.lower for token in rest[end:] if token.kind != "sign"}
    if mode == "undo" or (words == "never mind" and after <= _LAST):
        return Step("undo", (), verb=words, told=True)
    marked = told
    rest = rest[:end] + _risen(rest[end:]) if mode in {"up", "down"} else rest
    told = told or mode != "bare" or also or instead
    factor = _FACTORS.get(words, 1)
    step = Step(mode, rest[end:], (), words, also=also, instead=instead, told=told, marked=marked, factor=factor)
    return _arranged(step)


def _risen(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """The "up to" of "bump it up to 10" is no "at most"."""
    kept = [
        token
        for at, token in enumerate(tokens)
        if token.lower not in {"up", "down", "back"} or lowers(tokens, at + 1, 1) != ("to",)
    ]
    return tuple(kept)


_BARE: Final[tuple[Mode, int]] = ("bare", 0)
_LAST: Final = {"that", "it", "the", "last", "change", "edit", "this", "to", "previous", "version", "one", "step", "my", "what", "you", "did", "before", "draft",
                "state"}  # fmt: skip
_MULTIPLES: Final = {"twice": 2.0, "double": 2.0, "half": 0.5, "thrice": 3.0}


def _multiple(tokens: tuple[Token, ...]) -> Step | None:
    """Of "twice as many", "half as long", "three times as much"."""
    at = next(
        (
            at
            for at in range(len(tokens) - 1)
            if tokens[at].lower == "as" and tokens[at + 1].lower in {"many", "much", "long", "often"}
        ),
        0,
    )
    if not at:
        return None
    before = tokens[at - 1]
    factor = _MULTIPLES.get(before.lower, 0.0)
    if before.lower == "times" and at > 1 and tokens[at - 2].kind == "number":
        factor = float(tokens[at - 2].value)
    words = (word("window"),) if tokens[at + 1].lower == "long" else ()
    return Step("times", words, verb="as", told=True, factor=factor) if factor else None


def _trimmed(tokens: tuple[Token, ...]) -> tuple[tuple[Token, ...], bool]:
    """Without politeness in front and "the rest stays" behind; what the words in front say about the kind of message."""
    rest, told = tokens, False
    changed = True
    while changed and rest:
        changed = False
        for words in _BEFORE:
            if lowers(rest, 0, len(words)) == words and rest[0].text != "US":
                told = told or words[0] in _TELLING or "but" in words
                rest, changed = rest[len(words) :], True
                break
        if rest and rest[0].lower in {",", "-", ":", ".", "…"}:
            rest, changed = rest[1:], True
    changed = True
    while changed and rest:
        changed = False
        for words in _AFTER:
            if len(words) <= len(rest) and lowers(rest, len(rest) - len(words), len(words)) == words:
                rest, changed = rest[: -len(words)], True
                break
    return rest, told


_TELLING: Final = {"same", "the", "like", "this", "actually", "no", "sorry", "wait", "rather", "oops", "hmm", "keep", "as", "my", "on", "better", "do"}  # fmt: skip
"""What a correction of the draft begins with."""


def _flags(tokens: tuple[Token, ...]) -> tuple[tuple[Token, ...], bool, bool]:
    """Take a final "too" or "instead" off."""
    also = instead = False
    rest = tokens
    while len(rest) > 1:
        found = next((words for words in _TOO if lowers(rest, len(rest) - len(words), len(words)) == words), None)
        if found and found != ("either",):
            rest, also = rest[: -len(found)], True
        elif rest[-1].lower == "instead":
            rest, instead = rest[:-1], True
        elif rest[-1].lower in {",", "."}:
            rest = rest[:-1]
        else:
            break
    if rest and rest[0].lower == "instead" and lowers(rest, 1, 1) != ("of",):
        rest, instead = rest[1:], True
        while rest and rest[0].lower == ",":
            rest = rest[1:]
    return rest, also, instead


_OF: Final = (
    ("instead", "of"),
    ("rather", "than"),
    ("in", "place", "of"),
    ("as", "opposed", "to"),
    ("and", "not"),
    ("but", "not"),
    (",", "not"),
)


def _arranged(step: Step) -> Step | None:
    """Find what is replaced: "X instead of Y", "instead of Y, X", "not Y but X", "replace Y with X", "from Y to X"."""
    words = step.words
    if step.mode == "swap" or (step.mode == "exclude" and step.verb == "not"):
        made = _swapped(step)
        if made is not None:
            return made
    if step.mode in {"set", "bare", "only", "up", "down"}:
        for of in _OF:
            for at in range(1, len(words) - len(of)):
                if lowers(words, at, len(of)) == of and (of[-1] != "not" or step.mode != "only"):
                    new, old = words[:at], words[at + len(of) :]
                    return structs.replace(
                        step, mode="swap", words=_plain(new), old=_plain(old), told=True, instead=True
                    )
    return step


def _swapped(step: Step) -> Step | None:
    words = step.words
    if step.verb in {"instead of", "rather than", "in place of", "not"}:
        cuts = [at for at, token in enumerate(words) if at and token.lower in {",", "but", "use", "-", ";", "rather"}]
        for at in cuts:
            new = _plain(words[at + 1 :])
            if new and (step.verb != "not" or not _clause_follows(words, at)):
                return structs.replace(step, mode="swap", words=new, old=_plain(words[:at]), told=True, instead=True)
        return _unseparated(step) if step.verb != "not" else None
    for joint in ("with", "by", "for", "to", "into"):
        cuts = [at for at, token in enumerate(words) if at and token.lower == joint]
        if cuts and cuts[0] + 1 < len(words):
            at = cuts[0]
            return structs.replace(step, words=_plain(words[at + 1 :]), old=_plain(words[:at]), told=True)
    return step


def _unseparated(step: Step) -> Step | None:
    """Of "instead of 30 days a quarter": cut behind a time span or number; otherwise it is not known what is new."""
    words = step.words
    for at in range(1, len(words)):
        if words[at].lower in {"a", "an", "the"} or (words[at].kind == "number" and words[at - 1].kind != "number"):
            return structs.replace(
                step, mode="swap", words=_plain(words[at:]), old=_plain(words[:at]), told=True, instead=True
            )
    return None


def _clause_follows(tokens: tuple[Token, ...], at: int) -> bool:
    return tokens[at].lower == "but" and lowers(tokens, at + 1, 1) in {("who",), ("with",), ("in",)}


def _plain(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Without a verb or comma in front and behind: "use" of "instead of 30 days, use 60 days"."""
    rest = tokens
    while rest and (
        rest[0].lower
        in {
            ",",
            "use",
            "make",
            "it",
            "try",
            "take",
            "count",
            "set",
            "but",
            "rather",
            "-",
            ";",
            "have",
            "go",
            "just",
            "only",
        }
        and len(rest) > 1
    ):
        rest = rest[1:]
    while len(rest) > 1 and rest[-1].lower in {",", "."}:
        rest = rest[:-1]
    return rest


_TO: Final = (("should", "be"), ("must", "be"), ("has", "to", "be"), ("needs", "to", "be"), ("should", "have", "been"), ("ought", "to", "be"), ("to", "be"),
              ("to",), ("into",), ("as",), ("=",), ("at",), ("is",), ("be",), ("was",), ("were",), (":",))  # fmt: skip


def divided(tokens: Sequence[Token]) -> list[tuple[tuple[Token, ...], tuple[Token, ...]]]:
    """Every reading of "the order threshold to 5" as what is changed and what it becomes, the plainest first; the whole as new last."""
    every = tuple(tokens)
    made: list[tuple[tuple[Token, ...], tuple[Token, ...]]] = []
    for joint in _TO:
        for at in range(len(every) - len(joint)):
            if lowers(every, at, len(joint)) == joint and _may_divide(every, at, joint):
                made += [(every[:at], every[at + len(joint) :])]
    pointing = len(every) > 1 and every[0].lower in {"it", "them"}
    return [*made, ((), every[1:] if pointing else every)]


def _may_divide(tokens: tuple[Token, ...], at: int, joint: tuple[str, ...]) -> bool:
    """Not the "to" of "2 to 5", the "at" of "at least" or of "added to cart"."""
    following = lowers(tokens, at + len(joint), 1)
    if joint == ("at",):
        return following not in {("least",), ("most",)} and at > 0
    if joint == ("to",) and at and tokens[at - 1].lower in {"up", "equal", "close", "prior", "added"}:
        return False
    if joint == ("to",) and at > 1 and tokens[at - 2].lower in {"condition", "exclusion"}:
        return True
    if joint == ("to",) and at and tokens[at - 1].kind == "number" and tokens[at + 1].kind == "number":
        return not (at == 1 or lowers(tokens, at - 2, 1) != ("from",))
    return True


def names_of(text: str, tokens: Sequence[Token]) -> str:
    """The new name, as written: quoted, or all that follows the verb and its "to"."""
    quoted = next((token.text for token in tokens if token.kind == "quoted"), "")
    if quoted:
        return quoted
    rest = list(tokens)
    while rest and rest[0].lower in {
        "it",
        "to",
        "as",
        "the",
        "segment",
        "this",
        "draft",
        "audience",
        "into",
        ":",
        "that",
        "name",
        "is",
        "be",
        "should",
    }:
        rest = rest[1:]
    if not rest:
        return ""
    plain = written(rest)
    start = text.lower().rfind(rest[0].text.lower())
    tail = text[start:].strip(" .!\"'") if start >= 0 else plain
    return tail if [token.lower for token in read(tail)] == [token.lower for token in read(plain)] else plain
