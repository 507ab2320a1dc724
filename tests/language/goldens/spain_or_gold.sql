-- Users (whose country is “ES”, or whose loyalty_tier is “gold”), and who placed an order in the last 365 days; leaving out users who refunded an order in the last 90 days.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "v"
-- p3 = "ES"
-- p4 = "country"
-- p5 = "v"
-- p6 = "gold"
-- p7 = "loyalty_tier"
-- p8 = 1
-- p9 = "order_placed"
-- p10 = "2026-06-15 12:00:00+00:00"
-- p11 = "2025-06-15 12:00:00+00:00"
-- p12 = 1
-- p13 = "order_refunded"
-- p14 = "2026-06-15 12:00:00+00:00"
-- p15 = "2026-03-17 12:00:00+00:00"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32} AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND ((((user_key IN (
    SELECT user_key
    FROM traits
    WHERE tenant_id = {tenant:UInt32} AND property = {p4:String} AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
    GROUP BY user_key
    HAVING argMax((ifNull(value.{p2:Identifier}.:String = {p3:String}, 0)), (occurred_at, event_id))
  )) OR (user_key IN (
    SELECT user_key
    FROM traits
    WHERE tenant_id = {tenant:UInt32} AND property = {p7:String} AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
    GROUP BY user_key
    HAVING argMax((ifNull(value.{p5:Identifier}.:String = {p6:String}, 0)), (occurred_at, event_id))
  ))) AND (user_key IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p9:String}
      AND occurred_at >= {p11:DateTime64(6, 'UTC')}
      AND occurred_at <= {p10:DateTime64(6, 'UTC')}
    GROUP BY user_key
    HAVING (count() >= {p8:UInt64})
  ))) AND (NOT ((user_key IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p13:String}
      AND occurred_at >= {p15:DateTime64(6, 'UTC')}
      AND occurred_at <= {p14:DateTime64(6, 'UTC')}
    GROUP BY user_key
    HAVING (count() >= {p12:UInt64})
  )))))
