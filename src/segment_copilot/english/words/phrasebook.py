"""Ways of saying one thing: phrases rewritten to the wording that the grammar reads, and remarks that ask for nothing.

A rule is a pattern and what takes its place. In a pattern `a|b` is one of two words, a `?` behind makes it optional, and
a slot stands for what the grammar already reads: `<n>` a number, `<len>` a length of time, `<unit>` a period, `<any>` as
few words as do, `<rest>` all words of the clause; behind the `=`, `<2>` is the second slot. `^` is the start of the sentence, `$` its end. Behind `=`, `-` is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from segment_copilot.english.budget import spend
from segment_copilot.english.times.phrases import length, lowers
from segment_copilot.english.words.lexer import Token, read

_PERIODS: Final = frozenset({"day", "days", "week", "weeks", "month", "months", "quarter", "quarters", "year", "years"})
_CLAUSE_ENDS: Final = frozenset({",", ".", ";", "!", "?", "but", "except", "excluding", "unless", "(", ")"})
_MOST: Final = 10
_PASSES: Final = 3
_RULES: Final = """
# When
since|from the? start|beginning|first|begin of the|this|our? current? <unit> = this <unit>
since|from the? start|beginning|begin|first of = since
since the? <unit> began|started|begins|starts = this <unit>
since the? 1 st of the|this current? <unit> = this <unit>
during|in|within|over the? <unit> so far = this <unit>
in|within|inside|during <len> or|at less|fewer|sooner|most|max|tops = within <len>
in|within no? more than <len> of = within <len> of
no|not later than <len> after|afterwards = within <len>
in|within at most <len> = within <len>
in under|below <len> = within <len>
inside <len> = within <len>
in|during|over|within those|these|that|the same? same <len> = in that period
in|during|over|within those|these|that <len> = in that period
in|during|over|within the same time|timeframe|window|span = in that period
at some|any stage|time|point = ever
at least|most? at some point = ever
within|in|over the? space|course of <len> = within <len>
on|for at least|over? <len> running = for <len>
days since|from? the|their? last|latest|most? recent? <any> between <n> and <n> = last <any> between <n> and <n> days ago
days since the|their? last|latest <any> >|over <n> = last <any> more than <n> days ago
last|latest <any> under|below|less than? <len> ago = last <any> less than <len> ago
last|latest <any> over|above|beyond <len> ago = last <any> more than <len> ago
# In how many periods
<unit> out? of the? last|past <n> ,|.|$ = <unit> of the last <n> <unit>
out of the = of the
in|during|on? each|every and? every? one|single? of the|these|those? last|past|previous <n> calendar? <unit> = in <n> of the last <n> <unit>
in|during all <n> of the last|past|previous <n> calendar? <unit> = in <n> of the last <n> <unit>
in all of? the? last|past|previous <n> calendar? <unit> = in <n> of the last <n> <unit>
of the|these? last|past|previous <n> calendar|full|whole <unit> = of the last <n> <unit>
times|time|x a|per|each|every week|day|month ,? in <n> of the = times in <n> of the
# In which order
go|went|gone|going|moved|moving from <any> to <rest> = <any> then <rest>
- > = then
→ = then
= > = then
first <any> , then = <any> then
then <any> again|afterwards|later|thereafter afterwards|later? = then <any>
then <any> after that = then <any>
,|; <any> excluded|exempted|omitted = except <any>
first <any> and? then = <any> then
first , then = then
first then = then
and <any> no more|later than <len> after|afterwards|later = then <any> within <len>
and <any> at most|up to? <len> after|afterwards|later = then <any> within <len>
and <any> within|in <len> after|afterwards|later = then <any> within <len>
,|and|with at most|no more than|less <len> between the|these|those? two|both|them|steps = within <len>
,|and|with no more than <len> between the|these|those? two|both|them|steps = within <len>
followed within <len> by <rest> = then <rest> within <len>
and|, then? within <len> of that|this|it <rest> = then <rest> within <len>
within|in <len> of|after it|that|this|doing so = within <len>
and within <len> <rest> = then <rest> within <len>
then <any> within <len> of|after|from the|that|this|it|doing? <gerund> <rest>? = then <any> within <len>
the whole thing|lot|sequence|journey within|in|inside <len> = within <len>
all|both of? it|them|this|that|steps? within|in|inside <len> = within <len>
both|all during|in|within|over <rest> = during <rest>
was|were|is|are|being? ever? followed by = then
# In and out
take|start|begin with? <any> and|then|, subtract|remove|drop|exclude|minus|without|deduct <rest> = <any> except <rest>
,|.|;|and|then subtract|remove|drop|deduct|exclude|omit|skip|ignore the|any|all? members|people|users|everyone|everybody|anyone|those|customers of|from|in|on|who|with? <rest> = except <rest>
leave|keep|take|filter|cut <any> out = except <any>
leave|filter|take|cut|throw|rule out <rest> = except <rest>
excluded users|people|contacts|members|customers|ones? :? <rest> = except <rest>
combine|merge|unite|union|join of? <any> and|with <rest> = <any> or <rest>
everyone|everybody|anyone|all|anybody but = everyone except
who|that are|is|were neither <any> nor <rest> = who are not <any> and are not <rest>
is|are|were|was not? either <any> or <rest> = are <any> or <rest>
# What somebody is or did
new|recent signups|signup|registrations|joiners|members from|in|of|during|within|over the? last|past <len> = people who signed up in the last <len>
that|which found|returned|gave|yielded|got nothing|none = with no results
found|returned|gave|yielded nothing = with no results
coming|arriving from|via|through = from
residents|inhabitants|natives|citizens of|in = people in
every|each|all one? of those|these <any> was|were|is|are <rest> = every <1> <2> in that period
every|each|all one? of their|the|them <any> was|were|is|are <rest> = every <1> <2>
nothing|none|not|no again|more? after that|then|this = none since
nothing|none|not|no again|more? since then|that = none since
without|minus those|anyone|people|everyone|members|users|customers|anybody who|that|with|in = except those who
the|their <any> of|on|in the|their|his? last|latest <any> is|was|=|equals <rest> = last <2> <1> <3>
the|their <any> of|on|in the|their|his? first <any> is|was|=|equals <rest> = first <2> <1> <3>
most recent = last
, on average , = on average
plus everyone|everybody|anyone|those|people|users|customers|members = or everyone
redeemed|redeem|used|use the|a|an? <any> code|coupon|voucher on|in|with|for their|the|his? last|latest <rest> = last <2> used coupon <1>
our|all|the? <any> members|customers|users|people plus our|all|the? <any> members|customers|users|people = <1> or <2> members
^ <any> ,? i.e|ie .|,? :? <rest> = <2>
otherwise everyone|everybody|anyone|all = everyone
^ hi|hello|hey|hiya there|all|team|folks|guys? ,|!|.|—? = -
^ for <any> i|we need|want|would|look = i need
^ i am|m after|looking|searching for? = i need
^ from|in|of|within the? segment <any> , just|only? <rest> = members of <1> who are <2>
the|just|only ones|people|users|members|customers paying|pay for either? <rest> = on <rest>
^ need|needing|wanted|want|get|gimme the|a|an|all|some|my|our? = get the
asked|requested|wanted|asks|decided to leave|quit|go|stop = asked to cancel
whose <any> we|i do not know|have = without <any>
is|are set|turned to = is
people|users|customers|members|those|shoppers|visitors of|in|at the? age of? <n> = people aged <n>
most expensive|costly|priciest = largest
priciest|costliest = largest
been|come|came|showed|shown|show|turned back|here|around|up to|on|at|for the|our? site|store|shop|website|app|club|gym = visited
been|come|came|showed|shown|show|turned back|here|around|up = visited
^ on|at the|our? site|store|shop|website|app|club|gym = visited
and|or|who|, on|at the|our site|store|shop|website|app|club|gym = who visited
been|be on|at|to|in|inside the|our|any? site|store|shop|website|app|club|gym = visited
was|were|are|is on|at|to|in the|our|any? site|store|shop|website|app|club|gym = visited
was|were|are|is here|around = visited
logged|dropped|popped|stopped|swung by|in|into on|at? the|our? site|store|shop|website = visited
set foot in|on|at the|our|any? site|store|shop|website|club|gym = visited
came|come|arrived|arrive to|on|at the|our? site|store|shop|website|app from|via|through = visited from
tried|tried|test|tested out? a|an|the|our <any> plan|membership = started a trial of <any> plan
carry|carries|have|has|bear|bears|wear|wears the? tag|label = are tagged
tagged with|as|by|: = tagged
labelled|labeled with|as = tagged
number of <any> is|was|= = <any>
has|have|had|with an? interest in = interested in
with|have|has|having an? <any> as an? interest = interested in <any>
list|lists|have|has|name|names <any> among|as|in their interests|interest = interested in <any>
order|purchase|order's value|amount|total averages|averaging|average = average order value
# Remarks
(|, this|the current|running|present? week|month|day|one included|inclusive|counted|counts|too )? = -
(|, including|counting this|the current|running? week|month|day|one|today? )? = -
,|( the current|running|present week|month|day counting|counted as one of them )? = -
,|( both ends|sides|limits|of them? included|inclusive|counted )? = -
,|( no time|date limit|limits|window|restriction for|on? either|both|any|that|it? )? = -
,|. that|this is it|all , nothing else|more? = -
,|. nothing|no else|more|other conditions|filters? $ = -
( <n>|one of|in|them|it? is enough|being in one is enough ) = -
( being in|one of? <any> is enough ) = -
( either|any one? of? them? is|will enough|do|fine|ok ) = -
, thx|thanks|cheers|please|pls|plz|ty|ok|okay you? !? = ,
?|!|. thx|thanks|cheers|please|pls|plz|ty you? !? = .
please|pls|plz|kindly = -
( inclusive|exclusive ) = -
i . e .? ,? = :
e . g .? = :
"""


class _Rule(Struct, frozen=True):
    pattern: tuple[str, ...]
    replacement: tuple[str, ...]


class _Match(Struct, frozen=True):
    end: int
    slots: tuple[tuple[str, tuple[Token, ...]], ...] = ()


def _rules(book: str) -> Iterator[_Rule]:
    for line in book.strip().splitlines():
        if not line.startswith("#"):
            pattern, _, replacement = line.partition(" = ")
            yield _Rule(tuple(pattern.split()), () if replacement == "-" else tuple(replacement.split()))


class Book:
    """Rules, one a line."""

    def __init__(self, text: str) -> None:
        self.rules = tuple(_rules(text))


_BOOK: Final = Book(_RULES)


def rewritten(tokens: Sequence[Token], book: Book = _BOOK) -> tuple[Token, ...]:
    """The tokens with every phrase of the book in the wording that the grammar reads."""
    every = _without_restatements(tuple(tokens))
    for _ in range(_PASSES):
        before = every
        for rule in book.rules:
            every = _applied(rule, every)
        if every == before:
            break
    return every


def _applied(rule: _Rule, tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    spend(len(tokens))
    at = 0
    while at < len(tokens):
        found = _matched(rule.pattern, tokens, at)
        if found is None or found.end == at:
            at += 1
            continue
        made = tuple(_made(rule.replacement, found))
        tokens = (*tokens[:at], *made, *tokens[found.end :])
        at += max(1, len(made))
    return tokens


def _made(replacement: Sequence[str], found: _Match) -> Iterator[Token]:
    slots: dict[str, list[tuple[Token, ...]]] = {}
    for name, held in found.slots:
        slots.setdefault(name, []).append(held)
    for part in replacement:
        if part in slots:
            held = slots[part]
            yield from held.pop(0) if len(held) > 1 else held[0]
        elif part[1:-1].isdecimal():
            yield from found.slots[int(part[1:-1]) - 1][1]
        elif not part.startswith("<"):
            yield from read(part)


def _matched(pattern: tuple[str, ...], tokens: tuple[Token, ...], at: int) -> _Match | None:
    if not pattern:
        return _Match(at)
    first, rest = pattern[0], pattern[1:]
    optional = first.endswith("?") and len(first) > 1
    for end, slot in _ends(first.removesuffix("?") if optional else first, tokens, at):
        spend()
        found = _matched(rest, tokens, end)
        if found is not None:
            return _Match(found.end, (*slot, *found.slots))
    return _matched(rest, tokens, at) if optional else None


def _ends(
    element: str, tokens: tuple[Token, ...], at: int
) -> Iterator[tuple[int, tuple[tuple[str, tuple[Token, ...]], ...]]]:
    """Where the element may end, and what its slot then holds."""
    if element == "^":
        if at == 0:
            yield at, ()
    elif element == "$":
        if at == len(tokens) or all(token.kind == "sign" for token in tokens[at:]):
            yield at, ()
    elif element in {"<any>", "<rest>"}:
        longest = at
        while longest < len(tokens) and longest < at + _MOST and tokens[longest].lower not in _CLAUSE_ENDS:
            longest += 1
        ends = range(at + 1, longest + 1) if element == "<any>" else range(longest, at, -1)
        yield from ((end, ((element, tokens[at:end]),)) for end in ends)
    elif at >= len(tokens):
        return
    elif element == "<len>":
        found = length(tokens, at)
        if found is not None:
            yield found[1], ((element, tokens[at : found[1]]),)
    elif _one(element, tokens[at]):
        yield at + 1, ((element, (tokens[at],)),) if element.startswith("<") else ()


def _one(element: str, token: Token) -> bool:
    match element:
        case "<n>":
            return token.kind == "number"
        case "<unit>":
            return token.lower in _PERIODS
        case "<gerund>":
            return token.kind == "word" and token.lower.endswith("ing")
        case _:
            return token.kind != "quoted" and token.lower in _alternatives(element)


_split: dict[str, frozenset[str]] = {}


def _alternatives(element: str) -> frozenset[str]:
    found = _split.get(element)
    if found is None:
        found = _split[element] = frozenset(element.split("|"))
    return found


def _without_restatements(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Without the "(14 days)" of "the last two weeks (14 days)", and without a "(2+)" behind the same number."""
    kept: list[Token] = []
    at = 0
    while at < len(tokens):
        end = _restated(tuple(kept), tokens, at) if tokens[at].lower == "(" else at
        if end == at:
            kept.append(tokens[at])
        at = max(end, at + 1)
    return tuple(kept)


_DAYS: Final[Mapping[str, int]] = {"d": 1, "w": 7, "mo": 30, "y": 365}


def _restated(before: tuple[Token, ...], tokens: tuple[Token, ...], at: int) -> int:
    """The end of a parenthesis that says again what stands before it; *at* where it says something else."""
    number = tokens[at + 1] if at + 1 < len(tokens) else None
    end = at + (3 if lowers(tokens, at + 2, 1) == ("+",) else 2)
    if number is not None and number.kind == "number" and lowers(tokens, end, 1) == (")",):
        same = any(token.kind == "number" and token.value == number.value for token in before[-4:])
        couple = number.value == len("ab") and any(token.lower in {"couple", "twice"} for token in before[-6:])
        return end + 1 if same or couple else at
    said = length(tokens, at + 1)
    if said is not None and lowers(tokens, said[1], 1) == (")",):
        for start in range(max(0, len(before) - 4), len(before)):
            earlier = length(before, start)
            if earlier and earlier[1] == len(before):
                days = [one.count * _DAYS.get(one.unit, 0) for one in (said[0], earlier[0])]
                return said[1] + 1 if said[0] == earlier[0] or (days[0] and days[0] == days[1]) else at
    return at
