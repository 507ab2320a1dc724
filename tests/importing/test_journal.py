"""A newer version of a file is not added to the older one by mistake."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from segment_copilot.errors import Conflict
from segment_copilot.importing.journal import Journal
from segment_copilot.importing.survey import RowSample, are_mostly_the_same


def sample(rows: range) -> tuple[int, ...]:
    marks = list(map(str, rows))
    random.Random(7).shuffle(marks)  # noqa: S311  # an order, not a secret
    found = RowSample()
    for mark in marks:
        found.add(mark)
    return found.smallest()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (range(10), range(10), True),
        (range(10), range(4, 20), True),  # six of ten
        (range(10), range(6, 20), False),
        (range(1000), range(9000), True),  # grown
        (range(9000), range(1000), True),  # a part of it
        (range(20_000), range(8_000, 30_000), True),  # three of five
        (range(20_000), range(14_000, 50_000), False),  # three of ten
        (range(5000), range(5000, 10_000), False),
        (range(300), range(5000), True),
        (range(3), range(5000), False),  # too few beside the others to be seen in a sample
        (range(5000, 5003), range(5000), False),
        (range(0), range(10), False),
    ],
)
def test_samples_tell_whether_files_are_mostly_the_same(one: range, other: range, expected: bool):  # noqa: FBT001
    assert are_mostly_the_same(sample(one), sample(other)) is expected
    assert are_mostly_the_same(sample(other), sample(one)) is expected


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "made" / "imports.jsonl", url="http://here/", key="sk_x")


def choose(journal: Journal, name: str, digest: str, rows: range, *, again: bool = False) -> int:
    return journal.choose_generation(name, digest=digest, sample=sample(rows), again=again)


def test_the_same_content_has_the_same_number_until_it_is_meant_again(journal: Journal):
    assert choose(journal, "a.csv", "d1", range(9)) == 0
    journal.add("a.csv", digest="d1", generation=0, rows=9, sample=sample(range(9)))
    assert choose(journal, "b.csv", "d1", range(9)) == 0
    assert choose(journal, "a.csv", "d1", range(9), again=True) == 1
    journal.add("a.csv", digest="d1", generation=1, rows=9, sample=sample(range(9)))
    assert choose(journal, "a.csv", "d1", range(9)) == 1
    assert choose(journal, "a.csv", "d1", range(9), again=True) == 2


def test_another_version_is_refused_until_it_is_meant(journal: Journal):
    journal.add("a.csv", digest="d1", generation=0, rows=9, sample=sample(range(9)))

    with pytest.raises(Conflict, match=r"a file of this name was imported.*--id, or say --again"):
        choose(journal, "a.csv", "d2", range(100, 109))
    with pytest.raises(Conflict, match=r"a\.csv, with mostly the same rows,"):
        choose(journal, "b.csv", "d2", range(2, 30))
    assert choose(journal, "b.csv", "d2", range(100, 109)) == 0
    assert choose(journal, "a.csv", "d2", range(9), again=True) == 0  # its own content is new
    assert journal.choose_generation("a.csv", digest="d2", sample=(), again=False) == 0  # events have ids of their own


def test_another_key_or_service_knows_nothing(journal: Journal, tmp_path: Path):
    journal.add("a.csv", digest="d1", generation=0, rows=9, sample=sample(range(9)))
    path = tmp_path / "made" / "imports.jsonl"

    for other in (Journal(path, url="http://here", key="sk_y"), Journal(path, url="http://there", key="sk_x")):
        assert choose(other, "a.csv", "d2", range(9)) == 0
    with pytest.raises(Conflict):
        choose(Journal(path, url="http://here", key="sk_x"), "a.csv", "d2", range(9))
    assert b"sk_x" not in path.read_bytes()


def test_what_another_machine_imported_is_not_known_here(journal: Journal):
    assert choose(journal, "a.csv", "d1", range(9), again=True) == 1


def test_a_damaged_line_is_passed_over(journal: Journal, tmp_path: Path):
    journal.add("a.csv", digest="d1", generation=0, rows=9, sample=sample(range(9)))
    path = tmp_path / "made" / "imports.jsonl"
    path.write_bytes(b'{"at": 5}\n\xff\n' + path.read_bytes() + b'{"cut')

    with pytest.raises(Conflict):
        choose(journal, "a.csv", "d2", range(9))
    blocked = Journal(path / "below", url="http://here", key="sk_x")
    blocked.add("a.csv", digest="d1", generation=0, rows=9, sample=())
    assert choose(blocked, "a.csv", "d2", range(9)) == 0
