"""Clauses to one tree: what and, or, but, except and then bind, and which conditions are one."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, structs

from segment_copilot.english.audience.chunks import Chunk
from segment_copilot.english.audience.leaves import Group, Leaf, Node, Problem, joined, leaves
from segment_copilot.english.budget import spend
from segment_copilot.english.times.windows import Window


class Joined(Struct, frozen=True):
    """A clause's node with what stands before it. *distributed* means that a negation before an "or" reached it."""

    joint: str
    node: Node | Problem
    weak: bool = False
    chunk: Chunk | None = None
    distributed: bool = False
    apart: bool = False  # a comma stands before its "or": what follows with "with" belongs to it alone
    anew: bool = False  # it names people again: "and anyone who"
    tight: bool = False  # a value or object beside the one before: binds before "and" and "or"


class Folded(Struct, frozen=True):
    """The tree, and what was assumed about its shape."""

    include: Node | None
    exclude: Node | None
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]


def fold(read: tuple[Joined, ...]) -> Folded:
    """Join clauses in their order."""
    problems = tuple(item.node for item in read if isinstance(item.node, Problem))
    if problems:
        return Folded(None, None, (), problems)
    sequenced = _sequences(_tightened(_without_commas(list(read))))
    if isinstance(sequenced, Problem):
        return Folded(None, None, (), (sequenced,))
    included, excluded = _excluded(sequenced)
    notes = (*_scope_notes(read), *_open_notes(read), *_mixed_notes(included))
    return Folded(_tree(included), _union(excluded), notes, ())


def _without_commas(read: list[Joined]) -> list[Joined]:
    """A comma joins as the next word that joins does; the last of a list speaks for all."""
    resolved: list[Joined] = []
    later = beside = "and"
    for item in reversed(read):
        if item.tight:  # a value in a list of values: its joint is none of the clauses'
            beside = item.joint if item.joint in {"and", "or"} else beside
            resolved.append(structs.replace(item, joint=beside if item.joint == "comma" else item.joint))
            continue
        joint = later if item.joint == "comma" else item.joint
        later = joint if joint in {"and", "or", "then"} and not item.weak else "and" if item.joint != "comma" else later
        resolved.append(structs.replace(item, joint=joint))
    return resolved[::-1]


def _tightened(read: list[Joined]) -> list[Joined]:
    """Join what binds first: "bought a dress or jeans and live in France" is about (a dress or jeans)."""
    bound: list[Joined] = []
    for item in read:
        before = bound[-1] if bound else None
        if before is None or not item.tight or item.weak or item.joint not in {"and", "or"}:
            bound.append(item)
        elif not isinstance(before.node, Problem) and not isinstance(item.node, Problem):
            bound[-1] = structs.replace(before, node=_beside(before.node, item.node, item.joint))
    return bound


def soon_after(before: Joined | None, item: Joined) -> bool:
    """Of "opened the app and checked in within 2 hours": whether the one deed is soon after the other."""
    window = item.chunk.window if item.chunk else None
    if before is None or before.chunk is None or window is None or item.joint != "and" or item.weak:
        return False
    deeds = all(
        isinstance(one.node, Leaf) and one.node.link is not None and _may_step(one.node) and not one.node.negated
        and not (one.chunk and one.chunk.quantities) for one in (before, item)
    )  # fmt: skip
    soon = window.kind == "last" and window.lead == "within" and not window.rolling and before.chunk.window is None
    return deeds and soon


def _beside(before: Node, node: Node, joint: str) -> Node:
    """The two joined; of "older than 40 in Madrid or Barcelona" only the last condition has another value beside it."""
    logic = "OR" if joint == "or" else "AND"
    if isinstance(before, Group) and before.logic == "AND" and logic == "OR":
        return Group("AND", (*before.nodes[:-1], _merged(logic, (before.nodes[-1], node))))
    return _merged(logic, (before, node))


def _sequences(read: list[Joined]) -> list[Joined] | Problem:
    """Join neighbours that a "then", "before" or "after" orders."""
    ordered: list[Joined] = []
    for before, item in zip((None, *read), read, strict=False):
        if (item.joint in {"then", "before", "after"} or soon_after(before, item)) and ordered:
            made = _sequence(ordered[-1], item)
            if isinstance(made, Problem):
                return made
            ordered[-1] = structs.replace(ordered[-1], node=made)
        else:
            ordered.append(item)
    return ordered


