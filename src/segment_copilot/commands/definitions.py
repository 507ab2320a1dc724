"""`compile` prints what a definition becomes; `compute` has the service compute a segment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx2
import msgspec
import stamina
from msgspec import Struct

from segment_copilot import compiler
from segment_copilot.commands.answers import read_answer
from segment_copilot.commands.options import Service
from segment_copilot.errors import InvalidInput, SegmentCopilotError, Unavailable
from segment_copilot.language import parse, tier_of
from segment_copilot.language.catalog import Catalog
from segment_copilot.language.decode import is_timezone
from segment_copilot.language.describe import describe
from segment_copilot.language.value_types import parse_date
from segment_copilot.stores.literals import EARLIEST, LATEST


class CompiledFile(Struct, frozen=True):
    """Says what a definition becomes: in words, as a tier, as SQL with parameters."""

    words: str
    tier: str
    tier_reason: str
    sql: str
    params: dict[str, Any]

    def as_sql(self) -> str:
        """Return all of it as SQL: what is not is a comment."""
        params = msgspec.json.format(msgspec.json.encode(self.params)).decode().replace("\n", "\n-- ")
        return f"-- {self.words}\n-- {self.tier}: {self.tier_reason}\n{self.sql}\n-- {params}"


def compile_file(definition: bytes, *, timezone: str, as_of: str | None) -> CompiledFile:
    """Compile a definition without a catalog: no name is checked."""
    instant = parse_date(as_of) if as_of else datetime.now(UTC)
    if not isinstance(instant, datetime) or instant.tzinfo is None or not EARLIEST <= instant <= LATEST:
        detail = "--as-of is an RFC 3339 instant with an offset, from 1900 to 2299, as in 2026-06-01T00:00:00Z."
        raise InvalidInput(detail, code="bad_as_of")
    if not is_timezone(timezone):
        raise InvalidInput(
            f"{timezone!r} is no IANA time zone. Write one as in Europe/Madrid.", code="unknown_timezone"
        )
    compiled = compiler.compile_definition(
        parse(definition), catalog=Catalog(timezone=timezone), references={}, tenant_id=0, as_of=instant
    )
    bound = compiled.bound.definition
    query = compiler.render_members(compiled.plan)
    tier, reason = tier_of(bound)
    return CompiledFile(describe(bound, {}), tier, reason, query.sql, dict(query.params))


async def compute(segment_id: int, *, service: Service) -> dict[str, Any]:
    """Ask for a computation, wait until it is over, and return the segment."""
    headers = {"Authorization": f"ApiKey {service.key}"}
    async with httpx2.AsyncClient(base_url=service.url, headers=headers) as client:
        await read_answer(client.post(f"/api/segments/{segment_id}/compute/"))
        segment = await _finished(client, segment_id)
    if segment["status"] == "failed":
        raise SegmentCopilotError(segment["last_error"]["detail"], code=segment["last_error"]["code"])
    return segment


@stamina.retry(on=Unavailable, timeout=600, attempts=None, wait_initial=0.1, wait_max=1)
async def _finished(client: httpx2.AsyncClient, segment_id: int) -> dict[str, Any]:
    segment = await read_answer(client.get(f"/api/segments/{segment_id}/"))
    if segment["status"] in {"queued", "computing"}:
        raise Unavailable("The computation is not finished yet.", code="computing")
    return segment
