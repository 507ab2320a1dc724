-- Users who placed an order (where one of products is such that (its sku starts with “SHOE-” and its price is at least 50)).
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "products"
-- p3 = "sku"
-- p4 = "SHOE-"
-- p5 = "price"
-- p6 = 50.0
-- p7 = "order_placed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p7:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND ((arrayExists(item -> ((ifNull(startsWith(if(JSONType(JSONExtractRaw(item, {p3:String})) = 'String', JSONExtractString(JSONExtractRaw(item, {p3:String})), NULL), {p4:String}), 0)) AND (ifNull((if(match(if(JSONType(JSONExtractRaw(item, {p5:String})) = 'String', JSONExtractString(JSONExtractRaw(item, {p5:String})), JSONExtractRaw(item, {p5:String})), '^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$'), nullIf(nullIf(toFloat64OrNull(if(JSONType(JSONExtractRaw(item, {p5:String})) = 'String', JSONExtractString(JSONExtractRaw(item, {p5:String})), JSONExtractRaw(item, {p5:String}))), inf), -inf), NULL)) >= {p6:Float64}, 0))), JSONExtractArrayRaw(ifNull(toJSONString(payload.{p2:Identifier}), '')))))
  )
