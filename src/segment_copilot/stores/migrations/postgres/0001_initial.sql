-- Tenants and the keys that speak for them.
CREATE TABLE tenants (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug text NOT NULL CONSTRAINT tenants_slug_key UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    timezone text NOT NULL DEFAULT 'UTC',
    dynamic_plus_limit integer CHECK (dynamic_plus_limit >= 0), -- null: no limit
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('secret', 'public')),
    name text NOT NULL,
    hash bytea NOT NULL CONSTRAINT api_keys_hash_key UNIQUE, -- SHA-256; a key holds 190 random bits, so no salt is needed
    hint text NOT NULL, -- prefix and last four characters, to recognise a key in a list
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

-- Segments, each saved definition as a version, and the runs that produced members.
CREATE TABLE segments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    segment_type text NOT NULL CHECK (segment_type IN ('rule', 'ai', 'static')),
    tier text NOT NULL CHECK (tier IN ('dynamic', 'dynamic_plus')),
    status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'queued', 'computing', 'computed', 'failed')),
    definition json NOT NULL, -- json, not jsonb: the text stays as it was saved
    words text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    is_active boolean NOT NULL DEFAULT true,
    published_run uuid, -- the run whose members are the segment's members
    member_count bigint,
    last_computed_at timestamptz,
    last_error json,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX segments_tenant ON segments (tenant_id, id);

CREATE TABLE segment_versions (
    segment_id bigint NOT NULL REFERENCES segments ON DELETE CASCADE,
    version integer NOT NULL,
    definition json NOT NULL,
    words text NOT NULL,
    tier text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (segment_id, version)
);

CREATE TABLE segment_references (
    segment_id bigint NOT NULL REFERENCES segments ON DELETE CASCADE,
    refers_to bigint NOT NULL REFERENCES segments, -- no cascade: a segment that others use cannot go
    PRIMARY KEY (segment_id, refers_to)
);
CREATE INDEX segment_references_target ON segment_references (refers_to);

CREATE TABLE computations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    segment_id bigint NOT NULL REFERENCES segments ON DELETE CASCADE,
    version integer NOT NULL,
    as_of timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'done', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    lease_until timestamptz, -- while running: after it another worker may take over
    run_id uuid, -- of the latest attempt; published when done
    member_count bigint,
    entered bigint,
    left_count bigint,
    error json,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX computations_open ON computations (id) WHERE status IN ('queued', 'running');
CREATE INDEX computations_segment ON computations (segment_id, as_of);

-- What events look like, and where members go.
CREATE TABLE event_schemas (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    event_type text NOT NULL,
    description text NOT NULL DEFAULT '',
    properties json NOT NULL DEFAULT '[]', -- [{name, type, required, description}]
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT event_schemas_type_key UNIQUE (tenant_id, event_type)
);

CREATE TABLE activations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    segment_id bigint NOT NULL REFERENCES segments,
    connector_type text NOT NULL,
    config json NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'inactive' CHECK (status IN ('inactive', 'active', 'error')),
    last_synced_at timestamptz,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX activations_tenant ON activations (tenant_id, id);

-- Events: accepted here, forwarded to ClickHouse in blocks.
CREATE TABLE event_ids (
    tenant_id integer NOT NULL,
    key bytea NOT NULL, -- first 16 bytes of SHA-256 of what makes the event unique: its id, or its place in an idempotent request
    accepted_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT event_ids_key PRIMARY KEY (tenant_id, key)
);
CREATE INDEX event_ids_accepted ON event_ids USING brin (accepted_at); -- rows arrive in this order and leave in it

CREATE TABLE blocks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token uuid NOT NULL DEFAULT gen_random_uuid(), -- ClickHouse forgets a repeated insert by it; ids start again in a new database, this does not
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'forwarded', 'failed')),
    attempts integer NOT NULL DEFAULT 0, -- counted when an attempt starts, so that one that kills its worker counts too
    lease_until timestamptz, -- until then nobody else (or, after a failure, nobody at all) may try it
    event_count integer NOT NULL,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    forwarded_at timestamptz
);
CREATE INDEX blocks_pending ON blocks (id) WHERE status = 'pending';
CREATE INDEX blocks_forwarded ON blocks (forwarded_at) WHERE status = 'forwarded';
CREATE INDEX blocks_failed ON blocks (id) WHERE status = 'failed';

CREATE TABLE events (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL,
    event_id text NOT NULL,
    user_id text NOT NULL,
    event_type text NOT NULL,
    occurred_at timestamptz NOT NULL,
    payload text NOT NULL, -- JSON text, as forwarded
    received_at timestamptz NOT NULL DEFAULT now(),
    block_id bigint -- null: waiting. The rows of a block never change, so that a retried block is the same block
);
CREATE INDEX events_waiting ON events (seq) WHERE block_id IS NULL;
CREATE INDEX events_block ON events (block_id, seq) WHERE block_id IS NOT NULL;
CREATE INDEX events_recent ON events (tenant_id, received_at DESC, seq DESC);

-- Every name a tenant has ever used, for the catalog: kept by the worker as it forwards.
CREATE TABLE observed_names (
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    event_type text NOT NULL, -- 'context_identified' for traits
    path text NOT NULL, -- '' for the event type itself; dots walk into objects, a literal dot is '\.'
    types text[] NOT NULL DEFAULT '{}', -- string number boolean list
    samples jsonb NOT NULL DEFAULT '[]', -- up to 50 distinct scalar values, of a list its elements
    event_count bigint NOT NULL DEFAULT 0, -- events of this type forwarded, kept for path ''
    first_seen timestamptz NOT NULL, -- both of occurred_at; last_seen is kept up to date for path '' only
    last_seen timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, event_type, path)
);
