"""The plans that answer questions about segments and connectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from msgspec import Struct

from segment_copilot.copilot.models.offline import dates
from segment_copilot.copilot.models.offline.plan import Call, Context, Result, Turn, latest
from segment_copilot.copilot.models.offline.windows import Window

_MOST_DAYS = 366
_ALL = 100
_SHOWN = 20


def called(name: str, arguments: Mapping[str, Any]) -> Turn:
    """A turn that calls one tool."""
    return Turn(calls=(Call(name, arguments),))


def failed(result: Result) -> Turn:
    """A turn that says why a tool gave nothing."""
    return Turn((f"I could not look that up: {result.message}",))


def stopped() -> Turn:
    """What is said when no look-up is left."""
    return Turn(("I stopped before I could look that up: this answer may make no more look-ups.",))


def day_of(instant: Any) -> str:
    """An instant of a result for people, in UTC as it was given."""
    text = str(instant)
    return f"{text[:10]} {text[11:16]} UTC" if "T" in text else text


class Size(Struct, frozen=True):
    """How many members a segment has."""

    segment: int | str

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        detail = latest(results, "get_segment_detail")
        if detail is None:
            return called("get_segment_detail", {"segment": self.segment}) if context.tools_allowed else stopped()
        if detail.failed:
            return failed(detail)
        document = detail.document
        if document.get("member_count") is None:
            return self._now(results, context, document)
        note = f"computed {day_of(document['last_computed_at'])}" if document.get("last_computed_at") else ""
        if (
            latest(results, "display_metric_card") is None
            and context.tools_allowed
            and "display_metric_card" in context.tools
        ):
            card = {
                "title": f"{document['name']} members",
                "value": document["member_count"],
                "unit": "users",
                **({"note": note} if note else {}),
            }
            return called("display_metric_card", card)
        when = f", {note}" if note else ""
        return Turn((f"{document['name']} has {document['member_count']:,} members{when}.",))

    def _now(self, results: Sequence[Result], context: Context, document: Mapping[str, Any]) -> Turn:
        """A segment that was never computed: what its definition matches now."""
        counted = latest(results, "preview_segment")
        if counted is None and context.tools_allowed:
            return called("preview_segment", {"definition": document["definition"]})
        if counted is None or counted.failed:
            return Turn((f"{document['name']} has not been computed yet, so it has no members to count.",))
        matched = counted.document["matched_users"]
        if (
            latest(results, "display_metric_card") is None
            and context.tools_allowed
            and "display_metric_card" in context.tools
        ):
            return called(
                "display_metric_card",
                {"title": f"{document['name']}: users who match now", "value": matched, "unit": "users"},
            )
        return Turn((f"{document['name']} has not been computed yet; its definition matches {matched:,} users now.",))


class Trend(Struct, frozen=True):
    """How a segment's membership developed."""

    segment: int | str
    window: Window | None

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        days, said = self._days(context)
        trend = latest(results, "query_segment_membership_trend")
        if trend is None:
            return (
                called("query_segment_membership_trend", {"segment": self.segment, "days": days})
                if context.tools_allowed
                else stopped()
            )
        if trend.failed:
            return failed(trend)
        document = trend.document
        if (
            latest(results, "display_event_chart") is None
            and context.tools_allowed
            and "display_event_chart" in context.tools
            and document["points"]
        ):
            return called(
                "display_event_chart",
                {
                    "title": f"Members of {document['name']}, {said}",
                    "measure": "members",
                    "tool_call_id": trend.call_id,
                },
            )
        return Turn(_trend_sentences(document, said))

    def _days(self, context: Context) -> tuple[int, str]:
        if self.window is None:
            return 30, "the last 30 days"
        start, _ = self.window.span(context.as_of, context.timezone)
        whole = self.window.length.days if self.window.kind == "last" and self.window.length else None
        today = dates.local_date(context.as_of, context.timezone)
        days = whole or (today - dates.local_date(start, context.timezone)) // timedelta(days=1) + (
            self.window.kind != "last"
        )
        if days > _MOST_DAYS:
            return _MOST_DAYS, f"the last {_MOST_DAYS} days, which is as far back as I can look"
        return max(1, days), self.window.words().removeprefix("in ")


def _trend_sentences(document: Mapping[str, Any], said: str) -> tuple[str, ...]:
    points = document["points"]
    if not points:
        return (f"{document['name']} has no stored membership history for this: {said}.",)
    first, last = points[0], points[-1]
    low, high = min(points, key=lambda point: point["count"]), max(points, key=lambda point: point["count"])
    return (
        f"{document['name']}, {said}: {first['count']:,} members on {first['day']}, {last['count']:,} on {last['day']}.",
        f"The lowest day was {low['day']} with {low['count']:,}, the highest {high['day']} with {high['count']:,}.",
    )


