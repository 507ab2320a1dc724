-- Users who viewed a product, then did “cart_add”, then placed an order, all within 7 days.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "product_viewed"
-- p3 = "cart_add"
-- p4 = "order_placed"
-- p5 = ["cart_add", "order_placed", "product_viewed"]
-- p6 = 604800000000

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key FROM (
      SELECT user_key, groupBitOr(rows.bits_0) AS bits_0 FROM (
        SELECT user_key, toUInt64(1) AS bits_0 FROM (
          SELECT user_key FROM (
            SELECT user_key, arraySort(groupArray((toUnixTimestamp64Micro(occurred_at) + 2208988800000001) * 16 + multiIf((event_type = {p2:String}), 2, (event_type = {p3:String}), 1, 0))) AS codes
            FROM events
            WHERE tenant_id = {tenant:UInt32}
              AND event_type IN {p5:Array(String)}
              AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
            GROUP BY user_key
            HAVING countIf((event_type = {p2:String})) > 0 AND countIf((event_type = {p3:String})) > 0 AND countIf((event_type = {p4:String})) > 0
          )
          WHERE arrayExists((code, begin) -> bitAnd(code, 15) = 0 AND begin > 0 AND bitShiftRight(code, 4) - begin <= {p6:Int64}, codes, arrayFill(begin -> begin > 0, arrayMap((code, begin) -> if(bitAnd(code, 15) = 1, begin, 0), codes, arrayFill(begin -> begin > 0, arrayMap(code -> if(bitAnd(code, 15) = 2, bitShiftRight(code, 4), 0), codes)))))
        )
      ) AS rows
      GROUP BY user_key
    )
    WHERE (bitAnd(bits_0, 1) != 0)
  )
