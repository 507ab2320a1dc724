-- Users (whose country is “ES”, or whose loyalty_tier is “gold”), and who placed an order in the last 365 days; leaving out users who refunded an order in the last 90 days.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "2026-03-17 12:00:00+00:00"
-- p3 = "order_refunded"
-- p4 = "v"
-- p5 = "ES"
-- p6 = "country"
-- p7 = "v"
-- p8 = "gold"
-- p9 = "loyalty_tier"
-- p10 = "2025-06-15 12:00:00+00:00"
-- p11 = "order_placed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p11:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND occurred_at >= {p10:DateTime64(6, 'UTC')}
      AND user_key IN (
        SELECT user_key FROM (
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
          UNION ALL
          SELECT user_key
          FROM traits_current FINAL
          WHERE tenant_id = {tenant:UInt32}
            AND property = {p9:String}
            AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
            AND is_exact
            AND (ifNull(value.{p7:Identifier}.:String = {p8:String}, 0))
          UNION ALL
          SELECT user_key
          FROM traits
          WHERE tenant_id = {tenant:UInt32}
            AND property = {p9:String}
            AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
            AND user_key IN (
              SELECT user_key
              FROM traits_current
              WHERE tenant_id = {tenant:UInt32}
                AND property = {p9:String}
                AND (occurred_at > {as_of:DateTime64(6, 'UTC')} OR NOT is_exact)
            )
          GROUP BY user_key
          HAVING argMax((ifNull(value.{p7:Identifier}.:String = {p8:String}, 0)), concat(reverse(reinterpretAsFixedString(toUInt64((toUnixTimestamp64Micro(occurred_at) + 2208988800000001)))), event_id))
        )
        WHERE user_key NOT IN (
            SELECT user_key
            FROM events
            WHERE tenant_id = {tenant:UInt32}
              AND event_type = {p3:String}
              AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
              AND occurred_at >= {p2:DateTime64(6, 'UTC')}
          )
      )
  )
