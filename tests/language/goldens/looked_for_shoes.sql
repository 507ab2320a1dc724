-- Users who performed a search (where query matches the pattern “\bshoes?\b” or query contains “sneaker”).
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "query"
-- p3 = "(?-s)\\bshoes?\\b"
-- p4 = "query"
-- p5 = "sneaker"
-- p6 = "sneaker"
-- p7 = "search_performed"

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
      AND ((ifNull(match(payload.{p2:Identifier}.:String, {p3:String}), 0)) OR ((ifNull(position(payload.{p4:Identifier}.:String, {p6:String}) > 0, 0) OR arrayExists(element -> (JSONType(element) = 'String' AND JSONExtractString(element) = {p5:String}), JSONExtractArrayRaw(ifNull(toJSONString(payload.{p4:Identifier}), ''))))))
  )
