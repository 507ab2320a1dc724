-- Users whose email_opt_in is true.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "v"
-- p3 = true
-- p4 = "email_opt_in"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key
    FROM traits_current FINAL
    WHERE tenant_id = {tenant:UInt32}
      AND property = {p4:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND is_exact
      AND (ifNull((value.{p2:Identifier}.:Bool) = {p3:Bool}, 0))
    UNION ALL
    SELECT user_key
    FROM traits
    WHERE tenant_id = {tenant:UInt32}
      AND property = {p4:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND user_key IN (
        SELECT user_key
        FROM traits_current
        WHERE tenant_id = {tenant:UInt32}
          AND property = {p4:String}
          AND (occurred_at > {as_of:DateTime64(6, 'UTC')} OR NOT is_exact)
      )
    GROUP BY user_key
    HAVING argMax((ifNull((value.{p2:Identifier}.:Bool) = {p3:Bool}, 0)), concat(reverse(reinterpretAsFixedString(toUInt64((toUnixTimestamp64Micro(occurred_at) + 2208988800000001)))), event_id))
  )
