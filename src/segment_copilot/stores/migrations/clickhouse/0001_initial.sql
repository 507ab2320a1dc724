-- Events as they happened. Sorted by what a condition asks for: one tenant, one type, then per user in time.
-- De-duplicated in PostgreSQL before they come here; the window makes a retried block a no-op.
CREATE TABLE IF NOT EXISTS events {on_cluster} (
    tenant_id UInt32,
    event_type LowCardinality(String),
    user_id String EPHEMERAL, -- inserted, hashed, not stored: the id itself lives in users
    user_key UInt64 DEFAULT sipHash64(user_id),
    occurred_at DateTime64(6, 'UTC'),
    event_id String,
    payload_text String EPHEMERAL '{}', -- JSON text; the driver's own JSON insert loses dotted keys
    payload JSON(max_dynamic_paths = 128) DEFAULT CAST(payload_text, 'JSON(max_dynamic_paths = 128)')
) ENGINE = {engine}MergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (tenant_id, event_type, user_key, occurred_at, event_id)
SETTINGS non_replicated_deduplication_window = 1000;

-- The history of every trait: one row per identify and top-level key. A removed trait has an empty value.
CREATE TABLE IF NOT EXISTS traits {on_cluster} (
    tenant_id UInt32,
    property LowCardinality(String),
    user_id String EPHEMERAL,
    user_key UInt64 DEFAULT sipHash64(user_id),
    occurred_at DateTime64(6, 'UTC'),
    event_id String,
    value_text String EPHEMERAL '{}', -- {"v": the value}, or {} for a removed one
    value JSON(max_dynamic_paths = 32) DEFAULT CAST(value_text, 'JSON(max_dynamic_paths = 32)')
) ENGINE = {engine}MergeTree
ORDER BY (tenant_id, property, user_key, occurred_at, event_id)
SETTINGS non_replicated_deduplication_window = 1000;

-- The universe: every user ever seen, with the instant of the first sign of them.
CREATE TABLE IF NOT EXISTS users {on_cluster} (
    tenant_id UInt32,
    user_key UInt64 DEFAULT sipHash64(user_id),
    user_id SimpleAggregateFunction(any, String),
    first_seen SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
    last_seen SimpleAggregateFunction(max, DateTime64(6, 'UTC'))
) ENGINE = {engine}AggregatingMergeTree
ORDER BY (tenant_id, user_key);

-- Members by run. PostgreSQL says which run is published; the others are being written or on their way out.
CREATE TABLE IF NOT EXISTS memberships {on_cluster} (
    tenant_id UInt32,
    segment_id UInt64,
    run_id UUID,
    user_id String,
    user_key UInt64
) ENGINE = {engine}MergeTree
ORDER BY (tenant_id, segment_id, run_id, user_id);
