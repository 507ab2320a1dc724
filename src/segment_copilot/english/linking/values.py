"""Tests of properties and traits: "the pro plan", "priced over 100", "with priority high", "in Germany", "tagged vip"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct, structs

from segment_copilot.english.budget import spend
from segment_copilot.english.linking.index import Field
from segment_copilot.english.linking.places import country_of
from segment_copilot.english.times.phrases import Quantity
from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.lexicon import NOISE, concept, stems
from segment_copilot.english.words.stems import stem
from segment_copilot.language.catalog import Scalar, nearest
from segment_copilot.language.operators import OPERATORS

Item = Token | Quantity
_LONGEST = 5
_FEW = 6
_HALF = 0.5  # of a name: less says too little

_FIELD_WORDS = {
    "nation": "country", "town": "city", "level": "tier", "package": "plan", "label": "tag", "tagged": "tag",
    "medium": "channel", "cost": "price", "priced": "price", "pric": "price", "keyword": "query", "term": "query", "url": "path",
    "aged": "age", "old": "age", "ag": "age", "voucher": "coupon", "newslett": "email", "tier": "tier", "sex": "gender",
    "agree": "optin", "accept": "optin", "consent": "optin", "allow": "optin", "permit": "optin", "subscrib": "optin", "subscribe": "optin",
    "opt": "optin", "receive": "optin", "receiv": "optin",
    "acquir": "acquisition", "stag": "lifecycle", "membership": "plan", "cod": "code",
}  # fmt: skip
_COPULAS = {
    "is", "are", "was", "were", "of", "=", ":", "to", "as", "a", "an", "the", "be", "been", "being", "equals", "equal",
    "either", "on", "in", "named", "called", "has", "value",
}  # fmt: skip
_NOT = {"not", "!=", "isn't", "other", "n't"}
_SET = stems("set known present filled available given specified")
_UNSET = stems("empty missing unknown blank null unset absent")
_TRUE, _FALSE = {"true", "yes", "on", "enabled", "1"}, {"false", "no", "off", "disabled"}
_STRING_TESTS = {
    "contain": "contains", "includ": "contains", "start": "starts_with", "begin": "starts_with", "end": "ends_with",
    "containing": "contains", "match": "contains", "like": "contains", "mention": "contains",
}  # fmt: skip


class Test(Struct, frozen=True):
    """A test of one field, and which items of the phrase it explains."""

    field: Field
    operator: str
    value: Any
    used: frozenset[int]
    value2: Any = None
    note: str = ""
    named: bool = False  # the field itself was named, not only its value
    negated: bool = False

    def json(self) -> dict[str, Any]:
        """Return it as the language writes it, without the type of condition."""
        test: dict[str, Any] = {"property": self.field.path, "operator": self.operator}
        if self.value is not None:
            test["value"] = self.value
        if self.value2 is not None:
            test["value2"] = self.value2
        if self.negated:
            test["negate"] = True
        return test


class UnknownValue(Struct, frozen=True):
    """A field was named with a value that it does not have."""

    field: Field
    text: str
    used: frozenset[int]

    @property
    def instead(self) -> str:
        """Return what there is instead: every value where they are few, else the nearest, or that none is near."""
        if self.field.unreadable == "number":
            return f"its values are texts such as {self.field.texts[0]!r}, which are not read as numbers"
        return instead(self.field, self.text)


def instead(field: Field, text: str) -> str:
    """Return what a field has instead of *text*: every value where they are few, else the nearest, or that none is near."""
    samples = [str(sample) for sample in field.known.samples]
    if len(samples) <= _FEW:
        return f"it has {', '.join(samples)}"
    near = nearest(text, samples)
    return f"the nearest {'is' if len(near) == 1 else 'are'} {', '.join(near)}" if near else "and none that is near"


def tests(
    items: Sequence[Item], fields: Iterable[Field], taken: frozenset[int]
) -> tuple[list[Test], list[UnknownValue]]:
    """Every test that the items not *taken* spell, left to right, the longest reading first."""
    found: list[Test] = []
    unknown: list[UnknownValue] = []
    used = set(taken)
    known = list(fields)
    for reader in (_measured_tests, _named_tests, _valued_tests):
        for at in range(len(items)):
            if at in used:
                continue
            best = reader(items, at, known, used)
            if isinstance(best, Test):
                found.append(best)
                used |= best.used
            elif best is not None:
                unknown.append(best)
                used |= best.used
    return _without_repeats(sorted(found, key=lambda test: min(test.used))), unknown


def _without_repeats(found: list[Test]) -> list[Test]:
    """Two names of one field in a phrase ("opted in to email") are one test."""
    kept: list[Test] = []
    for test in found:
        same = next((at for at, other in enumerate(kept) if other.json() == test.json()), None)
        if same is None:
            kept.append(test)
        else:
            kept[same] = structs.replace(kept[same], used=kept[same].used | test.used)
    return kept


def _measured_tests(items: Sequence[Item], at: int, fields: list[Field], used: set[int]) -> Test | None:
    """Of "visits of more than 90 minutes": a number with the unit of a property."""
    number, unit = items[at], items[at + 1] if at + 1 < len(items) and at + 1 not in used else None
    if not isinstance(number, Quantity) or not isinstance(unit, Token):
        return None
    measured = [field for field in fields if unit.stem in field.units]
    read = _number_operand(number, measured[0], at) if len(measured) == 1 else None
    return Test(measured[0], read[0], read[1], frozenset({at, at + 1}), read[2], read[4]) if read else None


def _named_tests(items: Sequence[Item], at: int, fields: list[Field], used: set[int]) -> Test | UnknownValue | None:
    """Readings in which the field is named."""
    readings: list[tuple[float, Test]] = []
    unknown: UnknownValue | None = None
    for field in fields:
        length, coverage = mention(items, at, field, used)
        if not length:
            continue
        read = _quantity_before(items, at, at + length, field, used)
        read = (
            read
            or _value_after(items, at, at + length, field, used)
            or _value_before(items, at, at + length, field, used)
        )
        if isinstance(read, Test):
            readings.append((coverage + 0.01 * len(read.used), read))
        elif read is not None and coverage >= 1:
            unknown = read
        elif read is None and coverage >= 1:
            unknown = (
                unknown or _unread(items, at, at + length, field) or _unseen_before(items, at, at + length, field, used)
            )
    if readings:
        return max(readings, key=lambda pair: pair[0])[1]
    return unknown


def _unread(items: Sequence[Item], start: int, end: int, field: Field) -> UnknownValue | None:
    """Of "total above 1000", where the totals are texts that are not read as numbers."""
    if field.unreadable != "number":
        return None
    numbers = [at for at, item in enumerate(items) if isinstance(item, Quantity) and not item.times]
    if not numbers:
        return None
    said = items[numbers[0]]
    used = frozenset(range(min(start, *numbers), max(end, numbers[-1] + 1)))
    return UnknownValue(field, said.text, used)


def _unseen_before(items: Sequence[Item], start: int, end: int, field: Field, used: set[int]) -> UnknownValue | None:
    """Of "on the enterprise plan": a name right before the field that is no value of it, where its values are all known."""
    before = items[start - 1] if start and start - 1 not in used else None
    known = field.known.samples
    if (
        not isinstance(before, Token)
        or before.kind != "word"
        or before.stem in NOISE
        or before.lower in _COPULAS | _NOT
    ):
        return None
    if (
        not known
        or not field.known.is_whole
        or not all(isinstance(value, str) for value in known)
        or start - 1 > _FRONT
    ):
        return None
    return UnknownValue(field, before.text, frozenset(range(start - 1, end)))


_FRONT = 2
"""So far from the start of a clause the name of a value may stand; further on it is a word of what was done."""


def mention(items: Sequence[Item], at: int, field: Field, used: set[int]) -> tuple[int, float]:
    """Return how many items from *at* name the field, and what share of its name they say."""
    spend(2)
    words = [_field_word(word) for word in field.words]
    length = end = 0
    said: set[str] = set()
    while at + length < len(items) and at + length not in used:
        item = items[at + length]
        if isinstance(item, Quantity):
            break
        if item.lower == field.path.lower():
            return length + 1, 1.0
        key = _field_word(concept(item.stem))
        noise = item.stem in NOISE and item.lower not in words
        if item.kind != "word" or not (key in words or (said and (noise or key in _BETWEEN))):
            break
        length += 1
        if key in words and not noise:
            said.add(key)
            end = length
    coverage = len(said) / max(1, len(set(words)))
    return (end, coverage) if end and (coverage >= _HALF or words[-1:] == [next(iter(said))]) else (0, 0.0)


_BETWEEN = stems("marketing commercial promotional our receive get")
"""Words that may stand inside a field's name: "agreed to marketing emails"."""


