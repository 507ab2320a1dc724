"""The plans that answer which segments and connectors there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from segment_copilot.english.answers.telling import asked, called, counted, draws, failed, moment, range_sentence
from segment_copilot.english.plan import Context, Result, Turn, latest
from segment_copilot.english.times.windows import Window

LIST, SEARCH, TABLE, CONNECTORS = "list_segments", "search_segments", "display_segment_table", "list_activations"
_ALL: Final = 100
_SHOWN: Final = 20
_DRAWN: Final = 50
_NAMED: Final = 10
_TITLES: Final = {
    "largest": "Largest segments",
    "smallest": "Smallest segments",
    "newest": "Newest segments",
    "oldest": "Oldest segments",
}
_HEADS: Final = {
    "largest": "The largest segments",
    "smallest": "The smallest computed segments",
    "newest": "The newest segments",
    "oldest": "The oldest segments",
}
_KEPT: Final[Mapping[str, tuple[str, Callable[[Mapping[str, Any]], bool]]]] = {
    "empty": ("that had no members when they were computed", lambda item: item["member_count"] == 0),
    "uncomputed": ("that were not computed yet", lambda item: item["last_computed_at"] is None),
    "computed": ("that were computed", lambda item: item["last_computed_at"] is not None),
    "failed": ("whose last computation failed", lambda item: item["status"] == "failed"),
    "static": ("that are static", lambda item: item["segment_type"] == "static"),
    "dynamic": ("of the tier dynamic", lambda item: item["tier"] == "dynamic"),
    "dynamic_plus": ("of the tier dynamic plus", lambda item: item["tier"] == "dynamic_plus"),
}


class Segments(Struct, frozen=True):
    """Which segments there are: *kept* names the kind that is asked for, "" for all."""

    order: str
    limit: int | None
    about: str = ""
    counted: bool = False
    kept: str = ""
    window: Window | None = None
    undated: bool = False  # it was asked when they were made, which cannot be seen

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        listed = latest(results, LIST)
        if listed is None:
            return asked(LIST, self._arguments(), context)
        if listed.failed:
            return failed(listed)
        segments = self._chosen(listed.document["segments"], context)
        if not segments:
            return Turn((self._none(listed.document, context), self._range(context)))
        if draws(TABLE, results, context):
            shown = [item["id"] for item in segments[:_DRAWN]]
            return called(TABLE, {"title": self._title(), "segment_ids": shown})
        return Turn((*self._said(segments, listed.document, context), *_uncomputed(segments), self._range(context)))

    def _arguments(self) -> dict[str, Any]:
        if self.kept or self.order in {"smallest", "oldest"}:
            return {"order": "newest" if self.order == "oldest" else "largest", "limit": _ALL}
        order = {"order": self.order, "limit": min(self.limit or _SHOWN, _ALL)}
        return {"query": self.about, **order} if self.about else order

    def _chosen(self, segments: Sequence[Mapping[str, Any]], context: Context) -> list[Mapping[str, Any]]:
        if self.kept:
            fits = _KEPT[self.kept][1]
            return [item for item in segments if fits(item) and self._within(item, context)]
        if self.order == "oldest":
            return list(reversed(segments))[: self.limit or 5]
        if self.order != "smallest":
            return list(segments)[:_DRAWN]
        computed = [item for item in segments if item["member_count"] is not None]
        return sorted(computed, key=lambda item: item["member_count"])[: self.limit or 5]

    def _within(self, item: Mapping[str, Any], context: Context) -> bool:
        if self.window is None:
            return True
        start, end = self.window.span(context.as_of, context.timezone)
        return start <= datetime.fromisoformat(str(item["last_computed_at"])) <= end

    def _title(self) -> str:
        return f"Segments {_KEPT[self.kept][0]}" if self.kept else _TITLES.get(self.order, "Segments")

    def _kind(self) -> str:
        when = f" {self.window.words()}" if self.window else ""
        return f" {_KEPT[self.kept][0]}{when}" if self.kept else f" about {self.about!r}" if self.about else ""

    def _none(self, document: Mapping[str, Any], context: Context) -> str:
        del context
        if not self._kind():
            return "There are no segments yet."
        among = f" ({document['total']:,} in all)" if self.kept else ""
        return f"There are no segments{self._kind()}{among}."

    def _range(self, context: Context) -> str:
        return range_sentence(self.window, context) if self.window else ""

    def _said(
        self, segments: Sequence[Mapping[str, Any]], document: Mapping[str, Any], context: Context
    ) -> tuple[str, ...]:
        named = "; ".join(_sized(item) for item in segments[:_NAMED])
        if self.kept:
            head = f"{counted(len(segments), 'segment')} {self._kind().strip()}"
            cut = "Only the first of them were looked at." if document.get("truncated") else ""
            newest = max((str(item["last_computed_at"]) for item in segments if item["last_computed_at"]), default="")
            last = f"The last computation was on {moment(newest, context)}." if self.kept == "computed" else ""
            return (f"{head}: {named}.", last, cut)
        total = document["total"]
        number = f"There {'is' if total == 1 else 'are'} {counted(total, 'segment')}{self._kind()}."
        listing = f"{_HEADS.get(self.order, 'The segments')}: {named}."
        undated = "I cannot see when a segment was made: these are the newest first." if self.undated else ""
        return (number, listing, undated) if self.counted else (listing, number, undated)


def _sized(item: Mapping[str, Any]) -> str:
    count = item.get("member_count")
    return f"{item['name']} ({counted(count, 'member')})" if count is not None else f"{item['name']} (not computed)"


def _uncomputed(segments: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return (
        ("Segments that were not computed have no count yet.",)
        if any(item["member_count"] is None for item in segments)
        else ()
    )


class Search(Struct, frozen=True):
    """Segments about something: by what they look at (*thing*, an event type or property), or by the words *about*."""

    thing: str
    about: str

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        found = latest(results, SEARCH)
        if found is None:
            return asked(SEARCH, {"query": (self.thing or self.about)[:200], "limit": _SHOWN}, context)
        if found.failed:
            return failed(found)
        segments: Sequence[Mapping[str, Any]] = found.document.get("segments") or ()
        if self.thing:
            segments = [item for item in segments if self.thing in item["looks_at"]] or segments
        about = f"`{self.thing}`" if self.thing else repr(self.about)
        if not segments:
            return Turn((f"There are no segments about {about}.",))
        if draws(TABLE, results, context):
            shown = [item["id"] for item in segments[:_DRAWN]]
            return called(TABLE, {"title": f"Segments about {self.about}"[:120], "segment_ids": shown})
        return Turn((f"About {about}: {'; '.join(_sized(item) for item in segments[:_NAMED])}.",))


class Connectors(Struct, frozen=True):
    """Which connectors there are: those of a *status* first, of some *kinds* ("klaviyo") or of one *segment* alone."""

    status: str
    kinds: tuple[str, ...] = ()
    segment: int | None = None

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        listed = latest(results, CONNECTORS)
        if listed is None:
            return asked(CONNECTORS, {}, context)
        if listed.failed:
            return failed(listed)
        every = listed.document["activations"]
        if not every:
            return Turn(("No connectors are set up.",))
        about = [item for item in every if self._about(item)]
        if not about:
            there = ", ".join(dict.fromkeys(str(item["connector_type"]) for item in every))
            return Turn(
                (f"Nothing is connected to {self._asked(context)}.", f"The connectors that are set up: {there}.")
            )
        wanted = [item for item in about if self._wants(item)]
        others = [item for item in about if item not in wanted]
        head = f"{self.status.capitalize()} connectors:" if self.status else "Connectors:"
        sentences = [
            "\n".join([head, *(_connector(item, context) for item in wanted)])
            if wanted
            else f"No connector is {self.status}."
        ]
        if others:
            sentences.append("\n".join(["The others:", *(_connector(item, context) for item in others)]))
        return Turn(tuple(sentences))

    def _asked(self, context: Context) -> str:
        segment = context.catalog.segments.get(self.segment) if self.segment is not None else None
        return segment.name if segment else " ".join(self.kinds)

    def _about(self, item: Mapping[str, Any]) -> bool:
        kind = str(item["connector_type"]).casefold()
        fits = not self.kinds or any(word in kind or kind in word for word in self.kinds)
        return fits and (self.segment is None or item["segment_id"] == self.segment)

    def _wants(self, item: Mapping[str, Any]) -> bool:
        if self.status == "failing":
            return bool(item.get("last_error")) or item["status"] in {"failed", "error"}
        return not self.status or item["status"] == self.status


def _connector(item: Mapping[str, Any], context: Context) -> str:
    synced = (
        f", last synced {moment(item['last_synced_at'], context)}" if item.get("last_synced_at") else ", not synced yet"
    )
    last: Mapping[str, Any] = item.get("last_delivery") or {}
    sent = f" ({counted(last['users'], 'user')} sent)" if synced and last.get("status") == "success" else ""
    error = f", last error: {item['last_error']}" if item.get("last_error") else ""
    return f"- {item['connector_type']} for {item['segment_name']}: {item['status']}{synced}{sent}{error}"
