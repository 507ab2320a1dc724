"""USE CASE: forget a person: whatever either store has under any of their ids, with a signed receipt of it.

An erasure is a row in PostgreSQL, and a worker carries it out in steps that may each be done again:

    ids known, links and waiting events out of PostgreSQL → rows and files out of ClickHouse → what was counted and shown
    corrected → the ids themselves wiped, and PostgreSQL's tables vacuumed → the receipt

While it is open, new events under these ids wait in PostgreSQL (`events/forwarding.py`), so that nothing arrives beside
the steps. What was accepted before it began is gone at the end; what came after begins a new person.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec
import structlog
from msgspec import Struct, field

from segment_copilot.access.signing import Secrets
from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import Conflict, NotFound, QueryTimeout, Unavailable
from segment_copilot.events.arrivals import note_rewritten
from segment_copilot.events.forwarding import take_events_of
from segment_copilot.events.identity_links import IdentityLinks, unlink
from segment_copilot.language.catalog import Scalar
from segment_copilot.people.traces import Traces
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.leases import LENGTH, Lease, Leases, Queue
from segment_copilot.stores.postgres import Postgres, Record
from segment_copilot.stores.presence import Presence

log = structlog.get_logger()

Eraser = Callable[[int, Sequence[str]], Awaitable[int]]
"""Removes what another room keeps in a form of its own of a tenant's users of these ids; returns how much that was.

It may be called again, and finds nothing then."""

ErasureStatus = Literal["queued", "working", "done", "failed"]

_QUEUE: Final = Queue("erasures", waiting="queued", working="working", failed="failed", of_tenants=True)
_PAUSE: Final = timedelta(seconds=5)  # before what did not work is tried again
_SOON: Final = timedelta(milliseconds=500)  # before what waits for something is looked at again
_VACUUMED: Final = (
    "events",
    "blocks",
    "identity_links",
    "observed_names",
    "schema_violations",
    "segment_versions",
    "exports",
    "export_chunks",
    "copilot_feedback",
    "idempotency_keys",
    "erasures",
)

_COLUMNS: Final = "id, user_id_hash, status, requested_at, finished_at, receipt"
_OPEN: Final = f"""
SELECT {_COLUMNS} FROM erasures WHERE tenant_id = $1 AND user_id_hash = $2 AND status IN ('queued', 'working')
    AND NOT coalesce((progress->>'is_taken')::boolean, false)
"""
# One that failed had taken the links out, and alone knows which ids they were.
_LEFT_BY_FAILED: Final = """
SELECT DISTINCT unnest(ids) AS id FROM erasures WHERE tenant_id = $1 AND ids && $2::text[] AND status = 'failed'
"""
_REQUEST: Final = f"INSERT INTO erasures (tenant_id, user_id_hash, ids) VALUES ($1, $2, $3) RETURNING {_COLUMNS}"
_CLAIMED: Final = "SELECT tenant_id, user_id_hash, ids, progress, requested_at FROM erasures WHERE id = $1"
_TAKEN: Final = "UPDATE erasures SET ids = $2, progress = $3 WHERE id = $1"
_FEEDBACK: Final = "UPDATE copilot_feedback SET given_by = NULL WHERE tenant_id = $1 AND given_by = ANY ($2::text[])"
_VIOLATIONS: Final = "DELETE FROM schema_violations WHERE tenant_id = $1 AND user_id = ANY ($2::text[])"
_AUTHOR: Final = """
UPDATE segment_versions SET session_user_id = NULL FROM segments
WHERE segments.id = segment_id AND tenant_id = $1 AND session_user_id = ANY ($2::text[])
"""
_RUNNING: Final = """
SELECT 'computation ' || id AS name FROM computations WHERE tenant_id = $1 AND status = 'running'
UNION ALL
SELECT 'snapshot ' || id FROM snapshots WHERE tenant_id = $1 AND status = 'running'
UNION ALL
SELECT 'live refresh ' || lease_id FROM live_refreshes WHERE tenant_id = $1 AND status = 'working'
"""
_SAMPLES: Final = """
SELECT path, samples FROM observed_names WHERE tenant_id = $1 AND event_type = $2 AND samples <> '[]' ORDER BY path
"""
_UNSAMPLE: Final = """
UPDATE observed_names SET samples = (
    SELECT coalesce(jsonb_agg(value ORDER BY place), '[]')
    FROM jsonb_array_elements(samples) WITH ORDINALITY AS one (value, place)
    WHERE value <> ALL (ARRAY(SELECT text::jsonb FROM unnest($4::text[]) AS text))
) WHERE tenant_id = $1 AND event_type = $2 AND path = $3
"""
_WHOLE: Final = """
SELECT published_run AS run_id FROM segments WHERE tenant_id = $1 AND published_run IS NOT NULL
UNION SELECT run_id FROM computations WHERE tenant_id = $1 AND status = 'done' AND run_id IS NOT NULL
"""
_RECOUNT: Final = (
    """UPDATE segments SET member_count = coalesce(run.count, 0)
        FROM segments AS old LEFT JOIN unnest($2::uuid[], $3::bigint[]) AS run (id, count) ON run.id = old.published_run
        WHERE segments.tenant_id = $1 AND old.id = segments.id AND old.published_run = ANY ($4::uuid[])
            AND segments.member_count IS DISTINCT FROM coalesce(run.count, 0)""",
    """UPDATE computations SET member_count = run.count FROM unnest($2::uuid[], $3::bigint[]) AS run (id, count)
        WHERE tenant_id = $1 AND run_id = run.id AND run_id = ANY ($4::uuid[]) AND status = 'done'
            AND member_count <> run.count""",
)
_RECOUNT_CHANGES: Final = """
UPDATE computations SET entered = coalesce(found.entered, 0), left_count = coalesce(found.gone, 0)
FROM computations AS old LEFT JOIN unnest($3::uuid[], $4::bigint[], $5::bigint[]) AS found (change_set, entered, gone)
    ON found.change_set = old.change_set
