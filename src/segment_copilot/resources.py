"""Opens everything that a process opens once, in order, and closes it in reverse."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

from msgspec import Struct

from segment_copilot.access.audit import Audit
from segment_copilot.access.idempotency import Idempotency
from segment_copilot.access.key_uses import KeyUses
from segment_copilot.access.keyring import Keyring
from segment_copilot.access.keys import Keys
from segment_copilot.access.limits import RateLimits
from segment_copilot.access.oidc import Issuer, People
from segment_copilot.access.sessions import Sessions
from segment_copilot.access.signed_links import SignedLinks
from segment_copilot.access.signing import Secrets
from segment_copilot.access.tenants import Tenants
from segment_copilot.activations.activations import Activations
from segment_copilot.activations.addresses import read_networks
from segment_copilot.activations.changes_to_send import ChangesToSend
from segment_copilot.activations.connectors import connectors
from segment_copilot.activations.deliveries import Deliveries
from segment_copilot.activations.outgoing import Outgoing
from segment_copilot.activations.secrets import Secrets as DestinationSecrets
from segment_copilot.activations.syncing import Syncing
from segment_copilot.activations.webhooks.endpoints import Webhooks
from segment_copilot.activations.webhooks.feed import WebhookFeed
from segment_copilot.activations.webhooks.log import WebhookDeliveries
from segment_copilot.activations.webhooks.queue import WebhookQueue
from segment_copilot.audiences.changes import MembershipChanges
from segment_copilot.audiences.computation_records import ComputationRecords
from segment_copilot.audiences.computations import Computations
from segment_copilot.audiences.copies import Copies
from segment_copilot.audiences.dependencies import Dependencies
from segment_copilot.audiences.explanations import Explanations
from segment_copilot.audiences.exports import ExportLimits, Exports
from segment_copilot.audiences.kept_slots import KeptSlots
from segment_copilot.audiences.live import LiveMemberships
from segment_copilot.audiences.live_refresh import LiveRefresh
from segment_copilot.audiences.members import Members
from segment_copilot.audiences.movements import Movements
from segment_copilot.audiences.planning import Planning
from segment_copilot.audiences.previews import Previews
from segment_copilot.audiences.publications import Publications
from segment_copilot.audiences.references import References
from segment_copilot.audiences.refresh import Refreshing
from segment_copilot.audiences.removals import Removals
from segment_copilot.audiences.sandbox import Sandbox
from segment_copilot.audiences.schedules import Defaults
from segment_copilot.audiences.segments import Segments
from segment_copilot.audiences.snapshots import Snapshots
from segment_copilot.audiences.standings import Standings
from segment_copilot.audiences.together import Together
from segment_copilot.audiences.uploads import Uploads
from segment_copilot.audiences.usage import Usage
from segment_copilot.audiences.user_numbers import UserNumbers
from segment_copilot.audiences.versions import Versions
from segment_copilot.copilot.feedback import Feedback
from segment_copilot.errors import InvalidInput
from segment_copilot.events.analytics import Analytics
from segment_copilot.events.arrivals import Arrivals
from segment_copilot.events.browsing import Browsing
from segment_copilot.events.declarations import Declarations
from segment_copilot.events.discovery import Discovery
from segment_copilot.events.failed_events import FailedEvents
from segment_copilot.events.forwarding import Forwarding
from segment_copilot.events.history import History
from segment_copilot.events.identity_links import IdentityLinks
from segment_copilot.events.inference import Inference
from segment_copilot.events.ingestion import Ingestion
from segment_copilot.events.recent import RecentEvents
from segment_copilot.events.retention import Retention
from segment_copilot.events.schemas import Schemas
from segment_copilot.events.values import Values
from segment_copilot.events.violations import Violations
from segment_copilot.events.waiting import WaitingEvents
from segment_copilot.people.erasures import Erasures
from segment_copilot.people.identity import Identity
from segment_copilot.people.profiles import Profiles
from segment_copilot.settings import Settings
from segment_copilot.stores.clickhouse import ClickHouse, open_clickhouse
from segment_copilot.stores.cluster import Cluster, open_cluster
from segment_copilot.stores.postgres import Postgres, open_postgres
from segment_copilot.stores.presence import Presence
from segment_copilot.telemetry import tracing


class Resources(Struct, frozen=True):
    """Holds the stores, and the use cases that stand on them."""

    settings: Settings
    postgres: Postgres
    clickhouse: ClickHouse
    reading: ClickHouse
    presence: Presence
    tenants: Tenants
    keys: Keys
    secrets: Secrets
    sessions: Sessions
    keyring: Keyring
    audit: Audit
    key_uses: KeyUses
    idempotency: Idempotency
    rate_limits: RateLimits
    signed_links: SignedLinks
    ingestion: Ingestion
    forwarding: Forwarding
    failed_events: FailedEvents
    recent_events: RecentEvents
    identity_links: IdentityLinks
    history: History
    retention: Retention
    schemas: Schemas
    violations: Violations
    inference: Inference
    discovery: Discovery
    analytics: Analytics
    browsing: Browsing
    profiles: Profiles
    previews: Previews
    explanations: Explanations
    segments: Segments
    versions: Versions
    dependencies: Dependencies
    computations: Computations
    together: Together
    kept_slots: KeptSlots
    computation_records: ComputationRecords
    refreshing: Refreshing
    changes: MembershipChanges
    movements: Movements
    uploads: Uploads
    copies: Copies
    members: Members
    user_numbers: UserNumbers
    live_memberships: LiveMemberships
    live_refresh: LiveRefresh
    removals: Removals
    exports: Exports
    snapshots: Snapshots
    sandbox: Sandbox
    standings: Standings
    usage: Usage
    destination_secrets: DestinationSecrets
    activations: Activations
    deliveries: Deliveries
    syncing: Syncing
    outgoing: Outgoing
    publications: Publications
    webhooks: Webhooks
    webhook_queue: WebhookQueue
    webhook_deliveries: WebhookDeliveries
    webhook_feed: WebhookFeed
    feedback: Feedback
    identity: Identity
    erasures: Erasures


_UNTOLD = {"settings", "postgres", "clickhouse", "reading", "presence", "rate_limits"}
"""Have no spans as use cases: what they do has its own, or is too little."""


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncGenerator[Resources]:
    """Open the stores at once, so that a wrong URL fails the start and not the first request."""
    if not (settings.database_url and settings.clickhouse_url):
        detail = "Set DATABASE_URL and CLICKHOUSE_URL, or run `segment-copilot dev`, which brings both engines."
        raise InvalidInput(detail, code="invalid_settings")
    if settings.oidc_issuer and not settings.oidc_audience:
        raise InvalidInput(
            "Set OIDC_AUDIENCE too: without it any token of the issuer would do.", code="invalid_settings"
        )
    async with (
        open_postgres(settings.database_url, pool=settings.postgres_pool) as postgres,
        open_stored_events(settings, postgres) as clickhouse,
        open_stored_events(settings, postgres, reads_beside=clickhouse) as reading,
    ):
        resources = _build(settings, postgres, clickhouse, reading)
        tracing.instrument(
            {name: getattr(resources, name) for name in Resources.__struct_fields__ if name not in _UNTOLD}
        )
        yield resources


def open_stored_events(
    settings: Settings, postgres: Postgres, *, reads_beside: ClickHouse | None = None
) -> AbstractAsyncContextManager[ClickHouse]:
    """Open ClickHouse: one server, or the shards of the cluster that the settings name.

    *reads_beside* is it as it was opened to write, by who opens it once more for what only reads.
    """
    url, pool, of_one = settings.clickhouse_url, settings.clickhouse_pool, 0
    if reads_beside is not None:
        url, of_one = settings.clickhouse_read_url or url, settings.clickhouse_tenant_queries
    if not settings.clickhouse_cluster:
        return open_clickhouse(url, pool=pool, of_one=of_one)
    return open_cluster(
        url,
        pool=pool,
        of_one=of_one,
        name=settings.clickhouse_cluster,
        postgres=postgres,
        is_replicated=settings.clickhouse_replicated,
        beside=reads_beside if isinstance(reads_beside, Cluster) else None,
    )


def _build(settings: Settings, postgres: Postgres, clickhouse: ClickHouse, reading: ClickHouse) -> Resources:
    """Build every use case, each from the stores and those that stand above it; those that only read, from *reading*."""
    presence = Presence(postgres)
    tenants, keys, secrets = Tenants(postgres), Keys(postgres), Secrets(postgres)
    declarations = Declarations(postgres)
    discovery = Discovery(postgres, declarations)
    references = References(postgres)
    identity_links = IdentityLinks(postgres, clickhouse)
    identity = Identity(identity_links)
    sessions = Sessions(secrets, identity.alias)
    analytics, values = Analytics(reading), Values(reading)
    previews = Previews(
        reading, discovery, values, references, identity_links, of_one=settings.clickhouse_tenant_queries
    )
    history = timedelta(days=settings.history_days)
    members = Members(postgres, reading, identity_links, kept=history)
    schedule = Defaults(settings.refresh_default, timedelta(hours=settings.refresh_hours))
    segments = Segments(postgres, discovery, previews, schedule)
    changes = MembershipChanges(postgres, clickhouse)
    kept = timedelta(hours=settings.export_hours)
    limits = ExportLimits(kept, settings.export_max_megabytes * 2**20)
    exports = Exports(postgres, clickhouse, discovery, limits=limits, kept=history, presence=presence)
    snapshots = Snapshots(postgres, clickhouse, previews, presence=presence)
    waiting = WaitingEvents(postgres)
    outgoing = Outgoing(read_networks(settings.outgoing_allow))
    destination_secrets = DestinationSecrets(settings.secrets_keys)
    table = connectors(files_directory=settings.files_directory)
    activations = Activations(postgres, destination_secrets, table, outgoing, discovery)
    deliveries = Deliveries(postgres)
    recent = timedelta(hours=settings.recent_event_hours)
    arrivals, kept_slots = Arrivals(postgres, recent=recent), KeptSlots(postgres, clickhouse, recent=recent)
    planning = Planning(discovery, references, identity_links, spread=isinstance(clickhouse, Cluster))
    together = Together(postgres, clickhouse, arrivals, planning, kept_slots)
    computations = Computations(postgres, clickhouse, segments, previews, changes, together, presence=presence)
    live_refresh = LiveRefresh(
        postgres, clickhouse, arrivals, discovery, references, identity_links, computations, presence=presence
    )
    idempotency = Idempotency(postgres, secrets)
    uploads = Uploads(postgres, clickhouse)
    publications = Publications(postgres, clickhouse)
    webhooks = Webhooks(postgres, outgoing, destination_secrets)
    webhook_deliveries = WebhookDeliveries(postgres, webhooks, publications, outgoing)
    return Resources(
        settings=settings,
        postgres=postgres,
        clickhouse=clickhouse,
        reading=reading,
        presence=presence,
        tenants=tenants,
        keys=keys,
        secrets=secrets,
        sessions=sessions,
        keyring=Keyring(keys, sessions, _people(settings, tenants)),
        audit=Audit(postgres),
        key_uses=KeyUses(postgres),
        idempotency=idempotency,
        rate_limits=RateLimits(per_key=settings.requests_per_minute, per_tenant=settings.tenant_requests_per_minute),
        signed_links=SignedLinks(secrets),
        ingestion=Ingestion(postgres, declarations),
        forwarding=Forwarding(postgres, clickhouse, presence=presence),
        failed_events=FailedEvents(postgres),
        recent_events=RecentEvents(postgres),
        identity_links=identity_links,
        history=History(postgres, clickhouse),
        retention=Retention(postgres, clickhouse),
        schemas=Schemas(postgres, declarations),
        violations=Violations(postgres),
        inference=Inference(reading, discovery),
        discovery=discovery,
        analytics=analytics,
        browsing=Browsing(discovery, analytics, values),
        profiles=Profiles(reading, waiting, identity_links),
        previews=previews,
        explanations=Explanations(reading, previews, references, identity_links),
        segments=segments,
        versions=Versions(postgres, references),
        dependencies=Dependencies(postgres),
        computations=computations,
        together=together,
        kept_slots=kept_slots,
        computation_records=ComputationRecords(postgres),
        refreshing=Refreshing(postgres, segments, live_refresh, schedule),
        changes=changes,
        uploads=uploads,
        copies=Copies(segments, members, uploads),
        movements=Movements(postgres, reading),
        members=members,
        user_numbers=UserNumbers(postgres, clickhouse),
        live_memberships=LiveMemberships(reading, discovery, references, members, identity_links),
        live_refresh=live_refresh,
        removals=Removals(postgres, clickhouse, kept=history, presence=presence),
        sandbox=Sandbox(postgres, clickhouse, discovery, references, waiting, declarations, identity_links),
        exports=exports,
        snapshots=snapshots,
        standings=Standings(postgres, clickhouse, analytics),
        usage=Usage(postgres, clickhouse, requests_per_minute=settings.tenant_requests_per_minute),
        destination_secrets=destination_secrets,
        activations=activations,
        deliveries=deliveries,
        syncing=Syncing(
            postgres, activations, ChangesToSend(postgres, clickhouse, members), outgoing, presence=presence
        ),
        outgoing=outgoing,
        publications=publications,
        webhooks=webhooks,
        webhook_queue=WebhookQueue(postgres, webhooks, publications, outgoing, presence=presence),
        webhook_deliveries=webhook_deliveries,
        webhook_feed=WebhookFeed(publications),
        feedback=Feedback(postgres),
        identity=identity,
        erasures=Erasures(
            postgres,
            clickhouse,
            secrets,
            identity_links,
            elsewhere={
                "exports": exports.remove_with,
                "snapshots": snapshots.recount,
                "answers": idempotency.forget,
                "rejections": deliveries.forget,
                "webhook_answers": webhook_deliveries.forget,
            },
            presence=presence,
        ),
    )


def _people(settings: Settings, tenants: Tenants) -> People | None:
    """Return what knows the people of the issuer that the settings name, if they name one."""
    if not settings.oidc_issuer:
        return None
    issuer = Issuer(
        settings.oidc_issuer,
        settings.oidc_audience,
        tenant_claim=settings.oidc_tenant_claim,
        role_claim=settings.oidc_role_claim,
    )
    return People(issuer, tenants)
