"""Draws plots as inline SVG: a picture needs no script and no network, and its numbers stand in its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from markupsafe import Markup

from evals.reporting.summary import Rate
from evals.results import CaseResult

_ROW: Final = 26
_LABEL: Final = 112
_BAR: Final = 290
_SIDE: Final = 126
_MOST_BARS: Final = 40


def rate_plot(rates: Sequence[Rate], *, title: str) -> Markup:
    """Draw horizontal bars with 95 % intervals."""
    height = _ROW * len(rates) + 26
    width = _LABEL + _BAR + _SIDE
    parts: list[str] = []
    for tick in range(0, 101, 25):
        x = _LABEL + _BAR * tick / 100
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="0" y2="{height - 24}"/>')
        parts.append(f'<text class="tick" x="{x}" y="{height - 8}" text-anchor="middle">{tick} %</text>')
    for place, rate in enumerate(rates):
        middle = place * _ROW + _ROW / 2
        low, high = (_LABEL + _BAR * end for end in rate.interval)
        told = f"{rate.name}: {rate.passed} of {rate.total} passed"
        parts.append(
            f"<g><title>{escape(told)}</title>"
            f'<text class="label" x="{_LABEL - 10}" y="{middle + 4}" text-anchor="end">{escape(rate.name)}</text>'
            f'<rect class="rail" x="{_LABEL}" y="{middle - 7}" width="{_BAR}" height="14" rx="3"/>'
            f'<rect class="bar" x="{_LABEL}" y="{middle - 7}" width="{_BAR * rate.share:.1f}" height="14" rx="3"/>'
            f'<path class="whisker" d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 4}v8M{high:.1f} {middle - 4}v8"/>'
            f'<text class="count" x="{_LABEL + _BAR + 12}" y="{middle + 4}">{rate.passed}/{rate.total} · {100 * rate.share:.0f} %</text>'
            "</g>"
        )
    return _svg(width, height, title, parts)


def case_map(cases: Sequence[CaseResult]) -> Markup:
    """Draw every case as a square, every category as a row; a click leads to the case."""
    categories = sorted({case.category for case in cases})
    size, gap = 15, 4
    most = max((sum(case.category == one for case in cases) for one in categories), default=1)
    columns = min(most, 20)
    parts: list[str] = []
    top = 0
    for category in categories:
        row = sorted((case for case in cases if case.category == category), key=lambda case: (not case.passed, case.id))
        parts.append(
            f'<text class="label" x="{_LABEL - 10}" y="{top + 12}" text-anchor="end">{escape(category)}</text>'
        )
        for place, case in enumerate(row):
            x = _LABEL + place % columns * (size + gap)
            y = top + place // columns * (size + gap)
            state = "errored" if case.error else "good" if case.passed else "bad"
            parts.append(
                f'<a href="#{case.id}"><rect class="{state}" x="{x}" y="{y}" width="{size}" height="{size}" rx="3">'
                f"<title>{escape(case.id)}: {escape(case.case.question)}</title></rect></a>"
            )
        top += (1 + (len(row) - 1) // columns) * (size + gap) + 6
    return _svg(_LABEL + columns * (size + gap), top, "Every case by category", parts)


def bars(props: Mapping[str, Any]) -> Markup:
    """Draw an EventVolumeChart: days stand side by side, names lie below each other."""
    points = list(props["points"])[-_MOST_BARS:]
    most = max((point["y"] for point in points), default=0) or 1
    title = f"{props['title']} ({props['unit']})"
    if props["measure"] == "event_types":
        return _named_bars(points, most, title)
    wide, high = max(560 / max(len(points), 1), 6), 110
    width = wide * len(points)
    parts: list[str] = []
    for place, point in enumerate(points):
        tall = max(point["y"] / most * (high - 14), 1 if point["y"] else 0)
        x = place * wide
        parts.append(
            f"<g><title>{escape(str(point['x']))}: {point['y']:,}</title>"
            f'<rect class="bar" x="{x + 1:.1f}" y="{high - tall:.1f}" width="{wide - 2:.1f}" height="{tall:.1f}" rx="2"/></g>'
        )
    if points:
        parts.append(f'<text class="tick" x="0" y="{high + 14}">{escape(str(points[0]["x"]))}</text>')
        parts.append(
            f'<text class="tick" x="{width}" y="{high + 14}" text-anchor="end">{escape(str(points[-1]["x"]))}</text>'
        )
        parts.append(f'<text class="tick" x="0" y="10">most: {most:,}</text>')
    return _svg(width, high + 18, title, parts)


def _named_bars(points: Sequence[Mapping[str, Any]], most: float, title: str) -> Markup:
    label, room = 160, 300
    parts: list[str] = []
    for place, point in enumerate(points):
        middle = place * 22 + 11
        long = max(point["y"] / most * room, 1)
        parts.append(
            f'<text class="label" x="{label - 8}" y="{middle + 4}" text-anchor="end">{escape(str(point["x"]))}</text>'
            f'<rect class="bar" x="{label}" y="{middle - 6}" width="{long:.1f}" height="12" rx="2"/>'
            f'<text class="count" x="{label + long + 6:.1f}" y="{middle + 4}">{point["y"]:,}</text>'
        )
    return _svg(label + room + 70, 22 * len(points), title, parts)


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> Markup:
    body = "".join(parts)  # every text in it went through escape
    return Markup(  # noqa: S704
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img" aria-label="{escape(title)}">{body}</svg>'
    )
