"""USE CASE: freeze members: a named list of who was in a segment at an instant, which nothing changes any more.

A snapshot copies the members that a segment has published, or evaluates its definition at another instant as a computation
does; either is one INSERT … SELECT inside ClickHouse, under a run id that PostgreSQL names once it is whole. It outlives its
segment. Deleting one hides it at once, and a worker removes its members.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
import structlog
from msgspec import Meta, Struct

from segment_copilot import compiler
from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.failures import Failure
from segment_copilot.audiences.jobs import Jobs
from segment_copilot.audiences.members import Member
from segment_copilot.audiences.previews import Previews
from segment_copilot.audiences.references import no_members, not_found, without_definition
from segment_copilot.audiences.removals import keep_lists, leave_run
from segment_copilot.audiences.states import State
from segment_copilot.errors import Conflict, Finding, InvalidInput, NotFound
from segment_copilot.language import Definition, decode
from segment_copilot.lists import FIRST_PAGE, Listed, Window, read_cursor, write_cursor
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.leases import LENGTH, Lease, Leases, Queue
from segment_copilot.stores.merging import SUMS, grouped, ordered
from segment_copilot.stores.pages import BY_ID, Rows, Sorting
from segment_copilot.stores.postgres import Connection, Postgres, Record
from segment_copilot.stores.presence import Presence

log = structlog.get_logger()

MAX_NAME: Final = 200
Side = Literal["only_in_a", "only_in_b", "in_both"]
Order = Literal["id", "-id", "name", "-name", "as_of", "-as_of"]

_TAKING: Final = Queue(
    "snapshots", waiting="pending", working="running", failed="failed", key="run_id", of_tenants=True
)
_REMOVING: Final = Queue("snapshots", waiting="deleted", working="removing", key="removal_id", of_tenants=True)
_PAUSE: Final = timedelta(seconds=5)  # before what did not work is tried again
_LATER: Final = timedelta(minutes=10)
"""Longer than an INSERT under a snapshot that was deleted meanwhile may go on writing."""

_COLUMNS: Final = """id, segment_id, name, status, as_of, version, definition, member_count, error, run_id,
    created_at, finished_at"""
_SORTINGS: Final = {
    "id": BY_ID,
    "name": Sorting("lower(name)", str, "text"),
    "as_of": Sorting("as_of", datetime, "timestamptz"),
}
_THERE: Final = "status NOT IN ('deleted', 'removing')"
_CLAIMED: Final = """
SELECT snapshots.tenant_id, segment_id, definition, as_of, source_run, slug, timezone, dynamic_plus_limit
FROM snapshots JOIN tenants ON tenants.id = tenant_id WHERE snapshots.id = $1
"""
_INTO: Final = "INSERT INTO snapshot_members (tenant_id, snapshot_id, run_id, user_id, user_key)"
_COPY: Final = f"""
{_INTO}
SELECT tenant_id, {{snapshot:UInt64}}, {{attempt:UUID}}, user_id, user_key FROM __USERS__
"""
_COUNT: Final = """
SELECT count() FROM snapshot_members
WHERE tenant_id = {tenant:UInt32} AND snapshot_id = {snapshot:UInt64} AND run_id = {run:UUID}
"""
_COUNTS: Final = "SELECT run_id, count() FROM snapshot_members WHERE tenant_id = {tenant:UInt32} GROUP BY run_id"
_MEMBERS: Final = """
SELECT user_id FROM snapshot_members
WHERE tenant_id = {tenant:UInt32} AND snapshot_id = {snapshot:UInt64} AND run_id = {run:UUID} AND user_id > {last:String}
ORDER BY user_id LIMIT {limit:UInt32} OFFSET {offset:UInt64}
"""
_OF_BOTH: Final = """
SELECT countIf(in_a AND NOT in_b), countIf(in_b AND NOT in_a), countIf(in_a AND in_b) FROM (
  SELECT user_key, max(run_id = {run_a:UUID}) AS in_a, max(run_id = {run_b:UUID}) AS in_b FROM snapshot_members
  WHERE tenant_id = {tenant:UInt32} AND snapshot_id IN {snapshots:Array(UInt64)}
    AND run_id IN ({run_a:UUID}, {run_b:UUID})
  GROUP BY user_key)
