"""Makes nodes of JSON, condition by condition, so that a definition with three broken conditions reports three."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, assert_never, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import msgspec
from msgspec import UNSET, Struct

from segment_copilot.documents import escape, unstorable_text, with_whole_numbers
from segment_copilot.errors import Finding, InvalidDefinition
from segment_copilot.language.catalog import nearest
from segment_copilot.language.checks import MAX_STRING, check_leaf, check_texts
from segment_copilot.language.measure_checks import check_compared, check_rank
from segment_copilot.language.nodes import (
    LEAF_TYPES,
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
    Rank,
    Recency,
    Sample,
    SegmentMembership,
    Step,
    UserProperty,
    WhereGroup,
)
from segment_copilot.mistakes import Mistake, mistakes, unreadable

MAX_CONDITIONS: Final = 100
MAX_DEPTH: Final = 8
MAX_LEAVES: Final = 500
MAX_BYTES: Final = 256 * 1024
_MEASURES: Final = ("left", "right", "by")


class Located(Struct, frozen=True):
    """A leaf and where it stands in the document."""

    pointer: str
    leaf: Leaf


class Parsed(Struct, frozen=True):
    """Holds whatever could be read: *definition* when nothing was wrong, and all *leaves* that decoded, in order."""

    definition: Definition | None
    leaves: tuple[Located, ...]
    findings: tuple[Finding, ...]


def decode(document: bytes | Mapping[str, Any]) -> Definition:
    """Return the definition, or raise `InvalidDefinition` with every finding."""
    parsed = parse(document)
    if parsed.definition is None:
        raise invalid(parsed.findings)
    return parsed.definition


_STORED: Final = msgspec.json.Decoder(Definition)


def read_stored(text: str) -> Definition:
    """Return a definition that `encode` wrote: nothing of it is judged again, which is seventy times as fast."""
    try:
        return _STORED.decode(text)
    except msgspec.ValidationError:  # somebody else wrote it
        return decode(text.encode())


def parse(document: bytes | Mapping[str, Any]) -> Parsed:
    """Decode as far as possible; nothing is raised."""
    if isinstance(document, bytes):
        if len(document) > MAX_BYTES:
            return _broken("definition_too_large", f"A definition has at most {MAX_BYTES // 1024} KiB.")
        try:
            document = msgspec.json.decode(document)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return _unread(document)
    if not isinstance(document, Mapping):
        return _broken("wrong_type", "A definition is an object with logic and conditions.")
    return _Walk().definition(document)


def invalid(findings: tuple[Finding, ...] | list[Finding]) -> InvalidDefinition:
    """Return the error that carries all findings."""
    count = len(findings)
    detail = (
        findings[0].detail if count == 1 else f"The definition has {count} mistakes; the first: {findings[0].detail}"
    )
    return InvalidDefinition(detail, findings=findings)


def encode(definition: Definition) -> bytes:
    """Return the definition as JSON, defaults left out."""
    return msgspec.json.encode(definition)


def _unread(document: bytes) -> Parsed:
    """Say what the fast parser cannot read: what is no JSON, and what of JSON no store can keep."""
    if reason := unreadable(document):
        return _broken("malformed_json", f"The definition is not JSON: {reason}.")
    return Parsed(None, (), unstorable_text(document.decode()))


def _broken(code: str, detail: str) -> Parsed:
    return Parsed(None, (), (Finding("", code, detail),))


class _Walk:
    """Goes over a document once: nodes out, findings and leaves collected on the way."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.leaves: list[Located] = []

    def definition(self, document: Mapping[str, Any]) -> Parsed:
        self._unknown_keys("", document, ("logic", "conditions", "exclude", "timezone"))
        logic, conditions = self._group("", document, ("AND", "OR"), depth=1)
        exclude: Any = UNSET
        if "exclude" in document:
            exclude = self._exclusion("/exclude", document["exclude"])
        timezone: Any = UNSET
        if "timezone" in document:
            timezone = self._timezone(document["timezone"])
        if len(self.leaves) > MAX_LEAVES:
            self._find("", "too_many_leaves", f"A definition has at most {MAX_LEAVES} conditions in all.")
        definition = None
        if not self.findings:
            definition = Definition(logic, conditions, exclude, timezone)
        return Parsed(definition, tuple(self.leaves), tuple(self.findings))

    def _exclusion(self, pointer: str, document: object) -> Exclusion | None:
        if not isinstance(document, Mapping):
            self._find(pointer, "wrong_type", "exclude is an object with logic and conditions.")
            return None
        fields = cast("Mapping[str, Any]", document)
        self._unknown_keys(pointer, fields, ("logic", "conditions"))
        return Exclusion(*self._group(pointer, fields, ("AND", "OR"), depth=1))

    def _group(
        self, pointer: str, document: Mapping[str, Any], logics: tuple[str, ...], *, depth: int
    ) -> tuple[Any, list[Condition]]:
        logic, choice = document.get("logic"), f"{', '.join(logics[:-1])} or {logics[-1]}"
        if "logic" not in document:
            self._find(pointer, "missing_field", f"A group needs logic: {choice}.")
        elif not isinstance(logic, str) or logic.upper() not in logics:
            detail = f"logic is {choice}."
            if isinstance(logic, str) and logic.upper() == "AT_LEAST":
                detail += " AT_LEAST stands in a condition of type group, with at_least beside it."
            self._find(f"{pointer}/logic", "wrong_logic", detail)
        raw = document.get("conditions")
        if "conditions" not in document:
            self._find(pointer, "missing_field", "A group needs conditions.")
            return logic, []
        if not isinstance(raw, list):
            self._find(f"{pointer}/conditions", "wrong_type", "conditions is a list.")
            return logic, []
        items = cast("list[Any]", raw)
        if not items:
            self._find(f"{pointer}/conditions", "empty_group", "An empty group is not everyone: add a condition.")
        if len(items) > MAX_CONDITIONS:
            self._find(
                f"{pointer}/conditions", "too_many_conditions", f"A group has at most {MAX_CONDITIONS} conditions."
            )
            return logic, []
        found = [self._condition(f"{pointer}/conditions/{index}", item, depth) for index, item in enumerate(items)]
        return str(logic).upper(), [condition for condition in found if condition is not None]

    def _condition(self, pointer: str, document: object, depth: int) -> Condition | None:
        if not isinstance(document, Mapping):
            self._find(pointer, "wrong_type", "A condition is an object with a type.")
            return None
        fields = cast("Mapping[str, Any]", document)
        kind = fields.get("type")
        if kind == "group":
            return self._nested(pointer, fields, depth + 1)
        if "type" not in fields:
            self._find(pointer, "missing_field", "A condition needs a type.", (*LEAF_TYPES, "group"))
        elif not isinstance(kind, str) or kind not in LEAF_TYPES:
            near = nearest(kind, (*LEAF_TYPES, "group")) if isinstance(kind, str) else ()
            self._find(
                f"{pointer}/type", "unknown_type", "There is no condition of this type.", near or (*LEAF_TYPES, "group")
            )
        else:
            return self._leaf(pointer, fields, LEAF_TYPES[kind], depth)
        return None

    def _nested(self, pointer: str, fields: Mapping[str, Any], depth: int) -> Group | None:
        if depth > MAX_DEPTH:
            self._find(pointer, "too_deep", f"Groups nest at most {MAX_DEPTH} deep.")
            return None
        self._unknown_keys(pointer, fields, ("type", "logic", "at_least", "conditions", "negate"))
        negate = fields.get("negate", False)
        if not isinstance(negate, bool):
            self._find(f"{pointer}/negate", "wrong_type", "negate is true or false.")
        logic, conditions = self._group(pointer, fields, ("AND", "OR", "AT_LEAST"), depth=depth)
        least = self._at_least(pointer, fields, logic)
        return Group(logic=logic, conditions=conditions, at_least=least, negate=bool(negate))

    def _at_least(self, pointer: str, fields: Mapping[str, Any], logic: object) -> Any:
        """Check how many conditions a group asks for: a whole number of those that it has."""
        if logic != "AT_LEAST":
            if "at_least" in fields:
                detail = "at_least is read with logic AT_LEAST only; leave it out."
                self._find(f"{pointer}/at_least", "unread_field", detail)
            return UNSET
        raw, least = fields.get("conditions"), with_whole_numbers(fields.get("at_least"))
        number = len(cast("list[Any]", raw)) if isinstance(raw, list) else 0
        if "at_least" not in fields:
            self._find(pointer, "missing_field", "AT_LEAST needs at_least: how many of the conditions have to hold.")
        elif isinstance(least, bool) or not isinstance(least, int):
            self._find(f"{pointer}/at_least", "wrong_type", "at_least is a whole number.")
        elif number and not 1 <= least <= number:
            detail = f"at_least is from 1 to {number}, the number of conditions in the group."
            self._find(f"{pointer}/at_least", "out_of_range", detail)
        return least

    def _leaf(self, pointer: str, fields: Mapping[str, Any], kind: type[Any], depth: int) -> Leaf | None:
        before = len(self.findings)
        self.findings.extend(check_texts(pointer, fields))
        if len(self.findings) > before:
            return None
        upper = _upper_where(fields)
        try:
            leaf = cast("Leaf", msgspec.convert(upper, kind))
        except msgspec.ValidationError:
            upper = with_whole_numbers(upper)
            if found := [_finding(mistake) for mistake in mistakes(upper, kind, pointer)]:
                self.findings.extend(found)
                return None
            leaf = cast("Leaf", msgspec.convert(upper, kind))
        for inside, where in _wheres_of(leaf):
            if depth >= MAX_DEPTH and isinstance(where, WhereGroup):
                detail = f"A where group adds a level, and {MAX_DEPTH} is the last."
                self._find(f"{pointer}{inside}", "too_deep", detail)
        self.findings.extend(_check(pointer, leaf))
        self.leaves.append(Located(pointer, leaf))
        return leaf if len(self.findings) == before else None

    def _timezone(self, name: object) -> object:
        if not isinstance(name, str):
            self._find("/timezone", "wrong_type", "timezone is an IANA name such as Europe/Madrid.")
        elif not is_timezone(name):
            self._find(
                "/timezone", "unknown_timezone", "This is no IANA time zone.", nearest(name, sorted(_timezones()))
            )
        return name

    def _unknown_keys(self, pointer: str, document: Mapping[Any, Any], known: tuple[str, ...]) -> None:
        for key in document:
            if key not in known:
                self._find(
                    f"{pointer}/{escape(str(key))}",
                    "unknown_field",
                    f"There is no field {str(key)[:64]!r} here.",
                    known,
                )

    def _find(self, pointer: str, code: str, detail: str, suggestions: tuple[str, ...] = ()) -> None:
        self.findings.append(Finding(pointer, code, detail, suggestions))


