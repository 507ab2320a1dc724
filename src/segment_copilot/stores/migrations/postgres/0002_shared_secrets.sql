-- What processes sign with, so that each can read what another signed. To revoke all of it, delete the row and restart.
CREATE TABLE shared_secrets (
    purpose text PRIMARY KEY,
    secret bytea NOT NULL CHECK (length(secret) = 32),
    created_at timestamptz NOT NULL DEFAULT now()
);
