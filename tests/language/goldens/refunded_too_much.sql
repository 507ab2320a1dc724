-- Users whose refund was more than the event’s total the last time they refunded an order.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "refund"
-- p3 = "total"
-- p4 = "order_refunded"

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
    HAVING argMax((ifNull((nullIf(nullIf(coalesce(payload.{p2:Identifier}.:Float64, toFloat64(payload.{p2:Identifier}.:Int64), toFloat64(payload.{p2:Identifier}.:UInt64), if(match(payload.{p2:Identifier}.:String, '^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$'), toFloat64OrNull(payload.{p2:Identifier}.:String), NULL)), inf), -inf)) > (nullIf(nullIf(coalesce(payload.{p3:Identifier}.:Float64, toFloat64(payload.{p3:Identifier}.:Int64), toFloat64(payload.{p3:Identifier}.:UInt64), if(match(payload.{p3:Identifier}.:String, '^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$'), toFloat64OrNull(payload.{p3:Identifier}.:String), NULL)), inf), -inf)), 0)), time_and_id_0)
  )
