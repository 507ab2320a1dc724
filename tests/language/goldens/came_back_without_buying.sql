-- Users who did “cart_add”, then within 3 days viewed a page, without having placed an order in between, all of it in the last 60 days.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "cart_add"
-- p3 = "page_viewed"
-- p4 = "2026-04-16 12:00:00+00:00"
-- p5 = ["cart_add", "order_placed", "page_viewed"]
-- p6 = 259200000000

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key FROM (
      SELECT user_key, arraySort(groupArray((toUnixTimestamp64Micro(occurred_at) + 2208988800000001) * 16 + multiIf((event_type = {p2:String}), 1, (event_type = {p3:String}), 0, 15))) AS codes,
        arrayFill(blocker -> blocker > 0, arrayMap(code -> if(bitAnd(code, 15) = 15, bitShiftRight(code, 4), 0), codes)) AS blockers
      FROM events
      WHERE tenant_id = {tenant:UInt32}
        AND event_type IN {p5:Array(String)}
        AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
        AND occurred_at >= {p4:DateTime64(6, 'UTC')}
      GROUP BY user_key
      HAVING countIf((event_type = {p2:String})) > 0 AND countIf((event_type = {p3:String})) > 0
    )
    WHERE arrayExists((code, blocker, chain) -> bitAnd(code, 15) = 0 AND chain.1 > 0 AND bitShiftRight(code, 4) - chain.2 <= {p6:Int64} AND blocker <= chain.2, codes, blockers, arrayFill(chain -> chain.1 > 0, arrayMap(code -> if(bitAnd(code, 15) = 1, (bitShiftRight(code, 4), bitShiftRight(code, 4)), (0, 0)), codes)))
  )
