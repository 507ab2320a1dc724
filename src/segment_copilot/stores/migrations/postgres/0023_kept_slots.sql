-- What each set of users in ClickHouse's kept_slots is the answer to: a slot of a plan as of an instant, and what had been seen of
-- arrivals when it was asked. A refresh goes on from what is here; without any, it asks everything.
CREATE TABLE kept_slots (
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    question bytea NOT NULL, -- a hash of the slot and the instant
    set_id uuid NOT NULL,
    place integer NOT NULL,
    as_of timestamptz NOT NULL,
    seen json NOT NULL, -- a mark of events/arrivals.py
    PRIMARY KEY (tenant_id, question)
);
CREATE INDEX kept_slots_set ON kept_slots (set_id);

-- Computations that are over are forgotten after a while.
CREATE INDEX computations_finished ON computations (finished_at) WHERE status IN ('done', 'failed', 'cancelled');

-- The sets that were begun, before anything is written: those that nothing names after a while are removed from ClickHouse.
CREATE TABLE slot_sets (
    set_id uuid PRIMARY KEY,
    tenant_id integer NOT NULL, -- perhaps of a tenant that is gone
    begun_at timestamptz NOT NULL DEFAULT now()
);
