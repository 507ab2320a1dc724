-- Users who placed an order (where total is more than 100 and coupon is unknown) at least 2 times in the last 180 days.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = 2
-- p3 = "order_placed"
-- p4 = "2026-06-15 12:00:00+00:00"
-- p5 = "2025-12-17 12:00:00+00:00"
-- p6 = "total"
-- p7 = 100.0
-- p8 = "coupon"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32} AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND ((user_key IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p3:String}
      AND occurred_at >= {p5:DateTime64(6, 'UTC')}
      AND occurred_at <= {p4:DateTime64(6, 'UTC')}
      AND ((ifNull((nullIf(nullIf(coalesce(payload.{p6:Identifier}.:Float64, toFloat64(payload.{p6:Identifier}.:Int64), toFloat64(payload.{p6:Identifier}.:UInt64), if(match(payload.{p6:Identifier}.:String, '^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$'), toFloat64OrNull(payload.{p6:Identifier}.:String), NULL)), inf), -inf)) > {p7:Float64}, 0)) AND (NOT (payload.{p8:Identifier} IS NOT NULL OR notEmpty(JSONAllPaths(payload.^{p8:Identifier})))))
    GROUP BY user_key
    HAVING (count() >= {p2:UInt64})
  )))
