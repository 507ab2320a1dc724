"""Rules that join parts of which one comes after the other in time, and what may not come between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

from msgspec import UNSET, structs

from segment_copilot.english import lexicon
from segment_copilot.english.reading.anchors import Anchors, WindowAnchor
from segment_copilot.english.reading.meanings import (
    Clause,
    Fragment,
    Joined,
    Reading,
    Tree,
    changed,
    join,
    last_event,
    timed,
    when,
)
from segment_copilot.english.reading.rules.implied import is_step, needed
from segment_copilot.english.reading.rules.sharing import ANDS, Between, Rule, agreement, both, leans, recalled
from segment_copilot.english.reading.rules.told import lapsed
from segment_copilot.english.reading.spans import Span, reading, union
from segment_copilot.english.times.phrases import Length
from segment_copilot.english.times.windows import Window as Said
from segment_copilot.english.times.windows import since
from segment_copilot.language import EventCount, EventSequence, EventTime, Step
from segment_copilot.language.nodes import Window

# One after the other


def then(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Viewed a product, then added it to the cart; ordered after opening an email; within a day of it."""
    if one.tree is None or two.tree is None or leans(one) or leans(two) or one.exclude or two.exclude:
        return
    before, first = split(one.tree, last=True)
    after, second = split(two.tree, last=False)
    if first is None or second is None:
        return
    first, second = _once_more(first, found), _once_more(second, found)
    if (again := _restated(first, second, between)) is not None:
        yield both(one, two, {"then:restated": 1}, tree=join("AND", before, again, after))
    words = in_turn(found) | (_later_words(found) & two.left)
    if between.main == "after" and is_denied(second) and second.window and second.window.kind in {"between", "range"}:
        yield both(
            one, two, {"then:after_none": 1}, tree=join("AND", one.tree, two.tree)
        )  # "after none in the 90 days before"
    for early, late, name in _orders(first, second, between):
        for made, how in _one_then(early, late, between.window, between.used):
            features = {
                f"then:{name}:{'list' if isinstance(second.condition, EventSequence) else 'two'}": 1.0,
                f"then:{how}": 1.0,
                "then:windows": float(first.timed) + float(second.timed),
                "left:word": -float((words & (one.left | two.left)).bit_count()),
                **agreement(one, two, found, "then"),
                **recalled(one, two, found),
            }
            yield both(
                one, two, features, tree=needed(join("AND", before, made, after)), left=(one.left | two.left) & ~words
            )


def in_turn(found: Anchors) -> int:
    """Return the words that add nothing to an order: "again", "next"."""
    return sum(1 << at for at, token in enumerate(found.tokens) if token.lower in lexicon.words("in_turn"))


def _restated(first: Clause, second: Clause, between: Between) -> Clause | None:
    """Return the sequence of "a cart, then an order within an hour of the cart": what it is near is its first step once more."""
    node, said = first.condition, between.window.window if between.window else None
    if not isinstance(node, EventSequence) or between.main != "within_of" or said is None or said.length is None:
        return None
    if (
        not is_step(second)
        or second.event not in {_as_event(step) for step in node.events[:-1]}
        or node.window is not UNSET
    ):
        return None
    if len(node.events) != 2:  # noqa: PLR2004
        return None
    near = structs.replace(node, window=Window(last=_near(said.length)))
    return structs.replace(first, condition=near, used=first.used | second.used | between.used)


def _as_event(step: str | Step) -> str:
    return step if isinstance(step, str) else str(step.event_type)


def _orders(first: Clause, second: Clause, between: Between) -> Iterator[tuple[Clause, Clause, str]]:
    """Yield which of two parts is the earlier one, by the words between and before them."""
    near = _is_near(second) or _is_near(first)
    main = between.main
    if between.front in {"after", "within_of"} and main in {"comma", "and", "soft"}:
        yield first, second, f"front_{between.front}"
    elif between.front == "before" and main == "comma":
        yield second, first, "front_before"
    elif main in {"after", "within_of"}:
        yield second, first, main
        if between.kinds & {"and", "comma", "but"}:
            yield first, second, f"{main}_behind"
    elif main in {"then", "before"} or near or (main == "comma" and isinstance(second.condition, EventSequence)):
        yield first, second, main