def _field_word(word: str) -> str:
    return _FIELD_WORDS.get(word, word)


def _value_after(
    items: Sequence[Item], start: int, at: int, field: Field, used: set[int]
) -> Test | UnknownValue | None:
    """`plan is pro`, `price over 100`, `path /pricing`, `country is not set`, `query contains "shoes"`."""
    position, negated, joined = at, False, False
    while position < len(items) and position not in used:
        item = items[position]
        if isinstance(item, Quantity) or item.lower not in _COPULAS | _NOT | {"than"}:
            break
        negated |= item.lower in _NOT
        joined |= item.lower in {"is", "are", "=", ":", "equals", "not", "!="}
        position += 1
    if position >= len(items) or position in used:
        return _boolean(field, start, at, negated=negated)
    read = _operand(items, position, field, used, joined=joined)
    if read is None:
        return _boolean(field, start, at, negated=negated)
    operator, value, value2, end, note = read
    span = frozenset(range(start, end))
    if operator == "unknown":
        return UnknownValue(field, str(value), span)
    return _finished(Test(field, operator, value, span, value2, note, named=True), negated=negated)


def _operand(
    items: Sequence[Item], at: int, field: Field, used: set[int], *, joined: bool
) -> tuple[str, Any, Any, int, str] | None:
    item = items[at]
    if isinstance(item, Quantity):
        return _number_operand(item, field, at)
    if item.stem in _SET:
        if field.boolean:
            return "is_true", None, None, at + 1, ""
        return "is_set", None, None, at + 1, ""
    if item.stem in _UNSET:
        return "is_not_set", None, None, at + 1, ""
    if field.answers and item.lower in _TRUE | _FALSE and field.answers[item.lower in _TRUE]:
        return (*_answering(field, says=item.lower in _TRUE), None, at + 1, "")
    if field.boolean and item.lower in _TRUE | _FALSE:
        return ("is_true" if item.lower in _TRUE else "is_false"), None, None, at + 1, ""
    if (
        item.lower in {"under", "below", "within", "inside"}
        and at + 1 < len(items)
        and isinstance(path := items[at + 1], Token)
        and path.kind == "path"
    ):
        return "starts_with", path.text, None, at + 2, ""
    if item.stem in _STRING_TESTS and at + 1 < len(items):
        return _string_test(items, at)
    value = value_at(items, at, field, used)
    if value is not None:
        return ("contains" if field.listed else "eq"), value[0], None, value[1], ""
    return _unseen(item, at, field) if joined or item.kind in {"quoted", "path", "name"} else None


