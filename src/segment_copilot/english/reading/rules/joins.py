"""Rules that join two parts of a sentence into one meaning, by what stands between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

from msgspec import UNSET, structs

from segment_copilot.english import lexicon
from segment_copilot.english.reading.anchors import Anchors
from segment_copilot.english.reading.meanings import (
    Clause,
    Joined,
    Reading,
    Tree,
    changed,
    clauses,
    join,
    timed,
    turned,
)
from segment_copilot.english.reading.rules.implied import needed, told_twice
from segment_copilot.english.reading.rules.sharing import (
    ANDS,
    Between,
    Rule,
    agreement,
    both,
    both_segments,
    leans,
    recalled,
    shared,
)
from segment_copilot.language import Recency, UserProperty


def join_both(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Ordered, and opened an email: both; a window of one may be meant for the other too."""
    if (
        leans(one)
        or leans(two)
        or (one.tree is None and one.exclude is None)
        or (two.tree is None and two.exclude is None)
    ):
        return
    exclude = join("OR", one.exclude, two.exclude)
    features = {f"and:{between.main}": 1.0}
    if (isinstance(one.tree, Joined) and one.tree.logic == "OR") or (
        isinstance(two.tree, Joined) and two.tree.logic == "OR"
    ):
        features["and:of_or"] = 1
    features |= agreement(one, two, found, "and") | recalled(one, two, found)
    if _contradict(one.tree, two.tree):
        return
    if "union" in one.features:
        features["and:of_union"] = 1
    features |= _beside(one.tree, two.tree, found, "and")
    if between.main in {"colon", "dash"} and "same_event:and" in features:
        features["and:colon:same_event"] = 1  # "mobile page views: 5 or more" is one thing
    if (kept := told_twice(one.tree, two.tree)) is not None:
        yield both(one, two, {**features, "and:known_anyway": 1}, tree=kept, exclude=exclude)
        return
    for left, right, told in shared(one.tree, two.tree, between.main, found):
        yield both(one, two, {**features, **told}, tree=needed(join("AND", left, right)), exclude=exclude)


def _beside(one: Tree | None, two: Tree | None, found: Anchors, name: str) -> dict[str, float]:
    """Say whether the second of two parts says the first again, or takes for a trait what may be a property as before."""
    left, right = clauses(one), clauses(two)
    if not left or not right:
        return {}
    told: dict[str, float] = {}
    if any(part.condition == other.condition for part in left for other in right):
        told[f"{name}:restated"] = 1
    for part, other in ((left[-1], right[0]), (right[0], left[-1])):
        if part.event and isinstance(other.condition, UserProperty):
            values = (one for one in found.values if one.mask & ~other.used == 0)
            if any(value.place.event == part.event for one in values for value in one.values):
                told[f"{name}:trait_beside_event"] = 1
    if left[-1].event and left[-1].event == right[0].event:
        mine, theirs = ({test.property for test in part.where} for part in (left[-1], right[0]))
        if mine & theirs:
            told[f"{name}:same_property"] = 1
    return told