"""
_OF_ONE_SIDE: Final = """
SELECT user_id FROM snapshot_members
WHERE tenant_id = {tenant:UInt32} AND snapshot_id = {snapshot:UInt64} AND run_id = {run:UUID} AND user_id > {last:String}
  AND user_key __IN__ (SELECT user_key FROM snapshot_members
    WHERE tenant_id = {tenant:UInt32} AND snapshot_id = {other:UInt64} AND run_id = {other_run:UUID})
ORDER BY user_id LIMIT {limit:UInt32} OFFSET {offset:UInt64}
"""
_IN_BOTH: Final = _OF_ONE_SIDE.replace("__IN__", "IN")
_IN_ONE_ALONE: Final = _OF_ONE_SIDE.replace("__IN__", "NOT IN")
_REMOVE: Final = "DELETE FROM snapshot_members WHERE tenant_id = {tenant:UInt32} AND snapshot_id = {snapshot:UInt64}"


class Snapshot(Struct, frozen=True):
    """A snapshot is a frozen, named list of who was in a segment at *as_of*.

    *version* and *definition* are the segment's as they were then; the segment may be gone since.
    """

    id: Annotated[int, Meta(examples=[4])]
    segment_id: Annotated[int, Meta(examples=[3])]
    name: Annotated[str, Meta(examples=["June mail"])]
    status: Literal["pending", "complete", "failed"]
    as_of: datetime
    member_count: Annotated[int | None, Meta(examples=[50_321])]
    version: int
    definition: Definition | None
    error: Failure | None
    created_at: datetime
    finished_at: datetime | None


class Comparison(Struct, frozen=True):
    """A comparison of two snapshots: how many users each has alone, and both; *users* is a page of one of these."""

    only_in_a: int
    only_in_b: int
    in_both: int
    users: Listed[str]


class _Frozen(Struct, frozen=True):
    """Where the members of a complete snapshot are."""

    id: int
    run_id: UUID
    as_of: datetime
    member_count: int


class _Claim(Struct, frozen=True):
    """A snapshot that this worker holds; the lease's key is the run under which it writes."""

    lease: Lease
    tenant: Tenant
    segment_id: int
    definition: str | None
    as_of: datetime
    source_run: UUID | None


