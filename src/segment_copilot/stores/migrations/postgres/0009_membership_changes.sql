-- Computations that people ask about: cancelled ones, when each began, and what its publication made visible.
ALTER TABLE computations DROP CONSTRAINT computations_status_check;
ALTER TABLE computations ADD CONSTRAINT computations_status_check
    CHECK (status IN ('queued', 'running', 'done', 'failed', 'cancelled'));
ALTER TABLE computations ADD COLUMN started_at timestamptz;

-- The set of rows of membership_changes (in ClickHouse) that lead from the state before to this one. Null while it is not
-- published, where a later one was first, and for what was published before there was a log.
ALTER TABLE computations ADD COLUMN change_set uuid;
CREATE INDEX computations_listed ON computations (segment_id, id);

-- Users that were sent for a static segment. They wait among the members in ClickHouse as a run of their own, which nobody
-- reads, until a computation makes of them and of the members the next members. The row is there before they are.
CREATE TABLE uploads (
    run_id uuid PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    segment_id bigint NOT NULL REFERENCES segments ON DELETE CASCADE,
    mode text NOT NULL CHECK (mode IN ('replace', 'add', 'remove')),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX uploads_segment ON uploads (segment_id);
ALTER TABLE computations ADD COLUMN upload uuid REFERENCES uploads ON DELETE SET NULL;
