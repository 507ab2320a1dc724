-- Whose an id is, where it is somebody else's. Events keep the id they came with; compiled queries join this table.
CREATE TABLE IF NOT EXISTS identity_links {on_cluster} (
    tenant_id UInt32,
    alias_id String EPHEMERAL,
    alias_key UInt64 DEFAULT sipHash64(alias_id),
    person_id String,
    person_key UInt64 DEFAULT sipHash64(person_id),
    version UInt64
) ENGINE = {engine}ReplacingMergeTree(version)
ORDER BY (tenant_id, alias_key)
SETTINGS non_replicated_deduplication_window = 1000;

-- Whose rows are being erased. Mutations name this table, so that what they leave behind holds neither id nor key.
CREATE TABLE IF NOT EXISTS erasing {on_cluster} (
    erasure_id UInt64,
    user_id String EPHEMERAL,
    user_key UInt64 DEFAULT sipHash64(user_id)
) ENGINE = {engine}MergeTree
PARTITION BY erasure_id
ORDER BY user_key;
