-- Users who viewed a page or viewed a product from 2 to 5 times in the last 30 days.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "2026-05-16 12:00:00+00:00"
-- p3 = 2
-- p4 = 5
-- p5 = ["page_viewed", "product_viewed"]

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type IN {p5:Array(String)}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND occurred_at >= {p2:DateTime64(6, 'UTC')}
    GROUP BY user_key
    HAVING (count() BETWEEN {p3:UInt64} AND {p4:UInt64})
  )
