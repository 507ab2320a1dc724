-- Members frozen at an instant, in ClickHouse's snapshot_members under the run that is named here. A snapshot outlives its
-- segment. One that is deleted keeps its row until a worker has removed its members.
CREATE TABLE snapshots (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    segment_id bigint NOT NULL, -- refers to no row
    name text NOT NULL,
    definition json, -- as it was then; null: of a segment without one
    version integer NOT NULL,
    as_of timestamptz NOT NULL,
    source_run uuid, -- the run of the segment whose members are copied, and kept until they are; null: evaluated at as_of
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'running', 'complete', 'failed', 'deleted', 'removing')),
    attempts integer NOT NULL DEFAULT 0,
    begun integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    holder integer,
    run_id uuid, -- of the latest attempt; its members are the snapshot's once it is complete
    removal_id uuid, -- of the worker's claim that removes it
    member_count bigint,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX snapshots_tenant ON snapshots (tenant_id, id);
CREATE INDEX snapshots_open ON snapshots (id) WHERE status IN ('pending', 'running', 'deleted', 'removing');

-- Files of members. A worker writes one piece by piece, each attempt under a file id of its own.
CREATE TABLE exports (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES tenants ON DELETE CASCADE,
    segment_id bigint REFERENCES segments ON DELETE CASCADE,
    snapshot_id bigint REFERENCES snapshots ON DELETE CASCADE,
    run_id uuid NOT NULL, -- whose members: they are kept while the export is open
    computed_at timestamptz NOT NULL, -- the instant of that run
    format text NOT NULL CHECK (format IN ('csv', 'parquet', 'ndjson')),
    traits text[] NOT NULL DEFAULT '{}', -- as paths
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'complete', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    begun integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    holder integer,
    file_id uuid, -- of the latest attempt; its chunks are the file once it is complete
    row_count bigint,
    byte_count bigint,
    sha256 bytea,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    expires_at timestamptz,
    CHECK (num_nonnulls(segment_id, snapshot_id) = 1)
);
CREATE INDEX exports_tenant ON exports (tenant_id, id);
CREATE INDEX exports_segment ON exports (segment_id);
CREATE INDEX exports_snapshot ON exports (snapshot_id);
CREATE INDEX exports_open ON exports (id) WHERE status IN ('pending', 'running');

-- The bytes of a file: every chunk but the last is of one size (audiences/chunks.py), so that a range is found by its number.
CREATE TABLE export_chunks (
    export_id bigint NOT NULL REFERENCES exports ON DELETE CASCADE,
    file_id uuid NOT NULL,
    number integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (export_id, file_id, number)
);
ALTER TABLE export_chunks ALTER COLUMN data SET STORAGE EXTERNAL; -- read whole, and half of it is compressed already
