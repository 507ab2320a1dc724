-- Users whose birth_date has an anniversary in June.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "v"
-- p3 = [601, 602, 603, 604, 605, 606, 607, 608, 609, 610, 611, 612, 613, 614, 615, 616, 617, 618, 619, 620, 621, 622, 623, 624, 625, 626, 627, 628, 629, 630, 631]
-- p4 = [2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301]
-- p5 = "UTC"
-- p6 = [601, 602, 603, 604, 605, 606, 607, 608, 609, 610, 611, 612, 613, 614, 615, 616, 617, 618, 619, 620, 621, 622, 623, 624, 625, 626, 627, 628, 629, 630, 631]
-- p7 = [2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301, 2301]
-- p8 = "birth_date"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key
    FROM traits_current FINAL
    WHERE tenant_id = {tenant:UInt32}
      AND property = {p8:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND is_exact
      AND (ifNull(multiIf(match(value.{p2:Identifier}.:String, '^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$'), (toYear(parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC')) < transform(toUInt16(toMonth(parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC')) * 100 + toDayOfMonth(parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC'))), {p3:Array(UInt16)}, {p4:Array(UInt16)}, toUInt16(0))), match(value.{p2:Identifier}.:String, '^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?$') AND parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC') BETWEEN toDateTime64('1900-01-01 00:00:00', 6, 'UTC') AND toDateTime64('2299-12-31 23:59:59.999999', 6, 'UTC'), (toYear(toTimeZone(parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC'), {p5:String})) < transform(toUInt16(toMonth(toTimeZone(parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC'), {p5:String})) * 100 + toDayOfMonth(toTimeZone(parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC'), {p5:String}))), {p6:Array(UInt16)}, {p7:Array(UInt16)}, toUInt16(0))), 0), 0))
    UNION ALL
    SELECT user_key
    FROM traits
    WHERE tenant_id = {tenant:UInt32}
      AND property = {p8:String}
      AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
      AND user_key IN (
        SELECT user_key
        FROM traits_current
        WHERE tenant_id = {tenant:UInt32}
          AND property = {p8:String}
          AND (occurred_at > {as_of:DateTime64(6, 'UTC')} OR NOT is_exact)
      )
    GROUP BY user_key
    HAVING argMax((ifNull(multiIf(match(value.{p2:Identifier}.:String, '^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$'), (toYear(parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC')) < transform(toUInt16(toMonth(parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC')) * 100 + toDayOfMonth(parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC'))), {p3:Array(UInt16)}, {p4:Array(UInt16)}, toUInt16(0))), match(value.{p2:Identifier}.:String, '^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?$') AND parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC') BETWEEN toDateTime64('1900-01-01 00:00:00', 6, 'UTC') AND toDateTime64('2299-12-31 23:59:59.999999', 6, 'UTC'), (toYear(toTimeZone(parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC'), {p5:String})) < transform(toUInt16(toMonth(toTimeZone(parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC'), {p5:String})) * 100 + toDayOfMonth(toTimeZone(parseDateTime64BestEffortOrNull(value.{p2:Identifier}.:String, 6, 'UTC'), {p5:String}))), {p6:Array(UInt16)}, {p7:Array(UInt16)}, toUInt16(0))), 0), 0)), concat(reverse(reinterpretAsFixedString(toUInt64((toUnixTimestamp64Micro(occurred_at) + 2208988800000001)))), event_id))
  )
