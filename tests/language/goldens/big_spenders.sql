-- Users whose total adds up to more than 500 over all the times they placed an order in the last 365 days.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "2025-06-15 12:00:00+00:00"
-- p3 = "total"
-- p4 = 500000000
-- p5 = "order_placed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    WITH nullIf(nullIf(coalesce(payload.{p3:Identifier}.:Float64, toFloat64(payload.{p3:Identifier}.:Int64), toFloat64(payload.{p3:Identifier}.:UInt64), if(match(payload.{p3:Identifier}.:String, '^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$'), toFloat64OrNull(payload.{p3:Identifier}.:String), NULL)), inf), -inf) AS number_0
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p5:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND occurred_at >= {p2:DateTime64(6, 'UTC')}
    GROUP BY user_key
    HAVING (sum(toInt128(roundBankers(if(ifNull(abs(number_0) <= 9000000000000, 0), assumeNotNull(number_0), 0) * 1000000))) > {p4:Int128})
  )
