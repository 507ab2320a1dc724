-- Users who viewed a page or viewed a product from 2 to 5 times in the last 30 days.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = 2
-- p3 = 5
-- p4 = ["page_viewed", "product_viewed"]
-- p5 = "2026-06-15 12:00:00+00:00"
-- p6 = "2026-05-16 12:00:00+00:00"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32} AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND ((user_key IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type IN {p4:Array(String)}
      AND occurred_at >= {p6:DateTime64(6, 'UTC')}
      AND occurred_at <= {p5:DateTime64(6, 'UTC')}
    GROUP BY user_key
    HAVING (count() BETWEEN {p2:UInt64} AND {p3:UInt64})
  )))
