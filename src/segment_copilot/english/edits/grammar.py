"""An edit sentence to steps: which verb, and what it is about. Verbs are a table; everything else is read from the draft."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from segment_copilot.english.edits.book import remarks, repeats, reworded
from segment_copilot.english.edits.steps import Mode, Step
from segment_copilot.english.edits.verbs import AFTER, BEFORE, BY_WORDS, FACTORS, LONGEST, STRONG, TOO, WEAK
from segment_copilot.english.times.phrases import comparator, lowers
from segment_copilot.english.words.lexer import Token, read, word, written
from segment_copilot.english.words.lexicon import PEOPLE, stems


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
            if verb is not None and (_begins(tokens, end, verb) or _goes_on(tokens, at, end, verb)):
                parts.append(tokens[start:at])
                also = any(token.lower == "also" for token in tokens[at:end])
                start = end - 1 if also else end
                at = end
        at += 1
    return [piece for part in [*parts, tokens[start:]] for piece in _paired(part)]


def _paired(tokens: tuple[Token, ...]) -> list[tuple[Token, ...]]:
    """Of "change the count to 5 and the window to 60 days": the second pair has the verb of the first."""
    verb = _verb(tokens, 0)
    cut = next((at for at, token in enumerate(tokens) if token.lower in {"and", ","} and at), 0)
    if (
        verb is None
        or verb[0] != "set"
        or not cut
        or not all("to" in _lowers(part) for part in (tokens[:cut], tokens[cut:]))
    ):
        return [tokens]
    rest = tokens[cut + 1 :]
    return [tokens[:cut], *_paired((*tokens[: verb[1]], *(rest[1:] if rest[:1] and rest[0].lower == "and" else rest)))]


def _lowers(tokens: Sequence[Token]) -> set[str]:
    return {token.lower for token in tokens}


_JOINTS: Final = {"and", ",", ";", ".", "then", "but", "!", "-", ":"}


def _begins(tokens: tuple[Token, ...], at: int, verb: tuple[Mode, int]) -> bool:
    """Whether a verb begins an edit of its own; "and add to cart" does not."""
    words = " ".join(lowers(tokens, at, verb[1] - at))
    following = lowers(tokens, verb[1], 1)
    return verb[0] in STRONG and words not in WEAK and bool(following) and following not in {("to",), ("from",)}


def _goes_on(tokens: tuple[Token, ...], at: int, end: int, verb: tuple[Mode, int]) -> bool:
    """Whether a verb behind a comma begins an edit: "drop the US, use Canada"."""
    return (
        tokens[at].lower != "and"
        and verb[0] == "set"
        and end + 1 < len(tokens)
        and " ".join(lowers(tokens, end, verb[1] - end)) in _USING
    )


_USING: Final = {"use", "take", "try", "go with", "count", "put", "pick"}


def _verb(tokens: tuple[Token, ...], at: int) -> tuple[Mode, int] | None:
    compared = comparator(tokens, at)
    if compared is not None and compared[1] > at + 1:
        return None  # "no more than", "not less than"
    for size in range(min(LONGEST, len(tokens) - at), 0, -1):
        mode = BY_WORDS.get(lowers(tokens, at, size))
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
    joined = before in {"and", "but"}
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
    factor = FACTORS.get(words, 1)
    step = Step(
        mode, rest[end:], (), words, also=also, instead=instead, told=told, marked=marked, joined=joined, factor=factor
    )
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
        for words in BEFORE:
            if lowers(rest, 0, len(words)) == words and rest[0].text != "US":
                told = told or words[0] in _TELLING or "but" in words
                rest, changed = rest[len(words) :], True
                break
        if rest and rest[0].lower in {",", "-", ":", ".", "…"}:
            rest, changed = rest[1:], True
    changed = True
    while changed and rest:
        changed = False
        for words in AFTER:
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
        found = next((words for words in TOO if lowers(rest, len(rest) - len(words), len(words)) == words), None)
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
    if step.mode in {"set", "bare", "only", "up", "down", "exclude", "include", "add"}:
        for of in _OF if step.mode not in {"exclude", "include", "add"} else _OF[:4]:
            for at in range(1, len(words) - len(of)):
                if lowers(words, at, len(of)) == of and (of[-1] != "not" or _contrasts(step)):
                    new, old = words[:at], words[at + len(of) :]
                    return structs.replace(
                        step, mode="swap", words=_plain(new), old=_plain(old), told=True, instead=True
                    )
    return _negated_end(step)


def _contrasts(step: Step) -> bool:
    """Whether an "X, not Y" is short enough to be a correction and no audience: "Spain, not France"."""
    people = any(token.stem in PEOPLE for token in step.words)
    return step.mode != "only" and not people and len(step.words) <= _SHORT + (step.mode != "bare")


def _negated_end(step: Step) -> Step:
    """Of "clicks not opens"."""
    words = step.words
    at = next((at for at, token in enumerate(words) if token.lower == "not"), 0)
    plain = step.mode == "bare" and 0 < at < len(words) - 1 and len(words) <= _SHORT
    if not plain or any(token.lower in _AUXILIARIES for token in words[:at]) or words[at + 1].lower in _AUXILIARIES:
        return step
    return structs.replace(step, mode="swap", words=words[:at], old=words[at + 1 :], told=True, instead=True)


_SHORT = 7
_AUXILIARIES: Final = {"who", "did", "do", "have", "has", "are", "is", "was", "were", "and", "but", "that", "does", "they", "in", "more", "less", "at", "over", "under", "or",
                       "ordered", "bought", "can", "should", "must", "will", "set"}  # fmt: skip


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


def divided(tokens: Sequence[Token], *, changing: bool = False) -> list[tuple[tuple[Token, ...], tuple[Token, ...]]]:
    """Every reading of "the order threshold to 5" as what is changed and what it becomes, the plainest first; the whole as new last."""
    every = tuple(tokens)
    made: list[tuple[tuple[Token, ...], tuple[Token, ...]]] = []
    for joint in _TO:
        for at in range(len(every) - len(joint)):
            if lowers(every, at, len(joint)) == joint and _may_divide(every, at, joint, changing=changing):
                made += [(every[:at], every[at + len(joint) :])]
    pointing = len(every) > 1 and every[0].lower in {"it", "them"}
    return [*made, ((), every[1:] if pointing else every)]


def _may_divide(tokens: tuple[Token, ...], at: int, joint: tuple[str, ...], *, changing: bool) -> bool:
    """Not the "to" of "2 to 5", the "at" of "at least" or of "added to cart"."""
    following = lowers(tokens, at + len(joint), 1)
    if joint == ("at",):
        return following not in {("least",), ("most",)} and at > 0
    if joint == ("to",) and at and tokens[at - 1].lower in {"up", "equal", "close", "prior", "added"}:
        return False
    if joint == ("to",) and at > 1 and tokens[at - 2].lower in {"condition", "exclusion"}:
        return True
    if joint == ("to",) and at and tokens[at - 1].kind == "number" and tokens[at + 1].kind == "number":
        return lowers(tokens, at - 2, 1) == ("from",) if at > 1 else changing
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
