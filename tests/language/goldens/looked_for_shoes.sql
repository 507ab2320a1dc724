-- Users who performed a search (where query matches the pattern “\bshoes?\b” or query contains “sneaker”).
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = 1
-- p3 = "search_performed"
-- p4 = "2026-06-15 12:00:00+00:00"
-- p5 = "query"
-- p6 = "(?-s)\\bshoes?\\b"
-- p7 = "query"
-- p8 = "sneaker"
-- p9 = "sneaker"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32} AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND ((user_key IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant:UInt32}
      AND event_type = {p3:String}
      AND occurred_at <= {p4:DateTime64(6, 'UTC')}
      AND ((ifNull(match(payload.{p5:Identifier}.:String, {p6:String}), 0)) OR ((ifNull(position(payload.{p7:Identifier}.:String, {p9:String}) > 0, 0) OR arrayExists(element -> JSONType(element) = 'String' AND JSONExtractString(element) = {p8:String}, JSONExtractArrayRaw(ifNull(toJSONString(payload.{p7:Identifier}), ''))))))
    GROUP BY user_key
    HAVING (count() >= {p2:UInt64})
  )))