def _number_operand(item: Quantity, field: Field, at: int) -> tuple[str, Any, Any, int, str] | None:
    if not field.numeric or item.times:
        return None
    operator = "eq" if item.bare else item.operator
    note = f"the amount is compared with `{field.path}` as stored; no currency is converted" if item.currency else ""
    return operator, item.value, item.value2, at + 1, note


def _string_test(items: Sequence[Item], at: int) -> tuple[str, Any, Any, int, str] | None:
    first = items[at]
    position = at + 1
    following = items[position]
    if (
        isinstance(first, Token)
        and isinstance(following, Token)
        and following.lower in {"with", "in"}
        and position + 1 < len(items)
    ):
        position += 1
        following = items[position]
    if not isinstance(first, Token) or not isinstance(following, Token):
        return None
    return _STRING_TESTS[first.stem], following.text, None, position + 1, ""


def _unseen(item: Token, at: int, field: Field) -> tuple[str, Any, Any, int, str] | None:
    """A value that is not among the samples: unknown where the samples are all there is, otherwise taken as written."""
    if item.kind == "word" and item.stem in NOISE:
        return None
    if field.numeric or field.boolean or field.dated or field.answers:
        return None
    if field.known.samples and field.known.is_whole:
        return "unknown", item.text, None, at + 1, ""
    note = _taken(field, item.text)
    return ("contains" if field.listed else "eq"), item.text, None, at + 1, note