class Segments(Struct, frozen=True):
    """Which segments there are."""

    order: str
    limit: int | None
    about: str = ""
    counted: bool = False

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        listed = latest(results, "list_segments")
        if listed is None:
            return called("list_segments", self._arguments()) if context.tools_allowed else stopped()
        if listed.failed:
            return failed(listed)
        segments = self._chosen(listed.document["segments"])
        if not segments:
            return Turn((f"There is no segment about {self.about!r}." if self.about else "There are no segments yet.",))
        if (
            latest(results, "display_segment_table") is None
            and context.tools_allowed
            and "display_segment_table" in context.tools
        ):
            return called(
                "display_segment_table", {"title": self._title(), "segment_ids": [item["id"] for item in segments]}
            )
        return Turn((*self._said(segments, listed.document, context), *_uncomputed(segments)))

    def _arguments(self) -> dict[str, Any]:
        if self.order == "smallest":
            return {"order": "largest", "limit": _ALL}
        order = {"order": self.order, "limit": min(self.limit or _SHOWN, _ALL)}
        return {"query": self.about, **order} if self.about else order

    def _chosen(self, segments: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        if self.order != "smallest":
            return list(segments)[:50]
        computed = [item for item in segments if item["member_count"] is not None]
        return sorted(computed, key=lambda item: item["member_count"])[: self.limit or 5]

    def _title(self) -> str:
        return {"largest": "Largest segments", "smallest": "Smallest segments", "newest": "Newest segments"}.get(
            self.order, "Segments"
        )

    def _said(
        self, segments: Sequence[Mapping[str, Any]], document: Mapping[str, Any], context: Context
    ) -> tuple[str, ...]:
        del context
        named = "; ".join(_sized(item) for item in segments[:10])
        head = {
            "largest": "The largest segments",
            "smallest": "The smallest computed segments",
            "newest": "The newest segments",
        }.get(self.order, "The segments")
        total = document["total"]
        about = f" about {self.about!r}" if self.about else ""
        counted = (f"There {'is' if total == 1 else 'are'} {total:,} segment{'' if total == 1 else 's'}{about}.",)
        return (f"{head}: {named}.", *counted)


def _sized(item: Mapping[str, Any]) -> str:
    return (
        f"{item['name']} ({item['member_count']:,} members)"
        if item["member_count"] is not None
        else f"{item['name']} (not computed)"
    )


def _uncomputed(segments: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return (
        ("Segments that were not computed have no count yet.",)
        if any(item["member_count"] is None for item in segments)
        else ()
    )


class Conditions(Struct, frozen=True):
    """What a segment's conditions are."""

    segment: int | str

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        detail = latest(results, "get_segment_detail")
        if detail is None:
            return called("get_segment_detail", {"segment": self.segment}) if context.tools_allowed else stopped()
        if detail.failed:
            return failed(detail)
        document = detail.document
        conditions = [f"- {words}" for words in document.get("conditions") or ()]
        logic = str(document.get("logic") or document["definition"].get("logic", "AND")).upper()
        head = (
            f"{document['name']} has this condition:"
            if len(conditions) == 1
            else f"{document['name']} takes users who meet {'any' if logic == 'OR' else 'all'} of these conditions:"
        )
        excluded = [f"- {words}" for words in document.get("exclusions") or ()]
        sentences = ["\n".join([head, *conditions])]
        if excluded:
            sentences.append("\n".join(["It leaves out those who match:", *excluded]))
        tier = str(document.get("tier") or "").replace("_", " ")
        return Turn((*sentences, f"It is a {tier} segment." if tier else ""))


class Members(Struct, frozen=True):
    """Who the members are: there is no tool for that."""

    segment: int

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """Say how many there are, and where the list is."""
        detail = latest(results, "get_segment_detail")
        if detail is None:
            return called("get_segment_detail", {"segment": self.segment}) if context.tools_allowed else stopped()
        if detail.failed:
            return failed(detail)
        count = detail.document.get("member_count")
        has = (
            f"{detail.document['name']} has {count:,} members."
            if count is not None
            else f"{detail.document['name']} has not been computed yet."
        )
        return Turn(
            (
                has,
                "I cannot list single users here; the segment's members route does.",
                f"In words: {detail.document.get('words', '')}",
            )
        )


class Connectors(Struct, frozen=True):
    """Which connectors there are, those of a *status* first; "" for all."""

    status: str

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        listed = latest(results, "list_activations")
        if listed is None:
            return called("list_activations", {}) if context.tools_allowed else stopped()
        if listed.failed:
            return failed(listed)
        every = listed.document["activations"]
        if not every:
            return Turn(("No connectors are set up.",))
        wanted = [item for item in every if self._wants(item)]
        others = [item for item in every if item not in wanted]
        head = f"{self.status.capitalize()} connectors:" if self.status else "Connectors:"
        sentences = [
            "\n".join([head, *(_connector(item) for item in wanted)]) if wanted else f"No connector is {self.status}."
        ]
        if others:
            sentences.append("\n".join(["The others:", *(_connector(item) for item in others)]))
        return Turn(tuple(sentences))

    def _wants(self, item: Mapping[str, Any]) -> bool:
        if self.status == "failing":
            return bool(item.get("last_error")) or item["status"] in {"failed", "error"}
        return not self.status or item["status"] == self.status


def _connector(item: Mapping[str, Any]) -> str:
    synced = f", last synced {day_of(item['last_synced_at'])}" if item.get("last_synced_at") else ", not synced yet"
    error = f", last error: {item['last_error']}" if item.get("last_error") else ""
    return f"- {item['connector_type']} for {item['segment_name']}: {item['status']}{synced}{error}"
