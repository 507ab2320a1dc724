-- Users (whose country is “ES”, or whose loyalty_tier is “gold”), and who placed an order in the last 365 days; leaving out users who refunded an order in the last 90 days.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "country"
-- p3 = "v"
-- p4 = "ES"
-- p5 = "loyalty_tier"
-- p6 = "v"
-- p7 = "gold"
-- p8 = "2025-06-15 12:00:00+00:00"
-- p9 = "order_placed"
-- p10 = "2026-03-17 12:00:00+00:00"
-- p11 = "order_refunded"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key FROM (
      SELECT user_key, groupBitOr(rows.bits_0) AS bits_0 FROM (
        SELECT user_key, toUInt64(if((ifNull(value.{p3:Identifier}.:String = {p4:String}, 0)), 1, 0)) AS bits_0
        FROM traits_current FINAL
        WHERE tenant_id = {tenant:UInt32}
          AND property = {p2:String}
          AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
          AND is_exact
          AND bits_0 != 0
        UNION ALL
        SELECT user_key, argMax(rows.bits_0, rows.time_and_id) AS bits_0 FROM (
          SELECT user_key, toUInt64(if((ifNull(value.{p3:Identifier}.:String = {p4:String}, 0)), 1, 0)) AS bits_0, concat(reverse(reinterpretAsFixedString(toUInt64((toUnixTimestamp64Micro(occurred_at) + 2208988800000001)))), event_id) AS time_and_id
          FROM traits
          WHERE tenant_id = {tenant:UInt32}
            AND property = {p2:String}
            AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
            AND user_key IN (
              SELECT user_key
              FROM traits_current
              WHERE tenant_id = {tenant:UInt32}
                AND property = {p2:String}
                AND (occurred_at > {as_of:DateTime64(6, 'UTC')} OR NOT is_exact)
            )
        ) AS rows
        GROUP BY user_key
        HAVING bits_0 != 0
        UNION ALL
        SELECT user_key, toUInt64(if((ifNull(value.{p6:Identifier}.:String = {p7:String}, 0)), 2, 0)) AS bits_0
        FROM traits_current FINAL
        WHERE tenant_id = {tenant:UInt32}
          AND property = {p5:String}
          AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
          AND is_exact
          AND bits_0 != 0
        UNION ALL
        SELECT user_key, argMax(rows.bits_0, rows.time_and_id) AS bits_0 FROM (
          SELECT user_key, toUInt64(if((ifNull(value.{p6:Identifier}.:String = {p7:String}, 0)), 2, 0)) AS bits_0, concat(reverse(reinterpretAsFixedString(toUInt64((toUnixTimestamp64Micro(occurred_at) + 2208988800000001)))), event_id) AS time_and_id
          FROM traits
          WHERE tenant_id = {tenant:UInt32}
            AND property = {p5:String}
            AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
            AND user_key IN (
              SELECT user_key
              FROM traits_current
              WHERE tenant_id = {tenant:UInt32}
                AND property = {p5:String}
                AND (occurred_at > {as_of:DateTime64(6, 'UTC')} OR NOT is_exact)
            )
        ) AS rows
        GROUP BY user_key
        HAVING bits_0 != 0
        UNION ALL
        SELECT user_key, toUInt64(4) AS bits_0
        FROM events
        WHERE tenant_id = {tenant:UInt32}
          AND event_type = {p9:String}
          AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
          AND occurred_at >= {p8:DateTime64(6, 'UTC')}
        UNION ALL
        SELECT user_key, toUInt64(8) AS bits_0
        FROM events
        WHERE tenant_id = {tenant:UInt32}
          AND event_type = {p11:String}
          AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
          AND occurred_at >= {p10:DateTime64(6, 'UTC')}
      ) AS rows
      GROUP BY user_key
    )
    WHERE (bitAnd(bits_0, 12) = 4 AND (bitAnd(bits_0, 3) != 0))
  )
