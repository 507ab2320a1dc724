"""Finds conditions that nobody or everybody meets, and windows that hold nothing, in a definition that is valid.

Only what is proved for every data set is said; `subjects` proves it. Nothing here stops a definition from being saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import combinations
from typing import Final, assert_never
from zoneinfo import ZoneInfo

from msgspec import UNSET, UnsetType

from segment_copilot.errors import Finding
from segment_copilot.language.lint.constraints import Clock, Reader
from segment_copilot.language.lint.subjects import Constraint, Term, at_least, complement, join
from segment_copilot.language.nodes import (
    Condition,
    Definition,
    EventCount,
    EventMatch,
    EventPeriods,
    EventProperty,
    EventSequence,
    EventTime,
    Exclusion,
    Group,
    Leaf,
    MeasureCompare,
    Monetary,
    PropertyTest,
    Rank,
    Recency,
    Sample,
    SegmentMembership,
    Step,
    UserProperty,
    Where,
    WhereGroup,
    Window,
)

Truth = Term | bool
_NOBODY: Final = "No user can match"
_EVERYBODY: Final = "Every user matches"


def lint(definition: Definition, *, as_of: datetime, timezone: str) -> tuple[Finding, ...]:
    """Return the warnings `contradiction`, `tautology` and `unreachable_window`.

    Args:
        definition: Bound, so that every test has its type.
        as_of: Aware; a window that begins later holds nothing yet.
        timezone: The tenant's, for definitions without their own.
    """
    linter = _Linter(Clock(as_of.astimezone(UTC), ZoneInfo(definition.timezone or timezone)))
    linter.definition(definition)
    return tuple(sorted(linter.findings, key=lambda finding: finding.pointer))


class _Linter:
    """Goes through a definition once, innermost first, so that each cause is named once."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.reader = Reader(clock)
        self.findings: list[Finding] = []

    def definition(self, definition: Definition) -> None:
        if definition.exclude is UNSET:
            self._group("", definition)
            return
        included, excluded = self._group("", definition, "/conditions"), self._group("/exclude", definition.exclude)
        if isinstance(included, bool) or isinstance(excluded, bool):
            return  # named where it is
        match join("AND", [included, complement(excluded)]):
            case False:
                text = f"{_NOBODY}: exclude takes out everyone whom the conditions let in."
                self.findings.append(Finding("", "contradiction", text))
            case _:
                pass

    def _group(self, pointer: str, group: Definition | Exclusion | Group, named: str | None = None) -> Truth:
        """Judge a group, whose finding stands at *named* if not at *pointer*."""
        truths = [
            self._condition(f"{pointer}/conditions/{index}", condition)
            for index, condition in enumerate(group.conditions)
        ]
        negate = isinstance(group, Group) and group.negate
        if isinstance(group, Group) and group.logic == "AT_LEAST":
            known, text = _count(group.at_least or 0, truths)
        else:
            known, text = _join(group.logic, truths, "conditions")
        if text:
            outcome = known != negate
            self._find(
                pointer if named is None else named, f"{_EVERYBODY if outcome else _NOBODY}{text}", tautology=outcome
            )
        return _negated(known, negate=negate)

    def _condition(self, pointer: str, condition: Condition) -> Truth:
        if isinstance(condition, Group):
            return self._group(pointer, condition)
        self._wheres(pointer, condition)
        if self._windows(pointer, condition):
            return self.reader.whole(condition)  # said once is enough
        term = _negated(self.reader.leaf(condition), negate=condition.negate)
        if isinstance(term, Constraint):
            term = join("AND", [term])
        if isinstance(term, bool):
            text = "Every user matches this condition." if term else "No user can match this condition."
            self._find(pointer, text, tautology=term)
        return term

    def _find(self, pointer: str, detail: str, *, tautology: bool) -> None:
        self.findings.append(Finding(pointer, "tautology" if tautology else "contradiction", detail))

    # Filters

    def _wheres(self, pointer: str, leaf: Leaf) -> None:
        match leaf:
            case UserProperty() | Sample() | SegmentMembership():
                return
            case EventSequence():
                matches: dict[str, Sequence[str | Step | EventMatch]] = {
                    "events": leaf.events,
                    "none_between": leaf.none_between or [],
                }
                for name, inside in matches.items():
                    for index, match in enumerate(inside):
                        if not isinstance(match, str):
                            self._where(f"{pointer}/{name}/{index}/where", match.where)
                self._same(pointer, leaf)
            case MeasureCompare():
                self._where(f"{pointer}/left/where", leaf.left.where)
                self._where(f"{pointer}/right/where", leaf.right.where)
            case Rank():
                self._where(f"{pointer}/by/where", leaf.by.where)
            case EventCount() | Recency() | EventTime() | Monetary() | EventProperty() | EventPeriods():
                self._where(f"{pointer}/where", leaf.where)
            case _:
                assert_never(leaf)

    def _same(self, pointer: str, leaf: EventSequence) -> None:
        """Find that no value passes what the steps ask of a property that is the same at all of them."""
        wheres = [step.where for step in leaf.events if isinstance(step, Step) and step.where is not UNSET]
        tests = [test for where in wheres for test in _required(where)]
        for index, path in enumerate(leaf.same or ()):
            about = [test for test in tests if test.any_of is UNSET and test.property == path]
            read = [(self.reader.payload_test(test), test.negate) for test in about]
            terms = [complement(term) if negate else term for term, negate in read if not isinstance(term, bool)]
            if len(terms) > 1 and join("AND", terms) is False:
                self._find(f"{pointer}/same/{index}", f"No {path} passes what every step asks of it.", tautology=False)

    def _where(self, pointer: str, where: Where | UnsetType) -> None:
        if where is UNSET:
            return
        logic, tests, inside = (
            (where.logic, where.conditions, f"{pointer}/conditions")
            if isinstance(where, WhereGroup)
            else ("AND", where, pointer)
        )
        truths = [self._test(f"{inside}/{index}", test) for index, test in enumerate(tests)]
        known, text = _join(logic, truths, "tests")
        if text:
            lead = "Every event passes this filter" if known else "No event can pass this filter"
            self._find(pointer, f"{lead}{text}", tautology=bool(known))

    def _test(self, pointer: str, test: PropertyTest) -> Truth:
        read = self.reader.payload_test(test)
        term = read if isinstance(read, bool) else join("AND", [read])
        if isinstance(term, bool):
            outcome = term != test.negate
            text = "Every event passes this test." if outcome else "No event can pass this test."
            self._find(pointer, text, tautology=outcome)
        return _negated(term, negate=test.negate)

    # Windows

    def _windows(self, pointer: str, leaf: Leaf) -> bool:
        """Return whether a window was found to hold nothing."""
        before = len(self.findings)
        match leaf:
            case EventTime():
                if not leaf.negate and self.reader.lies_ahead(leaf):
                    detail = f"No event can have happened then: it is later than {self._now()}."
                    self.findings.append(Finding(f"{pointer}/value", "unreachable_window", detail))
            case EventSequence():
                self._window(f"{pointer}/search_window", leaf.search_window)
            case EventCount() | Monetary() | EventProperty():
                self._window(f"{pointer}/window", leaf.window)
            case MeasureCompare():
                self._window(f"{pointer}/left/window", leaf.left.window)
                self._window(f"{pointer}/right/window", leaf.right.window)
            case Rank():
                self._window(f"{pointer}/by/window", leaf.by.window)
            case Recency() | EventPeriods() | UserProperty() | Sample() | SegmentMembership():
                pass
            case _:
                assert_never(leaf)
        return len(self.findings) > before

    def _window(self, pointer: str, window: Window | UnsetType) -> None:
        if window is UNSET or window.from_ is window.to:  # only from and to can lie anywhere
            return
        start, end = self.clock.reach(window)
        if start > self.clock.as_of:
            detail = f"This window begins later than {self._now()}, so nothing can have happened in it yet."
            self.findings.append(Finding(pointer, "unreachable_window", detail))
        elif start > end:
            self.findings.append(Finding(pointer, "unreachable_window", "Nothing can have happened in this window."))

    def _now(self) -> str:
        return f"{self.clock.as_of:%Y-%m-%dT%H:%M:%SZ}"


