-- Users who placed an order with at least 3 different values of category.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "category"
-- p3 = 3.0
-- p4 = "order_placed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    WITH multiIf(assumeNotNull(payload.{p2:Identifier}.:String) != '', assumeNotNull(payload.{p2:Identifier}.:String), payload.{p2:Identifier}.:String IS NOT NULL, '\0', payload.{p2:Identifier} IS NULL, '', toString(payload.{p2:Identifier}) IN ('true', 'false'), concat('\0b', assumeNotNull(toString(payload.{p2:Identifier}))), toFloat64OrNull(toString(payload.{p2:Identifier})) IS NOT NULL, concat('\0n', toString(assumeNotNull(toFloat64OrNull(toString(payload.{p2:Identifier}))) + 0)), '') AS scalar_0
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p4:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
    GROUP BY user_key
    HAVING (toFloat64(uniqExactIf(scalar_0, scalar_0 != '')) >= {p3:Float64})
  )
