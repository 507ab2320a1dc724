-- Users who viewed a product, then did “cart_add”, then placed an order, all within 7 days.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "product_viewed"
-- p3 = "cart_add"
-- p4 = "order_placed"
-- p5 = "2026-06-15 12:00:00+00:00"
-- p6 = ["cart_add", "order_placed", "product_viewed"]
-- p7 = 604800000000

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32} AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND ((user_key IN (
    SELECT user_key FROM (
      SELECT user_key, arraySort(arrayConcat(
        groupArrayIf((toUnixTimestamp64Micro(occurred_at) + 2208988800000001) * 16 + 2, (event_type = {p2:String})),
        groupArrayIf((toUnixTimestamp64Micro(occurred_at) + 2208988800000001) * 16 + 1, (event_type = {p3:String})),
        groupArrayIf((toUnixTimestamp64Micro(occurred_at) + 2208988800000001) * 16 + 0, (event_type = {p4:String}))
      )) AS codes
      FROM events
      WHERE tenant_id = {tenant:UInt32}
        AND occurred_at <= {p5:DateTime64(6, 'UTC')}
        AND event_type IN {p6:Array(String)}
      GROUP BY user_key
      HAVING countIf((event_type = {p2:String})) > 0 AND countIf((event_type = {p3:String})) > 0 AND countIf((event_type = {p4:String})) > 0
    )
    WHERE arrayExists((code, chain) -> bitAnd(code, 15) = 0 AND chain.1 > 0 AND bitShiftRight(code, 4) - chain.1 <= {p7:Int64}, codes, arrayFill(chain -> chain.1 > 0, arrayMap((code, chain) -> if(bitAnd(code, 15) = 1 AND chain.1 > 0, (chain.1, bitShiftRight(code, 4)), (0, 0)), codes, arrayFill(chain -> chain.1 > 0, arrayMap(code -> if(bitAnd(code, 15) = 2, (bitShiftRight(code, 4), bitShiftRight(code, 4)), (0, 0)), codes)))))
  )))
