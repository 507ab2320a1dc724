-- Members of snapshots, by the run that wrote them. PostgreSQL says which run is the snapshot's; another's is of an attempt
-- that failed. Nothing changes them but the removal of a snapshot, and the erasure of a user.
CREATE TABLE IF NOT EXISTS snapshot_members {on_cluster} (
    tenant_id UInt32,
    snapshot_id UInt64,
    run_id UUID,
    user_id String,
    user_key UInt64
) ENGINE = {engine}MergeTree
ORDER BY (tenant_id, snapshot_id, run_id, user_id);