def _check(pointer: str, leaf: Leaf) -> Iterator[Finding]:
    match leaf:
        case MeasureCompare():
            return check_compared(pointer, leaf)
        case Rank():
            return check_rank(pointer, leaf)
        case _:
            return check_leaf(pointer, leaf)


def is_timezone(name: str) -> bool:
    """Return whether *name* is an IANA time zone."""
    if not name or len(name) > MAX_STRING or "\x00" in name:
        return False
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return name in _timezones()


_OF_A_MACHINE: Final = frozenset({"localtime", "posixrules"})  # files beside the zones: whatever this machine is set to


@lru_cache(maxsize=1)
def _timezones() -> frozenset[str]:
    """Read them once: it is a walk through the time zone files, hundreds of times the cost of everything else here."""
    return frozenset(available_timezones()) - _OF_A_MACHINE


def _wheres_of(leaf: Leaf) -> Iterator[tuple[str, object]]:
    """Yield each `where` of a leaf, and the pointer to it from there."""
    match leaf:
        case EventSequence():
            lists: dict[str, Sequence[str | Step | EventMatch]] = {
                "events": leaf.events,
                "none_between": leaf.none_between or [],
            }
            for name, matches in lists.items():
                for index, match in enumerate(matches):
                    if not isinstance(match, str):
                        yield f"/{name}/{index}/where", match.where
        case MeasureCompare():
            yield "/left/where", leaf.left.where
            yield "/right/where", leaf.right.where
        case Rank():
            yield "/by/where", leaf.by.where
        case UserProperty() | SegmentMembership() | Sample():
            pass
        case EventCount() | Recency() | EventTime() | Monetary() | EventProperty() | EventPeriods():
            yield "/where", leaf.where
        case _:
            assert_never(leaf)


