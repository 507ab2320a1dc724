-- Users who viewed a page in at least 4 of the last 6 months, this month included.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "2026-01-01 00:00:00+00:00"
-- p3 = [1, 2, 4, 8, 16, 32]
-- p4 = [1767225600000000, 1769904000000000, 1772323200000000, 1775001600000000, 1777593600000000, 1780272000000000]
-- p5 = [1767225600000000, 1769904000000000, 1772323200000000, 1775001600000000, 1777593600000000, 1780272000000000]
-- p6 = 4
-- p7 = "page_viewed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p7:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND occurred_at >= {p2:DateTime64(6, 'UTC')}
    GROUP BY user_key
    HAVING (bitCount(groupBitOr(transform(roundDown(toUnixTimestamp64Micro(occurred_at), {p4:Array(Int64)}), {p5:Array(Int64)}, {p3:Array(UInt64)}, toUInt64(0)))) >= {p6:UInt64})
  )
