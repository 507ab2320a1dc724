"""Checks that the numbers in a text come from somewhere: a tool's result, the question, or a sum over them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from evals.fixtures.rows import AS_OF
from evals.graders.grading import Answer, Grade, Grading, verdict

_NUMBER: Final = re.compile(r"(?<![\w.])[-−]?\d[\d,.]*\d|(?<![\w.])[-−]?\d")
_QUOTED: Final = re.compile(r"“[^”]*”|\"[^\"]*\"|«[^»]*»|`[^`]*`|(?<!\w)'[^'\n]*'(?!\w)|‘[^’]*’")
_EXAMPLE: Final = re.compile(r"(for example|for instance|such as|e\.g\.|por ejemplo)[^.?!\n]*", re.IGNORECASE)
_TEMPORAL: Final = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z?)?|\b\d{1,2}:\d\d\b"
    r"|\b\d{1,2} (january|february|march|april|may|june|july|august|september|october|november|december)( \d{4})?"
    r"|\b(january|february|march|april|may|june|july|august|september|october|november|december) \d{1,2}(, \d{4})?"
    r"|\b\d{1,2} de (enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre)( de \d{4})?",
    re.IGNORECASE,
)
_LIST_MARK: Final = re.compile(r"(?m)^\s*\d{1,2}[.)]\s")


async def numbers(answer: Answer, _grading: Grading) -> Grade | None:
    """Check that every number in the text is in a tool's result or the question, or follows by a sum or a share."""
    stated = list(numbers_in(answer.transcript.text))
    if not stated:
        return None
    known = set(_known(answer))
    counted = {number for tool in answer.transcript.tools if tool.ok for number in _counted(tool.data)}
    loose = [text for text, value in stated if not _follows(value, text, known, counted)]
    score = 1 - len(loose) / len(stated)
    return verdict([f"{text} comes from nowhere" for text in loose], good=f"{len(stated)} numbers", score=score)


def unquoted(text: str) -> str:
    """Return *text* without what it quotes: a quotation is nobody's claim."""
    return _QUOTED.sub(" ", text)


def numbers_in(text: str) -> Iterator[tuple[str, float]]:
    """Return the numbers that a text states; dates, times, quotations and examples state none."""
    for pattern in (_QUOTED, _EXAMPLE, _TEMPORAL, _LIST_MARK):
        text = pattern.sub(" ", text)
    for found in _NUMBER.findall(text):
        plain = found.replace("−", "-").rstrip(".,")
        for candidate in _readings(plain):
            yield found, candidate
            break


def _readings(text: str) -> Iterator[float]:
    """Read a number as English writes it, 1,234.5, and as Spanish does, 1.234,5."""
    english = re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?|-?\d+(\.\d+)?", text)
    if english:
        yield float(text.replace(",", ""))
    elif re.fullmatch(r"-?\d{1,3}(\.\d{3})+(,\d+)?|-?\d+(,\d+)?", text):
        yield float(text.replace(".", "").replace(",", "."))


def _known(answer: Answer) -> Iterator[float]:
    made = answer.transcript
    for tool in made.tools:
        if tool.ok:
            yield from scalars(tool.data)
        yield from scalars(tool.arguments)
    yield from scalars([one.props for one in made.components])
    yield from scalars([dict(one) for one in made.drafts])
    yield from scalars([turn.content for turn in answer.case.messages])
    yield from scalars(answer.case.context.draft or {})
    yield from (float(part) for part in (AS_OF.year, AS_OF.month, AS_OF.day))


def scalars(value: Any) -> Iterator[float]:
    """Yield every number in a document: its own, those in its texts, the lengths of its lists, and their sums."""
    match value:
        case bool() | None:
            return
        case int() | float():
            yield float(value)
        case str():
            yield from (number for _text, number in numbers_in(value))
            yield from (float(part) for part in re.findall(r"\d+", value)[:40])
        case Mapping():
            for child in value.values():
                yield from scalars(child)
        case list() | tuple():
            yield float(len(value))
            for child in value:
                yield from scalars(child)
            yield from _sums(value)
        case _:
            return


def _sums(items: Any) -> Iterator[float]:
    """Sum a list of rows: each numeric column's total, and in how many rows it is not zero."""
    rows = [item for item in items if isinstance(item, Mapping)]
    for name in rows[0] if rows else ():
        column = [row.get(name) for row in rows]
        if all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in column):
            yield float(sum(column))  # type: ignore[arg-type]
            yield float(sum(1 for cell in column if cell))
        else:
            for text in {cell for cell in column if isinstance(cell, str)}:
                yield float(column.count(text))


def _counted(value: Any) -> Iterator[float]:
    """Yield the numbers that a document itself holds, not those in its texts."""
    match value:
        case bool():
            return
        case int() | float():
            yield float(value)
        case Mapping():
            for child in value.values():
                yield from _counted(child)
        case list():
            for child in value:
                yield from _counted(child)
        case _:
            return


def _follows(value: float, text: str, known: set[float], counted: set[float]) -> bool:
    """Return whether a number is known, rounded from a known one, or a share or a difference of two that were counted."""
    plain = text.rstrip(".,")
    decimals = len(plain.rpartition(".")[2]) if "." in plain else 0
    if any(value in (one, round(one, decimals)) for one in known):
        return True
    if len(counted) > 200:
        return False
    return any(
        round(100 * one / other, decimals) == value or round(one - other, decimals) == value
        for one in counted
        for other in counted
        if other
    )
