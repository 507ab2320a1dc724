-- Users who viewed a page at least 2 times in the 7 days before today.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "2026-06-08 00:00:00+00:00"
-- p3 = "2026-06-14 23:59:59.999999+00:00"
-- p4 = 2
-- p5 = "page_viewed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p5:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND occurred_at >= {p2:DateTime64(6, 'UTC')}
      AND occurred_at <= {p3:DateTime64(6, 'UTC')}
    GROUP BY user_key
    HAVING (count() >= {p4:UInt64})
  )
