-- Users who are not in the segment “VIP”.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = 4
-- p3 = "order_placed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key NOT IN (
    SELECT user_key FROM (
      SELECT user_key, groupBitOr(rows.bits_0) AS bits_0 FROM (
        SELECT user_key, toUInt64(if((count() >= {p2:UInt64}), 1, 0)) AS bits_0
        FROM events
        WHERE tenant_id = {tenant:UInt32}
          AND event_type = {p3:String}
          AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
        GROUP BY user_key
        HAVING bits_0 != 0
      ) AS rows
      GROUP BY user_key
    )
    WHERE (bitAnd(bits_0, 1) != 0)
  )
