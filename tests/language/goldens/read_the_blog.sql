-- Users who viewed a page (where path starts with “/Blog” (ignoring case)).
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "path"
-- p3 = "/Blog"
-- p4 = "page_viewed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p4:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND ((ifNull(startsWith(lowerUTF8(payload.{p2:Identifier}.:String), lowerUTF8({p3:String})), 0)))
  )
