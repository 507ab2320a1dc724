-- Users who are in the top 10% of all users by the sum of total over all the times they placed an order in the last 365 days (people without any total are not ranked), and who viewed a page in the last 30 days.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "2026-05-16 12:00:00+00:00"
-- p3 = "page_viewed"
-- p4 = 10000
-- p5 = "total"
-- p6 = "2025-06-15 12:00:00+00:00"
-- p7 = "order_placed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key FROM (
      SELECT arrayJoin(arrayConcat(
        groupArrayIf(user_key, room = 0),
        arrayMap(one -> one.2, arraySlice(arraySort(groupArrayIf((user_id, user_key), room > 0)), 1, max(room))))) AS user_key
      FROM (
        SELECT user_key, user_id
        FROM users FINAL
        WHERE tenant_id = {tenant:UInt32}
          AND first_seen <= {as_of:DateTime64(6, 'UTC')}
      ) AS ids INNER JOIN (
        SELECT user_key, if(amount = border, crowded, 0) AS room
        FROM (
          SELECT keys, amounts, intDiv({p4:UInt64} * length(amounts) + 99999, 100000) AS places, arrayReverseSort(amounts)[places] AS border,
            toInt64(places) - toInt64(arrayCount(amount -> amount > border, amounts)) AS room,
            if(countEqual(amounts, border) > room, room, 0) AS crowded
          FROM (SELECT groupArray(user_key) AS keys, groupArray(amount) AS amounts FROM (
            WITH nullIf(nullIf(coalesce(payload.{p5:Identifier}.:Float64, toFloat64(payload.{p5:Identifier}.:Int64), toFloat64(payload.{p5:Identifier}.:UInt64), if(match(payload.{p5:Identifier}.:String, '^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$'), toFloat64OrNull(payload.{p5:Identifier}.:String), NULL)), inf), -inf) AS number_0
            SELECT user_key, sum(toInt128(roundBankers(if(ifNull(abs(number_0) <= 9000000000000, 0), assumeNotNull(number_0), 0) * 1000000))) AS amount
            FROM events
            WHERE tenant_id = {tenant:UInt32}
              AND event_type = {p7:String}
              AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
              AND occurred_at >= {p6:DateTime64(6, 'UTC')}
            GROUP BY user_key
            HAVING countIf(ifNull(abs(number_0) <= 9000000000000, 0)) > 0
          ))
        )
        ARRAY JOIN keys AS user_key, amounts AS amount
        WHERE amount >= border
      ) AS ranked USING (user_key)
    )
    WHERE user_key IN (
        SELECT user_key
        FROM events
        WHERE tenant_id = {tenant:UInt32}
          AND event_type = {p3:String}
          AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
          AND occurred_at >= {p2:DateTime64(6, 'UTC')}
      )
  )