def _required(where: Where) -> Sequence[PropertyTest]:
    """Return the tests that every event of a filter passes."""
    if not isinstance(where, WhereGroup):
        return where
    return where.conditions if where.logic == "AND" else ()


def _negated(term: Truth, *, negate: bool) -> Truth:
    if isinstance(term, bool):
        return term != negate
    return complement(term) if negate else term


def _count(least: int, truths: Sequence[Truth]) -> tuple[Truth, str]:
    """Return what a group comes to that asks for so many of its conditions, and why, as `_join` does."""
    open_ = [truth for truth in truths if not isinstance(truth, bool)]
    wanted = least - sum(truth is True for truth in truths)
    if wanted <= 0:
        return True, ""
    if wanted > len(open_):
        return False, ""
    outcome = at_least(wanted, open_)
    if not isinstance(outcome, bool):
        return outcome, ""
    return outcome, f": {'there are always' if outcome else 'there are never'} {least} of its conditions that hold."


def _join(logic: str, truths: Sequence[Truth], noun: str) -> tuple[Truth, str]:
    """Return what the group comes to, and why, if the group makes it so and none of its members alone."""
    open_ = [(number, truth) for number, truth in enumerate(truths, 1) if not isinstance(truth, bool)]
    decisive = logic == "OR"
    if any(truth is decisive for truth in truths):
        return decisive, ""
    if not open_:
        return not decisive, ""
    outcome = join(logic, [truth for _, truth in open_])
    if not isinstance(outcome, bool):
        return outcome, ""
    verb = "cover every case" if decisive else "exclude one another"
    for (one, first), (other, second) in combinations(open_, 2):
        if isinstance(join(logic, [first, second]), bool):
            return outcome, f": {noun} {one} and {other} {verb}."
    return outcome, f": its {noun} {verb}."
