-- What people thought of the copilot's answers: one rating a run, or a message of it; a later one replaces it.
CREATE TABLE copilot_feedback (
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    run_id text NOT NULL,
    message_id text NOT NULL DEFAULT '', -- empty: of the whole run
    rating text NOT NULL CHECK (rating IN ('up', 'down')),
    reason text NOT NULL DEFAULT '',
    given_by text, -- whose token sent it; null: a secret key did
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, run_id, message_id)
);
