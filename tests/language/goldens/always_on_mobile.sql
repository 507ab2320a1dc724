-- Users whose device was “mobile” every time they viewed a page in the last 60 days (people who never did are not included).
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "device"
-- p3 = "mobile"
-- p4 = "page_viewed"
-- p5 = "2026-06-15 12:00:00+00:00"
-- p6 = "2026-04-16 12:00:00+00:00"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32} AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND ((user_key IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p4:String}
      AND occurred_at >= {p6:DateTime64(6, 'UTC')}
      AND occurred_at <= {p5:DateTime64(6, 'UTC')}
    GROUP BY user_key
    HAVING min((ifNull(payload.{p2:Identifier}.:String = {p3:String}, 0)))
  )))
