-- What a key may do, where a page may use it, how long it holds.
ALTER TABLE api_keys DROP CONSTRAINT api_keys_kind_check;
ALTER TABLE api_keys
    ADD CONSTRAINT api_keys_kind_check CHECK (kind IN ('secret', 'public', 'mcp')),
    ADD COLUMN role text, -- a named set of scopes; null: the scopes themselves are listed
    ADD COLUMN scopes text[] NOT NULL DEFAULT '{}',
    ADD COLUMN allowed_origins text[] NOT NULL DEFAULT '{}',
    ADD COLUMN require_signed_user_id boolean NOT NULL DEFAULT false,
    ADD COLUMN hmac_secret bytea, -- what a backend signs user ids with; kept, because a signature is checked with it
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN last_used_at timestamptz, -- to ten minutes
    ADD COLUMN replaced_by bigint; -- the key that was put in its place: it is rotated once
UPDATE api_keys SET role = 'owner' WHERE kind = 'secret';

ALTER TABLE tenants ADD COLUMN requests_per_minute integer CHECK (requests_per_minute > 0); -- null: the deployment's

-- Answers of POSTs that carried an Idempotency-Key. The answer is sealed with that key, of which only a digest is kept.
CREATE TABLE idempotency_keys (
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    key bytea NOT NULL,
    fingerprint bytea NOT NULL, -- of the request that came first
    claim uuid NOT NULL, -- whose work it is
    leased_until timestamptz NOT NULL, -- after which somebody else may do it, unless it is answered
    status smallint, -- null: under way
    answer text, -- null with a status: too large to be kept
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);