def _is_near(part: Clause) -> bool:
    """Return whether a clause is said to come soon after another one."""
    return part.window is not None and part.window.length is not None and _is_span(part.window)


def _one_then(early: Clause, late: Clause, near: WindowAnchor | None, words: int) -> Iterator[tuple[Tree | None, str]]:
    """Yield what two parts say of which one is later: both, or the first and never the second after it."""
    if is_step(early) and is_step(late):
        made = _sequence(early, late, near.window if near else None)
        yield made and structs.replace(made, used=made.used | words), "both"
        if (
            early.window is not None
            and early.window.after is not None
            and not late.timed
            and isinstance(early.condition, EventCount)
        ):
            bare = structs.replace(
                early, condition=structs.replace(early.condition, window=UNSET, window_days=UNSET), window=None
            )
            free = _sequence(
                bare, late, near.window if near else None
            )  # "tried it in May and ordered later on": whenever
            yield free and join("AND", early, structs.replace(free, used=free.used | words)), "first_timed"
    elif is_step(early) and is_denied(late):
        did = structs.replace(late, condition=structs.replace(cast("EventCount", late.condition), operator="gte", value=1), positive=True)  # fmt: skip
        made = _sequence(early, did, near.window if near else None)
        if made is not None:
            node = structs.replace(cast("EventSequence", made.condition), negate=True)
            yield (
                join("AND", early, structs.replace(made, condition=node, used=made.used | words, positive=False)),
                "not",
            )


def is_denied(part: Clause) -> bool:
    """Return whether a part says that something was never done."""
    node = part.condition
    return isinstance(node, EventCount) and node.operator == "eq" and node.value == 0 and part.event != "*"


def split(tree: Tree, *, last: bool) -> tuple[Tree | None, Clause | None]:
    """Return the last (or first) part of a tree, and what is beside it."""
    if isinstance(tree, Clause):
        return None, tree
    part = tree.parts[-1 if last else 0]
    rest = tree.parts[:-1] if last else tree.parts[1:]
    return (join("AND", *rest), part) if tree.logic == "AND" and isinstance(part, Clause) else (None, None)


def _sequence(first: Clause, second: Clause, near: Said | None) -> Clause | None:
    """Return two parts as steps: how near they must be, and when all of it was."""
    span, pointed, lying = "", False, cast("Any", UNSET)
    for said in (near, first.window, second.window):
        if said is None or said.kind == "ever":
            continue
        if _is_span(said) and said.length is not None:
            span, pointed = _near(said.length), said.kind == "same"
        else:
            lying = _lying(said)
    for part in (first, second):
        if isinstance(part.condition, EventSequence) and lying is UNSET:
            lying = part.condition.search_window
    steps, whole = _timed_steps(first, second, span, each=pointed)
    node = EventSequence(events=cast("Any", steps), window=whole, search_window=lying)
    return Clause(node, first.used | second.used, second.event, second.where, timed=True)


def _near(said: Length) -> str:
    """Return how near two steps are, as the language writes it, which knows no months there: 30 days each."""
    days = {"mo": 30, "y": 365}.get(said.unit)
    return said.json if days is None else f"{said.count * days}d"


def _is_span(said: Said) -> bool:
    """Return whether a length says how near two things are, not when they were."""
    return said.kind == "same" or (said.kind == "last" and not said.rolling and said.lead in {"within", "in"})


def _timed_steps(first: Clause, second: Clause, span: str, *, each: bool) -> tuple[list[str | Step], Any]:
    """Return the steps of two parts, and the span of them all; with *each*, or where a part has its own, it is of the last."""
    early, late = _own_steps(first), _own_steps(second)
    several = isinstance(first.condition, EventSequence)
    own = several and any(isinstance(step, Step) and step.within is not UNSET for step in early)
    if span and several and (each or own):
        event = late[0]
        step = event if isinstance(event, Step) else Step(event_type=event)
        return [*early, structs.replace(step, within=span), *late[1:]], UNSET
    if not several and isinstance(second.condition, EventSequence) and not span:
        return [*early, *_steps(second)], second.condition.window
    return [*early, *late], Window(last=span) if span else UNSET


