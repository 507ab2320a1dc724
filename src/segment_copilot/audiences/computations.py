"""USE CASE: compute segments: find their members in the background and publish them.

Members are written inside ClickHouse under a run id of their own; PostgreSQL then names the run that is published,
in one transaction. A run that fails or is overtaken is never seen, and the last good members stay.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
import structlog

from segment_copilot import compiler
from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.changes import Compared, Comparison, MembershipChanges
from segment_copilot.audiences.claims import CLAIMED, Claim, read_claim
from segment_copilot.audiences.computation_records import IDLE, RECORD, Computation, read_computation
from segment_copilot.audiences.dependencies import make_users_due
from segment_copilot.audiences.previews import Previews
from segment_copilot.audiences.publications import announce, announce_failure
from segment_copilot.audiences.references import is_static, not_found, without_definition
from segment_copilot.audiences.refresh import note_done, note_failed
from segment_copilot.audiences.removals import keep_lists, leave_to_remove
from segment_copilot.audiences.segments import Segments
from segment_copilot.audiences.states import drop_runs
from segment_copilot.audiences.together import WRITTEN, Together
from segment_copilot.audiences.turns import TURNS, note_progress, take_turn
from segment_copilot.audiences.uploads import merge
from segment_copilot.audiences.user_numbers import UserNumbers
from segment_copilot.errors import SegmentCopilotError, Unavailable
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.leases import LENGTH, MAX_ATTEMPTS, Lease, Leases, Queue
from segment_copilot.stores.postgres import Postgres
from segment_copilot.stores.presence import Presence

log = structlog.get_logger()

_QUEUE: Final = Queue(
    "computations", waiting="queued", working="running", failed="failed", key="run_id", order=TURNS, of_tenants=True
)
_TOGETHER: Final = 200  # segments of one tenant that are computed in one go
_PAUSE: Final = timedelta(seconds=5)  # before what did not work is tried again
_AWAY_PAUSE: Final = timedelta(seconds=1)  # before a store that is away is

# One that was begun before may have killed its worker: it is tried alone, and takes no others along.
_ALIKE: Final = """
attempts = 0 AND upload IS NULL
AND (tenant_id, as_of, cause = 'traits') = (
    SELECT tenant_id, as_of, cause = 'traits' FROM computations WHERE id = $1 AND upload IS NULL)
"""
_OF_TRAITS: Final = "cause = 'traits'"
# Uploads of one segment are applied in the order in which they came.
_IN_TURN: Final = """
(upload IS NULL OR NOT EXISTS (
    SELECT FROM computations AS earlier
    WHERE earlier.segment_id = computations.segment_id AND earlier.id < computations.id AND earlier.upload IS NOT NULL
        AND earlier.status IN ('queued', 'running')))
"""
_COMPUTING: Final = """
WITH claimed AS (
    UPDATE computations SET started_at = coalesce(started_at, now()) WHERE id = ANY($1::bigint[])
    RETURNING tenant_id, segment_id)
