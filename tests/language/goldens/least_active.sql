-- Users who are in the bottom 20 of all users by the number of days on which they viewed a page (people who never did are not ranked).
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = 20
-- p3 = "Europe/Madrid"
-- p4 = "page_viewed"

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
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
        SELECT keys, amounts, least({p2:UInt64}, length(amounts)) AS places, arrayReverseSort(amounts)[places] AS border,
          toInt64(places) - toInt64(arrayCount(amount -> amount > border, amounts)) AS room,
          if(countEqual(amounts, border) > room, room, 0) AS crowded
        FROM (SELECT groupArray(user_key) AS keys, groupArray(amount) AS amounts FROM (
          SELECT user_key, (-toInt64(uniqExact(toDate32(occurred_at, {p3:String}))) + 0) AS amount
          FROM events
          WHERE tenant_id = {tenant:UInt32}
            AND event_type = {p4:String}
            AND occurred_at <= {as_of:DateTime64(6, 'UTC')}
          GROUP BY user_key
          HAVING count() > 0
        ))
      )
      ARRAY JOIN keys AS user_key, amounts AS amount
      WHERE amount >= border
    ) AS ranked USING (user_key)
  )
