"""Learns what each feature of a reading is worth, so that the right reading of a sentence of the corpus is the likeliest.

A softmax over the readings of a sentence and the one that it means nothing; several may be right. Sentences that must be
refused belong to it, and so does one whose right reading is not among those found: of both, nothing is the answer.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from msgspec import Struct

import segment_copilot.english.reading
from evals.corpus.examples import Example, read
from evals.corpus.members import are_same
from evals.corpus.tenants import segment_ids, tenant
from segment_copilot.english.reading.anchors import names_of
from segment_copilot.english.reading.audience import (
    CLEAR,
    Rated,
    Understood,
    decision,
    is_loose,
    is_near,
    left_of,
    understand,
)
from segment_copilot.english.reading.chart import TooLong
from segment_copilot.english.reading.meanings import write
from segment_copilot.english.reading.same import kin, members
from segment_copilot.english.reading.weights import NULL, learned
from segment_copilot.english.times.dates import local_date
from segment_copilot.language.equivalence import Form

EPOCHS: Final = 40
RATE: Final = 0.25
PRIOR: Final = 0.02
"""How strongly each weight is drawn to zero, for every hundred sentences."""

GUESSES: Final = Path(__file__).parent / "guesses.toml"
"""What some features were thought to be worth before there was a corpus: where learning begins."""
WEIGHTS: Final = Path(segment_copilot.english.reading.__file__).parent / "weights.toml"
_LEARNED: Final = frozenset({"audience", "refuse"})

Weights = Mapping[str, float]
_A = TypeVar("_A")
_B = TypeVar("_B")


class Option(Struct, frozen=True):
    """One reading of a sentence: its features, which definition it is, whether it is right, and whether it explains every word, or nearly."""

    features: Weights
    meaning: Form
    right: bool
    clean: bool
    near: bool = False
    kin: Form | None = None


class Sample(Struct, frozen=True):
    """A sentence with its readings; *refuse* when nothing is the answer."""

    text: str
    family: str
    options: tuple[Option, ...]
    refuse: bool = False
    unsaid: Weights = MappingProxyType({NULL: 1.0})


class Verdict(Struct, frozen=True):
    """Counts what is made of sentences at some bar: drafted right, drafted wrong, asked (with the right one among two), refused."""

    drafted: bool = False
    right: bool = False
    asked: bool = False
    offered: bool = False
    probability: float = 0


def learn(samples: Sequence[Sample], start: Weights, *, epochs: int = EPOCHS, prior: float = PRIOR) -> dict[str, float]:
    """Return the weights under which what is right is likeliest, from *start* on (AdaGrad, drawn to zero)."""
    weights = dict(start)
    squares = dict.fromkeys(weights, 1e-6)
    drawn = prior / max(len(samples), 1)
    for epoch in range(epochs):
        for sample in samples if epoch % 2 else reversed(samples):
            for name, slope in _slopes(sample, weights).items():
                total = slope - drawn * weights.get(name, 0.0)
                squares[name] = squares.get(name, 1e-6) + total * total
                weights[name] = weights.get(name, 0.0) + RATE * total / math.sqrt(squares[name])
    return {name: round(value, 3) for name, value in sorted(weights.items()) if abs(value) > 0.01}


def _slopes(sample: Sample, weights: Weights) -> dict[str, float]:
    scores = [_score(features, weights) for features in (*(one.features for one in sample.options), sample.unsaid)]
    shares = _softmax(scores)
    right = [option.right and option.clean for option in sample.options]
    right.append(sample.refuse or not any(right))
    wanted = sum(share for share, good in zip(shares, right, strict=True) if good)
    slopes: dict[str, float] = {}
    if wanted <= 0:
        return slopes
    for share, good, features in zip(
        shares, right, (*(option.features for option in sample.options), sample.unsaid), strict=True
    ):
        pull = (share / wanted if good else 0.0) - share
        if abs(pull) < 1e-4:
            continue
        for name, value in features.items():
            slopes[name] = slopes.get(name, 0.0) + pull * value
    return slopes


def _score(features: Weights, weights: Weights) -> float:
    return sum(weights.get(name, 0.0) * value for name, value in features.items())


def _softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    masses = [math.exp(score - top) for score in scores]
    total = sum(masses)
    return [mass / total for mass in masses]


def judge(sample: Sample, weights: Weights, *, clear: float = CLEAR) -> Verdict:
    """Return what is made of a sentence under some weights."""
    scores = [_score(features, weights) for features in (*(one.features for one in sample.options), sample.unsaid)]
    groups: dict[Form, list[tuple[float, Option]]] = {}
    for share, option in zip(_softmax(scores), sample.options, strict=False):
        groups.setdefault(option.meaning, []).append((share, option))
    ranked = sorted((_rated(group) for group in groups.values()), key=lambda row: -row[0].probability)
    made = decision([rated for rated, _ in ranked], clear)
    offered = any(ranked[at][1] for at in (*made.asked, *made.without))
    right = made.drafted is not None and ranked[made.drafted][1]
    probability = ranked[0][0].probability if ranked else 0.0
    return Verdict(made.drafted is not None, right, bool(made.asked or made.without), offered, probability)


def _rated(group: Sequence[tuple[float, Option]]) -> tuple[Rated, bool]:
    """Return how likely the readings of one definition are, and whether it is right; those that leave words over count only alone."""
    clean = [share for share, one in group if one.clean]
    total = sum(clean) or sum(share for share, _ in group)
    best = max(group, key=lambda row: (row[1].clean, row[0]))[1]
    near = any(one.near for _, one in group)
    return Rated(total, bool(clean), near, is_loose(best.features), best.kin), group[0][1].right


def folds(samples: Sequence[Sample], count: int) -> Iterator[tuple[list[Sample], list[Sample]]]:
    """Yield what to learn from and what to judge; a family is never on both sides."""
    families = sorted({sample.family for sample in samples})
    place = {family: number % count for number, family in enumerate(families)}
    for fold in range(count):
        yield (
            [one for one in samples if place[one.family] != fold],
            [one for one in samples if place[one.family] == fold],
        )


def crossed(
    samples: Sequence[Sample], start: Weights, *, count: int = 5, epochs: int = EPOCHS, jobs: int = 1
) -> list[tuple[Sample, Weights]]:
    """Return each sentence with weights that were learned without its family, *jobs* folds at a time."""
    parts = list(folds(samples, count))
    learned_from = partial(learn, start=start, epochs=epochs)
    found = _each(learned_from, [known for known, _ in parts], jobs)
    return [(sample, weights) for (_, unknown), weights in zip(parts, found, strict=True) for sample in unknown]


def _each(make: Callable[[_A], _B], of: Sequence[_A], jobs: int, *, at_once: int = 1) -> list[_B]:
    """Return what is made of each, in as many processes; here, where one is asked for."""
    if jobs == 1:
        return [make(one) for one in of]
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(make, of, chunksize=at_once))


def curve(
    judged: Sequence[tuple[Sample, Weights]], bars: Iterable[float] = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9)
) -> list[str]:
    """Return the rates at each bar, in lines: of what can be said, and what is made of the rest."""
    lines = ["bar    right  wrong  asked (offered)  refused   of what must be refused: drafted  asked"]
    can = [(sample, weights) for sample, weights in judged if not sample.refuse]
    cannot = [(sample, weights) for sample, weights in judged if sample.refuse]
    for bar in bars:
        made = [judge(sample, weights, clear=bar) for sample, weights in can]
        rest = [judge(sample, weights, clear=bar) for sample, weights in cannot]
        right, wrong = (
            sum(one.drafted and one.right for one in made),
            sum(one.drafted and not one.right for one in made),
        )
        asked, offered = sum(one.asked for one in made), sum(one.offered for one in made)
        total = max(len(made), 1)
        share = [
            f"{100 * part / total:5.1f}%" for part in (right, wrong, asked, offered, total - right - wrong - asked)
        ]
        drafted, questions = sum(one.drafted for one in rest), sum(one.asked for one in rest)
        lines.append(
            f"{bar:.2f}  {share[0]} {share[1]} {share[2]} ({share[3]})  {share[4]}      of {len(rest)}: {drafted:4} {questions:6}"
        )
    return lines


# From the corpus' files


def sample(example: Example, weights: Weights) -> Sample:
    """Return an example of the corpus as its readings, found with these weights."""
    whose = tenant(example.tenant)
    today = local_date(whose.as_of, whose.catalog.timezone)
    golds = {members(definition, today) for definition in example.meaning.drafts}
    try:
        understood = understand(example.text, whose.catalog, whose.as_of, whose.catalog.timezone, weights=weights)
    except TooLong:
        return Sample(f"{example.place} {example.text}", example.family or example.text, (), refuse=not golds)
    options: list[Option] = []
    alike = _alike(example, understood, golds)
    for one in understood.readings:
        written = write(one, names_of(whose.catalog))
        if written is not None:
            meaning = members(written.definition, today)
            golds |= {meaning} if members(written.definition) in alike else set()
            options.append(
                Option(
                    one.all_features(),
                    meaning,
                    meaning in golds,
                    not left_of(one),
                    is_near(one, understood.found),
                    kin(written.definition),
                )
            )
    return Sample(
        f"{example.place} {example.text}",
        example.family or example.text,
        tuple(options),
        refuse=not golds,
        unsaid=understood.unsaid,
    )


def _alike(example: Example, understood: Understood, golds: Collection[Form]) -> set[Form]:
    """Return the likeliest readings that select the same people as what was meant, though their form is another."""
    meant = tuple(example.meaning.drafts)
    whose = tenant(example.tenant)
    today = local_date(whose.as_of, whose.catalog.timezone)
    found: set[Form] = set()
    for one in [one for one in understood.candidates if not one.left][:_TRIED] if meant else ():
        mark = members(one.definition)
        if members(one.definition, today) not in golds and any(
            are_same(example.tenant, one.definition, other) for other in meant
        ):
            found.add(mark)
    return found


_TRIED: Final = 1


_AT_ONCE: Final = 40


def train(paths: Sequence[Path], *, count: int, keep: bool, jobs: int = 1) -> Iterator[str]:
    """Learn from the audiences of some files; tell the rates.

    Without weights it learns twice, as these decide which readings are found.
    """
    examples: list[Example] = []
    for path in paths:
        found, faults = read(path.read_text("utf-8"), segments=segment_ids(), name=path.stem)
        examples += [one for one in found if one.kind in _LEARNED]
        if faults:
            yield f"{path.name}: {len(faults)} lines are not read; `corpus lint` says why"
    guesses = {name: float(value) for name, value in tomllib.loads(GUESSES.read_text("utf-8")).items()}
    weights: Weights = learned() or guesses
    samples: list[Sample] = []
    for _ in range(1 if learned() else 2):
        samples = _each(partial(sample, weights=weights), examples, jobs, at_once=_AT_ONCE)
        weights = learn(samples, guesses)
    told = [one for one in samples if not one.refuse]
    found = sum(any(option.right and option.clean for option in one.options) for one in told)
    yield f"{len(samples)} sentences; of {len(told)} that can be said, the right reading is found for {found}"
    yield "by weights that were learned without the family:"
    yield from curve(crossed(samples, guesses, count=count, jobs=jobs))
    if keep:
        lines = [f'"{name}" = {value}' for name, value in weights.items()]
        WEIGHTS.write_text(
            "# Learned by `python -m evals corpus train --write`.\n" + "\n".join(lines) + "\n", encoding="utf-8"
        )