UPDATE segments SET status = 'computing' FROM claimed
WHERE segments.id = claimed.segment_id AND segments.tenant_id = claimed.tenant_id
"""


class Computations:
    """Requests and runs computations of all tenants' segments; a caller's methods take the tenant, a worker's none."""

    def __init__(
        self,
        postgres: Postgres,
        clickhouse: ClickHouse,
        segments: Segments,
        previews: Previews,
        changes: MembershipChanges,
        together: Together,
        *,
        lease: timedelta = LENGTH,
        presence: Presence | None = None,
    ) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._segments = segments
        self._previews = previews
        self._changes = changes
        self._together = together
        self._numbers = UserNumbers(postgres, clickhouse)
        self._leases = Leases(postgres, _QUEUE, length=lease, presence=presence)

    # Ask for them

    async def request(self, tenant: Tenant, segment_id: int, *, as_of: datetime | None = None) -> Computation:
        """Queue a computation at *as_of* (default: now); one that is still queued for then is taken instead."""
        async with self._postgres.transaction() as transaction:
            sql = """
                SELECT version, segment_type, definition IS NULL AS is_empty FROM segments
                WHERE tenant_id = $1 AND id = $2 FOR UPDATE"""
            segment = await transaction.fetchrow(sql, tenant.id, segment_id)
            if segment is None:
                raise not_found(segment_id)
            if segment["segment_type"] == "static":
                raise is_static(segment_id)
            if segment["is_empty"]:
                raise without_definition(segment_id)
            version = segment["version"]
            sql = f"""
                SELECT {RECORD} FROM computations
                WHERE tenant_id = $1 AND segment_id = $2 AND version = $3 AND status = 'queued'
                    AND as_of = coalesce($4, as_of)"""
            row = await transaction.fetchrow(sql, tenant.id, segment_id, version, as_of)
            if row is None:
                sql = f"""
                    INSERT INTO computations (tenant_id, segment_id, version, as_of) VALUES ($1, $2, $3, $4)
                    RETURNING {RECORD}"""
                row = await transaction.fetchrow(sql, tenant.id, segment_id, version, as_of or await transaction.now())
                sql = "UPDATE segments SET status = 'queued' WHERE tenant_id = $1 AND id = $2"
                await transaction.execute(sql, tenant.id, segment_id)
        assert row is not None  # noqa: S101  # RETURNING gives a row
        return read_computation(row)

    async def request_all(self, tenant: Tenant, *, as_of: datetime | None = None) -> tuple[int, datetime]:
        """Queue a computation of every active segment at one instant (default: now); return how many there are, and the instant.

        Segments without a definition, drafts and static ones, are passed over.

        Those that a worker claims together share what they ask of the store.
        """
        async with self._postgres.transaction() as transaction:
            as_of = as_of or await transaction.now()
            sql = """
                SELECT id, version FROM segments WHERE tenant_id = $1 AND is_active AND definition IS NOT NULL
                ORDER BY id FOR UPDATE"""
            rows = await transaction.fetch(sql, tenant.id)
            sql = """
                INSERT INTO computations (tenant_id, segment_id, version, as_of)
                SELECT $1, segment_id, version, $4 FROM unnest($2::bigint[], $3::int[]) AS wanted (segment_id, version)
                ORDER BY segment_id"""
            ids, versions = [row["id"] for row in rows], [row["version"] for row in rows]
            await transaction.execute(sql, tenant.id, ids, versions, as_of)
            sql = "UPDATE segments SET status = 'queued' WHERE tenant_id = $1 AND id = ANY($2::bigint[])"
            await transaction.execute(sql, tenant.id, ids)
        return len(rows), as_of

    async def backfill(self, tenant: Tenant, segment_id: int, instants: Sequence[datetime]) -> None:
        """Record how many members the segment had at each of *instants*, without keeping who they were."""
        segment = await self._segments.get(tenant, segment_id)
        if segment.definition is None:
            raise without_definition(segment_id)
        counts = await self._previews.count_over_time(tenant, segment.definition, instants)
        rows = [
            (tenant.id, segment_id, segment.version, instant, "done", count, instant, instant)
            for instant, count in zip(instants, counts, strict=True)
        ]
        columns = ("tenant_id", "segment_id", "version", "as_of", "status", "member_count", "created_at", "finished_at")
        await self._postgres.copy("computations", columns=columns, rows=rows)

    # Work on them

    async def run_next(self, *, only_traits: bool = False) -> bool:
        """Claim a queued computation (or one whose worker died) and run it; False when there is none.

        Others of the same tenant and instant are claimed with it, and asked of the store together. Tenants take turns.
        With *only_traits*, none but those of dynamic segments whose traits changed: they are short, and awaited.
        """
        claims = await self._claim(_OF_TRAITS if only_traits else _IN_TURN)
        if not claims:
            return False
        async with self._leases.renewed([one.lease for one in claims]):
            if len(claims) > 1:
                await self._run_together(claims)
            else:
                await self._settle(claims[0], self._compute(claims[0]))
        return True

    @asynccontextmanager
    async def held(
        self, tenant: Tenant, versions: Mapping[int, int], *, as_of: datetime
    ) -> AsyncGenerator[Sequence[Claim]]:
        """Note computations of these versions of segments, by id, that the caller runs itself and gives to `publish`.

        Those of segments that have another version by now are not among them. What it does not publish, because it fails
        or dies, is computed as if somebody had asked for it.
        """
        claims = await self._note(tenant, versions, as_of) if versions else []
        if not claims:
            yield claims
            return
        leases = [one.lease for one in claims]
        async with self._leases.renewed(leases):
            await self._leases.begin(leases)
            try:
                yield claims
            finally:
                await self._leases.release(leases, pause=timedelta(0))  # those that are not over

    async def compare(self, claims: Sequence[Claim], before: Mapping[int, UUID | None]) -> dict[int, Comparison]:
        """Compare what the caller wrote under the claims' runs, in one tenant, with the runs *before*, by segment."""
        return await self._changes.write(claims[0].tenant, [_compared(one, before[one.segment_id]) for one in claims])

    async def publish(self, claim: Claim, found: Comparison, before: UUID | None) -> bool:
        """Publish what the caller wrote under the claim's run; False if others than *before* were published meanwhile."""
        outcome, _ = await self._publish(claim, found, before)
        return outcome == "done"

    async def _note(self, tenant: Tenant, versions: Mapping[int, int], as_of: datetime) -> list[Claim]:
        leases: list[Lease] = []
        try:
            async with self._postgres.transaction() as transaction:
                sql = """
                    INSERT INTO computations (tenant_id, segment_id, version, as_of, cause)
                    SELECT $1, id, segments.version, $4, 'schedule' FROM segments
                    JOIN unnest($2::bigint[], $3::int[]) AS wanted (segment_id, version)
                        ON id = segment_id AND segments.version = wanted.version
                    WHERE tenant_id = $1 ORDER BY id FOR UPDATE OF segments
                    RETURNING id"""
                rows = await transaction.fetch(sql, tenant.id, list(versions), list(versions.values()), as_of)
                ids = [row["id"] for row in rows]
                leases += await self._leases.claim(transaction, "id = ANY ($1::bigint[])", ids, limit=len(ids))
                held = {lease.id: lease for lease in leases}
                await transaction.execute(_COMPUTING, list(held))
                claimed = await transaction.fetch(CLAIMED, list(held))
        except BaseException:
            self._leases.forget(leases)
            raise
        return [read_claim(row, held[row["id"]]) for row in claimed]

    async def _claim(self, condition: str = _IN_TURN) -> list[Claim]:
        """Claim the next computation that waits and has attempts left, with those alike."""
        while claims := await self._claim_alike(condition):
            if not claims[0].lease.spent:
                return claims
            detail = f"The worker died {MAX_ATTEMPTS} times on this computation."
            await self._fail(claims[0], "computation_crashed", detail, final=True)
        return []

    async def _claim_alike(self, condition: str) -> list[Claim]:
        leases: list[Lease] = []
        try:
            async with self._postgres.transaction() as transaction:
                leases += await self._leases.claim(transaction, condition)
                if leases and condition == _IN_TURN:
                    await take_turn(transaction, leases[0].id)
                if leases and leases[0].attempts == 0:
                    leases += await self._leases.claim(transaction, _ALIKE, leases[0].id, limit=_TOGETHER - 1)
                held = {lease.id: lease for lease in leases}
                await transaction.execute(_COMPUTING, list(held))
                rows = await transaction.fetch(CLAIMED, list(held))
        except BaseException:
            self._leases.forget(leases)
            raise
        return [read_claim(row, held[row["id"]]) for row in rows]

    async def _run_together(self, claims: Sequence[Claim]) -> None:
        await self._leases.begin([one.lease for one in claims])
        try:
            written = await self._write_together(claims)
        except Exception as error:  # what was written is unknown: each goes on under another run
            if not isinstance(error, SegmentCopilotError):
                log.exception("computation.stumbled", computations=len(claims))
            for one in claims:
                await self._write_down(one, error, final=False)
            return
        await self._leases.take_back([one.lease for one in claims if one.id not in written])
        await note_progress(self._postgres, list(written), done=WRITTEN, of=1)
        found = await self._compare_together([one for one in claims if one.id in written])
        for one in claims:
            running = self._compare_and_publish(one, found.get(one.id)) if one.id in written else self._compute(one)
            await self._settle(one, running)

    async def _settle(self, claim: Claim, running: Coroutine[Any, Any, None]) -> None:
        """Wait for the end of a computation and write it down. Whatever happens to it happens to no other."""
        try:
            await running
        except SegmentCopilotError as error:
            await self._write_down(claim, error, final=True)
        except Exception as error:
            log.exception("computation.stumbled", computation_id=claim.id)
            await self._write_down(claim, error, final=False)

    async def _write_down(self, claim: Claim, error: Exception, *, final: bool) -> None:
        """Write down how a computation ended. If that cannot be written, its lease runs out; it is claimed again."""
        try:
            if isinstance(error, Unavailable):
                log.warning("computation.waits", computation_id=claim.id, code=error.code)
                await self._leases.release([claim.lease], pause=_AWAY_PAUSE)
            elif isinstance(error, SegmentCopilotError):
                await self._fail(claim, error.code, error.detail, final=final)
            else:  # its message is for the log alone: ClickHouse quotes the data in it
                reason = f"{type(error).__name__} {getattr(error, 'code', '')}".rstrip()
                detail = f"The last of {MAX_ATTEMPTS} attempts met an error that nobody foresaw ({reason}); the worker's log has it."
                await self._fail(claim, "computation_failed", detail, final=final)
        except Exception as trouble:  # noqa: BLE001
            log.warning("computation.left", computation_id=claim.id, error=type(trouble).__name__)

    async def _compute(self, claim: Claim) -> None:
        """Run one computation by itself."""
        await self._leases.begin([claim.lease])
        if claim.upload is None:
            await self._numbers.give(claim.tenant)
        inserts = await self._inserts(claim)
        for step, query in enumerate(inserts, 1):
            await self._clickhouse.execute(query.sql, query.params, purpose="compute")
            await note_progress(self._postgres, [claim.id], done=step, of=len(inserts) + 1)
        await self._compare_and_publish(claim)

    async def _inserts(self, claim: Claim) -> list[compiler.CompiledQuery]:
        """Return the statements that write the members, who have numbers by now."""
        if claim.upload and claim.mode:
            applied = merge(
                claim.tenant,
                claim.segment_id,
                mode=claim.mode,
                upload=claim.upload,
                run_id=claim.run_id,
                before=claim.previous_run,
            )
            return [applied]
        compiled = await self._compile(claim)
        return [
            compiler.render_membership_insert(
                compiled.plan, segment_id=claim.segment_id, run_id=claim.run_id, keys=keys
            )
            for keys in compiled.ranges
        ]

    async def _compile(self, claim: Claim) -> compiler.Compiled:
        """Compile what is to be computed; the lists that it reads stay until it is over, whatever is uploaded meanwhile."""
        definition = (claim.definition or "{}").encode()
        while True:
            prepared = await self._previews.prepare(
                claim.tenant, definition, as_of=claim.as_of, is_warned=False, purpose="compute"
            )
            if await keep_lists(self._postgres, "computations", claim.id, prepared.lists):
                return prepared.compiled

    async def _write_together(self, claims: Sequence[Claim]) -> set[int]:
        """Write the members of many runs, each slot asked once; return the ids of those that are written.

        The others are left to be computed one by one: a definition that no longer compiles, or everything when the
        store refuses to do it in one go.
        """
        segments, runs = [one.segment_id for one in claims], [one.run_id for one in claims]
        try:
            return await self._together.write(claims)
        except Unavailable:  # what was found so far is kept, and gone on from
            raise
        except Exception as error:  # noqa: BLE001
            log.warning("computation.apart", computations=len(claims), error=type(error).__name__)
            # What was written is not to be written twice.
            await drop_runs(self._clickhouse, claims[0].tenant.id, segments=segments, runs=runs)
            return set()

    async def _compare_together(self, claims: Sequence[Claim]) -> dict[int, Comparison]:
        """Compare what many runs wrote with the members there are; what is not compared here is to be by itself."""
        firsts = list({one.segment_id: one for one in reversed(claims)}.values())
        try:
            return await self.compare(firsts, {one.segment_id: one.previous_run for one in firsts}) if firsts else {}
        except Exception as error:  # noqa: BLE001  # it will be met again, and settled, one by one
            log.warning("computation.apart", computations=len(claims), error=type(error).__name__)
            return {}

    async def _compare_and_publish(self, claim: Claim, found: Comparison | None = None) -> None:
        """Compare what was written with the members there are, unless that is *found*, and publish it with the changes."""
        outcome, before, compared = "replaced", claim.previous_run, found
        while outcome == "replaced":
            found = compared or (await self._changes.write(claim.tenant, [_compared(claim, before)]))[claim.id]
            outcome, before = await self._publish(claim, found, before)
            compared = None
            if outcome == "done" and claim.upload is not None and found.entered + found.left:
                await make_users_due(self._postgres, claim.tenant, claim.segment_id)
            log.info(
                "computation.compared",
                outcome=outcome,
                computation_id=claim.id,
                segment_id=claim.segment_id,
                member_count=found.member_count,
                entered=found.entered,
                left=found.left,
            )

    async def _publish(
        self, claim: Claim, found: Comparison, before: UUID | None
    ) -> tuple[Literal["done", "overtaken", "replaced"], UUID | None]:
        """Name the run as the segment's members, unless a later computation already did.

        The run before it stays, which a reader may still be paging through; what is older, or comes to nothing, may go.
        Where the members that it was compared with were *replaced* meanwhile, nothing is done, and those that they were
        replaced by are returned: changes lead from each state to the next.
        """
        tenant_id, segment_id = claim.tenant.id, claim.segment_id
        async with self._postgres.transaction() as transaction:
            # First the computation, then its segment: in this order all who change both.
            mine = "SELECT FROM computations WHERE tenant_id = $1 AND id = $2 AND run_id = $3 FOR UPDATE"
            await transaction.execute(mine, tenant_id, claim.id, claim.run_id)
            sql = "SELECT published_run FROM segments WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
            published = await transaction.fetchval(sql, tenant_id, segment_id)
            sql = "SELECT EXISTS (SELECT FROM computations WHERE segment_id = $1 AND status = 'done' AND id > $2)"
            is_overtaken = await transaction.fetchval(sql, segment_id, claim.id)
            if published != before and published is not None and not is_overtaken:
                return "replaced", published
            if before is not None or claim.lease.begun or is_overtaken:  # a first run has nothing behind it
                await leave_to_remove(transaction, tenant_id, [segment_id])
            if not await self._leases.end(transaction, claim.lease, "done"):
                await leave_to_remove(transaction, tenant_id, [segment_id])
                return "overtaken", published  # another worker holds it, it was cancelled, or the segment is gone
            sql = """
                UPDATE computations SET member_count = $3, entered = $4, left_count = $5, change_set = $6, error = NULL,
                    finished_at = clock_timestamp()
                WHERE tenant_id = $1 AND id = $2"""
            counts = (found.member_count, found.entered, found.left)
            change_set = None if is_overtaken else found.change_set
            await transaction.execute(sql, tenant_id, claim.id, *counts, change_set)
            if is_overtaken:
                await transaction.execute(IDLE, tenant_id, segment_id)
                return "overtaken", published
            sql = """
                UPDATE segments SET previous_run = published_run, published_run = $3, member_count = $4,
                    last_computed_at = $5, last_error = NULL,
                    status = CASE WHEN EXISTS (
                        SELECT FROM computations WHERE segment_id = $2 AND status = 'queued') THEN 'queued'
                        ELSE 'computed' END
                WHERE tenant_id = $1 AND id = $2"""
            await transaction.execute(sql, tenant_id, segment_id, claim.run_id, found.member_count, claim.as_of)
            await announce(
                transaction, claim.tenant, segment_id, computation_id=claim.id, found=found, computed_at=claim.as_of
            )
            await note_done(transaction, tenant_id, claim.id)
            return "done", claim.run_id

    async def _fail(self, claim: Claim, code: str, detail: str, *, final: bool) -> None:
        """Note an attempt that failed. Once the computation is over, the segment says why and keeps its last good members."""
        error = msgspec.json.encode({"code": code, "detail": detail}).decode()
        log.warning("computation.failed", computation_id=claim.id, segment_id=claim.segment_id, code=code)
        async with self._postgres.transaction() as transaction:
            if not await self._leases.fail(transaction, claim.lease, error, pause=_PAUSE, final=final):
                return
            await leave_to_remove(transaction, claim.tenant.id, [claim.segment_id])
            sql = "UPDATE computations SET finished_at = now() WHERE tenant_id = $1 AND id = $2"
            await transaction.execute(sql, claim.tenant.id, claim.id)
            sql = "UPDATE segments SET status = 'failed', last_error = $3 WHERE tenant_id = $1 AND id = $2"
            await transaction.execute(sql, claim.tenant.id, claim.segment_id, error)
            await announce_failure(
                transaction, claim.tenant, claim.segment_id, computation_id=claim.id, as_of=claim.as_of, error=error
            )
            await note_failed(transaction, claim.tenant.id, claim.id)


def _compared(claim: Claim, before: UUID | None) -> Compared:
    return Compared(claim.segment_id, claim.id, claim.run_id, before)
