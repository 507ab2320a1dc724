-- Users who are in none of the segments “VIP” and “Staff”.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = 4
-- p3 = "order_placed"
-- p4 = "v"
-- p5 = "ES"
-- p6 = "country"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key NOT IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p3:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
    GROUP BY user_key
    HAVING (count() >= {p2:UInt64})
    UNION ALL
    SELECT user_key
    FROM traits_current FINAL
    WHERE tenant_id = {tenant:UInt32}
      AND property = {p6:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND is_exact
      AND (ifNull(value.{p4:Identifier}.:String = {p5:String}, 0))
    UNION ALL
    SELECT user_key
    FROM traits
    WHERE tenant_id = {tenant:UInt32}
      AND property = {p6:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND user_key IN (
        SELECT user_key
        FROM traits_current
        WHERE tenant_id = {tenant:UInt32}
          AND property = {p6:String}
          AND (occurred_at > {as_of:DateTime64(6, 'UTC')} OR NOT is_exact)
      )
    GROUP BY user_key
    HAVING argMax((ifNull(value.{p4:Identifier}.:String = {p5:String}, 0)), concat(reverse(reinterpretAsFixedString(toUInt64((toUnixTimestamp64Micro(occurred_at) + 2208988800000001)))), event_id))
  )
