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
