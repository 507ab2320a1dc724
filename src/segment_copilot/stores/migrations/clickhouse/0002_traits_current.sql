-- The newest value of every trait, beside the history: most questions are about now, and one row a user is read faster.
-- `version` orders rows as (occurred_at, event_id) does: microseconds since 1900 in the high 54 bits, the id in the
-- others (events/trait_versions.py). An id too long for them is cut, and its row is not exact: ask the history then.
CREATE TABLE IF NOT EXISTS traits_current {on_cluster} (
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
) ENGINE = {engine}ReplacingMergeTree(version)
ORDER BY (tenant_id, property, user_key)
SETTINGS non_replicated_deduplication_window = 1000;

-- What was written before. Ids of hexadecimal digits and '-' (every id that we made) are coded here as they are there;
-- any other row counts as the newest of its microsecond and as not exact.
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
