-- Which shard of a ClickHouse cluster holds whom: the shard of each of 1024 buckets, and a user's bucket is sipHash64 of the id
-- modulo 1024. Without a cluster there is no row.
CREATE TABLE shard_placement (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    shards integer[] NOT NULL CHECK (cardinality(shards) = 1024)
);
