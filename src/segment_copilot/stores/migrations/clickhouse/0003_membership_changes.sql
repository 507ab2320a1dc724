-- Who entered and who left, one set of rows for each comparison of a state with the one before it. PostgreSQL says which
-- sets are published; the others are being written or on their way out.
CREATE TABLE IF NOT EXISTS membership_changes {on_cluster} (
    tenant_id UInt32,
    segment_id UInt64,
    computation_id UInt64,
    change_set UUID,
    user_id String,
    user_key UInt64,
    has_entered Bool -- false: has left
) ENGINE = {engine}MergeTree
ORDER BY (tenant_id, segment_id, computation_id, change_set, user_id);

-- Users that were uploaded come as ids alone.
ALTER TABLE memberships {on_cluster} MODIFY COLUMN user_key UInt64 DEFAULT sipHash64(user_id);

-- The same members by user: which segments one is in is a look-up of one place here, and one in each run there. Removed
-- when the run is.
CREATE TABLE IF NOT EXISTS user_memberships {on_cluster} (
    tenant_id UInt32,
    user_key UInt64,
    segment_id UInt64,
    run_id UUID
) ENGINE = {engine}MergeTree
ORDER BY (tenant_id, user_key, segment_id, run_id)
SETTINGS index_granularity = 256;

CREATE MATERIALIZED VIEW IF NOT EXISTS user_memberships_view {on_cluster} TO user_memberships AS
SELECT tenant_id, user_key, segment_id, run_id FROM memberships;

INSERT INTO user_memberships SELECT tenant_id, user_key, segment_id, run_id FROM memberships;
