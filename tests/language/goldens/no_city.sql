-- Users whose address.city is unknown or empty.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "v.city"
-- p3 = "address"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key NOT IN (
    SELECT user_key
    FROM traits_current FINAL
    WHERE tenant_id = {tenant:UInt32}
      AND property = {p3:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND is_exact
      AND (((value.{p2:Identifier} IS NOT NULL OR notEmpty(JSONAllPaths(value.^{p2:Identifier}))) AND ifNull(value.{p2:Identifier}.:String != '', 1) AND ifNull(toJSONString(value.{p2:Identifier}) != '[]', 1)))
    UNION ALL
    SELECT user_key
    FROM traits
    WHERE tenant_id = {tenant:UInt32}
      AND property = {p3:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND user_key IN (
        SELECT user_key
        FROM traits_current
        WHERE tenant_id = {tenant:UInt32}
          AND property = {p3:String}
          AND (occurred_at > {as_of:DateTime64(6, 'UTC')} OR NOT is_exact)
      )
    GROUP BY user_key
    HAVING argMax((((value.{p2:Identifier} IS NOT NULL OR notEmpty(JSONAllPaths(value.^{p2:Identifier}))) AND ifNull(value.{p2:Identifier}.:String != '', 1) AND ifNull(toJSONString(value.{p2:Identifier}) != '[]', 1))), concat(reverse(reinterpretAsFixedString(toUInt64((toUnixTimestamp64Micro(occurred_at) + 2208988800000001)))), event_id))
  )
