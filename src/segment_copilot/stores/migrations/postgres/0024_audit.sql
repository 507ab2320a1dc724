-- Who changed what, and which keys are used from where: what a tenant reads of its own doings.
CREATE TABLE audit_entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT now(),
    key_id bigint, -- null: a person who logged in
    person text, -- as their issuer calls them
    address text NOT NULL,
    request_id text NOT NULL,
    operation text NOT NULL,
    method text NOT NULL,
    path text NOT NULL, -- with ids that are numbers; the others, which may be a person's, stay names in braces
    status smallint, -- null: under way, or its process ended before it knew
    made text, -- the address of what was made
    replayed boolean NOT NULL DEFAULT false -- answered as before, under the same Idempotency-Key
);
CREATE INDEX audit_entries_tenant ON audit_entries (tenant_id, id);
CREATE INDEX audit_entries_at ON audit_entries USING brin (at);

-- Requests of a key in an hour, by where they came from.
CREATE TABLE key_uses (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    key_id bigint NOT NULL,
    hour timestamptz NOT NULL,
    address text NOT NULL,
    requests bigint NOT NULL,
    refused bigint NOT NULL, -- of them, answered 403 or 429
    last_at timestamptz NOT NULL,
    CONSTRAINT key_uses_key UNIQUE (tenant_id, key_id, hour, address)
);
CREATE INDEX key_uses_hour ON key_uses USING brin (hour);