def _sequence(before: Joined, item: Joined) -> Node | Problem:
    first, second = (item, before) if item.joint == "after" else (before, item)
    text = f"{_text(before.node)} {item.joint} {_text(item.node)}"
    one, two = first.node, second.node
    if isinstance(one, Leaf) and isinstance(two, Leaf) and _absent(one) != _absent(two):
        return _never_followed(before, item, first)
    if not (isinstance(one, Leaf) and isinstance(two, Leaf) and _may_step(one) and _may_step(two)):
        return Problem("unsupported", text, "only events that happened can be put in an order, one after the other")
    steps = [*_steps(one), *_steps(two)]
    spans = [_spans(first), _spans(second)]
    said = [span for several in spans for span in several]
    condition: dict[str, Any] = {"type": "event_sequence", "events": steps}
    notes = (*one.notes, *two.notes)
    earlier = one.condition if one.condition["type"] == "event_sequence" else two.condition
    condition |= {name: earlier[name] for name in ("search_window",) if name in earlier}
    if one.condition["type"] == "event_sequence" and {"window", "window_days"} & set(one.condition):
        return _gaps(one, two, text, notes, spans[1][0] if spans[1] else None)
    for span in said:
        if span.rolling or span.kind != "last":
            if "search_window" in condition:
                return Problem("unsupported", text, "it has more than one time span")
            condition["search_window"] = span.json().get("window", {"last": f"{span.json().get('window_days')}d"})
            if not (span in spans[0] and span.ends_now):  # what follows lies between the first step and now
                notes = (*notes, f"all steps lie {span.text!r}")
        elif "window" in condition or "window_days" in condition:
            return Problem("unsupported", text, "it has more than one time span")
        else:
            made = _first_to_last(span)
            condition |= made[0]
            notes = (*notes, *made[1])
    return structs.replace(two, condition=condition, text=text, notes=notes)


def _absent(leaf: Leaf) -> bool:
    return leaf.negated and leaf.condition["type"] in {"event_count", "recency"} and leaf.link is not None


def _never_followed(before: Joined, item: Joined, first: Joined) -> Node | Problem:
    """Of "added to the cart and then did not order within a day": the one, and never one after the other in that time."""
    made = _sequence(_present(before), _present(item))
    if not isinstance(made, Leaf):
        return made
    never = structs.replace(made, condition={**made.condition, "negate": True}, negated=True)
    done = first.node if isinstance(first.node, Leaf) and not _absent(first.node) else None
    if done is None or item.joint == "after":
        return never
    return joined("AND", (done, never))


def _present(item: Joined) -> Joined:
    """What was not done, as done; its time span is left to the sequence."""
    if not isinstance(item.node, Leaf) or not _absent(item.node) or item.node.link is None:
        return item
    where = {"where": item.node.condition["where"]} if "where" in item.node.condition else {}
    condition = {"type": "event_count", "event_type": item.node.link.event_type, **where, "operator": "gte", "value": 1}
    return structs.replace(item, node=structs.replace(item.node, condition=condition, negated=False, notes=()))


def _spans(item: Joined) -> tuple[Window, ...]:
    """The time spans of a step; what is a sequence already has its own."""
    ordered = isinstance(item.node, Leaf) and item.node.condition["type"] == "event_sequence"
    if ordered or item.chunk is None:
        return ()
    return tuple(window for window in item.chunk.windows if window.kind != "ever")


