-- Users for whom the sum of total over all the times they placed an order this month is more than the sum of total over all the times they placed an order last month.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "2026-04-30 22:00:00+00:00"
-- p3 = "2026-06-30 21:59:59.999999+00:00"
-- p4 = "2026-05-31 22:00:00+00:00"
-- p5 = "2026-06-30 21:59:59.999999+00:00"
-- p6 = "total"
-- p7 = "2026-04-30 22:00:00+00:00"
-- p8 = "2026-05-31 21:59:59.999999+00:00"
-- p9 = "order_placed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    WITH nullIf(nullIf(coalesce(payload.{p6:Identifier}.:Float64, toFloat64(payload.{p6:Identifier}.:Int64), toFloat64(payload.{p6:Identifier}.:UInt64), if(match(payload.{p6:Identifier}.:String, '^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$'), toFloat64OrNull(payload.{p6:Identifier}.:String), NULL)), inf), -inf) AS number_0
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p9:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND occurred_at >= {p2:DateTime64(6, 'UTC')}
      AND occurred_at <= {p3:DateTime64(6, 'UTC')}
    GROUP BY user_key
    HAVING (sumIf(toInt128(roundBankers(if(ifNull(abs(number_0) <= 9000000000000, 0), assumeNotNull(number_0), 0) * 1000000)), occurred_at >= {p4:DateTime64(6, 'UTC')} AND occurred_at <= {p5:DateTime64(6, 'UTC')}) > sumIf(toInt128(roundBankers(if(ifNull(abs(number_0) <= 9000000000000, 0), assumeNotNull(number_0), 0) * 1000000)), occurred_at >= {p7:DateTime64(6, 'UTC')} AND occurred_at <= {p8:DateTime64(6, 'UTC')}))
  )
