-- Users who placed an order from 1 May 2026 to 31 May 2026, both days included.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = 1
-- p3 = "order_placed"
-- p4 = "2026-05-31 23:59:59.999999+00:00"
-- p5 = "2026-05-01 00:00:00+00:00"

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
    GROUP BY user_key
    HAVING (count() >= {p2:UInt64})
  )))
