-- Users who viewed a product, then did “cart_add”, then placed an order, all with the same product_id, all within 7 days.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "product_viewed"
-- p3 = "cart_add"
-- p4 = "order_placed"
-- p5 = "product_id"
-- p6 = ["cart_add", "order_placed", "product_viewed"]
-- p7 = 604800000000

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key FROM (
      WITH multiIf(assumeNotNull(payload.{p5:Identifier}.:String) != '', assumeNotNull(payload.{p5:Identifier}.:String), payload.{p5:Identifier}.:String IS NOT NULL, '\0', payload.{p5:Identifier} IS NULL, '', toString(payload.{p5:Identifier}) IN ('true', 'false'), concat('\0b', assumeNotNull(toString(payload.{p5:Identifier}))), toFloat64OrNull(toString(payload.{p5:Identifier})) IS NOT NULL, concat('\0n', toString(assumeNotNull(toFloat64OrNull(toString(payload.{p5:Identifier}))) + 0)), '') AS scalar_0
      SELECT user_key, arraySort(groupArray((scalar_0, (toUnixTimestamp64Micro(occurred_at) + 2208988800000001) * 16 + multiIf((event_type = {p2:String}), 2, (event_type = {p3:String}), 1, 0)))) AS found
      FROM events
      WHERE tenant_id = {tenant:UInt32}
        AND event_type IN {p6:Array(String)}
        AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
        AND scalar_0 != ''
      GROUP BY user_key
      HAVING countIf((event_type = {p2:String})) > 0 AND countIf((event_type = {p3:String})) > 0 AND countIf((event_type = {p4:String})) > 0
    )
    WHERE arrayExists(codes -> arrayExists((code, begin) -> bitAnd(code, 15) = 0 AND begin > 0 AND bitShiftRight(code, 4) - begin <= {p7:Int64}, codes, arrayFill(begin -> begin > 0, arrayMap((code, begin) -> if(bitAnd(code, 15) = 1, begin, 0), codes, arrayFill(begin -> begin > 0, arrayMap(code -> if(bitAnd(code, 15) = 2, bitShiftRight(code, 4), 0), codes))))), arraySplit((one, value, before) -> value != before, found.2, found.1, arrayPushFront(arrayPopBack(found.1), found.1[1])))
  )
