-- Users who placed an order (where ship_to is not their country (or one of the two is unknown)) at least 2 times.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "ship_to"
-- p3 = 2
-- p4 = "country"
-- p5 = "v"
-- p6 = "order_placed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key
    FROM events
    LEFT ANY JOIN (
      SELECT user_key AS known_key, argMax(tuple(value.{p5:Identifier}.:String), concat(reverse(reinterpretAsFixedString(toUInt64((toUnixTimestamp64Micro(occurred_at) + 2208988800000001)))), event_id)).1 AS known_0
      FROM traits
      WHERE tenant_id = {tenant:UInt32}
        AND property = {p4:String}
        AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      GROUP BY known_key
    ) AS known ON user_key = known.known_key
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p6:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND ((NOT ifNull((payload.{p2:Identifier}.:String) = (known_0), 0)))
    GROUP BY user_key
    HAVING (count() >= {p3:UInt64})
  )
