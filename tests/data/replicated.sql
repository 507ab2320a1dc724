CREATE TABLE IF NOT EXISTS events ON CLUSTER `main` (
    tenant_id UInt32,
    event_type LowCardinality(String),
    user_id String EPHEMERAL,  
    user_key UInt64 DEFAULT sipHash64(user_id),
    occurred_at DateTime64(6, 'UTC'),
    event_id String,
    payload_text String EPHEMERAL '{}',  
    payload JSON(max_dynamic_paths = 128) DEFAULT CAST(payload_text, 'JSON(max_dynamic_paths = 128)')
) ENGINE = ReplicatedMergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (tenant_id, event_type, user_key, occurred_at, event_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS traits ON CLUSTER `main` (
    tenant_id UInt32,
    property LowCardinality(String),
    user_id String EPHEMERAL,
    user_key UInt64 DEFAULT sipHash64(user_id),
    occurred_at DateTime64(6, 'UTC'),
    event_id String,
    value_text String EPHEMERAL '{}',  
    value JSON(max_dynamic_paths = 32) DEFAULT CAST(value_text, 'JSON(max_dynamic_paths = 32)')
) ENGINE = ReplicatedMergeTree
ORDER BY (tenant_id, property, user_key, occurred_at, event_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS users ON CLUSTER `main` (
    tenant_id UInt32,
    user_key UInt64 DEFAULT sipHash64(user_id),
    user_id SimpleAggregateFunction(any, String),
    first_seen SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
    last_seen SimpleAggregateFunction(max, DateTime64(6, 'UTC'))
) ENGINE = ReplicatedAggregatingMergeTree
ORDER BY (tenant_id, user_key);

CREATE TABLE IF NOT EXISTS memberships ON CLUSTER `main` (
    tenant_id UInt32,
    segment_id UInt64,
    run_id UUID,
    user_id String,
    user_key UInt64
) ENGINE = ReplicatedMergeTree
ORDER BY (tenant_id, segment_id, run_id, user_id);

CREATE TABLE IF NOT EXISTS traits_current ON CLUSTER `main` (
    tenant_id UInt32,
    property LowCardinality(String),
    user_id String EPHEMERAL,
    user_key UInt64 DEFAULT sipHash64(user_id),
    version UInt256,
    occurred_at DateTime64(6, 'UTC'),
    is_exact Bool,
    value_text String EPHEMERAL '{}',
    value JSON(max_dynamic_paths = 32) DEFAULT CAST(value_text, 'JSON(max_dynamic_paths = 32)'),
    INDEX occurred_at occurred_at TYPE minmax GRANULARITY 1
) ENGINE = ReplicatedReplacingMergeTree(version)
ORDER BY (tenant_id, property, user_key)
SETTINGS non_replicated_deduplication_window = 1000;

INSERT INTO traits_current (tenant_id, property, user_key, version, occurred_at, is_exact, value)
WITH
    arrayMap(character -> transform(character,
        ['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'],
        ['0000010', '00001', '00010', '00011', '00100', '00101', '00110', '00111', '01000', '01001', '01010',
         '10011', '10100', '10101', '10110', '10111', '11000'], ''), splitByString('', event_id)) AS symbols,
    concat(arrayStringConcat(symbols), '0000000') AS code,
    match(event_id, '^[-0-9a-f]+$') AND length(code) <= 202 AS fits,
    if(fits, rightPad(code, 202, '0'), repeat('1', 202)) AS low_bits,
    toUInt256(toUnixTimestamp64Micro(occurred_at) + 2208988800000000) AS microseconds
SELECT tenant_id, property, user_key,
    bitOr(bitShiftLeft(microseconds, 202), reinterpretAsUInt256(reverse(unbin(leftPad(low_bits, 256, '0'))))) AS version,
    occurred_at, fits, value
FROM traits;

CREATE TABLE IF NOT EXISTS membership_changes ON CLUSTER `main` (
    tenant_id UInt32,
    segment_id UInt64,
    computation_id UInt64,
    change_set UUID,
    user_id String,
    user_key UInt64,
    has_entered Bool  
) ENGINE = ReplicatedMergeTree
ORDER BY (tenant_id, segment_id, computation_id, change_set, user_id);

ALTER TABLE memberships ON CLUSTER `main` MODIFY COLUMN user_key UInt64 DEFAULT sipHash64(user_id);

CREATE TABLE IF NOT EXISTS user_memberships ON CLUSTER `main` (
    tenant_id UInt32,
    user_key UInt64,
    segment_id UInt64,
    run_id UUID
) ENGINE = ReplicatedMergeTree
ORDER BY (tenant_id, user_key, segment_id, run_id)
SETTINGS index_granularity = 256;

CREATE MATERIALIZED VIEW IF NOT EXISTS user_memberships_view ON CLUSTER `main` TO user_memberships AS
SELECT tenant_id, user_key, segment_id, run_id FROM memberships;

INSERT INTO user_memberships SELECT tenant_id, user_key, segment_id, run_id FROM memberships;

CREATE TABLE IF NOT EXISTS snapshot_members ON CLUSTER `main` (
    tenant_id UInt32,
    snapshot_id UInt64,
    run_id UUID,
    user_id String,
    user_key UInt64
) ENGINE = ReplicatedMergeTree
ORDER BY (tenant_id, snapshot_id, run_id, user_id);

CREATE TABLE IF NOT EXISTS identity_links ON CLUSTER `main` (
    tenant_id UInt32,
    alias_id String EPHEMERAL,
    alias_key UInt64 DEFAULT sipHash64(alias_id),
    person_id String,
    person_key UInt64 DEFAULT sipHash64(person_id),
    version UInt64
) ENGINE = ReplicatedReplacingMergeTree(version)
ORDER BY (tenant_id, alias_key)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS erasing ON CLUSTER `main` (
    erasure_id UInt64,
    user_id String EPHEMERAL,
    user_key UInt64 DEFAULT sipHash64(user_id)
) ENGINE = ReplicatedMergeTree
PARTITION BY erasure_id
ORDER BY user_key;

CREATE TABLE IF NOT EXISTS user_numbers ON CLUSTER `main` (
    tenant_id UInt32,
    user_id String,
    user_key UInt64,
    number UInt32
) ENGINE = ReplicatedMergeTree
ORDER BY (tenant_id, user_id)
SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS segment_states ON CLUSTER `main` (
    tenant_id UInt32,
    segment_id UInt64,
    run_id UUID,
    members AggregateFunction(groupBitmap, UInt32)
) ENGINE = ReplicatedMergeTree
ORDER BY (tenant_id, segment_id, run_id)
SETTINGS index_granularity = 8;

CREATE TABLE IF NOT EXISTS segment_deltas ON CLUSTER `main` (
    tenant_id UInt32,
    segment_id UInt64,
    computation_id UInt64,
    change_set UUID,
    entered AggregateFunction(groupBitmap, UInt32),
    gone AggregateFunction(groupBitmap, UInt32)
) ENGINE = ReplicatedMergeTree
ORDER BY (tenant_id, segment_id, computation_id, change_set)
SETTINGS index_granularity = 8;

CREATE TABLE IF NOT EXISTS memberships ON CLUSTER `main` (
    tenant_id UInt32,
    segment_id UInt64,
    run_id UUID,
    user_id String,
    user_key UInt64
) ENGINE = ReplicatedMergeTree
ORDER BY (tenant_id, segment_id, run_id, user_id);

INSERT INTO user_numbers (tenant_id, user_id, user_key, number)
SELECT tenant_id, user_id, user_key,
    toUInt32(row_number() OVER (PARTITION BY tenant_id ORDER BY user_key) + given.last) AS number
FROM (
    SELECT tenant_id, any(user_id) AS user_id, user_key FROM (
        SELECT tenant_id, user_id, user_key FROM users
        UNION ALL SELECT tenant_id, person_id AS user_id, person_key AS user_key FROM identity_links
        UNION ALL SELECT tenant_id, user_id, user_key FROM memberships
        UNION ALL SELECT tenant_id, user_id, user_key FROM membership_changes)
    WHERE (tenant_id, user_key) NOT IN (SELECT tenant_id, user_key FROM user_numbers)
    GROUP BY tenant_id, user_key
) AS everybody
LEFT JOIN (SELECT tenant_id, max(number) AS last FROM user_numbers GROUP BY tenant_id) AS given USING (tenant_id);

INSERT INTO segment_states (tenant_id, segment_id, run_id, members)
SELECT tenant_id, segment_id, run_id, groupBitmapState(number)
FROM memberships INNER JOIN user_numbers USING (tenant_id, user_key)
WHERE run_id NOT IN (SELECT run_id FROM segment_states)
GROUP BY tenant_id, segment_id, run_id;

INSERT INTO segment_deltas (tenant_id, segment_id, computation_id, change_set, entered, gone)
SELECT tenant_id, segment_id, computation_id, change_set,
    groupBitmapStateIf(number, has_entered), groupBitmapStateIf(number, NOT has_entered)
FROM membership_changes INNER JOIN user_numbers USING (tenant_id, user_key)
WHERE change_set NOT IN (SELECT change_set FROM segment_deltas)
GROUP BY tenant_id, segment_id, computation_id, change_set;

DROP VIEW IF EXISTS user_memberships_view ON CLUSTER `main` SYNC;

DROP TABLE IF EXISTS user_memberships ON CLUSTER `main` SYNC;

DROP TABLE IF EXISTS memberships ON CLUSTER `main` SYNC;

CREATE TABLE IF NOT EXISTS kept_slots ON CLUSTER `main` (
    tenant_id UInt32,
    set_id UUID,  
    place UInt16,  
    users AggregateFunction(groupBitmap, UInt32)
) ENGINE = ReplicatedMergeTree
ORDER BY (tenant_id, set_id, place)
SETTINGS index_granularity = 8;
