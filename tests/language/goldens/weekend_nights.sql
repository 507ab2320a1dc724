-- Users who placed an order (where total is more than 50; on a Saturday or Sunday, between 18:00 and 02:00) at least 2 times in the last 90 days.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "2026-03-17 13:00:00+00:00"
-- p3 = "total"
-- p4 = 50.0
-- p5 = "Europe/Madrid"
-- p6 = 192
-- p7 = 1080
-- p8 = 120
-- p9 = 2
-- p10 = "order_placed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p10:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND occurred_at >= {p2:DateTime64(6, 'UTC')}
      AND (((ifNull((nullIf(nullIf(coalesce(payload.{p3:Identifier}.:Float64, toFloat64(payload.{p3:Identifier}.:Int64), toFloat64(payload.{p3:Identifier}.:UInt64), if(match(payload.{p3:Identifier}.:String, '^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$'), toFloat64OrNull(payload.{p3:Identifier}.:String), NULL)), inf), -inf)) > {p4:Float64}, 0))) AND bitTest({p6:UInt8}, toDayOfWeek(toTimeZone(occurred_at, {p5:String}))) AND (toHour(toTimeZone(occurred_at, {p5:String})) * 60 + toMinute(toTimeZone(occurred_at, {p5:String})) >= {p7:UInt16} OR toHour(toTimeZone(occurred_at, {p5:String})) * 60 + toMinute(toTimeZone(occurred_at, {p5:String})) < {p8:UInt16}))
    GROUP BY user_key
    HAVING (count() >= {p9:UInt64})
  )
