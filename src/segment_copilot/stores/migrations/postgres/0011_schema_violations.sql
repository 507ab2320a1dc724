-- Whether an event that violates the schema of its type is refused.
ALTER TABLE event_schemas ADD COLUMN strict boolean NOT NULL DEFAULT false;

-- What did not conform to a schema: the newest of each, and how many there were.
CREATE TABLE schema_violations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    schema_id bigint NOT NULL REFERENCES event_schemas ON DELETE CASCADE,
    event_id text, -- null: a refused event that was sent without one
    user_id text NOT NULL,
    pointer text NOT NULL, -- RFC 6901, into the event
    code text NOT NULL,
    detail text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('queued', 'skipped')),
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL
);
CREATE INDEX schema_violations_newest ON schema_violations (schema_id, id DESC);
CREATE INDEX schema_violations_user ON schema_violations (tenant_id, user_id); -- for whoever erases a user

CREATE TABLE schema_violation_counts (
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    schema_id bigint NOT NULL REFERENCES event_schemas ON DELETE CASCADE,
    code text NOT NULL,
    outcome text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (schema_id, code, outcome)
);
