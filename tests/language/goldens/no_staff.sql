-- Users whose tags does not contain “staff” or “partner” (or is unknown).
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "v"
-- p3 = "staff"
-- p4 = "partner"
-- p5 = "tags"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key NOT IN (
    SELECT user_key
    FROM traits_current FINAL
    WHERE tenant_id = {tenant:UInt32}
      AND property = {p5:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND is_exact
      AND ((arrayExists(element -> (JSONType(element) = 'String' AND JSONExtractString(element) = {p3:String}), JSONExtractArrayRaw(ifNull(toJSONString(value.{p2:Identifier}), ''))) OR arrayExists(element -> (JSONType(element) = 'String' AND JSONExtractString(element) = {p4:String}), JSONExtractArrayRaw(ifNull(toJSONString(value.{p2:Identifier}), '')))))
    UNION ALL
    SELECT user_key
    FROM traits
    WHERE tenant_id = {tenant:UInt32}
      AND property = {p5:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND user_key IN (
        SELECT user_key
        FROM traits_current
        WHERE tenant_id = {tenant:UInt32}
          AND property = {p5:String}
          AND (occurred_at > {as_of:DateTime64(6, 'UTC')} OR NOT is_exact)
      )
    GROUP BY user_key
    HAVING argMax(((arrayExists(element -> (JSONType(element) = 'String' AND JSONExtractString(element) = {p3:String}), JSONExtractArrayRaw(ifNull(toJSONString(value.{p2:Identifier}), ''))) OR arrayExists(element -> (JSONType(element) = 'String' AND JSONExtractString(element) = {p4:String}), JSONExtractArrayRaw(ifNull(toJSONString(value.{p2:Identifier}), ''))))), concat(reverse(reinterpretAsFixedString(toUInt64((toUnixTimestamp64Micro(occurred_at) + 2208988800000001)))), event_id))
  )