def _union(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Buyers from Spain, as well as anyone on the pro plan: other people too."""
    if leans(one) or leans(two) or one.tree is None or two.tree is None or one.exclude or two.exclude:
        return
    if not _begins_people(between, found):
        return
    features: dict[str, float] = {
        "union": 1,
        f"union:{between.main}": 1,
        "union:contradiction": float(_contradict(one.tree, two.tree)),
    }
    for left, right, told in shared(one.tree, two.tree, "or", found):
        yield both(one, two, {**features, **told}, tree=_merged(join("OR", left, right)))


def _begins_people(between: Between, found: Anchors) -> bool:
    """Return whether people are named anew behind what joins two parts: "plus everyone …", "and people who …"."""
    tokens, ends = found.tokens, [at + 1 for at in range(len(found.tokens)) if between.used >> at & 1]
    if not between.kinds & {"and"} or not ends:
        return False
    people = lexicon.stems("people") - lexicon.stems("group")
    said = [at for at in range(min(ends) - 1, min(max(ends) + 3, len(tokens))) if tokens[at].stem in people]
    between_words = tokens[max(ends) : said[0]] if said else ()
    return bool(said) and all(token.lower in lexicon.words("light") for token in between_words)


def _contradict(one: Tree | None, two: Tree | None) -> bool:
    """Return whether nobody can be both: they have different values of one trait."""
    values = [
        {part.condition.property: part.condition.value for part in clauses(tree)
         if isinstance(part.condition, UserProperty) and part.condition.operator in {"eq", "equals_set"} and not part.condition.negate}
        for tree in (one, two)
    ]  # fmt: skip
    return any(values[0][name] != values[1][name] for name in values[0].keys() & values[1].keys())


def _or(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Ordered, or opened an email; a comma before an "or" joins as that does."""
    listed = between.main == "comma" and isinstance(two.tree, Joined) and two.tree.logic == "OR"
    if leans(one) or leans(two) or one.tree is None or two.tree is None or one.exclude or two.exclude:
        return
    if between.main != "or" and not listed:
        return
    features: dict[str, float] = {"or:list" if listed else "or": 1, "or:slash": float(_is_slash(between, found))}
    if any(isinstance(tree, Joined) and tree.logic == "AND" for tree in (one.tree, two.tree)):
        features["or:of_and"] = 1
    features |= agreement(one, two, found, "or") | recalled(one, two, found)
    features |= _beside(one.tree, two.tree, found, "or")
    for left, right, told in shared(one.tree, two.tree, "or", found):
        yield both(one, two, {**features, **told}, tree=_merged(join("OR", left, right)))


def _slashed(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """plan: basic / age: 20-29: a stroke may part what holds together."""
    if _is_slash(between, found):
        yield from join_both(one, two, structs.replace(between, main="slash"), found)


def _is_slash(between: Between, found: Anchors) -> bool:
    """Return whether nothing but a stroke stands between two parts."""
    said = [token.lower for at, token in enumerate(found.tokens) if between.used >> at & 1]
    return said == ["/"]


def _merged(tree: Tree | None) -> Tree | None:
    """Return alternatives with those of one trait as one: "free or starter"."""
    if not isinstance(tree, Joined):
        return tree
    kept: list[Tree] = []
    for part in tree.parts:
        last = kept[-1] if kept else None
        made = _either(last, part)
        kept = [*kept[:-1], made] if made is not None else [*kept, part]
    return kept[0] if len(kept) == 1 else Joined(tree.logic, tuple(kept))


def _either(one: Tree | None, two: Tree) -> Clause | None:
    if not isinstance(one, Clause) or not isinstance(two, Clause):
        return None
    left, right = one.condition, two.condition
    if not isinstance(left, UserProperty) or not isinstance(right, UserProperty) or left.property != right.property:
        return None
    if not {left.operator, right.operator} <= {"eq", "in"} or left.negate or right.negate:
        return None
    values = list(
        dict.fromkeys(
            value for test in (left, right) for value in (test.value if isinstance(test.value, list) else [test.value])
        )
    )
    return Clause(UserProperty(property=left.property, operator="in", value=cast("Any", values)), one.used | two.used)


def _nor(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Never visited or ordered; neither opened nor clicked: what follows is turned around too."""
    left, right = clauses(one.tree), clauses(two.tree)
    if (
        leans(one)
        or leans(two)
        or not left
        or not right
        or left[-1].positive
        or not all(part.positive for part in right)
    ):
        return
    if one.exclude or two.exclude or two.tree is None or (between.main in {"and", "comma"} and len(right) > 1):
        return
    features = {f"nor:{between.main}": 1.0, **agreement(one, two, found, "nor"), **recalled(one, two, found)}
    if _is_said_anew(between, found):
        features["nor:anew"] = 1
    previous = left[-1].condition
    after = turned(two.tree)
    if isinstance(previous, Recency) and isinstance(two.tree, Clause) and two.tree.counts:
        node = Recency(
            event_type=two.tree.event,
            operator=previous.operator,
            window_days=previous.window_days,
            where=list(two.tree.where) or UNSET,
        )
        after = structs.replace(two.tree, condition=node, positive=False)
    elif isinstance(after, Clause) and after.timed and not left[-1].timed:
        window = after.window
        recent = _not_for(left[-1], after)
        if recent is not None:
            yield both(one, two, {**features, "nor:not_for": 1}, tree=recent)
        if window is not None and one.tree is not None:
            yield both(
                one,
                two,
                {**features, "nor:shared": 1},
                tree=join("AND", changed(one.tree, lambda part: timed(part, window)), after),
            )
        features["nor:unshared"] = 1
    yield both(one, two, features, tree=join("AND", one.tree, after))


def _is_said_anew(between: Between, found: Anchors) -> bool:
    """Return whether what joins two parts says once more that these are people: "or who's silver", "or whose …"."""
    tokens = (token.lower for at, token in enumerate(found.tokens) if between.used >> at & 1)
    return not _RELATIVE.isdisjoint(tokens)


_RELATIVE: Final = frozenset({"who", "whose", "whom", "that", "who's", "those"})


def _not_for(one: Clause, two: Clause) -> Tree | None:
    """Of "has not visited or ordered in 30 days": neither for 30 days."""
    window = two.window
    if (
        window is None
        or window.rolling
        or window.kind != "last"
        or window.length is None
        or not (one.counts and two.counts)
    ):
        return None
    days = window.length.days or {"mo": 30, "y": 365}.get(window.length.unit, 0) * window.length.count
    if not days:
        return None
    parts = [
        structs.replace(
            part,
            condition=Recency(event_type=part.event, operator="gt", window_days=days, where=list(part.where) or UNSET),
            used=part.used,
        )
        for part in (one, two)
    ]
    return Joined("AND", tuple(parts))


def _except(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Gold members except staff: what follows is taken out."""
    if leans(one) or leans(two) or two.tree is None or two.exclude is not None or not _is_bracket(two, between, found):
        return
    features: dict[str, float] = {"except": 1, "except:from_all": float(one.tree is None)}
    if isinstance(two.tree, Joined) and two.tree.logic == "AND":
        features["except:of_and"] = 1
    features |= both_segments(one, two) | recalled(one, two, found)
    if isinstance(two.tree, Joined) and two.tree.logic == "AND" and not _bracket(between, found):
        yield both(
            one,
            two,
            {**features, "except:and_as_or": 1},
            tree=one.tree,
            exclude=join("OR", one.exclude, *two.tree.parts),
        )
    for left, right, told in shared(one.tree, two.tree, "except", found):
        yield both(one, two, {**features, **told}, tree=left, exclude=join("OR", one.exclude, right))


def _is_bracket(two: Reading, between: Between, found: Anchors) -> bool:
    """Return whether a part is all that stands in the bracket of "not (…)", where it begins with that."""
    tokens, opened = found.tokens, _bracket(between, found)
    if not opened:
        return True
    closed = next((at for at in range(opened, len(tokens)) if tokens[at].lower == ")"), len(tokens))
    used = 0
    for part in clauses(two.tree):
        used |= part.used
    said = [at for at in range(opened + 1, closed) if found.content >> at & 1]
    return used >> closed == 0 and bool(said) and bool(used >> said[-1] & 1)


def _bracket(between: Between, found: Anchors) -> int:
    """Return where the bracket of "not (…)" opens between two parts; 0 where none does."""
    places = (at for at in range(1, len(found.tokens)) if between.used >> at & 1 and found.tokens[at].lower == "(")
    return next((at for at in places if found.tokens[at - 1].lower == "not"), 0)


def _nothing(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Users who ordered: a part that says nothing adds nothing."""
    del found
    for empty, other, name in ((one, two, "left"), (two, one, "right")):
        if not empty.empty or empty.label or (name == "left" and between.main == "except"):
            continue
        fields = {"tree": other.tree, "exclude": other.exclude, "window": other.window, "fragment": other.fragment}
        if name == "left" and between.front == "except" and other.tree is not None:  # "excluding anyone who …"
            out = {"front:out": 1.0, "front:out:several": float(len(clauses(other.tree)) > 1)}
            yield both(one, two, out, tree=None, exclude=join("OR", other.tree, other.exclude))
            return
        yield both(one, two, {f"nothing:{name}": 1, f"nothing:{between.main}": 1}, **fields)
        return


def _label(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Summer sale: customers who …: the name and what it is to hold."""
    del found, between
    if one.label and one.tree is None and not leans(two):
        yield both(one, two, {"labelled": 1}, tree=two.tree, exclude=two.exclude)
    elif two.label and two.tree is None and not leans(one) and one.tree is not None:
        yield both(one, two, {"labelled:behind": 1}, tree=one.tree, exclude=one.exclude)


def _front_window(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """In the last 30 days, viewed a product but did not order: the window is everybody's that has none."""
    del found
    if one.window is None or two.tree is None:
        return
    window = one.window
    tree = changed(two.tree, lambda part: timed(part, window.window, window.mask))
    if tree != two.tree:
        yield both(one, two, {"window:front": 1, f"window:front:{between.main}": 1}, tree=tree, exclude=two.exclude)


def _back_window(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Viewed a product and ordered, all in the last 7 days: of the last part, or of all."""
    del found
    if two.window is None or one.tree is None:
        return
    window = two.window
    everywhere = changed(one.tree, lambda part: timed(part, window.window, window.mask))
    if everywhere == one.tree:
        return
    many = isinstance(one.tree, Joined)
    yield both(
        one,
        two,
        {"window:back:all" if many else "window:back": 1, f"window:back:{between.main}": 1},
        tree=everywhere,
        exclude=one.exclude,
    )
    if isinstance(one.tree, Joined):
        *before, last = one.tree.parts
        moved = changed(last, lambda part: timed(part, window.window, window.mask))
        if moved != last:
            tree = Joined(one.tree.logic, (*before, moved))
            yield both(
                one, two, {"window:back:last": 1, f"window:back:{between.main}": 1}, tree=tree, exclude=one.exclude
            )


RULES: Final = (
    Rule("nothing", frozenset(), _nothing),
    Rule("and", ANDS, join_both),
    Rule("union", frozenset({"and", "comma", "rel", "stop"}), _union),
    Rule("or", frozenset({"or", "comma"}), _or),
    Rule("slash", frozenset({"or"}), _slashed),
    Rule("nor", frozenset({"or", "nor", "and", "comma"}), _nor),
    Rule("except", frozenset({"except"}), _except),
    Rule("label", frozenset({"colon", "dash", "comma", "stop", "and", "soft"}), _label),
    Rule("front_window", frozenset(), _front_window),
    Rule("back_window", frozenset(), _back_window),
)
"""Every way to join two parts that stand by themselves."""