def _own_steps(part: Clause) -> list[str | Step]:
    """Return the steps of a part; where two were bound to a span, the second is bound to it."""
    steps = _steps(part)
    node = part.condition
    if not isinstance(node, EventSequence) or node.window is UNSET or len(steps) != 2:  # noqa: PLR2004
        return steps
    step = steps[1] if isinstance(steps[1], Step) else Step(event_type=steps[1])
    return [steps[0], structs.replace(step, within=cast("Any", node.window.last))]


def _lying(said: Said) -> Any:
    """Return when all of it was, as the language writes a window."""
    fields = when(said)
    if "window_days" in fields:
        return Window(last=f"{fields['window_days']}d")
    return fields.get("window", UNSET)


def _steps(part: Clause) -> list[str | Step]:
    if isinstance(part.condition, EventSequence):
        return list(part.condition.events)
    return [Step(event_type=part.event, where=list(part.where)) if part.where else part.event]


# Since then


def _since(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Ordered 60 to 90 days ago and no order since: from the end of that time on; without a time, never after it."""
    del between
    before = last_event(one.tree)
    after = two.tree if isinstance(two.tree, Clause) else None
    words = _later_words(found) & (two.left | two.pronoun)
    if before is None or not words & two.left or after is None or not after.event or leans(one):
        return
    after = _once_more(after, found)
    for tree, name in later(before, after, words):
        words |= in_turn(found) & two.left
        features = {name: 1, "left:word": -float((words & two.left).bit_count())}
        pointed = structs.replace(two, tree=tree, left=two.left & ~words, pronoun=two.pronoun & ~words, parts=(two,), features=features)  # fmt: skip
        yield both(one, pointed, {}, tree=join("AND", without(one.tree, before, tree), tree), exclude=one.exclude)


_TWICE = 2  # what "again" counts at least


def _once_more(part: Clause, found: Anchors) -> Clause:
    """Return "ordered again", "has not ordered again" as once, and not once, where it is said of the time since."""
    node, again = part.condition, {at for at, token in enumerate(found.tokens) if token.lower == "again"}
    if not isinstance(node, EventCount) or node.value != _TWICE or not any(part.used >> at & 1 for at in again):
        return part
    if node.operator == "lt":
        return structs.replace(
            part, condition=structs.replace(node, operator="eq", value=0), positive=False, counts=True
        )
    return (
        structs.replace(part, condition=structs.replace(node, value=1), counts=True) if node.operator == "gte" else part
    )


def _again(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Booked, cancelled and booked again; cancelled and subscribed again: the last of the steps comes after the others."""
    if not isinstance(two.tree, Clause) or one.tree is None or leans(one) or leans(two) or one.exclude:
        return
    second = _once_more(two.tree, found)
    run, rest = _run_of_steps(one.tree)
    if second is two.tree or not run or run[-1].event == second.event:
        return
    made = chain([*run, second])
    if made is not None:
        features = {
            "again": 1,
            f"again:{'back' if second.event in {part.event for part in run} else 'first'}": 1,
            f"again:{between.main}": 1,
        }
        yield both(one, two, features, tree=join("AND", rest, made))


def without(tree: Tree | None, before: Clause, later_one: Tree) -> Tree | None:
    """Return the tree without what became a step of the sequence that follows it."""
    lasting = isinstance(later_one, Clause) and isinstance(later_one.condition, EventTime)
    stepped = isinstance(later_one, Clause) and later_one.positive and isinstance(later_one.condition, EventSequence)
    if not lasting and not stepped:
        return tree
    if tree == before:
        return None
    if isinstance(tree, Joined) and tree.logic == "AND":
        return join("AND", *(part for part in tree.parts if part != before))
    return tree


def _later_words(found: Anchors) -> int:
    """Return the words that say "after what was said before"."""
    words = union(one for one in found.joints if one.kind in {"then", "after"})
    return words | sum(1 << at for at, token in enumerate(found.tokens) if token.lower in _LATER)


_LATER: Final = frozenset({"since", "afterwards", "afterward", "thereafter", "later", "after", "subsequently"})


def later(before: Clause, after: Clause, words: int) -> Iterator[tuple[Tree, str]]:
    """Yield what happened, or did not, after something else: in the time that began with it, or one after the other."""
    said = before.window
    window = since(said) if said is not None else None
    if said is not None and said.kind == "range" and said.after is None and said.first is not None:
        window = said  # "bought since January, no refund since then"
    if window is not None:
        moved = timed(after, window, words)
        last = lapsed(moved) if said and said.first is None and said.after and before.event == after.event else None
        if last is not None and is_step(before):
            yield last, "since:lapsed"
        elif moved != after:
            yield moved, "since:window"
    recent = before.window is None or (before.window.kind == "last" and before.window.rolling)
    if not recent or after.timed or not is_step(before) or not after.counts:
        return
    events = cast("Any", [*_steps(before), *_steps(after)])
    span = Window(last=after.window.length.json) if after.window is not None and after.window.length else UNSET
    lying = _lying(before.window) if before.window is not None else UNSET
    node = EventSequence(events=events, negate=not after.positive, window=span, search_window=lying)
    used = before.used | after.used | words
    yield Clause(node, used, after.event, after.where, positive=after.positive, timed=True), "since:sequence"


# Steps in a row


def in_a_row(tree: Tree) -> Iterator[tuple[Tree | None, Clause, str]]:
    """Yield what a tree says as steps: a sequence, one event several times, or two events that are named in turn."""
    before, first = split(tree, last=True)
    if first is None:
        return
    if isinstance(first.condition, EventSequence) and not first.condition.negate:
        yield before, first, "sequence"
        return
    node = first.condition
    if isinstance(node, EventCount) and first.positive and node.operator in {"gte", "eq"} and node.value in {2, 3}:
        steps = cast("Any", _steps(first) * int(node.value))
        lying = _lying(first.window) if first.window is not None else UNSET
        yield before, structs.replace(first, condition=EventSequence(events=steps, search_window=lying)), "times"
    run, rest = _run_of_steps(tree)
    if len(run) > 1 and (made := chain(run)) is not None:
        yield rest, made, "two"


def _run_of_steps(tree: Tree) -> tuple[list[Clause], Tree | None]:
    """Return the steps that a tree ends with, and what stands before them."""
    parts = list(tree.parts) if isinstance(tree, Joined) and tree.logic == "AND" else [tree]
    run: list[Clause] = []
    while parts and isinstance(parts[-1], Clause) and is_step(parts[-1]):
        run.insert(0, cast("Clause", parts.pop()))
    return run, join("AND", *parts) if parts else None


def chain(run: Sequence[Clause]) -> Clause | None:
    """Return steps as one sequence."""
    made: Clause | None = run[0]
    for part in run[1:]:
        made = _sequence(made, part, None) if made is not None else None
    return made


# In that order


def in_order(span: Span) -> Iterator[Reading]:
    """Order the parts beside it ("in that order within 3 days; nothing else in between; all three within 2 days: how the parts beside it follow each other."""
    when_said = union(span.windows)
    words = {span.lower(at) for at in range(span.start, span.end) if not when_said >> at & 1}
    content = {span.lower(at) for at in range(span.start, span.end) if (span.found.content & ~when_said) >> at & 1}
    window = span.windows[0] if span.windows else None
    named = any(span.lower(at) == "order" and span.lower(at - 1) in _WHICH_ORDER for at in range(span.start, span.end))
    if window is not None and words & {"all", "whole", "both", "first"} and content <= lexicon.words("all_of_it"):
        yield reading(span, "in_order:window", None, span.mask, "", {}, window=window)
    if (named or words & {"sequence", "succession"}) and content <= lexicon.words("in_order"):
        yield reading(span, "in_order:listed", None, span.mask, "", {}, window=window, ordered=span.mask)
    strict = bool(words & {"strict", "strictly"})
    denied = span.negations or any(one.quantity.none for one in span.quantities)
    if (strict or words & {"between"}) and (strict or denied) and content <= lexicon.words("in_between"):
        yield reading(span, "in_order:strict", None, span.mask, "", {}, fragment=Fragment(span.mask, order="strict"))


_WHICH_ORDER: Final = frozenset(
    {"this", "that", "exact", "same", "given", "listed", "chronological", "precise", "following"}
)


def _listed(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Opened, clicked, ordered, in that order; in this order: opened, clicked."""
    del between, found
    for mark, other in ((two, one), (one, two)):
        part, tree = mark.fragment or Fragment(mark.ordered, order="listed" if mark.ordered else ""), other.tree
        if part.order not in {"listed", "strict"} or tree is None or leans(other):
            continue
        for before, made, name in in_a_row(tree):
            node: Any = structs.replace(cast("EventSequence", made.condition), strict=part.order == "strict")
            if mark.window is not None and mark.window.window.length is not None:
                node = structs.replace(node, window=Window(last=mark.window.window.length.json))
            step = structs.replace(made, condition=node, used=made.used | part.used)
            features = {f"listed:{part.order}:{name}": 1}
            yield both(
                one, two, features, tree=join("AND", before, step), exclude=other.exclude, ordered=0, window=None
            )


def _apart(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Opened, then ordered, all within 2 days of each other, all in the last month."""
    del found
    at = two.window
    if at is None or one.tree is None or leans(one):
        return
    for before, made, name in in_a_row(one.tree):
        node = cast("EventSequence", made.condition)
        if _is_again(node, at.window):
            how = "again"
        elif _is_span(at.window) and at.window.length is not None:
            node, how = structs.replace(node, window=Window(last=_near(at.window.length))), at.window.kind
        elif name == "sequence" and node.search_window is UNSET and at.window.kind != "same" and not at.bare:
            node, how = structs.replace(node, search_window=_lying(at.window)), "lying"
        else:
            continue
        step = structs.replace(made, condition=node, used=made.used | at.mask)
        features = {f"apart:{name}:{how}": 1, f"apart:{between.main}": 1}
        yield both(one, two, features, tree=join("AND", before, step), exclude=one.exclude)


def _is_again(node: EventSequence, said: Said) -> bool:
    """Return whether a span is told once more: "the same day (24 hours)"."""
    hours = {"h": 1, "d": 24, "w": 168}
    span = node.window.last if isinstance(node.window, Window) and node.window.last is not UNSET else ""
    known = {f"{said.length.count * hours[said.length.unit] // size}{unit}" for unit, size in hours.items()
             if said.length.count * hours[said.length.unit] % size == 0} if said.length and said.length.unit in hours else set[str]()  # fmt: skip
    return span in known


def _apart_front(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Clicked and then, in the hour that followed, ordered."""
    del between, found
    if one.window is None or two.tree is None or not _is_span(one.window.window) or one.window.window.length is None:
        return
    said, used = one.window.window, one.window.mask
    _, first = split(two.tree, last=False)
    if first is not None and isinstance(first.condition, EventCount) and not first.timed and first.window is None:
        near = structs.replace(first, window=said, used=first.used | used)
        tree = changed(two.tree, lambda part: near if part is first else part)
        yield both(one, two, {"apart:front": 1}, tree=tree, exclude=two.exclude)


RULES: Final = (
    Rule("again", frozenset({"and", "comma", "but", "then", "stop"}), _again),
    Rule("since", ANDS, _since),
    Rule("then", frozenset({"then", "after", "before", "within_of", "and", "comma", "but", "stop", "soft"}), then),
    Rule("listed", frozenset(), _listed),
    Rule("apart", frozenset(), _apart),
    Rule("apart_front", frozenset(), _apart_front),
)
"""Every way to say that something came after something else."""