def _boolean(field: Field, start: int, at: int, *, negated: bool) -> Test | None:
    if field.answers:
        operator, value = _answering(field, says=True)
        return _finished(Test(field, operator, value, frozenset(range(start, at)), named=True), negated=negated)
    if not field.boolean:
        return None
    return Test(field, "is_false" if negated else "is_true", None, frozenset(range(start, at)), named=True)


def _answering(field: Field, *, says: bool) -> tuple[str, Any]:
    """The test of a field whose values say yes or no: for what says so, or against what says the opposite."""
    if wanted := field.answers[says]:
        return ("eq", wanted[0]) if len(wanted) == 1 else ("in", list(wanted))
    others = field.answers[not says]
    return ("neq", others[0]) if len(others) == 1 else ("not_in", list(others))


def _quantity_before(items: Sequence[Item], start: int, end: int, field: Field, used: set[int]) -> Test | None:
    """`more than 3 items`: a number right before the name belongs to it, whatever follows."""
    before = items[start - 1] if start and start - 1 not in used else None
    read = _number_operand(before, field, start - 1) if isinstance(before, Quantity) else None
    return (
        Test(field, read[0], read[1], frozenset(range(start - 1, end)), read[2], read[4], named=True) if read else None
    )


def _value_before(items: Sequence[Item], start: int, end: int, field: Field, used: set[int]) -> Test | None:
    """`pro plan`, `gold tier`, `high priority`, `more than 3 items`."""
    before = start - 1
    while before >= 0 and isinstance(item := items[before], Token) and item.lower == "-":
        before -= 1
    if before < 0 or before in used:
        return None
    for first in range(max(0, start - _LONGEST), start):
        value = value_at(items, first, field, used)
        if value is not None and value[1] >= before + 1:
            return Test(field, "contains" if field.listed else "eq", value[0], frozenset(range(first, end)), named=True)
    return None


def _valued_tests(items: Sequence[Item], at: int, fields: list[Field], used: set[int]) -> Test | None:
    """Readings in which only a value is said: "in Germany", "gold", "/pricing"."""
    readings: list[Test] = []
    for field in fields:
        value = value_at(items, at, field, used)
        if value is not None:
            readings.append(Test(field, "contains" if field.listed else "eq", value[0], frozenset(range(at, value[1]))))
    if not readings:
        return _loose_text(items, at, fields)
    best = max(readings, key=lambda test: (len(test.used), test.field.country))
    others = sorted(
        {test.field.path for test in readings if test.used == best.used and test.field.path != best.field.path}
    )
    if not others:
        return best
    note = f"{best.value!r} is read as `{best.field.path}`; {_listed(others)} has this value too"
    return Test(best.field, best.operator, best.value, best.used, best.value2, note)


def _loose_text(items: Sequence[Item], at: int, fields: list[Field]) -> Test | None:
    """Quoted text or a path that no sample holds, where only one field can hold it."""
    item = items[at]
    if isinstance(item, Quantity) or item.kind not in {"quoted", "path"}:
        return None
    likely = {"path": {"path", "url", "pathname", "location", "page"}, "quoted": {"title", "name", "subject"}}[
        item.kind
    ]
    holding = [field for field in fields if likely & {*field.words, *(_field_word(word) for word in field.words)}]
    if len(holding) != 1:
        return None
    return Test(holding[0], "eq", item.text, frozenset({at}), note=_taken(holding[0], item.text))


