-- Users whose device was “mobile” every time they viewed a page in the last 60 days (people who never did are not included).
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "2026-04-16 12:00:00+00:00"
-- p3 = "device"
-- p4 = "mobile"
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
    GROUP BY user_key
    HAVING (countIf(NOT (ifNull(payload.{p3:Identifier}.:String = {p4:String}, 0))) = 0)
  )
