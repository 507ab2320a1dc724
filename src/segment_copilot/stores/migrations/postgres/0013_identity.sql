-- Ids that are one person's. What was said is kept as it was said; who it comes to is worked out when it is said.
CREATE TABLE identity_links (
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    alias_id text NOT NULL, -- an id that is somebody else's: `anon_…`, or a user that was merged
    user_id text NOT NULL, -- whose it is, as it was said
    person_id text NOT NULL, -- whose it is, to the end of the chain
    version bigint NOT NULL, -- rises with every change of the row
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'forwarded')), -- to ClickHouse
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT identity_links_key PRIMARY KEY (tenant_id, alias_id)
);
CREATE INDEX identity_links_user ON identity_links (tenant_id, user_id);
CREATE INDEX identity_links_person ON identity_links (tenant_id, person_id);
CREATE INDEX identity_links_pending ON identity_links (version) WHERE status = 'pending';
CREATE SEQUENCE identity_link_versions;

-- Persons to be forgotten. Whom it is about is known here until it is done; what stays is a keyed hash.
CREATE TABLE erasures (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    user_id_hash text NOT NULL,
    ids text[] NOT NULL, -- of the person, all of them; empty when they are gone
    progress json NOT NULL DEFAULT '{}', -- what was done, so that another worker goes on from there
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'working', 'done', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    begun integer NOT NULL DEFAULT 0,
    lease_id uuid,
    lease_until timestamptz,
    holder integer,
    error text,
    requested_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    receipt json
);
CREATE INDEX erasures_tenant ON erasures (tenant_id, id);
CREATE INDEX erasures_open ON erasures (id) WHERE status IN ('queued', 'working');
