-- The run before the published one, which a reader may still be paging through. No other run is ever read.
ALTER TABLE segments ADD COLUMN previous_run uuid;

-- Segments of whose members in ClickHouse some are no longer read: decided here, removed by a worker.
CREATE TABLE member_removals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL, -- neither refers to a row: what is removed outlives segment and tenant
    segment_id bigint NOT NULL,
    status text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'working')),
    attempts integer NOT NULL DEFAULT 0,
    lease_id uuid,
    lease_until timestamptz,
    error text,
    created_at timestamptz NOT NULL DEFAULT now()
);
