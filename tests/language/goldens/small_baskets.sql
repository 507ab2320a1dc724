-- Users whose average total is less than 80 over all the times they placed an order (people without any total are not included).
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "total"
-- p3 = 80000000
-- p4 = "order_placed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    WITH nullIf(nullIf(coalesce(payload.{p2:Identifier}.:Float64, toFloat64(payload.{p2:Identifier}.:Int64), toFloat64(payload.{p2:Identifier}.:UInt64), if(match(payload.{p2:Identifier}.:String, '^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$'), toFloat64OrNull(payload.{p2:Identifier}.:String), NULL)), inf), -inf) AS number_0
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p4:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
    GROUP BY user_key
    HAVING (toInt256(countIf(ifNull(abs(number_0) <= 9000000000000, 0))) > 0 AND toInt256(sum(toInt128(roundBankers(if(ifNull(abs(number_0) <= 9000000000000, 0), assumeNotNull(number_0), 0) * 1000000)))) < toInt256({p3:Int128}) * toInt256(countIf(ifNull(abs(number_0) <= 9000000000000, 0))))
  )
