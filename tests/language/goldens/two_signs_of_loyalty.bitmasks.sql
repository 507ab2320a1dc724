-- Users who meet at least 2 of these 3 conditions (who placed an order in the last 90 days; who viewed a page at least 5 times in the last 30 days; whose loyalty_tier is “gold”).
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "2026-03-17 12:00:00+00:00"
-- p3 = "order_placed"
-- p4 = "2026-05-16 12:00:00+00:00"
-- p5 = 5
-- p6 = "page_viewed"
-- p7 = "loyalty_tier"
-- p8 = "v"
-- p9 = "gold"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key FROM (
      SELECT user_key, groupBitOr(rows.bits_0) AS bits_0 FROM (
        SELECT user_key, toUInt64(1) AS bits_0
        FROM events
        WHERE tenant_id = {tenant:UInt32}
          AND event_type = {p3:String}
          AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
          AND occurred_at >= {p2:DateTime64(6, 'UTC')}
        UNION ALL
        SELECT user_key, toUInt64(if((count() >= {p5:UInt64}), 2, 0)) AS bits_0
        FROM events
        WHERE tenant_id = {tenant:UInt32}
          AND event_type = {p6:String}
          AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
          AND occurred_at >= {p4:DateTime64(6, 'UTC')}
        GROUP BY user_key
        HAVING bits_0 != 0
        UNION ALL
        SELECT user_key, toUInt64(if((ifNull(value.{p8:Identifier}.:String = {p9:String}, 0)), 4, 0)) AS bits_0
        FROM traits_current FINAL
        WHERE tenant_id = {tenant:UInt32}
          AND property = {p7:String}
          AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
          AND is_exact
          AND bits_0 != 0
        UNION ALL
        SELECT user_key, argMax(rows.bits_0, rows.time_and_id) AS bits_0 FROM (
          SELECT user_key, toUInt64(if((ifNull(value.{p8:Identifier}.:String = {p9:String}, 0)), 4, 0)) AS bits_0, concat(reverse(reinterpretAsFixedString(toUInt64((toUnixTimestamp64Micro(occurred_at) + 2208988800000001)))), event_id) AS time_and_id
          FROM traits
          WHERE tenant_id = {tenant:UInt32}
            AND property = {p7:String}
            AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
            AND user_key IN (
              SELECT user_key
              FROM traits_current
              WHERE tenant_id = {tenant:UInt32}
                AND property = {p7:String}
                AND (occurred_at > {as_of:DateTime64(6, 'UTC')} OR NOT is_exact)
            )
        ) AS rows
        GROUP BY user_key
        HAVING bits_0 != 0
      ) AS rows
      GROUP BY user_key
    )
    WHERE (arraySum([(bitAnd(bits_0, 1) != 0), (bitAnd(bits_0, 2) != 0), (bitAnd(bits_0, 4) != 0)]) >= 2)
  )
