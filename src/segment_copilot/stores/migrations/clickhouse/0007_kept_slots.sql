-- The users of what segments ask, as of one instant, as sets of numbers: written by a refresh of many segments and read by the
-- next one, which asks anew about those users only whom something happened to. PostgreSQL (kept_slots) says what each set is the
-- answer to; rows never change, and those that PostgreSQL does not name are of no use to anybody.
CREATE TABLE IF NOT EXISTS kept_slots {on_cluster} (
    tenant_id UInt32,
    set_id UUID, -- of the statement that wrote it
    place UInt16, -- among the sets of that statement
    users AggregateFunction(groupBitmap, UInt32)
) ENGINE = {engine}MergeTree
ORDER BY (tenant_id, set_id, place)
SETTINGS index_granularity = 8;