def _taken(field: Field, text: str) -> str:
    """The note of a value that no sample holds: whether it is stored, and what is near it, is told where it is counted."""
    return f"{text!r} is taken for a value of `{field.path}` as it is written"


def value_at(items: Sequence[Item], at: int, field: Field, used: set[int]) -> tuple[Scalar, int] | None:
    """The longest run of items from *at* that spells a known value of the field, and the position after it."""
    spend(20)
    for end in range(min(len(items), at + _LONGEST), at, -1):
        if any(position in used for position in range(at, end)):
            continue
        run = items[at:end]
        words = [item for item in run if isinstance(item, Token)]
        paged = end < len(items) and isinstance(after := items[end], Token) and after.stem == stem("page")
        if len(words) == len(run) and (value := _value_of(words, field, paged=paged)) is not None:
            return value, end
    return None


def _value_of(words: list[Token], field: Field, *, paged: bool = False) -> Scalar | None:
    if len(words) == 1 and words[0].kind in {"quoted", "path", "name", "date"}:
        return _same_text(words[0].text, field)
    if (
        any(word.kind not in {"word", "number", "sign"} for word in words)
        or words[0].kind == "sign"
        or words[-1].kind == "sign"
    ):
        return None
    if field.country and (country := country_of(words, field)) is not None:
        return country
    key = tuple(word.stem for word in words if word.kind != "sign")
    shouted = len(words) == 1 and words[0].text in field.known.samples and words[0].text.isupper()
    if all(word in NOISE for word in key) and not paged and not shouted:
        return None
    if key in field.values or not {"path", "url", "page"} & set(field.words):
        return field.values[key] if key in field.values else _alike(key, field)
    return next(
        (value for words, value in field.values.items() if len(words) > 1 and sorted(words) == sorted(key)), None
    )


def _alike(key: tuple[str, ...], field: Field) -> Scalar | None:
    """The one value of several words that says the same in another order: "arrived late" is `late_delivery`."""
    wanted = frozenset(concept(word) for word in key)
    found = field.meant.get(wanted, frozenset())
    return next(iter(found)) if len(found) == 1 and len(wanted) > 1 else None


def searched(items: Sequence[Item], fields: Iterable[Field], used: frozenset[int]) -> Test | None:
    """Free text that was searched for: "searched for boots" looks for the word in the query."""
    free = [field for field in fields if {"query", "search", "term", "keyword", "q"} & set(field.words)]
    start = next((at + 1 for at, item in enumerate(items) if isinstance(item, Token) and item.lower in _ABOUT), None)
    if len(free) != 1 or start is None:
        return None
    while start < len(items) and isinstance(item := items[start], Token) and item.lower in {"a", "an", "the", "any"}:
        start += 1
    end = start
    while end < len(items) and end not in used and _is_wanted(items[end]):
        end += 1
    text = " ".join(item.text for item in items[start:end] if isinstance(item, Token))
    note = f"{text!r} is looked for anywhere in `{free[0].path}`"
    return Test(free[0], "contains", text, frozenset(range(start, end)), note=note) if text else None


_ABOUT = {"for", "about"}


def _is_wanted(item: Item) -> bool:
    if not isinstance(item, Token) or item.lower in {"something", "anything", "things", "stuff"}:
        return False
    return item.kind == "quoted" or (item.kind == "word" and item.stem not in NOISE)


def _same_text(text: str, field: Field) -> Scalar | None:
    samples = [sample for sample in field.known.samples if isinstance(sample, str)]
    same = [sample for sample in samples if sample == text] or [
        sample for sample in samples if sample.lower() == text.lower()
    ]
    return same[0] if same else None


def _finished(test: Test, *, negated: bool) -> Test:
    if not negated:
        return test
    return opposite(test)


def opposite(test: Test) -> Test:
    """The opposite of a test: by its operator where there is one, else by `negate`."""
    turned = OPERATORS[test.operator].opposite
    return structs.replace(test, negated=not test.negated) if turned is None else structs.replace(test, operator=turned)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)
