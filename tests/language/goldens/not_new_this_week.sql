-- Users whose signup_date is not in the 7 days before today (or is unknown).
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "v"
-- p3 = "2026-06-08 00:00:00+00:00"
-- p4 = "2026-06-14 00:00:00+00:00"
-- p5 = "2026-06-08 00:00:00+00:00"
-- p6 = "2026-06-14 23:59:59.999999+00:00"
-- p7 = "signup_date"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key NOT IN (
    SELECT user_key
    FROM traits_current FINAL
    WHERE tenant_id = {tenant:UInt32}
      AND property = {p7:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND is_exact
      AND ((ifNull(multiIf(match(value.{p2:Identifier}.:String, '^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$'), parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC') BETWEEN {p3:DateTime64(6, 'UTC')} AND {p4:DateTime64(6, 'UTC')}, match(value.{p2:Identifier}.:String, '^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?$'), parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC') BETWEEN {p5:DateTime64(6, 'UTC')} AND {p6:DateTime64(6, 'UTC')}, 0), 0)))
    UNION ALL
    SELECT user_key
    FROM traits
    WHERE tenant_id = {tenant:UInt32}
      AND property = {p7:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND user_key IN (
        SELECT user_key
        FROM traits_current
        WHERE tenant_id = {tenant:UInt32}
          AND property = {p7:String}
          AND (occurred_at > {as_of:DateTime64(6, 'UTC')} OR NOT is_exact)
      )
    GROUP BY user_key
    HAVING argMax(((ifNull(multiIf(match(value.{p2:Identifier}.:String, '^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$'), parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC') BETWEEN {p3:DateTime64(6, 'UTC')} AND {p4:DateTime64(6, 'UTC')}, match(value.{p2:Identifier}.:String, '^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?$'), parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC') BETWEEN {p5:DateTime64(6, 'UTC')} AND {p6:DateTime64(6, 'UTC')}, 0), 0))), concat(reverse(reinterpretAsFixedString(toUInt64((toUnixTimestamp64Micro(occurred_at) + 2208988800000001)))), event_id))
  )