def _first_to_last(span: Window) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The window of a sequence, and what to say of it; months have no fixed length, so they become days."""
    note = f"{span.text!r} bounds the time from the first to the last step"
    scale = {"mo": 30, "y": 365}.get(span.length.unit) if span.length else None
    if span.length is None or scale is None:
        return span.json(), (note,)
    days = span.length.count * scale
    return {"window_days": days}, (note, f"{span.length.words} is read as {days} days")


def _gaps(one: Leaf, two: Leaf, text: str, notes: tuple[str, ...], span: Window | None) -> Leaf | Problem:
    """Of "viewed, then added within 1 hour, then purchased within 2 days": each span is the gap to the step before."""
    if len(one.condition["events"]) > 2 or two.condition["type"] == "event_sequence":  # noqa: PLR2004  # first and second
        return Problem("unsupported", text, "it has more than one time span")
    if span and (span.rolling or span.kind != "last"):
        return Problem("unsupported", text, "it has more than one time span")
    first, second = one.condition["events"]
    last = _first_to_last(span)[0] if span else {}
    steps = [first, _within(second, one.condition), _within(_steps(two)[0], last)]
    condition = {name: value for name, value in one.condition.items() if name not in {"window", "window_days"}}
    said = tuple(note.replace("from the first to the last step", "since the step before") for note in notes)
    more = (f"{span.text!r} bounds the time since the step before",) if span else ()
    return structs.replace(two, condition=condition | {"events": steps}, text=text, notes=(*said, *more))


def _within(step: Any, window: dict[str, Any]) -> Any:  # a name or a step, as the language writes it
    gap = f"{window['window_days']}d" if "window_days" in window else window.get("window", {}).get("last")
    if gap is None:
        return step
    return ({"event_type": step} if isinstance(step, str) else step) | {"within": gap}


def _may_step(leaf: Leaf) -> bool:
    condition = leaf.condition
    if condition["type"] == "event_sequence":
        return not any(isinstance(step, dict) and "within" in step for step in condition["events"])
    return condition["type"] == "event_count" and condition["operator"] == "gte" and condition["value"] == 1


def _steps(leaf: Leaf) -> list[Any]:
    if leaf.condition["type"] == "event_sequence":
        return list(leaf.condition["events"])
    where = leaf.condition.get("where")
    return [{"event_type": leaf.condition["event_type"], "where": where} if where else leaf.condition["event_type"]]


def _text(node: Node | Problem) -> str:
    return node.text if isinstance(node, Leaf) else node.phrase if isinstance(node, Problem) else ""


def _excluded(read: list[Joined]) -> tuple[list[Joined], list[Joined]]:
    """What follows "except" up to the next "but" or "who", and all the rest."""
    included: list[Joined] = []
    excluded: list[Joined] = []
    excluding = False
    for item in read:
        further = item.joint in {"and", "or"} and (item.anew or (not item.weak and _alike(excluded, item)))
        excluding = item.joint == "except" or (excluding and further)
        (excluded if excluding else included).append(item)
    return included, excluded


def _alike(excluded: list[Joined], item: Joined) -> bool:
    """Whether a clause after "except X" goes on with the exclusion: it is no clause with a verb of its own."""
    chunk = item.chunk
    return bool(excluded) and (chunk is None or not (chunk.perfect or chunk.negated))


def _tree(read: list[Joined]) -> Node | None:
    """Runs end at weak joints; in a run "and" binds more than "or"."""
    runs: list[list[Joined]] = []
    for item in read:
        if not runs or item.weak:
            runs.append([])
        runs[-1].append(item)
    nodes = [_run(run) for run in runs]
    return _merged("AND", tuple(nodes)) if nodes else None


def _run(run: list[Joined]) -> Node:
    either: list[list[Node]] = [[]]
    for at, item in enumerate(run):
        if item.joint == "or" and at:
            either.append([])
        if not isinstance(item.node, Problem):
            either[-1].append(item.node)
    return _merged("OR", tuple(_merged("AND", tuple(nodes)) for nodes in either))


def _union(excluded: list[Joined]) -> Node | None:
    nodes = tuple(item.node for item in excluded if not isinstance(item.node, Problem))
    return _merged("OR", nodes) if nodes else None


def _merged(logic: str, nodes: tuple[Node, ...]) -> Node:
    """Join nodes; tests of one property that differ only in the value become one list test, what is implied goes."""
    flat = joined("OR" if logic == "OR" else "AND", nodes)
    if not isinstance(flat, Group):
        return flat
    spend(len(flat.nodes) ** 2 // 4)
    if flat.logic == "AND":
        needed = tuple(
            node for at, node in enumerate(flat.nodes) if not _implied(node, (*flat.nodes[:at], *flat.nodes[at + 1 :]))
        )
        flat = Group("AND", needed) if needed else flat
    merged: list[Node] = []
    for node in flat.nodes:
        before = merged[-1] if merged else None
        one = _one(flat.logic, before, node) if isinstance(before, Leaf) and isinstance(node, Leaf) else None
        if one is not None:
            merged[-1] = one
        else:
            merged.append(node)
    return merged[0] if len(merged) == 1 else Group(flat.logic, tuple(merged))


def _implied(node: Node, others: tuple[Node, ...]) -> bool:
    """Whether a bare "did it once" says nothing beside the others: "was here, the last time 30 days ago"."""
    if not isinstance(node, Leaf) or set(node.condition) - {
        "type",
        "event_type",
        "operator",
        "value",
        "window",
        "window_days",
    }:
        return False
    if node.condition["type"] != "event_count" or (node.condition["operator"], node.condition["value"]) != ("gte", 1):
        return False
    mine = {name: node.condition[name] for name in ("window", "window_days") if name in node.condition}
    for other in others:
        if not isinstance(other, Leaf) or other.condition.get("event_type") != node.condition["event_type"]:
            continue
        theirs = {name: other.condition[name] for name in ("window", "window_days") if name in other.condition}
        if other.condition["type"] == "recency" and not mine:
            return True
        some = (
            other.condition["type"] == "event_count"
            and other.condition["operator"] in {"gt", "gte"}
            and other.condition["value"] >= 1
        )
        more = other.condition != node.condition and (not mine or mine == theirs)
        if some and more:
            return True
    return False


def _one(logic: str, first: Leaf, second: Leaf) -> Leaf | None:
    test, other, where = _tests_of(first, second)
    if test is None or other is None or test["property"] != other["property"]:
        return None
    operators = (test["operator"], other["operator"])
    union = operators in {("eq", "eq"), ("in", "eq")} and (logic == "OR" or not where)
    neither = operators in {("neq", "neq"), ("not_in", "neq")} and logic == "AND" and not where
    if not (union or neither):
        return None
    values: list[Any] = (
        [*test["value"], other["value"]] if "in" in test["operator"] else [test["value"], other["value"]]
    )
    listed: dict[str, Any] = test | {"operator": "in" if union else "not_in", "value": values}
    notes = tuple(dict.fromkeys((*first.notes, *second.notes)))
    if union and logic == "AND":
        notes = (
            *notes,
            f"one person has one `{test['property']}`, so {_said(values)} is read as any of these",
        )
    condition: dict[str, Any] = {**first.condition, "where": [listed]} if where else {**first.condition, **listed}
    return structs.replace(first, condition=condition, text=f"{first.text} or {second.text}", notes=notes)


def _said(values: list[Any]) -> str:
    return " and ".join(str(value) for value in values)


def _tests_of(first: Leaf, second: Leaf) -> tuple[dict[str, Any] | None, dict[str, Any] | None, bool]:
    """The tests of two trait conditions, or the single filters of two event conditions that are otherwise the same."""
    if first.condition["type"] == second.condition["type"] == "user_property":
        return first.condition, second.condition, False
    if first.condition["type"] == "event_count" and {k: v for k, v in first.condition.items() if k != "where"} == {
        k: v for k, v in second.condition.items() if k != "where"
    }:
        one, two = first.condition.get("where", []), second.condition.get("where", [])
        if len(one) == len(two) == 1:
            return one[0], two[0], True
    return None, None, False


def _scope_notes(read: tuple[Joined, ...]) -> tuple[str, ...]:
    """Say so when a time span at the end might have been meant for more than its own clause."""
    last = read[-1] if len(read) > 1 else None
    if last is None or last.chunk is None or last.chunk.window is None or last.distributed or last.joint in _ORDERING:
        return ()
    if not isinstance(last.node, Leaf) or last.node.condition["type"] not in _COUNTED or not last.node.windowed:
        return ()
    open_ended = [repr(leaf.text) for item in read[:-1] for leaf in _open(item)]
    if not open_ended:
        return ()
    window = last.chunk.window.text
    return (
        f"{window!r} is read as belonging to {last.chunk.text!r} only; {', '.join(open_ended)} looks at all history",
    )


_COUNTED = {"event_count", "monetary"}
_ORDERING = {"then", "before", "after"}


def _open(item: Joined) -> tuple[Leaf, ...]:
    """The conditions of a clause that look at all history although nobody said so."""
    if (
        item.chunk is None
        or isinstance(item.node, Problem)
        or item.chunk.never
        or any(window.kind == "ever" for window in item.chunk.windows)
    ):
        return ()
    return tuple(leaf for leaf in leaves(item.node) if not leaf.windowed and leaf.condition["type"] in _COUNTED)


def _open_notes(read: tuple[Joined, ...]) -> tuple[str, ...]:
    """Say so when something not done has no time span although what was done has one."""
    windowed = any(leaf.windowed for item in read if not isinstance(item.node, Problem) for leaf in leaves(item.node))
    absent = [leaf for item in read for leaf in _open(item) if leaf.negated and leaf.condition.get("value") == 0]
    if not windowed or not absent:
        return ()
    return tuple(f"{leaf.text!r} has no time span of its own, so it means in all history" for leaf in absent)


def _mixed_notes(read: list[Joined]) -> tuple[str, ...]:
    """Say how "and" and "or" in one run were bound."""
    joints = {item.joint for item in read[1:] if not item.weak and not item.distributed}
    tree = _tree(read)
    if {"and", "or"} <= joints and isinstance(tree, Group) and any(isinstance(child, Group) for child in tree.nodes):
        return ("'and' binds more tightly than 'or'",)
    return ()
