-- Users who viewed a product, then did “cart_add”, with no other event in between.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "product_viewed"
-- p3 = "cart_add"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key FROM (
      SELECT user_key, arraySort(arrayConcat(
        groupArrayIf((toUnixTimestamp64Micro(occurred_at) + 2208988800000001) * 16 + 1, (event_type = {p2:String})),
        groupArrayIf((toUnixTimestamp64Micro(occurred_at) + 2208988800000001) * 16 + 0, (event_type = {p3:String})),
        groupArrayIf((toUnixTimestamp64Micro(occurred_at) + 2208988800000001) * 16 + 15, ((event_type != 'context_identified')))
      )) AS codes,
        arrayFill(blocker -> blocker > 0, arrayMap(code -> if(bitAnd(code, 15) = 15, bitShiftRight(code, 4), 0), codes)) AS blockers
      FROM events
      WHERE tenant_id = {tenant:UInt32}
        AND event_type != 'context_identified'
        AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      GROUP BY user_key
      HAVING countIf((event_type = {p2:String})) > 0 AND countIf((event_type = {p3:String})) > 0
    )
    WHERE arrayExists((code, blocker, chain) -> bitAnd(code, 15) = 0 AND chain.1 > 0 AND blocker <= chain.2, codes, blockers, arrayFill(chain -> chain.1 > 0, arrayMap(code -> if(bitAnd(code, 15) = 1, (bitShiftRight(code, 4), bitShiftRight(code, 4)), (0, 0)), codes)))
  )