class Snapshots:
    """Manages snapshots of all tenants; a caller's methods take the tenant, a worker's none."""

    def __init__(
        self,
        postgres: Postgres,
        clickhouse: ClickHouse,
        previews: Previews,
        *,
        lease: timedelta = LENGTH,
        presence: Presence | None = None,
    ) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._previews = previews
        self._leases = Leases(postgres, _TAKING, length=lease, presence=presence)
        self._jobs = Jobs(
            postgres,
            self._leases,
            named="snapshot",
            claimed=_CLAIMED,
            read=_read_claim,
            work=self._take,
            failed=self._note_failure,
        )
        self._removals = Leases(postgres, _REMOVING, length=lease, presence=presence)

    # Take them

    async def request(
        self, tenant: Tenant, segment_id: int, *, name: str, as_of: datetime | None = None, now: datetime | None = None
    ) -> Snapshot:
        """Freeze the segment's published members, or (*as_of*) those whom its definition matched at that instant.

        Raises:
            InvalidInput: The name is blank or too long, or *as_of* is still to come.
            Conflict: There are no members, or no definition, to freeze.

        """
        findings = list[Finding]()
        if not 0 < len(name.strip()) <= MAX_NAME:
            findings.append(
                Finding("/name", "out_of_range", f"A name has 1 to {MAX_NAME} characters, and not only blanks.")
            )
        if as_of is not None and as_of > (now or datetime.now(UTC)):
            findings.append(Finding("/as_of", "still_to_come", "A snapshot is of an instant that has passed."))
        if findings:
            raise InvalidInput(findings[0].detail, findings=findings)
        async with self._postgres.transaction() as transaction:
            sql = """
                SELECT published_run, last_computed_at, version, definition FROM segments
                WHERE tenant_id = $1 AND id = $2 FOR SHARE"""
            segment = await transaction.fetchrow(sql, tenant.id, segment_id)
            if segment is None:
                raise not_found(segment_id)
            if as_of is None and segment["published_run"] is None:
                raise await no_members(transaction, tenant, segment_id, more=", or say as_of")
            if as_of is not None and segment["definition"] is None:
                raise without_definition(segment_id)
            # Without a run the definition is evaluated, at that instant.
            source: UUID | None = segment["published_run"] if as_of is None else None
            version, definition = segment["version"], segment["definition"]
            if source is not None:  # the definition may have changed since it was computed
                sql = """
                    SELECT versions.version, versions.definition FROM computations
                    JOIN segment_versions AS versions
                        ON versions.segment_id = computations.segment_id AND versions.version = computations.version
                    WHERE tenant_id = $1 AND computations.segment_id = $2 AND run_id = $3"""
                computed = await transaction.fetchrow(sql, tenant.id, segment_id, source)
                if computed is not None:
                    version, definition = computed["version"], computed["definition"]
            sql = f"""
                INSERT INTO snapshots (tenant_id, segment_id, name, definition, version, as_of, source_run)
                VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {_COLUMNS}"""
            instant = as_of or segment["last_computed_at"]
            row = await transaction.fetchrow(sql, tenant.id, segment_id, name, definition, version, instant, source)
        assert row is not None  # noqa: S101  # RETURNING gives a row
        return _snapshot(row)

    # Read them

    async def get(self, tenant: Tenant, snapshot_id: int) -> Snapshot:
        """Return one snapshot; raises NotFound."""
        sql = f"SELECT {_COLUMNS} FROM snapshots WHERE tenant_id = $1 AND id = $2 AND {_THERE}"
        row = await self._postgres.fetchrow(sql, tenant.id, snapshot_id)
        if row is None:
            raise _not_found(snapshot_id)
        return _snapshot(row)

    async def list(
        self, tenant: Tenant, window: Window = FIRST_PAGE, *, order: Order = "id", segment_id: int | None = None
    ) -> Listed[Snapshot]:
        """Return the snapshots, of one segment where it is named."""
        conditions = (("tenant_id = {}", tenant.id), ("segment_id = {}", segment_id), (f"{_THERE} AND {{}}", True))
        return await Rows(_COLUMNS, "snapshots", conditions, _SORTINGS).page(self._postgres, window, order, _snapshot)

    async def members(self, tenant: Tenant, snapshot_id: int, window: Window = FIRST_PAGE) -> Listed[Member]:
        """Return a page of the members, by user id; *computed_at* of each is the instant of the snapshot."""
        frozen = await self._frozen(tenant, snapshot_id)
        ids = await self._page(tenant, ["snapshot", tenant.id, snapshot_id], window, _MEMBERS, frozen)
        return Listed(tuple(Member(user, frozen.as_of) for user in ids.results), frozen.member_count, ids.cursor)

    async def compare(
        self, tenant: Tenant, first: int, second: int, window: Window = FIRST_PAGE, *, side: Side = "only_in_a"
    ) -> Comparison:
        """Count who is in one of two snapshots and not in the other, and in both, and list those of *side* by user id."""
        a, b = await self._frozen(tenant, first), await self._frozen(tenant, second)
        params = {"tenant": tenant.id, "snapshots": [a.id, b.id], "run_a": a.run_id, "run_b": b.run_id}
        ((only_a, only_b, both),) = (await self._clickhouse.fetch(_OF_BOTH, params, purpose="members", merge=SUMS)).rows
        counts: dict[Side, int] = {"only_in_a": only_a, "only_in_b": only_b, "in_both": both}
        one, other = (b, a) if side == "only_in_b" else (a, b)
        sql = _IN_BOTH if side == "in_both" else _IN_ONE_ALONE
        listed = ["comparison", tenant.id, first, second, side]
        ids = await self._page(tenant, listed, window, sql, one, other=other.id, other_run=other.run_id)
        return Comparison(only_a, only_b, both, Listed(ids.results, counts[side], ids.cursor))

    async def _page(
        self, tenant: Tenant, listed: object, window: Window, sql: str, frozen: _Frozen, **more: object
    ) -> Listed[str]:
        last = read_cursor(listed, window.cursor, str) if window.cursor else ""
        params = {"tenant": tenant.id, "snapshot": frozen.id, "run": frozen.run_id, "last": last}
        params |= {"limit": window.limit + 1, "offset": window.offset} | more
        pages = ordered(0, limit=window.limit + 1, offset=window.offset)
        rows = (await self._clickhouse.fetch(sql, params, purpose="members", merge=pages)).rows
        ids = tuple(user for (user,) in rows[: window.limit])
        return Listed(ids, frozen.member_count, write_cursor(listed, ids[-1]) if len(rows) > window.limit else None)

    async def _frozen(self, tenant: Tenant, snapshot_id: int) -> _Frozen:
        sql = f"""
            SELECT status, run_id, as_of, member_count FROM snapshots
            WHERE tenant_id = $1 AND id = $2 AND {_THERE}"""
        row = await self._postgres.fetchrow(sql, tenant.id, snapshot_id)
        if row is None:
            raise _not_found(snapshot_id)
        if row["status"] != "complete":
            detail = "It failed." if row["status"] == "failed" else "It is still being taken: ask for its status."
            raise Conflict(f"Snapshot {snapshot_id} has no members. {detail}", code="snapshot_not_complete")
        return _Frozen(snapshot_id, row["run_id"], row["as_of"], row["member_count"])

    # Delete them

    async def delete(self, tenant: Tenant, snapshot_id: int) -> None:
        """Delete a snapshot and its exports; nobody finds its members any more, and a worker removes them."""
        async with self._postgres.transaction() as transaction:
            sql = f"""
                UPDATE snapshots SET status = 'deleted', lease_until = CASE status WHEN 'running' THEN now() + $3 END,
                    attempts = 0, holder = NULL
                WHERE tenant_id = $1 AND id = $2 AND {_THERE} RETURNING segment_id, source_run"""
            row = await transaction.fetchrow(sql, tenant.id, snapshot_id, _LATER)
            if row is None:
                raise _not_found(snapshot_id)
            await transaction.execute(
                "DELETE FROM exports WHERE snapshot_id = $1 AND tenant_id = $2", snapshot_id, tenant.id
            )
            if row["source_run"] is not None:
                await leave_run(transaction, tenant.id, row["segment_id"], row["source_run"])

    async def delete_all(self, tenant: Tenant) -> None:
        """Delete every snapshot of a tenant that is about to go, and its members at once: no row is left to lead to them."""
        await self._postgres.execute("DELETE FROM snapshots WHERE tenant_id = $1", tenant.id)
        sql = "DELETE FROM snapshot_members WHERE tenant_id = {tenant:UInt32}"
        await self._clickhouse.execute(sql, {"tenant": tenant.id}, purpose="compute")

    async def remove_due(self) -> bool:
        """Remove the members of a deleted snapshot, and then its row; raises what the stores raise, and it stays due."""
        leases = await self._removals.claim(self._postgres)
        if not leases:
            return False
        async with self._removals.renewed(leases):
            try:
                sql = "SELECT tenant_id FROM snapshots WHERE id = $1"
                tenant_id = await self._postgres.fetchval(sql, leases[0].id)
                params = {"tenant": tenant_id, "snapshot": leases[0].id}
                await self._clickhouse.execute(_REMOVE, params, purpose="compute")
            except Exception:
                await self._removals.release(leases, pause=_PAUSE)
                raise
            await self._removals.remove(leases)
        log.info("snapshot.removed", snapshot_id=leases[0].id)
        return True

    async def recount(self, tenant_id: int, user_ids: Sequence[str]) -> int:
        """Count the members of the tenant's snapshots again, once users were erased; return how many snapshots had them."""
        if not user_ids:
            return 0
        sql = "SELECT run_id FROM snapshots WHERE tenant_id = $1 AND status = 'complete'"
        whole = [row["run_id"] for row in await self._postgres.fetch(sql, tenant_id)]  # others are being written
        counts = (
            await self._clickhouse.fetch(_COUNTS, {"tenant": tenant_id}, purpose="compute", merge=grouped(1, "add"))
        ).rows
        sql = """
            UPDATE snapshots SET member_count = coalesce(run.count, 0)
            FROM snapshots AS old LEFT JOIN unnest($2::uuid[], $3::bigint[]) AS run (id, count) ON run.id = old.run_id
            WHERE snapshots.tenant_id = $1 AND old.id = snapshots.id AND old.run_id = ANY ($4::uuid[])
                AND old.member_count IS DISTINCT FROM coalesce(run.count, 0)"""
        return await self._postgres.execute(
            sql, tenant_id, [run for run, _ in counts], [count for _, count in counts], whole
        )

    # Work on them

    async def run_next(self) -> bool:
        """Claim a snapshot that waits (or whose worker died) and take it; False when there is none."""
        return await self._jobs.run_next()

    async def _take(self, claim: _Claim) -> None:
        run = {"snapshot": claim.lease.id, "run": claim.lease.key}
        if claim.source_run is not None:
            state = State(claim.tenant.id, claim.segment_id, claim.source_run)
            params = {**state.params, "snapshot": claim.lease.id, "attempt": claim.lease.key}
            await self._clickhouse.execute(_COPY.replace("__USERS__", state.users), params, purpose="compute")
        else:
            assert claim.definition is not None  # noqa: S101  # `request` refuses it
            definition = claim.definition.encode()
            prepared = await self._previews.prepare(
                claim.tenant, definition, as_of=claim.as_of, is_warned=False, purpose="compute"
            )
            while not await keep_lists(self._postgres, "snapshots", claim.lease.id, prepared.lists):
                prepared = await self._previews.prepare(
                    claim.tenant, definition, as_of=claim.as_of, is_warned=False, purpose="compute"
                )
            for keys in prepared.compiled.ranges:
                query = compiler.render_members(prepared.compiled.plan, keys=keys)
                columns = "{tenant:UInt32}, {snapshot:UInt64}, {run:UUID}, user_id, user_key"
                sql = f"{_INTO}\nSELECT {columns} FROM (\n{query.sql}\n)"
                await self._clickhouse.execute(sql, query.params | run, purpose="compute")
        params = run | {"tenant": claim.tenant.id}
        count = (await self._clickhouse.fetch(_COUNT, params, purpose="compute", merge=SUMS)).rows[0][0]
        if claim.lease.begun:  # what an attempt before this one has written
            await self._clickhouse.execute(f"{_REMOVE} AND run_id != {{run:UUID}}", params, purpose="compute")
        await self._publish(claim, count)

    async def _publish(self, claim: _Claim, count: int) -> None:
        async with self._postgres.transaction() as transaction:
            if not await self._leases.end(transaction, claim.lease, "complete"):
                return  # another worker holds it, or it was deleted
            sql = """
                UPDATE snapshots SET member_count = $3, error = NULL, finished_at = now()
                WHERE tenant_id = $1 AND id = $2"""
            await transaction.execute(sql, claim.tenant.id, claim.lease.id, count)
            if claim.source_run is not None:
                await leave_run(transaction, claim.tenant.id, claim.segment_id, claim.source_run)
        log.info("snapshot.complete", snapshot_id=claim.lease.id, member_count=count)

    async def _note_failure(self, transaction: Connection, claim: _Claim) -> None:
        sql = "UPDATE snapshots SET finished_at = now() WHERE tenant_id = $1 AND id = $2"
        await transaction.execute(sql, claim.tenant.id, claim.lease.id)
        if claim.source_run is not None:
            await leave_run(transaction, claim.tenant.id, claim.segment_id, claim.source_run)


def _read_claim(row: Record, lease: Lease) -> _Claim:
    tenant = Tenant(row["tenant_id"], row["slug"], row["timezone"], row["dynamic_plus_limit"])
    return _Claim(lease, tenant, row["segment_id"], row["definition"], row["as_of"], row["source_run"])


def _snapshot(row: Record) -> Snapshot:
    status = row["status"]
    return Snapshot(
        id=row["id"],
        segment_id=row["segment_id"],
        name=row["name"],
        status="pending" if status == "running" else status,
        as_of=row["as_of"],
        member_count=row["member_count"],
        version=row["version"],
        definition=None if row["definition"] is None else decode(row["definition"].encode()),
        error=msgspec.json.decode(row["error"], type=Failure) if row["error"] and status == "failed" else None,
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )


def _not_found(snapshot_id: int) -> NotFound:
    return NotFound(f"There is no snapshot {snapshot_id}.", code="snapshot_not_found")