def _upper_where(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write `logic` in upper case: any case is accepted anywhere, and a where group is decoded with its leaf."""
    changed = dict(fields)
    where = fields.get("where")
    if isinstance(where, dict) and isinstance(logic := cast("dict[str, Any]", where).get("logic"), str):
        changed["where"] = {**where, "logic": logic.upper()}
    for name in _MEASURES:
        if isinstance(measure := fields.get(name), dict):
            changed[name] = _upper_where(cast("dict[str, Any]", measure))
    for name in ("events", "none_between"):
        if isinstance(matches := fields.get(name), list):
            changed[name] = [
                _upper_where(cast("dict[str, Any]", match)) if isinstance(match, dict) else match
                for match in cast("list[Any]", matches)
            ]
    return changed


def _finding(mistake: Mistake) -> Finding:
    name = mistake.pointer.rsplit("/", 1)[-1]
    match mistake.code:
        case "unknown_field":
            detail = f"There is no field {mistake.name[:64]!r} here."
            near = nearest(mistake.name, mistake.choices)
            return Finding(f"{mistake.pointer}/{escape(mistake.name)}", mistake.code, detail, near)
        case "missing_field":
            return Finding(mistake.pointer, mistake.code, f"{mistake.name} is missing.")
        case "unknown_value":
            code = "unknown_operator" if name == "operator" else "unknown_value"
            near = nearest(mistake.name, mistake.choices)
            return Finding(mistake.pointer, code, f"{name} {mistake.sentence}.", near)
        case _:
            subject = "The condition" if mistake.sentence.startswith("must be an object") else name
            return Finding(mistake.pointer, mistake.code, f"{subject} {mistake.sentence}.")
