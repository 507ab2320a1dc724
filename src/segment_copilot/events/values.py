"""USE CASE: look up in ClickHouse how a value is spelled, beyond the samples that the catalog keeps of a name.

A scan of one property, by edit distance, is quick enough; there is no table of values (docs/decisions/0011-values.md).
What cannot be answered in two seconds is left open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

import msgspec
import structlog

from segment_copilot.access.tenants import Tenant
from segment_copilot.compiler import CompiledQuery, render_event_filter, render_trait_filter
from segment_copilot.errors import SegmentCopilotError
from segment_copilot.events.identity_links import PERSON_KEY, with_links
from segment_copilot.language.catalog import (
    IDENTIFY,
    MAX_SAMPLE_LENGTH,
    Answers,
    Catalog,
    EventType,
    Probe,
    Property,
    Question,
    Spellings,
    nearest,
)
from segment_copilot.language.paths import parse_path
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import DISTINCT, SUMS, grouped

MAX_QUESTIONS: Final = 8  # of one definition; those of others wait until these are settled
_SECONDS: Final = 2.0  # for all of them together
_MAX_NEAR: Final = 3  # texts of one question for which near ones are looked for: each is a scan of its own
_NEAR: Final = 5

_OF_TRAIT: Final = "WHERE tenant_id = {tenant:UInt32} AND property = {property:String}"
_TRAITS: Final = f"FROM {with_links('traits')} {_OF_TRAIT}"
_CURRENT: Final = f"FROM {with_links('traits_current', final=True)} {_OF_TRAIT}"
_EVENTS: Final = "FROM events WHERE tenant_id = {tenant:UInt32} AND event_type IN {types:Array(String)}"

_TEXT: Final = "{column}.{{path:Identifier}}.:String"
_TEXTS: Final = """arrayJoin(arrayConcat(
    if({column}.{{path:Identifier}}.:String IS NULL, [], [assumeNotNull({column}.{{path:Identifier}}.:String)]),
    arrayMap(item -> JSONExtractString(item), arrayFilter(item -> JSONType(item) = 'String',
        JSONExtractArrayRaw(ifNull(toJSONString({column}.{{path:Identifier}}), ''))))
))"""
"""The texts of a value that may be a list of them."""

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger()


class Values:
    """Looks values up in the data of all tenants; every method takes the tenant."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def answer(self, tenant: Tenant, catalog: Catalog, questions: Iterable[Question]) -> Catalog:
        """Return *catalog* with what the store says to the first *questions*; those it could not answer stay open."""
        asked = list(dict.fromkeys(questions))[:MAX_QUESTIONS]
        found: list[Answers | None] = [None] * len(asked)

        async def ask(at: int, question: Question) -> None:
            found[at] = await self._answer(tenant, catalog, question)

        try:
            async with asyncio.timeout(_SECONDS), asyncio.TaskGroup() as group:
                for at, question in enumerate(asked):
                    group.create_task(ask(at, question))
        except TimeoutError:
            log.info("values.unanswered", questions=sum(one is None for one in found))
        for question, answers in zip(asked, found, strict=True):
            if answers is not None:
                catalog = _with_answers(catalog, question, answers)
        return catalog

    async def near(self, tenant: Tenant, catalog: Catalog, question: Question, text: str) -> tuple[str, ...]:
        """Return stored texts that are few letters away from *text*, the nearest first; none where the store cannot tell."""
        source, params = _source(tenant, question)
        if len(text) > MAX_SAMPLE_LENGTH:
            return ()
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._near(_text(catalog, question), source, params, text.lower())
        except (SegmentCopilotError, TimeoutError):
            log.info("values.unanswered", questions=1)
            return ()

    async def _answer(self, tenant: Tenant, catalog: Catalog, question: Question) -> Answers | None:
        """Return what the store says; None where it cannot, which stops nobody: only a warning is missing then."""
        try:
            spellings = await self._spellings(tenant, catalog, question) if question.texts else {}
            passed = {probe: await self._passes(tenant, catalog, question, probe) for probe in question.probes}
        except SegmentCopilotError as error:
            log.info("values.unanswered", code=error.code)
            return None
        return Answers(spellings, passed)

    async def _spellings(self, tenant: Tenant, catalog: Catalog, question: Question) -> dict[str, Spellings]:
        source, params = _source(tenant, question)
        text, wanted = _text(catalog, question), sorted(question.texts)
        counted, key = ("uniqExact(person)", PERSON_KEY) if not question.event_types else ("count()", "user_key")
        sql = f"SELECT text, {counted} FROM (SELECT {text} AS text, {key} AS person {source}) "
        sql += "WHERE lowerUTF8(text) IN {texts:Array(String)} GROUP BY text"
        found = await self._clickhouse.fetch(
            sql, {**params, "texts": wanted}, purpose="preview", merge=grouped(1, "add")
        )
        counts = {one: dict[str, int]() for one in wanted}
        for spelled, number in found.rows:
            counts.setdefault(spelled.lower(), {})[spelled] = number
        if not question.event_types and any(len(one) > 1 for one in counts.values()):
            counts = await self._count_current(text, params, counts)
        absent = [one for one in wanted if not counts[one] and len(one) <= MAX_SAMPLE_LENGTH][:_MAX_NEAR]
        near = {one: await self._near(text, source, params, one) for one in absent}
        return {one: Spellings(counts[one], near.get(one, ())) for one in wanted}

    async def _count_current(
        self, text: str, params: Mapping[str, Any], counts: Mapping[str, Mapping[str, int]]
    ) -> dict[str, dict[str, int]]:
        """Count the users who have each spelling now; one that nobody has any more stays, with 0."""
        sql = f"SELECT text, uniqExact(person) FROM (SELECT {text} AS text, {PERSON_KEY} AS person {_CURRENT}) "
        sql += "WHERE lowerUTF8(text) IN {texts:Array(String)} GROUP BY text"
        params = {**params, "texts": list(counts)}
        found = dict((await self._clickhouse.fetch(sql, params, purpose="preview", merge=grouped(1, "add"))).rows)
        return {key: {text: int(found.get(text, 0)) for text in spelled} for key, spelled in counts.items()}

    async def _near(self, text: str, source: str, params: Mapping[str, Any], wanted: str) -> tuple[str, ...]:
        """Return texts that are few letters away, the nearest and most frequent first.

        Of one more piece than letters may differ, one stands in each of them as it is: a search for the pieces is quick.
        """
        most = max(1, min(3, len(wanted) // 4))
        sql = f"""
            SELECT text FROM (SELECT {text} AS text {source})
            WHERE abs(toInt32(lengthUTF8(text)) - {{length:Int32}}) <= {{most:UInt8}}
              AND multiSearchAny(lowerUTF8(text), {{pieces:Array(String)}})
              AND editDistanceUTF8(lowerUTF8(text), {{wanted:String}}) <= {{most:UInt8}}
            GROUP BY text ORDER BY editDistanceUTF8(lowerUTF8(text), {{wanted:String}}), count() DESC, text
            LIMIT {{limit:UInt8}}"""
        more = {
            "wanted": wanted,
            "length": len(wanted),
            "most": most,
            "limit": 4 * _NEAR,
            "pieces": _pieces(wanted, most + 1),
        }
        found = await self._clickhouse.fetch(sql, {**params, **more}, purpose="preview", merge=DISTINCT)
        return nearest(wanted, [row[0] for row in found.rows], limit=_NEAR)

    async def _passes(self, tenant: Tenant, catalog: Catalog, question: Question, probe: Probe) -> bool:
        """Return whether any stored value passes, by the compiler's own reading of the test."""
        source, params = _source(tenant, question)
        del params["path"]  # which the test has already
        test = _compiled(catalog, question, probe)
        sql = f"SELECT count() FROM (SELECT 1 {source} AND {test.sql} LIMIT 1)"
        found = await self._clickhouse.fetch(sql, {**params, **test.params}, purpose="preview", merge=SUMS)
        return bool(found.rows[0][0])


def _pieces(text: str, number: int) -> list[str]:
    """Return *text* cut into *number* pieces of about the same length; of a text that is shorter, its letters."""
    ends = [len(text) * at // number for at in range(number + 1)]
    return [text[start:end] for start, end in pairwise(ends) if start < end]


def _source(tenant: Tenant, question: Question) -> tuple[str, dict[str, Any]]:
    """Return the FROM and WHERE of what was ever stored, and its parameters.

    Of traits that is their history: what a user had once may be asked for as of then.
    """
    steps = [step.replace(".", "%2E") for step in parse_path(question.path)]  # as the store writes a dot inside a key
    if question.event_types:
        return _EVENTS, {"tenant": tenant.id, "types": list(question.event_types), "path": ".".join(steps)}
    name = parse_path(question.path)[0]
    return _TRAITS, {"tenant": tenant.id, "property": name, "path": ".".join(["v", *steps[1:]])}


def _text(catalog: Catalog, question: Question) -> str:
    """Return the SQL of a text under the path; of lists, of each of their texts."""
    is_list = any("list" in one.types for one in _known(catalog, question))
    return (_TEXTS if is_list else _TEXT).format(column="payload" if question.event_types else "value")


def _known(catalog: Catalog, question: Question) -> list[Property]:
    if not question.event_types:
        return [catalog.traits[question.path]]
    return [_properties(catalog, name)[question.path] for name in question.event_types]


def _properties(catalog: Catalog, name: str) -> Mapping[str, Property]:
    return catalog.traits if name == IDENTIFY else catalog.event_types[name].properties


def _compiled(catalog: Catalog, question: Question, probe: Probe) -> CompiledQuery:
    test: dict[str, Any] = {"property": question.path, "operator": probe.operator, "value": probe.value}
    if probe.value_type is not None:
        test["value_type"] = probe.value_type
    if probe.ignore_case:
        test["ignore_case"] = True
    now = datetime.now(UTC)  # none of these tests depends on it
    plain = Catalog(catalog.timezone)
    if question.event_types:
        return render_event_filter("*", [test], catalog=plain, as_of=now)
    return render_trait_filter(test, catalog=plain, as_of=now)


def _with_answers(catalog: Catalog, question: Question, answers: Answers) -> Catalog:
    """Return *catalog* with the answers beside the samples of every name that was asked about."""

    def told(known: Mapping[str, Property]) -> dict[str, Property]:
        one = known[question.path]
        spellings = {**one.answers.spellings, **answers.spellings}
        passed = {**one.answers.passed, **answers.passed}
        return {**known, question.path: msgspec.structs.replace(one, answers=Answers(spellings, passed))}

    if not question.event_types:
        return msgspec.structs.replace(catalog, traits=told(catalog.traits))
    event_types: dict[str, EventType] = dict(catalog.event_types)
    traits = catalog.traits
    for name in question.event_types:
        if name == IDENTIFY:
            traits = told(traits)
        else:
            event_types[name] = msgspec.structs.replace(
                event_types[name], properties=told(event_types[name].properties)
            )
    return msgspec.structs.replace(catalog, event_types=event_types, traits=traits)
