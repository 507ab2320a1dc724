-- Users whose renewed_at is before their signup_date.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "v"
-- p3 = "UTC"
-- p4 = "signup_date"
-- p5 = "v"
-- p6 = "UTC"
-- p7 = "renewed_at"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key
    FROM traits_current FINAL
    LEFT ANY JOIN (
      SELECT user_key AS known_key, argMax(tuple(arrayMap(micro -> if(micro BETWEEN -2208988800000000 AND 10413791999999999, micro, NULL), [multiIf(match(value.{p5:Identifier}.:String, '^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$'), arrayMap(midnight -> toUnixTimestamp64Micro(midnight) + if(toString(toDate32(midnight)) < value.{p5:Identifier}.:String, (timezoneOffset(midnight + INTERVAL 25 HOUR) - timezoneOffset(midnight)) * 1000000, 0), [parseDateTime64BestEffortOrNull(value.{p5:Identifier}.:String, 6, {p6:String})])[1], match(value.{p5:Identifier}.:String, '^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?$'), toUnixTimestamp64Micro(parseDateTime64BestEffortOrNull(value.{p5:Identifier}.:String, 6, 'UTC')), NULL)])[1]), concat(reverse(reinterpretAsFixedString(toUInt64((toUnixTimestamp64Micro(occurred_at) + 2208988800000001)))), event_id)).1 AS known_0
      FROM traits
      WHERE tenant_id = {tenant:UInt32}
        AND property = {p4:String}
        AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      GROUP BY known_key
    ) AS known ON user_key = known.known_key
    WHERE tenant_id = {tenant:UInt32}
      AND property = {p7:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND is_exact
      AND (ifNull((arrayMap(micro -> if(micro BETWEEN -2208988800000000 AND 10413791999999999, micro, NULL), [multiIf(match(value.{p2:Identifier}.:String, '^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$'), arrayMap(midnight -> toUnixTimestamp64Micro(midnight) + if(toString(toDate32(midnight)) < value.{p2:Identifier}.:String, (timezoneOffset(midnight + INTERVAL 25 HOUR) - timezoneOffset(midnight)) * 1000000, 0), [parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, {p3:String})])[1], match(value.{p2:Identifier}.:String, '^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?$'), toUnixTimestamp64Micro(parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC')), NULL)])[1]) < (known_0), 0))
    UNION ALL
    SELECT user_key
    FROM traits
    LEFT ANY JOIN (
      SELECT user_key AS known_key, argMax(tuple(arrayMap(micro -> if(micro BETWEEN -2208988800000000 AND 10413791999999999, micro, NULL), [multiIf(match(value.{p5:Identifier}.:String, '^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$'), arrayMap(midnight -> toUnixTimestamp64Micro(midnight) + if(toString(toDate32(midnight)) < value.{p5:Identifier}.:String, (timezoneOffset(midnight + INTERVAL 25 HOUR) - timezoneOffset(midnight)) * 1000000, 0), [parseDateTime64BestEffortOrNull(value.{p5:Identifier}.:String, 6, {p6:String})])[1], match(value.{p5:Identifier}.:String, '^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?$'), toUnixTimestamp64Micro(parseDateTime64BestEffortOrNull(value.{p5:Identifier}.:String, 6, 'UTC')), NULL)])[1]), concat(reverse(reinterpretAsFixedString(toUInt64((toUnixTimestamp64Micro(occurred_at) + 2208988800000001)))), event_id)).1 AS known_0
      FROM traits
      WHERE tenant_id = {tenant:UInt32}
        AND property = {p4:String}
        AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      GROUP BY known_key
    ) AS known ON user_key = known.known_key
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
    HAVING argMax((ifNull((arrayMap(micro -> if(micro BETWEEN -2208988800000000 AND 10413791999999999, micro, NULL), [multiIf(match(value.{p2:Identifier}.:String, '^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$'), arrayMap(midnight -> toUnixTimestamp64Micro(midnight) + if(toString(toDate32(midnight)) < value.{p2:Identifier}.:String, (timezoneOffset(midnight + INTERVAL 25 HOUR) - timezoneOffset(midnight)) * 1000000, 0), [parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, {p3:String})])[1], match(value.{p2:Identifier}.:String, '^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?$'), toUnixTimestamp64Micro(parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC')), NULL)])[1]) < (known_0), 0)), concat(reverse(reinterpretAsFixedString(toUInt64((toUnixTimestamp64Micro(occurred_at) + 2208988800000001)))), event_id))
  )
