-- Users whose age is from 25 to 34.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "v"
-- p3 = 25.0
-- p4 = 34.0
-- p5 = "age"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key
    FROM traits_current FINAL
    WHERE tenant_id = {tenant:UInt32}
      AND property = {p5:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND is_exact
      AND (ifNull((nullIf(nullIf(coalesce(value.{p2:Identifier}.:Float64, toFloat64(value.{p2:Identifier}.:Int64), toFloat64(value.{p2:Identifier}.:UInt64), if(match(value.{p2:Identifier}.:String, '^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$'), toFloat64OrNull(value.{p2:Identifier}.:String), NULL)), inf), -inf)) BETWEEN {p3:Float64} AND {p4:Float64}, 0))
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
    HAVING argMax((ifNull((nullIf(nullIf(coalesce(value.{p2:Identifier}.:Float64, toFloat64(value.{p2:Identifier}.:Int64), toFloat64(value.{p2:Identifier}.:UInt64), if(match(value.{p2:Identifier}.:String, '^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$'), toFloat64OrNull(value.{p2:Identifier}.:String), NULL)), inf), -inf)) BETWEEN {p3:Float64} AND {p4:Float64}, 0)), concat(reverse(reinterpretAsFixedString(toUInt64((toUnixTimestamp64Micro(occurred_at) + 2208988800000001)))), event_id))
  )
