-- Users who viewed a page in at least 4 of the last 6 months, this month included.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = [1767225600000000, 1769904000000000, 1772323200000000, 1775001600000000, 1777593600000000, 1780272000000000]
-- p3 = "page_viewed"
-- p4 = "2026-06-15 12:00:00+00:00"
-- p5 = "2026-01-01 00:00:00+00:00"
-- p6 = 1
-- p7 = 4

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32} AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND ((user_key IN (
    SELECT user_key FROM (
      SELECT user_key
      FROM events
      WHERE tenant_id = {tenant:UInt32}
        AND event_type = {p3:String}
        AND occurred_at >= {p5:DateTime64(6, 'UTC')}
        AND occurred_at <= {p4:DateTime64(6, 'UTC')}
      GROUP BY user_key, roundDown(toUnixTimestamp64Micro(occurred_at), {p2:Array(Int64)})
      HAVING count() >= {p6:UInt64}
    )
    GROUP BY user_key
    HAVING (count() >= {p7:UInt64})
  )))
