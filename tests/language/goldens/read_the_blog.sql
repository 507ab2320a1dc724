-- Users who viewed a page (where path starts with “/Blog” (ignoring case)).
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = 1
-- p3 = "page_viewed"
-- p4 = "2026-06-15 12:00:00+00:00"
-- p5 = "path"
-- p6 = "/Blog"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32} AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND ((user_key IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p3:String}
      AND occurred_at <= {p4:DateTime64(6, 'UTC')}
      AND ((ifNull(startsWith(lowerUTF8(payload.{p5:Identifier}.:String), lowerUTF8({p6:String})), 0)))
    GROUP BY user_key
    HAVING (count() >= {p2:UInt64})
  )))
