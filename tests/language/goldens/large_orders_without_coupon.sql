-- Users who placed an order (where total is more than 100 and coupon is unknown) at least 2 times in the last 180 days.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "2025-12-17 12:00:00+00:00"
-- p3 = "total"
-- p4 = 100.0
-- p5 = "coupon"
-- p6 = 2
-- p7 = "order_placed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p7:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND occurred_at >= {p2:DateTime64(6, 'UTC')}
      AND ((ifNull((nullIf(nullIf(coalesce(payload.{p3:Identifier}.:Float64, toFloat64(payload.{p3:Identifier}.:Int64), toFloat64(payload.{p3:Identifier}.:UInt64), if(match(payload.{p3:Identifier}.:String, '^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$'), toFloat64OrNull(payload.{p3:Identifier}.:String), NULL)), inf), -inf)) > {p4:Float64}, 0)) AND (NOT (payload.{p5:Identifier} IS NOT NULL OR notEmpty(JSONAllPaths(payload.^{p5:Identifier})))))
    GROUP BY user_key
    HAVING (count() >= {p6:UInt64})
  )
