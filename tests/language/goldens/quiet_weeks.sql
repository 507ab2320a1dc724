-- Users who viewed a page at least 2 times a week in fewer than 2 of the last 8 weeks, this week included (people who never did are included).
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = 2
-- p3 = "2026-04-27 00:00:00+00:00"
-- p4 = "page_viewed"
-- p5 = [1777248000000000, 1777852800000000, 1778457600000000, 1779062400000000, 1779667200000000, 1780272000000000, 1780876800000000, 1781481600000000]
-- p6 = 2

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key NOT IN (
    SELECT user_key FROM (
      SELECT user_key
      FROM events
      WHERE tenant_id = {tenant:UInt32}
        AND event_type = {p4:String}
        AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
        AND occurred_at >= {p3:DateTime64(6, 'UTC')}
      GROUP BY user_key, roundDown(toUnixTimestamp64Micro(occurred_at), {p5:Array(Int64)})
      HAVING count() >= {p2:UInt64}
    )
    GROUP BY user_key
    HAVING (count() >= {p6:UInt64})
  )
