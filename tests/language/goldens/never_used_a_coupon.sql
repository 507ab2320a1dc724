-- Users whose coupon at no time was known when they placed an order (people who never did are included).
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "coupon"
-- p3 = "order_placed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key NOT IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p3:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND ((payload.{p2:Identifier} IS NOT NULL OR notEmpty(JSONAllPaths(payload.^{p2:Identifier}))))
  )
