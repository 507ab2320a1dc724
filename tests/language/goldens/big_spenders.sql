-- Users whose total adds up to more than 500 over all the times they placed an order in the last 365 days.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "total"
-- p3 = "order_placed"
-- p4 = "2026-06-15 12:00:00+00:00"
-- p5 = "2025-06-15 12:00:00+00:00"
-- p6 = 500000000

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32} AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND ((user_key IN (
    WITH nullIf(nullIf(coalesce(payload.{p2:Identifier}.:Float64, toFloat64(payload.{p2:Identifier}.:Int64), toFloat64(payload.{p2:Identifier}.:UInt64), if(match(payload.{p2:Identifier}.:String, '^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$'), toFloat64OrNull(payload.{p2:Identifier}.:String), NULL)), inf), -inf) AS value
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p3:String}
      AND occurred_at >= {p5:DateTime64(6, 'UTC')}
      AND occurred_at <= {p4:DateTime64(6, 'UTC')}
    GROUP BY user_key
    HAVING (sum(toInt128(roundBankers(if(ifNull(abs(value) <= 9000000000000, 0), assumeNotNull(value), 0) * 1000000))) > {p6:Int128})
  )))