WHERE old.id = computations.id AND computations.tenant_id = $1 AND computations.id = ANY ($2::bigint[])
    AND computations.change_set IS NOT NULL
"""
_RECOUNT_EVENTS: Final = """
UPDATE observed_names AS names SET event_count = greatest(names.event_count - theirs.count, 0)
FROM unnest($2::text[], $3::bigint[]) AS theirs (event_type, count)
WHERE tenant_id = $1 AND names.event_type = theirs.event_type AND path = ''
"""
_NOTE: Final = "UPDATE erasures SET progress = $2 WHERE id = $1"
_WIPE: Final = """
UPDATE erasures SET ids = '{}'
WHERE tenant_id = $1 AND (id = $2 OR status IN ('done', 'failed') AND ids && $3::text[])
"""
_RECEIPT: Final = "UPDATE erasures SET receipt = $2, finished_at = $3 WHERE id = $1"


class Removed(Struct, frozen=True):
    """Counts what was removed: rows in ClickHouse by table, and what PostgreSQL had; *elsewhere* by what it is.

    Of feedback and of versions of segments it is who they were by.
    """

    ids: int
    rows: dict[str, int]
    recent_events: int
    links: int
    feedback: int
    violations: int
    versions: int
    samples: int
    elsewhere: dict[str, int]


class Receipt(Struct, frozen=True):
    """Says that a person was erased, when, and how much there was. The id itself is nowhere: *user_id_hash* is keyed."""

    erasure_id: int
    user_id_hash: str
    requested_at: datetime
    finished_at: datetime
    removed: Removed
    signature: str = ""


class Erasure(Struct, frozen=True):
    """An erasure, and its receipt once it is done."""

    id: int
    status: ErasureStatus
    user_id_hash: str
    requested_at: datetime
    finished_at: datetime | None = None
    receipt: Receipt | None = None


class _Progress(Struct):
    """Holds what was done already, for the worker that goes on."""

    is_taken: bool = False
    recent_events: int = 0
    links: int = 0
    feedback: int = 0
    violations: int = 0
    versions: int = 0
    samples: int = 0
    rows: dict[str, int] = field(default_factory=dict[str, int])
    elsewhere: dict[str, int] = field(default_factory=dict[str, int])
    is_counted_out: bool = False  # their events are in no count of the catalog any more
    publications: list[int] = field(default_factory=list[int])  # computations whose changes named them
    awaited: list[str] | None = None  # computations and snapshots that began before the rows were gone
    is_clean: bool = False  # rows were removed once more, since what began and ended meanwhile may have written some
    replaced_until: int = 0  # when the last files were replaced, by ClickHouse's clock


class _Claim(Struct):
    lease: Lease
    tenant_id: int
    user_id_hash: str
    ids: list[str]
    progress: _Progress
    requested_at: datetime


class _NotYet(Exception):
    """Something has to end first."""


class Erasures:
    """Requests and carries out erasures of all tenants; a caller's methods take the tenant, the worker's none."""

    def __init__(
        self,
        postgres: Postgres,
        clickhouse: ClickHouse,
        secrets: Secrets,
        links: IdentityLinks,
        *,
        elsewhere: Mapping[str, Eraser] | None = None,
        lease: timedelta = LENGTH,
        presence: Presence | None = None,
    ) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._secrets = secrets
        self._links = links
        self._elsewhere = elsewhere or {}
        self._leases = Leases(postgres, _QUEUE, length=lease, presence=presence)
        self._secret: bytes | None = None

    # Ask for them

    async def request(self, tenant: Tenant, user_id: str) -> Erasure:
        """Decide that a person is to be forgotten, whoever they are: one nobody has seen gets a receipt of nothing.

        While one of the same person waits to be begun, that is the answer; one that is under way covers only what came
        before it. What one that failed knew of the person's ids is taken up.
        """
        person = await self._links.person(tenant, user_id)
        digest = await self._hash(tenant.id, person.user_id)
        ids = [person.user_id, *person.other_ids]
        async with self._postgres.transaction() as transaction:
            await transaction.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", digest)
            row = await transaction.fetchrow(_OPEN, tenant.id, digest)
            if row is None:
                left = [row["id"] for row in await transaction.fetch(_LEFT_BY_FAILED, tenant.id, ids)]
                row = await transaction.fetchrow(_REQUEST, tenant.id, digest, list(dict.fromkeys([*ids, *left])))
        assert row is not None  # noqa: S101  # RETURNING gives a row
        return _erasure(row)

    async def get(self, tenant: Tenant, erasure_id: int) -> Erasure:
        """Return an erasure; NotFound when the tenant has none of this id."""
        sql = f"SELECT {_COLUMNS} FROM erasures WHERE tenant_id = $1 AND id = $2"
        row = await self._postgres.fetchrow(sql, tenant.id, erasure_id)
        if row is None:
            raise NotFound(f"There is no erasure {erasure_id}.", code="erasure_not_found")
        return _erasure(row)

    async def is_genuine(self, receipt: Receipt) -> bool:
        """Return whether a receipt was signed here, and not changed since."""
        return hmac.compare_digest(receipt.signature.encode(), (await self._signed(receipt)).signature.encode())

    # Carry them out

    async def run_next(self) -> bool:
        """Take an erasure as far as it goes; False when none is due."""
        for lease in await self._leases.claim(self._postgres):
            try:
                claim = await self._read(lease)
            except BaseException:
                self._leases.forget([lease])
                raise
            async with self._leases.renewed([lease]):
                await self._attempt(claim)
            return True
        return False

    async def _read(self, lease: Lease) -> _Claim:
        row = await self._postgres.fetchrow(_CLAIMED, lease.id)
        assert row is not None  # noqa: S101  # it was claimed just now
        progress = msgspec.json.decode(row["progress"], type=_Progress)
        ids = list(row["ids"])
        return _Claim(lease, row["tenant_id"], row["user_id_hash"], ids, progress, row["requested_at"])

    async def _attempt(self, claim: _Claim) -> None:
        lease = claim.lease
        if lease.spent:
            await self._leases.fail(self._postgres, lease, "attempts_spent", pause=_PAUSE, final=True)
            log.error("erasure.failed", erasure_id=lease.id)
            return
        await self._leases.begin([lease])
        try:
            await self._carry_out(claim)
        except _NotYet:
            await self._leases.release([lease], pause=_SOON)
        except (Unavailable, QueryTimeout):  # a mutation goes on without us
            await self._leases.release([lease], pause=_PAUSE)
            log.warning("erasure.waits", erasure_id=lease.id)
        except Exception as error:  # noqa: BLE001  # its message is not kept: stores quote what they were asked
            reason = f"{type(error).__name__} {getattr(error, 'code', '')}".rstrip()
            log.warning("erasure.stumbled", erasure_id=lease.id, reason=reason)
            await self._leases.fail(self._postgres, lease, reason, pause=_PAUSE)

    async def _carry_out(self, claim: _Claim) -> None:
        if claim.ids:
            await self._take_from_postgres(claim)
            traces = Traces(self._clickhouse, erasure_id=claim.lease.id, tenant_id=claim.tenant_id)
            await self._remove_from_clickhouse(claim, traces)
            await self._erase_elsewhere(claim)
            await self._recount(claim, traces)
            await traces.unmark()
            claim.progress.replaced_until = await traces.now()
            await self._note(claim)
            await self._write_receipt(claim)
        if await self._clickhouse_keeps(claim, ["erasing"]):
            raise _NotYet
        async with self._postgres.connection(seconds=600) as connection:
            await note_rewritten(connection, claim.tenant_id)
            await connection.execute(_WIPE, claim.tenant_id, claim.lease.id, claim.ids)
            for table in _VACUUMED:
                await connection.execute(f"VACUUM (ANALYZE) {table}")
        await self._leases.end(self._postgres, claim.lease, "done")
        log.info("erasure.done", erasure_id=claim.lease.id)

    async def _take_from_postgres(self, claim: _Claim) -> None:
        """Take links and events out of PostgreSQL, and learn of ids that were linked since; once, for what came before.

        A block that is on its way right now arrives first: its rows are then removed where they are.
        """
        if claim.progress.is_taken:
            return
        async with self._postgres.transaction() as transaction:
            ids = await unlink(transaction, claim.tenant_id, claim.ids)
            taken = await take_events_of(transaction, claim.tenant_id, ids)
            if taken is None:
                raise _NotYet
            found = claim.progress
            found.is_taken, found.recent_events, found.links = True, taken, len(ids) - 1
            found.feedback = await transaction.execute(_FEEDBACK, claim.tenant_id, ids)
            found.violations = await transaction.execute(_VIOLATIONS, claim.tenant_id, ids)
            found.versions = await transaction.execute(_AUTHOR, claim.tenant_id, ids)
            await transaction.execute(_TAKEN, claim.lease.id, ids, _json(found))
        claim.ids = ids

    async def _remove_from_clickhouse(self, claim: _Claim, traces: Traces) -> None:
        progress, tables = claim.progress, await traces.tables()
        if await traces.is_mutating():
            raise _NotYet
        if progress.awaited is None:
            await traces.mark(claim.ids)
            await self._remove_samples(claim, traces)
            await self._count_events_out(claim, traces)
            await self._remove_rows(claim, traces, tables)
            progress.awaited = await self._running(claim)
            await self._note(claim)
        if not progress.is_clean:
            if not set(progress.awaited).isdisjoint(await self._running(claim)):
                raise _NotYet  # it may yet write a member whom it read before
            await self._remove_rows(claim, traces, tables)
            await self._refuse_what_is_left(traces, tables)
            progress.is_clean = True
            await self._note(claim)
        if await traces.is_replaced_kept(tables, progress.replaced_until):
            raise _NotYet
        await traces.settle(tables)

    async def _refuse_what_is_left(self, traces: Traces, tables: Sequence[str]) -> None:
        """Raise Conflict where rows are still there: a server says of a mutation that it is done where it passed over files.

        It does so after a RESTORE: restored files keep the numbers of mutations, which are higher than those it then gives.
        """
        left = [table for table in tables if await traces.count(table)]
        if left:
            log.error("erasure.passed_over", tables=left)
            raise Conflict(f"ClickHouse kept rows in {', '.join(left)}.", code="rows_passed_over")

    async def _running(self, claim: _Claim) -> list[str]:
        """Return what is writing members of the tenant right now."""
        return [row["name"] for row in await self._postgres.fetch(_RUNNING, claim.tenant_id)]

    async def _remove_rows(self, claim: _Claim, traces: Traces, tables: Sequence[str]) -> None:
        """Remove what there is, and note how much before it goes: whoever takes over cannot count it any more."""
        claim.progress.publications = sorted({*claim.progress.publications, *await traces.publications()})
        for table in tables:
            count = await traces.count(table)
            if count:
                claim.progress.rows[table] = max(count, claim.progress.rows.get(table, 0))
                await self._note(claim)
            await traces.remove(table)
        claim.progress.replaced_until = await traces.now()
        await self._note(claim)

    async def _remove_samples(self, claim: _Claim, traces: Traces) -> None:
        """Take values out of the catalog that only this person had."""
        for event_type in await traces.event_types():
            rows = await self._postgres.fetch(_SAMPLES, claim.tenant_id, event_type)
            shown = {row["path"]: msgspec.json.decode(row["samples"], type=list[Scalar]) for row in rows}
            for path, values in (await traces.samples(event_type, shown)).items():
                texts = [msgspec.json.encode(value).decode() for value in values]
                kept = await traces.others_have(event_type, path, texts)
                if gone := [text for text in texts if text not in kept]:
                    await self._postgres.execute(_UNSAMPLE, claim.tenant_id, event_type, path, gone)
                    claim.progress.samples += len(gone)
        await self._note(claim)

    async def _count_events_out(self, claim: _Claim, traces: Traces) -> None:
        """Take their events out of the catalog's counts, once: others count up meanwhile, so these are not counted anew."""
        if claim.progress.is_counted_out:
            return
        counts = await traces.event_counts()
        claim.progress.is_counted_out = True
        async with self._postgres.transaction() as transaction:
            await transaction.execute(_RECOUNT_EVENTS, claim.tenant_id, list(counts), list(counts.values()))
            await transaction.execute(_NOTE, claim.lease.id, _json(claim.progress))

    async def _erase_elsewhere(self, claim: _Claim) -> None:
        """Have the rooms below remove what they keep in forms of their own, such as files of members."""
        for name, erase in self._elsewhere.items():
            found = await erase(claim.tenant_id, claim.ids)
            claim.progress.elsewhere[name] = max(found, claim.progress.elsewhere.get(name, 0))
            await self._note(claim)

    async def _recount(self, claim: _Claim, traces: Traces) -> None:
        """Correct how many members the kept runs have, and how many entered and left where they did."""
        whole = [
            row["run_id"] for row in await self._postgres.fetch(_WHOLE, claim.tenant_id)
        ]  # others are being written
        counts = await traces.member_counts()
        for sql in _RECOUNT:
            await self._postgres.execute(sql, claim.tenant_id, list(counts), list(counts.values()), whole)
        if moved := claim.progress.publications:
            changes = await traces.change_counts(moved)
            entered, left = [one for one, _ in changes.values()], [one for _, one in changes.values()]
            await self._postgres.execute(_RECOUNT_CHANGES, claim.tenant_id, moved, list(changes), entered, left)

    async def _clickhouse_keeps(self, claim: _Claim, tables: Sequence[str]) -> bool:
        traces = Traces(self._clickhouse, erasure_id=claim.lease.id, tenant_id=claim.tenant_id)
        return await traces.is_replaced_kept(tables, claim.progress.replaced_until)

    async def _note(self, claim: _Claim) -> None:
        await self._postgres.execute(_NOTE, claim.lease.id, _json(claim.progress))

    # Receipts

    async def _write_receipt(self, claim: _Claim) -> None:
        """Write the receipt down, and forget the ids in the same statement's transaction."""
        found, now = claim.progress, datetime.now(UTC)
        removed = Removed(
            ids=len(claim.ids),
            rows=found.rows,
            recent_events=found.recent_events,
            links=found.links,
            feedback=found.feedback,
            violations=found.violations,
            versions=found.versions,
            samples=found.samples,
            elsewhere=found.elsewhere,
        )
        receipt = await self._signed(Receipt(claim.lease.id, claim.user_id_hash, claim.requested_at, now, removed))
        async with self._postgres.transaction() as transaction:
            await transaction.execute(_RECEIPT, claim.lease.id, msgspec.json.encode(receipt).decode(), now)
            await transaction.execute(_WIPE, claim.tenant_id, claim.lease.id, claim.ids)

    async def _signed(self, receipt: Receipt) -> Receipt:
        unsigned = msgspec.structs.replace(receipt, signature="")
        text = msgspec.json.encode(unsigned, order="sorted")
        signature = hmac.digest(await self._key(), b"receipt/" + text, "sha256").hex()
        return msgspec.structs.replace(receipt, signature=signature)

    async def _hash(self, tenant_id: int, user_id: str) -> str:
        return hmac.digest(await self._key(), f"user/{tenant_id}/{user_id}".encode(), "sha256").hex()

    async def _key(self) -> bytes:
        if self._secret is None:
            self._secret = await self._secrets.get_or_create("erasures")
        return self._secret


def _json(progress: _Progress) -> str:
    return msgspec.json.encode(progress).decode()


def _erasure(row: Record) -> Erasure:
    """Read a row. With the receipt written, what is left is to wipe: until then it is not done."""
    receipt = None
    if row["status"] == "done" and row["receipt"] is not None:
        receipt = msgspec.json.decode(row["receipt"], type=Receipt)
    finished = row["finished_at"] if receipt else None
    return Erasure(row["id"], row["status"], row["user_id_hash"], row["requested_at"], finished, receipt)
