-- A number for every user who may be a member: seen in an event, linked as somebody's person, or uploaded. It is never
-- another user's. PostgreSQL (user_numbering) says who may give numbers.
CREATE TABLE IF NOT EXISTS user_numbers {on_cluster} (
    tenant_id UInt32,
    user_id String,
    user_key UInt64,
    number UInt32
) ENGINE = {engine}MergeTree
ORDER BY (tenant_id, user_id)
SETTINGS index_granularity = 1024;

-- Members by run, as one set of numbers. Where a run was written in parts, its members are those of all its rows; where there
-- is none, nobody. PostgreSQL says which run is published; the others are being written or on their way out.
CREATE TABLE IF NOT EXISTS segment_states {on_cluster} (
    tenant_id UInt32,
    segment_id UInt64,
    run_id UUID,
    members AggregateFunction(groupBitmap, UInt32)
) ENGINE = {engine}MergeTree
ORDER BY (tenant_id, segment_id, run_id)
SETTINGS index_granularity = 8;

-- Who entered and who left, one row for each comparison of a state with the one before it: the sets of membership_changes.
-- A state and all differences since lead back to any state before.
CREATE TABLE IF NOT EXISTS segment_deltas {on_cluster} (
    tenant_id UInt32,
    segment_id UInt64,
    computation_id UInt64,
    change_set UUID,
    entered AggregateFunction(groupBitmap, UInt32),
    gone AggregateFunction(groupBitmap, UInt32)
) ENGINE = {engine}MergeTree
ORDER BY (tenant_id, segment_id, computation_id, change_set)
SETTINGS index_granularity = 8;

-- What was written before. Each statement passes over what it has written already, should this file be run again.
CREATE TABLE IF NOT EXISTS memberships {on_cluster} (
    tenant_id UInt32,
    segment_id UInt64,
    run_id UUID,
    user_id String,
    user_key UInt64
) ENGINE = {engine}MergeTree
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

DROP VIEW IF EXISTS user_memberships_view {on_cluster} SYNC;
DROP TABLE IF EXISTS user_memberships {on_cluster} SYNC;
DROP TABLE IF EXISTS memberships {on_cluster} SYNC;
