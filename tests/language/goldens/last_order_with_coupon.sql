-- Users whose coupon was “WELCOME” the last time they placed an order.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "coupon"
-- p3 = "WELCOME"
-- p4 = "order_placed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    WITH concat(reverse(reinterpretAsFixedString(toUInt64((toUnixTimestamp64Micro(occurred_at) + 2208988800000001)))), event_id) AS time_and_id_0
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p4:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
    GROUP BY user_key
    HAVING argMax((ifNull(payload.{p2:Identifier}.:String = {p3:String}, 0)), time_and_id_0)
  )
