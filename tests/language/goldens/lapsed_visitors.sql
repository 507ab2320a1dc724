-- Users who have not viewed a page for more than 30 days (people who never did are not included).
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "2026-05-16 11:59:59.999999+00:00"
-- p3 = "page_viewed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p3:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
    GROUP BY user_key
    HAVING (((max(occurred_at) <= {p2:DateTime64(6, 'UTC')})))
  )
