-- Users who did “cart_add” in the last 90 days, and for whom the number of times they placed an order in the last 90 days is less than half the number of times they did “cart_add” in the last 90 days.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "2026-03-17 12:00:00+00:00"
-- p3 = "cart_add"
-- p4 = "2026-03-17 12:00:00+00:00"
-- p5 = ["cart_add", "order_placed"]
-- p6 = "order_placed"
-- p7 = "cart_add"
-- p8 = 2

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type IN {p5:Array(String)}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND occurred_at >= {p4:DateTime64(6, 'UTC')}
      AND user_key IN (
        SELECT user_key
        FROM events
        WHERE tenant_id = {tenant:UInt32}
          AND event_type = {p3:String}
          AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
          AND occurred_at >= {p2:DateTime64(6, 'UTC')}
      )
    GROUP BY user_key
    HAVING (toInt256(countIf(event_type = {p6:String})) * toInt256({p8:Int128}) < toInt256(countIf(event_type = {p7:String})))
  )
