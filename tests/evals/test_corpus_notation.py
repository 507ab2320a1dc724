"""The corpus' notation says every definition that there is, and reads it back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evals.corpus.examples import FOLDER, Example, read
from evals.corpus.linting import lint_text
from evals.corpus.notation import NotationError, parse_definition
from evals.corpus.printing import write_definition
from segment_copilot.language import decode
from segment_copilot.language.canonical import canonical
from tests.support.language.strategies import AS_OFS, ZONES, Draw, world

SEGMENTS = {"Staff": 1, "High LTV": 2, "4": 3}
WORLD = world(AS_OFS, ZONES)
NAMES = {number: name for name, number in SEGMENTS.items()}


def plain(document: Any) -> Any:
    """A definition without the choices that mean nothing, which the notation does not keep."""
    match document:
        case {"event_type": str(name), **rest} if not rest:
            return name
        case dict():
            fields = {name: plain(value) for name, value in document.items()}
            if fields.get("logic") and len(fields["conditions"]) == 1:
                fields["logic"] = "AND"
            if fields.get("type") == "segment_membership":
                negated = (fields.get("operator", "in") == "not_in") != fields.pop("negate", False)
                fields["operator"] = "not_in" if negated else "in"
            return fields
        case list():
            return [plain(item) for item in document]
        case _:
            return document


@pytest.mark.parametrize("seed", range(20))
def test_what_is_written_is_read_back(seed):
    draw = Draw(seed, WORLD)
    for _ in range(40):
        definition = decode(draw.definition([1, 2, 3, 4]))
        text = write_definition(definition, NAMES)
        read = parse_definition(text, SEGMENTS)
        assert plain(msgspec.json.decode(canonical(read))) == plain(msgspec.json.decode(canonical(definition))), text
        assert write_definition(read, NAMES) == text
        assert not any(sign in text for sign in ("\n", "=>", "||"))


@pytest.mark.parametrize(
    ("loose", "strict"),
    [
        ("count(order_placed) >= 3 in 90d and", None),
        ("count(order_placed)>=3 in 90d", "count(order_placed)≥3 in 90d"),
        ("country in DE, FR", "country in DE,FR"),
        ("age != 30", "age≠30"),
        ("age 18 .. 25", "age 18..25"),
    ],
)
def test_signs_may_be_typed_on_any_keyboard(loose, strict):
    if strict is None:
        with pytest.raises(NotationError):
            parse_definition(loose)
    else:
        assert write_definition(parse_definition(loose)) == strict


@pytest.mark.parametrize(
    ("value", "window", "told"),
    [
        ({"from": "2026-06-01"}, {"to": "2026-01-01"}, "in_window from 2026-06-01, to 2026-01-01"),
        ({"from": "2026-01-01"}, {"to": "2026-06-01"}, "in_window from 2026-01-01, to 2026-06-01"),
        ({"from": "2026-01-01", "to": "2026-06-01"}, None, "in_window from 2026-01-01 to 2026-06-01"),
        ({"period": "next_month"}, {"last": "30d"}, "in_window next month, in 30d"),
    ],
)
def test_dates_that_are_tested_are_not_those_when_it_happened(value, window, told):
    tested = {"type": "event_property", "event_type": "e", "property": "due", "operator": "in_window", "value": value}
    definition = decode({"logic": "AND", "conditions": [tested | ({"window": window} if window else {})]})

    text = write_definition(definition)

    assert text == f"latest(e.due) {told}"
    assert canonical(parse_definition(text)) == canonical(definition)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("latest(order_placed.due) in_window next month, country=US", "Expected a window"),
        ("count(order_placed) 3", "Expected a test"),
        ("country=US & age>3 | plan=pro", "parentheses, since & and | are mixed"),
        ("in segment Stuff", "There is no segment “Stuff”; there are “Staff”"),
        ("sum(order_placed)>5", "sum is of a property"),
        ("count(order_placed.total)>5", "count is of an event"),
        ("country=New York", "Expected “&”, “|”, “-” or the end before “York”"),
        ("age>30 as text", "Expected a type"),
        ("count(order_placed)≥-3", ""),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(text, told):
    with pytest.raises(NotationError, match=r"^[A-Z“a-z].*") as error:
        parse_definition(text, SEGMENTS)
    assert told in str(error.value)


README = re.sub(r"```[^`]*```", "", Path("evals/corpus/README.md").read_text("utf-8")).replace("\\|", "|")
SAVED = {"shop": SEGMENTS}


def one(line: str) -> Example:
    (example,), faults = read(f"@tenant shop\n{line}", segments=SAVED)
    assert not faults
    return example


@pytest.mark.parametrize(
    "line", [line for line in re.findall(r"`([^`]+)`", README) if line.count(" => ") and "text" not in line]
)
def test_the_examples_of_the_page_can_be_read(line):
    assert one(line)


@pytest.mark.parametrize("text", re.findall(r"`([^`\n]+)`", README.split("| it says |")[1].split("**When**")[0]))
def test_the_conditions_of_the_page_can_be_read(text):
    text = f"count(page_viewed{text})≥1" if text.startswith("[") else text.replace("…", "periods(page_viewed)≥3")
    if re.search(r"[(=≠≥≤>]| ", text):
        parse_definition(text, SEGMENTS)


def test_what_lies_before_a_text_is_told_apart():
    edit = one("draft: count(order_placed)≥1 => only Spain => country=ES")
    assert (edit.kind, edit.text, edit.texts) == ("edit", "only Spain", ("only Spain",))
    assert edit.draft is not None
    assert one('viewing: "High LTV" => only Spain => country=ES').viewing == "High LTV"
    turns = one("buyers => only Spain => country=ES")
    assert (turns.kind, turns.texts) == ("followup", ("buyers", "only Spain"))


def test_several_answers_may_be_right():
    meaning = one("x => country=ES || age>3 || ask: age>4 || country=US || refuse: gold").meaning
    assert (len(meaning.drafts), len(meaning.ask or ()), meaning.refuse) == (2, 2, "gold")
    assert one("x => ask:").meaning.ask == ()
    assert one("x => ack").kind == "ack"
    assert one("x => question: help").kind == "question"
    assert one("x => refuse: sofa").kind == "refuse"


def test_ways_of_saying_one_thing_are_a_family_until_an_empty_line():
    examples, faults = read("@tenant shop\n@origin w1\n@family f\na => age>1\nb => age>1\n\nc => age>1", segments=SAVED)
    assert not faults
    assert [example.family for example in examples] == ["w1/f", "w1/f", "shop/c"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("x => count(ordered)≥1", "There is no event “ordered”; near is order_placed"),
        (
            "x => count(order_placed[categry=shoes])≥1",
            "There is no property of order_placed “categry”; near is category.",
        ),
        ("x => country=Spain", "country is never 'Spain'"),
        ("x => age>old", "age is a number, and 'old' is a text."),
        ("x => foo=1", "There is no trait “foo”"),
        ("x => in segment 99", "There is no segment 99."),
        ("x => age>30 & age<20", "This selects nobody"),
        ("x => count(order_placed)≥0", "This selects everybody"),
        ("x => tags contains blorp", "tags is never 'blorp'"),
        ("x => question: weather", "There is no question “weather”"),
        ("x -> age>3", "An example is `text => meaning`."),
        ("@language en", "A line with @ says"),
        ("@tenant pub", "There is no tenant “pub”"),
        ("x => refuse:", "After “refuse:” comes"),
    ],
)
def test_lint_says_what_is_wrong_with_a_line(line, told):
    _, (fault,) = lint_text(f"@tenant shop\n\n{line}")
    assert fault.line == 3
    assert told in fault.sentence


def test_what_is_said_twice_is_told():
    _, (fault,) = lint_text("@tenant shop\nx => age>3\nx => age>4")
    assert fault.sentence == "The same was said in line 2."


def test_nothing_is_wrong_with_any_line_of_the_corpus():
    faults = [
        f"{path.name}:{one.line}: {one.sentence}"
        for path in sorted(FOLDER.rglob("*.txt"))
        for one in lint_text(path.read_text("utf-8"), path.stem)[1]
    ]
    assert not faults
