"""Tells which tests nothing stored can pass, because a value has another type or spelling: pure, by the catalog's facts.

A test is warned of only where that is certain: of a property all of whose values are known, or by the store's answers.
What the samples leave open is a question to the store; its answers come back in the catalog, and binding again tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import UNSET, Struct

from segment_copilot.errors import Finding
from segment_copilot.language.catalog import MAX_SAMPLE_LENGTH, Probe, Property, Question, Scalar, Spellings, nearest
from segment_copilot.language.lengths import parse_length
from segment_copilot.language.nodes import DateWindow, MeasureName, Metric
from segment_copilot.language.operators import DATETIMES, OPERATORS, POSITIVE_OF, ValueType
from segment_copilot.language.value_types import AnyTest, is_number_text, operands, parse_date, reads_as_date, truth_of

_SHOWN: Final = 3  # samples in a sentence
_SUGGESTED: Final = 5
_LOWEST: Final = -1.7976931348623157e308
_READS: Final[Mapping[ValueType, Scalar]] = {
    "number": _LOWEST, "datetime": "1900-01-01", "epoch_s": "1900-01-01", "epoch_ms": "1900-01-01",
}  # fmt: skip
"""Every value of the type is at least this."""

_YEAR: Final = 31_622_400  # seconds
_PLAUSIBLE_SECONDS: Final = 631_152_000  # 1990
_SHORT_DAYS: Final = 3_650
_LISTS: Final = frozenset[ValueType]({"list"})
_SINGULAR: Final[Mapping[str, str]] = {"string": "a text", "number": "a number", "boolean": "true or false", "list": "a list"}  # fmt: skip


class Stored(Struct, frozen=True):
    """Holds what is known of a property of some event types together, or of a trait."""

    event_types: tuple[str, ...]  # none: a trait
    path: str
    types: frozenset[ValueType]
    samples: tuple[Scalar, ...]
    is_whole: bool
    spellings: Mapping[str, Spellings]
    passed: Mapping[Probe, bool]

    @property
    def texts(self) -> list[str]:
        """The texts among the samples, elements of lists included."""
        return [sample for sample in self.samples if isinstance(sample, str)]

    @property
    def shown(self) -> str:
        """Up to three samples, as a sentence shows them."""
        return ", ".join(_written(sample) for sample in self.samples[:_SHOWN])


def stored_of(event_types: tuple[str, ...], path: str, known: Iterable[Property]) -> Stored | None:
    """Return what is stored under *path* of all that know it; None where nothing was seen."""
    found = [one for one in known if one.types]
    if not found:
        return None
    return Stored(
        event_types,
        path,
        types=frozenset(kind for one in found for kind in one.types),
        samples=tuple({(type(sample), sample): sample for one in found for sample in one.samples}.values()),
        is_whole=all(one.is_whole for one in found),
        spellings={text: told for one in found for text, told in one.answers.spellings.items()},
        passed={probe: told for one in found for probe, told in one.answers.passed.items()},
    )


class Judgement(Struct, frozen=True):
    """Holds what is wrong with a test, and what the store has to be asked before that can be told."""

    findings: tuple[Finding, ...] = ()
    texts: frozenset[str] = frozenset()
    probes: frozenset[Probe] = frozenset()

    def question(self, stored: Stored) -> Question | None:
        """Return what is to be asked, if anything."""
        if not self.texts and not self.probes:
            return None
        return Question(stored.event_types, stored.path, self.texts, self.probes)


def judge_aggregate(pointer: str, metric: Metric | MeasureName, stored: Stored) -> Judgement:
    """Judge whether anything stored takes part in an aggregate."""
    if metric == "count_distinct":
        return Judgement()
    return judge_type(f"{pointer}/property", "number", stored, "Send them as plain JSON numbers.")


def judge_test(pointer: str, test: AnyTest, value_type: ValueType | None, stored: Stored) -> Judgement:
    """Judge a test that compares in *value_type*; None where its operator chooses by what is stored."""
    operator = OPERATORS[test.operator]
    if operator.takes == "nothing" and value_type != "boolean":
        return Judgement()
    if value_type is None:
        return _judge_part(pointer, test, stored)
    if (judged := _judge_type_of(pointer, test, value_type, stored)) != Judgement():
        return judged
    if value_type in {"epoch_s", "epoch_ms"} and (wrong := _other_epoch(test, value_type, stored)) is not None:
        return _judge_epoch(pointer, value_type, stored, wrong)
    if operator.seeks == "whole" and value_type in {"string", "list"}:
        return _judge_texts(pointer, test, stored)
    if operator.seeks in {"start", "end"}:
        return _judge_case(pointer, test, stored)
    return Judgement()


# Types


def _judge_type_of(pointer: str, test: AnyTest, value_type: ValueType, stored: Stored) -> Judgement:
    return judge_type(f"{pointer}/property", value_type, stored, _remedy(test, value_type, stored))


def judge_type(pointer: str, value_type: ValueType, stored: Stored, remedy: str = "") -> Judgement:
    """Judge whether any stored value, named at the pointer, reads as the type."""
    if _reads(stored, value_type):
        return Judgement()
    may_read = stored.types & ({"string", "number"} if value_type in {"epoch_s", "epoch_ms"} else {"string"})
    if value_type in _READS and may_read and not stored.is_whole:
        probe = Probe("gte", _READS[value_type], value_type)
        told = stored.passed.get(probe)
        if told is None:
            return Judgement(probes=frozenset({probe}))
        if told:
            return Judgement()
    read = "a date" if value_type in DATETIMES else _SINGULAR[value_type]
    kept = f": it has {stored.shown}" if stored.samples else ""
    detail = f"Nothing stored of {stored.path!r} reads as {read}{kept}. {remedy}".rstrip()
    return Judgement((Finding(pointer, "value_type_unseen", detail),))


def judge_same(pointer: str, path: str, steps: Iterable[frozenset[ValueType]]) -> Iterator[Finding]:
    """Yield that no two values can be the same, of what the steps of a sequence have; a step without types is unknown.

    Only texts, numbers and booleans are compared, each with its like.
    """
    known = [{"string" if kind in DATETIMES else kind for kind in types} - _LISTS for types in steps if types]
    if known and not known[0].intersection(*known[1:]):
        told = [" or ".join(sorted(_SINGULAR[kind] for kind in types)) or "a list" for types in known]
        detail = f"No value of {path!r} can be the same at every step: it is {', then '.join(told)}."
        yield Finding(pointer, "value_type_unseen", detail)


def _reads(stored: Stored, value_type: ValueType) -> bool:
    """Return whether anything known to be stored reads as the type; texts of lists are none that do."""
    texts = stored.texts if "string" in stored.types else []
    if value_type == "number":
        return "number" in stored.types or any(map(is_number_text, texts))
    if value_type in DATETIMES:
        numbers = [sample for sample in stored.samples if not isinstance(sample, str)]
        return any(reads_as_date(sample, value_type) for sample in [*texts, *numbers])
    return value_type in stored.types


def _remedy(test: AnyTest, value_type: ValueType, stored: Stored) -> str:
    """Return the nearest test that would find what is stored, in a sentence; empty where there is none."""
    wanted = operands(test)
    first = wanted[0] if wanted else test.operator == "is_true"
    if value_type in DATETIMES:
        if "number" in stored.types:
            unit = (
                "epoch_ms" if max(map(_magnitude, stored.samples), default=0) > 100 * _PLAUSIBLE_SECONDS else "epoch_s"
            )
            return f'Numbers since 1970 are read with value_type "{unit}".'
        return "Dates are written 2026-06-20 or 2026-06-20T13:14:58Z."
    if value_type == "list":
        return "Values that are no lists are tested with eq and in."
    if value_type == "string" and stored.types == _LISTS:
        return "The elements of lists are tested with contains and contains_any."
    if "boolean" in stored.types and (truth := truth_of(first)) is not None:
        return f"Test it with eq {_written(truth)}."
    same = next((sample for sample in stored.samples if _is_meant(first, sample)), None)
    if same is not None:
        return f"Test it with eq {_written(same)}."
    return "Send them as plain JSON numbers." if value_type == "number" else ""


def _is_meant(wanted: Scalar, sample: Scalar) -> bool:
    """Return whether a stored value says the same in another type: "42" and 42, true and "yes"."""
    if isinstance(wanted, bool):
        return truth_of(sample) == wanted
    if isinstance(wanted, str) and isinstance(sample, int | float) and not isinstance(sample, bool):
        return is_number_text(wanted) and float(wanted) == sample
    return False


def _magnitude(sample: Scalar) -> float:
    return abs(sample) if isinstance(sample, int | float) else 0


# Numbers since 1970, in the wrong unit


def _other_epoch(test: AnyTest, value_type: ValueType, stored: Stored) -> ValueType | None:
    """Return the unit that the stored numbers are in, where they are not in this one and no value of the test is near.

    Seconds that are read as milliseconds lie in the first days of 1970, so that a date after that year tells nobody
    from another. A length looks back from an instant that is not known here: one of less than ten years is after 1980
    for every instant since 1990.
    """
    numbers = [sample for sample in stored.samples if isinstance(sample, int | float) and not isinstance(sample, bool)]
    is_seconds = numbers and all(_PLAUSIBLE_SECONDS <= number < 1000 * _YEAR for number in numbers)
    if value_type != "epoch_ms" or not is_seconds or any(reads_as_date(text, "datetime") for text in stored.texts):
        return None
    if OPERATORS[test.operator].takes == "length":
        is_late = test.operator in {"in_last", "not_in_last", "in_next"} and _is_short(str(test.value))
    elif isinstance(test.value, DateWindow):
        is_late = OPERATORS[test.operator].takes == "window" and _is_of_late(test.value)
    else:
        dates = [parse_date(one) for one in operands(test) if isinstance(one, str)]
        is_late = bool(dates) and all(one is not None and one.year > 1971 for one in dates)  # noqa: PLR2004
    return "epoch_s" if is_late else None


def _is_short(length: str) -> bool:
    return parse_length(length).approximate_days < _SHORT_DAYS


def _is_of_late(window: DateWindow) -> bool:
    """Return whether a window surely begins after 1971."""
    if window.last is not UNSET:
        return _is_short(window.last)
    if window.between is not UNSET:
        return _is_short(window.between[0])
    start = None if window.from_ is UNSET else parse_date(window.from_)
    return window.period is not UNSET or (start is not None and start.year > 1971)  # noqa: PLR2004


def _judge_epoch(pointer: str, value_type: ValueType, stored: Stored, unit: ValueType) -> Judgement:
    probe = Probe("gte", "1971-01-01", value_type)
    if not stored.is_whole and (told := stored.passed.get(probe)) is not False:
        return Judgement() if told else Judgement(probes=frozenset({probe}))
    detail = (
        f"Read as {value_type}, all that is stored of {stored.path!r} lies in 1970: it has {stored.shown}. "
        f'value_type "{unit}" reads it as seconds.'
    )
    return Judgement((Finding(f"{pointer}/property", "value_type_unseen", detail),))


# Spellings


def _judge_texts(pointer: str, test: AnyTest, stored: Stored) -> Judgement:
    """Judge each text that is looked for as a whole: is it stored, and are there other spellings of it?"""
    wanted = [one for one in operands(test) if isinstance(one, str)]
    findings, open_texts = list[Finding](), set[str]()
    for text in dict.fromkeys(wanted):
        counts = _spellings(text, stored)
        if counts is None:
            open_texts.add(text.lower())
            continue
        others = counts.keys() - set(wanted)
        if not (counts if test.ignore_case else text in counts):
            findings.append(_unseen(f"{pointer}/value", text, stored, counts))
        elif others and not test.ignore_case:
            if any(counts[one] is None for one in counts):
                open_texts.add(text.lower())
            findings.append(_other_spellings(f"{pointer}/value", text, stored, counts, len(others)))
    return Judgement(tuple(findings), texts=frozenset(open_texts))


def _spellings(text: str, stored: Stored) -> dict[str, int | None] | None:
    """Return how *text* is stored in whatever case, with counts where they were asked for; None where that is not known."""
    key = text.lower()
    if (told := stored.spellings.get(key)) is not None:
        most_first = sorted(told.counts.items(), key=lambda item: (-item[1], item[0]))
        return dict(most_first)
    if stored.is_whole and len(text) <= MAX_SAMPLE_LENGTH:
        return {sample: None for sample in stored.texts if sample.lower() == key}
    return None


def _unseen(pointer: str, text: str, stored: Stored, counts: Mapping[str, int | None]) -> Finding:
    near = stored.spellings[text.lower()].near if text.lower() in stored.spellings else ()
    suggestions = tuple(dict.fromkeys([*counts, *nearest(text, [*near, *stored.texts], limit=_SUGGESTED)]))[:_SUGGESTED]
    if parse_date(text) is not None and any(reads_as_date(text, "datetime") for text in stored.texts):
        hint = f'; it has {stored.shown}: value_type "datetime" reads them as dates'
    elif counts:
        hint = f"; it is stored as {_counted(counts)}"
    elif suggestions:
        hint = f"; the nearest {'is' if len(suggestions) == 1 else 'are'} {', '.join(map(_written, suggestions))}"
    else:
        hint = f"; it has {stored.shown}" if len(stored.samples) <= _SHOWN and stored.samples else ""
    detail = f"{text[:100]!r} is not among the values of {stored.path[:100]}{hint}."
    return Finding(pointer, "unseen_value", detail, suggestions)


def _other_spellings(pointer: str, text: str, stored: Stored, counts: Mapping[str, int | None], others: int) -> Finding:
    rest = "the other one" if others == 1 else "the others"
    detail = (
        f"{text[:100]!r} is spelled in {len(counts)} ways in {stored.path[:100]}: {_counted(counts)}. "
        f"The test leaves out {rest}; with ignore_case it finds all."
    )
    return Finding(pointer, "other_spellings", detail, tuple(one for one in counts if one != text)[:_SUGGESTED])


def _counted(counts: Mapping[str, int | None]) -> str:
    told = [f"{one!r}" if number is None else f"{one!r} ({number:,})" for one, number in counts.items()]
    return ", ".join(told[:_SUGGESTED])


# Parts of texts


def _judge_part(pointer: str, test: AnyTest, stored: Stored) -> Judgement:
    """Judge a text that is looked for inside texts, and as a whole in lists."""
    wanted = test.value
    if wanted is UNSET or isinstance(wanted, list):
        return Judgement()
    if not isinstance(wanted, str):
        return judge_type(f"{pointer}/property", "list", stored, "Values that are no lists are tested with eq and in.")
    if not stored.types & {"string", "list"}:
        return _judge_type_of(pointer, test, "string", stored)
    if stored.types == _LISTS:
        return _judge_texts(pointer, test, stored)
    held = [sample for sample in stored.texts if wanted.lower() in sample.lower()]
    if any(test.ignore_case or wanted in sample for sample in held):
        return Judgement()
    return _judge_probe(pointer, test, wanted, stored, held)


def _judge_case(pointer: str, test: AnyTest, stored: Stored) -> Judgement:
    """Judge the start or end of a text: only one that stands there in another case is remarked on."""
    wanted = test.value
    if not isinstance(wanted, str) or test.ignore_case:
        return Judgement()
    stands = str.startswith if OPERATORS[test.operator].seeks == "start" else str.endswith
    held = [sample for sample in stored.texts if stands(sample.lower(), wanted.lower())]
    if not held or any(stands(sample, wanted) for sample in held):
        return Judgement()
    return _judge_probe(pointer, test, wanted, stored, held)


def _judge_probe(pointer: str, test: AnyTest, wanted: str, stored: Stored, held: Sequence[str]) -> Judgement:
    """Judge by whether the store has a value that passes: long texts are not among the samples."""
    operator = POSITIVE_OF.get(test.operator, test.operator)
    probe = Probe(OPERATORS[operator].name, wanted, None, bool(test.ignore_case))
    told = stored.passed.get(probe)
    if told is None:
        return Judgement(probes=frozenset({probe}))
    if told:
        return Judgement()
    near = held or nearest(wanted, stored.texts, limit=_SUGGESTED)
    hint = f"; {'in another case there is' if held else 'the nearest is'} {near[0]!r}" if near else ""
    words = {"part": "contains", "start": "starts with", "end": "ends with"}[OPERATORS[operator].seeks or "part"]
    detail = f"No value of {stored.path[:100]} {words} {wanted[:100]!r}{hint}."
    return Judgement((Finding(f"{pointer}/value", "unseen_value", detail, tuple(near)[:_SUGGESTED]),))


# Names that stand elsewhere


def named_elsewhere(
    pointer: str, path: str, traits: Mapping[str, Property], events: Mapping[str, Mapping[str, Property]]
) -> Iterator[Finding]:
    """Yield where a name that is not known at its place is known: as a trait, or of other event types."""
    if path in traits:
        shown = _some(traits[path])
        detail = f"{path!r} is a trait: test it with a user_property condition{shown}."
        yield Finding(pointer, "named_elsewhere", detail, ("user_property",))
        return
    owners = [name for name, properties in events.items() if path in properties]
    if owners:
        listed = " and ".join(owners[:_SHOWN])
        detail = f"{path!r} is a property of {listed}: test it with an event_property condition or a where there{_some(events[owners[0]][path])}."
        yield Finding(pointer, "named_elsewhere", detail, tuple(owners[:_SHOWN]))


def _some(known: Property) -> str:
    return f" (it has {', '.join(_written(sample) for sample in known.samples[:_SHOWN])})" if known.samples else ""


def _written(value: Scalar) -> str:
    """Write a value so that its type shows: "42", 42, true."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return (
        f'"{value[:MAX_SAMPLE_LENGTH]}"'
        if isinstance(value, str)
        else f"{value:.15g}"
        if isinstance(value, float)
        else str(value)
    )
