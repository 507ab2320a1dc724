-- Activations that send: how far each has come, and what makes it stop.
ALTER TABLE activations DROP CONSTRAINT activations_status_check;
ALTER TABLE activations ADD CONSTRAINT activations_status_check CHECK (status IN ('inactive', 'active', 'error', 'paused'));
ALTER TABLE activations ADD COLUMN max_shrink_percent integer NOT NULL DEFAULT 50
    CHECK (max_shrink_percent BETWEEN 0 AND 100);
ALTER TABLE activations ADD COLUMN synced_computation bigint; -- whose state the destination has; null: none yet
ALTER TABLE activations ADD COLUMN synced_count bigint; -- how many members that state has
ALTER TABLE activations ADD COLUMN destination text NOT NULL DEFAULT ''; -- what is down together: connector and host
ALTER TABLE activations ADD COLUMN sealed_with text; -- the key that secrets in config are sealed with; null: they are not
CREATE INDEX activations_segment ON activations (segment_id);

-- What is sent: the net changes from one computation to another, or all members. One of an activation is sent at a time, in
-- the order of ids.
CREATE TABLE deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    activation_id bigint NOT NULL REFERENCES activations ON DELETE CASCADE,
    is_full boolean NOT NULL,
    allow_empty boolean NOT NULL DEFAULT false,
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'sending', 'held', 'done', 'failed', 'dead')),
    from_computation bigint, -- null: from nothing
    to_computation bigint, -- null: not begun; what to send is decided when it begins
    member_count bigint,
    entered bigint, -- as decided when it begins
    left_count bigint,
    round integer NOT NULL DEFAULT 1, -- rises when it begins anew: batches of another round are other batches
    position json, -- where the next batch begins; null: at the beginning
    batches integer NOT NULL DEFAULT 0, -- that arrived
    sent_count bigint NOT NULL DEFAULT 0, -- users in them
    rejected_count bigint NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0, -- in a row, since the last batch that arrived
    attempts integer NOT NULL DEFAULT 0, -- that no worker came back from
    begun integer NOT NULL DEFAULT 0,
    lease_id uuid,
    lease_until timestamptz, -- while queued: not before
    holder integer,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX deliveries_activation ON deliveries (activation_id, id);
CREATE INDEX deliveries_tenant ON deliveries (tenant_id, id);
CREATE INDEX deliveries_open ON deliveries (id) WHERE status IN ('queued', 'sending');

-- Users whom a destination did not take, the first hundred of a delivery.
CREATE TABLE rejected_users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    delivery_id bigint NOT NULL REFERENCES deliveries ON DELETE CASCADE,
    user_id text NOT NULL,
    reason text NOT NULL
);
CREATE INDEX rejected_users_delivery ON rejected_users (delivery_id, id);
CREATE INDEX rejected_users_user ON rejected_users (tenant_id, user_id);

-- Destinations that failed in a row. While one is open nothing is sent there; then one delivery tries.
CREATE TABLE circuits (
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    destination text NOT NULL,
    failures integer NOT NULL,
    open_until timestamptz,
    PRIMARY KEY (tenant_id, destination)
);
