-- What has arrived in ClickHouse since a moment is asked of PostgreSQL, by the transactions that said so: a transaction that
-- began earlier may end later, so neither times nor a sequence tell what somebody who asks has seen. Null: arrived before
-- anybody asked, or was written there directly.
ALTER TABLE blocks ADD COLUMN forwarded_by xid8;
CREATE INDEX blocks_forwarded_by ON blocks (forwarded_by) WHERE status = 'forwarded';

-- When something of the tenant was removed from ClickHouse, or written there directly: what arrived is then not all that changed.
ALTER TABLE tenants ADD COLUMN rewritten_by xid8;

-- The last refresh of a tenant's live segments, and what it had seen. Its row is the lease as well: one worker at a time.
CREATE TABLE live_refreshes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL UNIQUE REFERENCES tenants ON DELETE CASCADE,
    as_of timestamptz, -- null: none is finished yet
    seen json, -- a mark of events/arrivals.py
    status text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'working')),
    attempts integer NOT NULL DEFAULT 0,
    begun integer NOT NULL DEFAULT 0,
    lease_id uuid,
    lease_until timestamptz,
    holder integer,
    error text
);

-- Segments whose members the last refresh left true: as long as neither they nor what was asked have changed since, the next
-- one goes on from them.
CREATE TABLE live_segments (
    segment_id bigint PRIMARY KEY REFERENCES segments ON DELETE CASCADE,
    tenant_id integer NOT NULL,
    run_id uuid NOT NULL,
    question bytea NOT NULL -- a hash of the plan at that instant
);
CREATE INDEX live_segments_tenant ON live_segments (tenant_id);
