-- What computations published, and how those that failed ended: written in the transaction that publishes, so that nothing
-- is told that did not happen, and nothing that happened is not told. Who tells others of it reads here. No user id.
CREATE TABLE publications (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    segment_id bigint NOT NULL, -- refers to no row: what was published stays so when the segment is gone
    segment_name text NOT NULL,
    computation_id bigint NOT NULL,
    change_set uuid, -- in ClickHouse's membership_changes; null: it failed
    entered bigint NOT NULL DEFAULT 0,
    left_count bigint NOT NULL DEFAULT 0,
    member_count bigint,
    computed_at timestamptz NOT NULL,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    error json, -- why it failed
    sequence bigint UNIQUE -- given by one worker at a time, later: who reads on from one misses none
);
CREATE INDEX publications_fresh ON publications (id) WHERE sequence IS NULL;
CREATE INDEX publications_tenant ON publications (tenant_id, sequence);
CREATE INDEX publications_age ON publications (published_at);
CREATE SEQUENCE publications_order;

CREATE TABLE webhooks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    url text NOT NULL,
    description text NOT NULL DEFAULT '',
    events text[] NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    signature text NOT NULL CHECK (signature IN ('hmac', 'ed25519')),
    secret text NOT NULL, -- sealed
    public_key text, -- of ed25519
    previous_secret text, -- sealed; signs too until previous_until
    previous_until timestamptz,
    failing_since timestamptz, -- null: the last attempt was answered well
    notice text, -- that it will be switched off
    disabled_at timestamptz,
    disabled_reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhooks_tenant ON webhooks (tenant_id, id);

-- The queue of one endpoint and one segment: a worker leases it whole, so that its deliveries go out in their order.
CREATE TABLE webhook_lanes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id bigint NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    segment_id bigint NOT NULL,
    next_attempt_at timestamptz, -- null: nothing waits
    status text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'sending')),
    attempts integer NOT NULL DEFAULT 0,
    begun integer NOT NULL DEFAULT 0,
    lease_id uuid,
    lease_until timestamptz,
    holder integer,
    error text,
    UNIQUE (webhook_id, segment_id)
);
CREATE INDEX webhook_lanes_due ON webhook_lanes (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

-- One request each. Its body is made when it is sent, from the publication and the log of changes: it is kept nowhere.
CREATE TABLE webhook_deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    webhook_id bigint NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    lane_id bigint NOT NULL REFERENCES webhook_lanes ON DELETE CASCADE,
    publication_id bigint NOT NULL REFERENCES publications ON DELETE CASCADE,
    sequence bigint NOT NULL, -- of the publication
    place integer NOT NULL, -- within it
    event text NOT NULL,
    part integer NOT NULL, -- of *parts*, from 1: how the users of a large change are divided
    parts integer NOT NULL,
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'failed', 'done', 'dead')),
    attempts integer NOT NULL DEFAULT 0, -- since it was queued last
    next_attempt_at timestamptz,
    status_code integer,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    UNIQUE (webhook_id, publication_id, place)
);
CREATE INDEX webhook_deliveries_open ON webhook_deliveries (lane_id, sequence, place) WHERE status IN ('queued', 'failed');
CREATE INDEX webhook_deliveries_log ON webhook_deliveries (webhook_id, id);
CREATE INDEX webhook_deliveries_publication ON webhook_deliveries (publication_id);

CREATE TABLE webhook_attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id bigint NOT NULL REFERENCES webhook_deliveries ON DELETE CASCADE,
    at timestamptz NOT NULL,
    status_code integer,
    error text,
    answer text NOT NULL DEFAULT '', -- how it begins
    duration_ms integer NOT NULL
);
CREATE INDEX webhook_attempts_delivery ON webhook_attempts (delivery_id, id);
